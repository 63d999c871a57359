//! y = x W + b, and the same added to a residual: the projections of every sublayer.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::flex;
use super::precision::{to_compute_dtype, upcast};

/// `x W + b`.
///
/// # Shapes
/// `x [b, t, d_in]`, `weight [d_in, d_out]`, `bias [d_out]` to `[b, t, d_out]`.
pub fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::linear(x, weight, bias, None);
    }
    reference::linear(to_compute_dtype(x), weight, bias)
}

/// `residual + x W + b`, without the intermediate tensor.
///
/// # Shapes
/// `x [b, t, d_in]`, `weight [d_in, d_out]`, `bias [d_out]`, `residual [b, t, d_out]` to `[b, t, d_out]`.
pub fn linear_add(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Tensor<3>,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::linear(x, weight, bias, Some(residual));
    }
    reference::linear_add(to_compute_dtype(x), weight, bias, residual)
}

pub mod reference {
    //! The same in plain tensor code.
    use super::*;

    /// See [`super::linear`].
    pub fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
        let [b, t, d_in] = x.dims();
        let [_, d_out] = weight.dims();
        let dtype = x.dtype();
        let y = x.reshape([b * t, d_in]).matmul(weight.cast(dtype)); // [n, d_out]
        let y = match bias {
            Some(bias) => (upcast(y) + bias.unsqueeze()).cast(dtype), // its gradient is a sum over tokens
            None => y,
        };
        y.reshape([b, t, d_out]) // [b, t, d_out]
    }

    /// See [`super::linear_add`].
    pub fn linear_add(
        x: Tensor<3>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let dtype = residual.dtype();
        residual + linear(x, weight, bias).cast(dtype)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    /// b, t, d_in, d_out: odd, wider than a tile, and taller than a block of rows.
    const SHAPES: [[usize; 4]; 5] =
        [[2, 3, 7, 11], [1, 1, 1, 1], [3, 5, 33, 65], [2, 16, 64, 48], [1, 201, 300, 34]];

    fn leaves([b, t, i, o]: [usize; 4]) -> Vec<Vec<usize>> {
        vec![vec![b, t, i], vec![i, o], vec![o], vec![b, t, o]]
    }

    #[test]
    fn linear_is_its_reference_in_values_and_gradients() {
        for shape in SHAPES {
            let shapes = &leaves(shape)[..3];
            let fast = |x: &[Leaf]| linear(x[0].get(), x[1].get(), Some(x[2].get()));
            let slow = |x: &[Leaf]| reference::linear(x[0].get(), x[1].get(), Some(x[2].get()));
            check::same(shapes, fast, slow);
            let fast = |x: &[Leaf]| linear(x[0].get(), x[1].get(), None);
            let slow = |x: &[Leaf]| reference::linear(x[0].get(), x[1].get(), None);
            check::same(&shapes[..2], fast, slow);
        }
    }

    #[test]
    fn linear_add_is_its_reference_in_values_and_gradients() {
        for shape in SHAPES {
            let shapes = leaves(shape);
            let fast = |x: &[Leaf]| linear_add(x[0].get(), x[1].get(), Some(x[2].get()), x[3].get());
            let slow =
                |x: &[Leaf]| reference::linear_add(x[0].get(), x[1].get(), Some(x[2].get()), x[3].get());
            check::same(&shapes, fast, slow);
            let fast = |x: &[Leaf]| linear_add(x[0].get(), x[1].get(), None, x[2].get());
            let slow = |x: &[Leaf]| reference::linear_add(x[0].get(), x[1].get(), None, x[2].get());
            check::same(&[shapes[0].clone(), shapes[1].clone(), shapes[3].clone()], fast, slow);
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        check::finite_differences(&leaves([2, 3, 5, 4]), |x| {
            reference::linear_add(x[0].get(), x[1].get(), Some(x[2].get()), x[3].get())
        });
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| {
            let (a, w) = (x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 5), x[1].get::<2>().transpose());
            linear_add(a, w, Some(x[2].get::<1>().expand([4])), x[3].get::<3>().expand([3, 2, 4]))
        };
        let slow = |x: &[Leaf]| {
            let (a, w) = (x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 5), x[1].get::<2>().transpose());
            reference::linear_add(a, w, Some(x[2].get::<1>().expand([4])), x[3].get::<3>().expand([3, 2, 4]))
        };
        check::same(&[vec![2, 3, 7], vec![4, 5], vec![1], vec![1, 2, 4]], fast, slow);
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        check::equal_bits(&leaves([4, 129, 96, 160]), |x| {
            linear_add(x[0].get(), x[1].get(), Some(x[2].get()), x[3].get())
        });
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let device = check::device();
        let (x, w) = (check::random::<3>([1, 37, 40], 1, &device), check::random::<2>([40, 50], 2, &device));
        let all = linear(x.clone(), w.clone(), None).narrow(1, 29, 1);
        check::assert_equal_bits(&all, &linear(x.narrow(1, 29, 1), w, None));
    }
}
