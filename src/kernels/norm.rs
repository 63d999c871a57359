//! Layer norm y = (x - mean) / sqrt(var + eps) * gamma + beta (Ba et al. 2016, arXiv 1607.06450), and RMS norm
//! y = x / sqrt(mean(x^2) + eps) * gamma (Zhang and Sennrich 2019, arXiv 1910.07467), over the last axis.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::flex;
use super::precision::upcast;

/// Layer norm over the channels of each token; the variance is the biased one.
///
/// # Shapes
/// `x [b, t, d]`, `gamma [d]`, `beta [d]` to `[b, t, d]`.
pub fn layer_norm(x: Tensor<3>, gamma: Tensor<1>, beta: Option<Tensor<1>>, eps: f64) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::layer_norm(x, gamma, beta, eps);
    }
    reference::layer_norm(x, gamma, beta, eps)
}

/// RMS norm over the channels of each token.
///
/// # Shapes
/// `x [b, t, d]`, `gamma [d]` to `[b, t, d]`.
pub fn rms_norm(x: Tensor<3>, gamma: Tensor<1>, eps: f64) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::rms_norm(x, gamma, eps);
    }
    reference::rms_norm(x, gamma, eps)
}

pub mod reference {
    //! The same in plain tensor code.
    use super::*;

    /// See [`super::layer_norm`].
    pub fn layer_norm(x: Tensor<3>, gamma: Tensor<1>, beta: Option<Tensor<1>>, eps: f64) -> Tensor<3> {
        let (dtype, x) = (x.dtype(), upcast(x));
        let centred = x.clone() - x.mean_dim(2);
        let y = rms_norm(centred, gamma, eps);
        match beta {
            Some(beta) => (y + beta.unsqueeze()).cast(dtype),
            None => y.cast(dtype),
        }
    }

    /// See [`super::rms_norm`].
    pub fn rms_norm(x: Tensor<3>, gamma: Tensor<1>, eps: f64) -> Tensor<3> {
        let (dtype, x) = (x.dtype(), upcast(x));
        let mean_square = (x.clone() * x.clone()).mean_dim(2); // [b, t, 1]
        (x / (mean_square + eps).sqrt() * gamma.unsqueeze()).cast(dtype)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    const EPS: f64 = 1e-5;
    /// b, t, d: narrower than a vector, odd, several vectors, more rows than one chunk of a reduction.
    const SHAPES: [[usize; 3]; 5] = [[2, 3, 7], [1, 1, 1], [3, 5, 33], [2, 9, 64], [2, 131, 48]];

    #[test]
    fn layer_norm_is_its_reference_in_values_and_gradients() {
        for [b, t, d] in SHAPES {
            let shapes = [vec![b, t, d], vec![d], vec![d]];
            let fast = |x: &[Leaf]| layer_norm(x[0].get(), x[1].get(), Some(x[2].get()), EPS);
            let slow = |x: &[Leaf]| reference::layer_norm(x[0].get(), x[1].get(), Some(x[2].get()), EPS);
            check::same(&shapes, fast, slow);
            let fast = |x: &[Leaf]| layer_norm(x[0].get(), x[1].get(), None, EPS);
            let slow = |x: &[Leaf]| reference::layer_norm(x[0].get(), x[1].get(), None, EPS);
            check::same(&shapes[..2], fast, slow);
        }
    }

    #[test]
    fn rms_norm_is_its_reference_in_values_and_gradients() {
        for [b, t, d] in SHAPES {
            let fast = |x: &[Leaf]| rms_norm(x[0].get(), x[1].get(), EPS);
            let slow = |x: &[Leaf]| reference::rms_norm(x[0].get(), x[1].get(), EPS);
            check::same(&[vec![b, t, d], vec![d]], fast, slow);
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        check::finite_differences(&[vec![2, 3, 5], vec![5], vec![5]], |x| {
            reference::layer_norm(x[0].get(), x[1].get(), Some(x[2].get()), EPS)
        });
        check::finite_differences(&[vec![2, 3, 5], vec![5]], |x| {
            reference::rms_norm(x[0].get(), x[1].get(), EPS)
        });
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| {
            let a = x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 5);
            layer_norm(a, x[1].get::<1>().expand([5]), Some(x[2].get::<1>().narrow(0, 2, 5)), EPS)
        };
        let slow = |x: &[Leaf]| {
            let a = x[0].get::<3>().swap_dims(0, 1).narrow(2, 1, 5);
            reference::layer_norm(a, x[1].get::<1>().expand([5]), Some(x[2].get::<1>().narrow(0, 2, 5)), EPS)
        };
        check::same(&[vec![2, 3, 7], vec![1], vec![8]], fast, slow);
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        let shapes = [vec![15, 300, 64], vec![64], vec![64]];
        check::equal_bits(&shapes, |x| layer_norm(x[0].get(), x[1].get(), Some(x[2].get()), EPS));
        check::equal_bits(&shapes[..2], |x| rms_norm(x[0].get(), x[1].get(), EPS));
    }
}
