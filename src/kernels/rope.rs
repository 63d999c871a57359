//! Rotary positions: each pair of channels turns by an angle proportional to the time (Su et al. 2021,
//! arXiv 2104.09864). Pairs are half-split, as in GPT-NeoX and Llama: channel i turns with channel i + rotated/2.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::flex;
use super::precision::upcast;

/// The angles: `cos` and `sin`, each `[t, rotated / 2]`. The first `rotated` channels of a head turn, the rest pass
/// through unchanged.
#[derive(Debug, Clone)]
pub struct Rope {
    /// Cosine of the angle of pair i at time t, `[t, rotated / 2]`.
    pub cos: Tensor<2>,
    /// Sine of the same angle, `[t, rotated / 2]`.
    pub sin: Tensor<2>,
}

/// Turns the channels of each head: `(x1 cos - x2 sin, x2 cos + x1 sin)`.
///
/// # Shapes
/// `x [b, h, t, k]` to `[b, h, t, k]`; `rope` has the rows of these `t` times.
pub fn rope(x: Tensor<4>, rope: &Rope) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::rope(x, rope);
    }
    reference::rope(x, rope)
}

pub mod reference {
    //! The same in plain tensor code.
    use super::*;

    /// See [`super::rope`].
    pub fn rope(x: Tensor<4>, rope: &Rope) -> Tensor<4> {
        let [_, _, _, k] = x.dims();
        let [_, half] = rope.cos.dims();
        let (cos, sin) = (rope.cos.clone().unsqueeze::<4>(), rope.sin.clone().unsqueeze::<4>()); // [1, 1, t, half]
        let (dtype, x) = (x.dtype(), upcast(x));
        let (x1, x2) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half)); // [b, h, t, half]
        let first = x1.clone() * cos.clone() - x2.clone() * sin.clone();
        let second = x2 * cos + x1 * sin;
        let mut parts = vec![first, second];
        if k > 2 * half {
            parts.push(x.narrow(3, 2 * half, k - 2 * half));
        }
        Tensor::cat(parts, 3).cast(dtype) // [b, h, t, k]
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    /// Rounding of a few products of numbers of order one in f32.
    const ROUNDING: f32 = 1e-5;

    #[test]
    fn rope_is_its_reference_in_values_and_gradients() {
        for ([b, h, t, k], rotated) in
            [([2, 3, 5, 6], 6), ([1, 2, 7, 10], 4), ([2, 2, 16, 32], 32), ([1, 1, 1, 2], 2)]
        {
            let fast = |x: &[Leaf]| rope(x[0].get(), &check::angles(&x[0], t, rotated));
            let slow = |x: &[Leaf]| reference::rope(x[0].get(), &check::angles(&x[0], t, rotated));
            check::same(&[vec![b, h, t, k]], fast, slow);
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        check::finite_differences(&[vec![2, 2, 3, 6]], |x| {
            reference::rope(x[0].get(), &check::angles(&x[0], 3, 4))
        });
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| rope(x[0].get::<4>().swap_dims(1, 2), &check::angles(&x[0], 5, 4));
        let slow = |x: &[Leaf]| reference::rope(x[0].get::<4>().swap_dims(1, 2), &check::angles(&x[0], 5, 4));
        check::same(&[vec![2, 5, 3, 6]], fast, slow);
    }

    #[test]
    fn the_product_of_two_turned_vectors_depends_on_their_distance_alone() {
        let device = check::device();
        let (q, k) =
            (check::random::<4>([1, 1, 1, 8], 1, &device), check::random::<4>([1, 1, 1, 8], 2, &device));
        let all = check::angles(&Leaf::of(&q), 12, 8);
        let turn = |x: &Tensor<4>, t: usize| rope(x.clone().expand([1, 1, 12, 8]), &all).narrow(2, t, 1);
        let product = |tq: usize, tk: usize| (turn(&q, tq) * turn(&k, tk)).sum().into_scalar::<f32>();
        for (tq, tk) in [(5, 3), (9, 7), (11, 9)] {
            assert!((product(tq, tk) - product(2, 0)).abs() < ROUNDING, "at times {tq} and {tk}");
        }
        assert!((product(3, 0) - product(2, 0)).abs() > ROUNDING, "another distance is another product");
    }
}
