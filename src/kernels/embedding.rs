//! The row of each token: `y = W[token]`.

use burn::tensor::{Int, Tensor};

#[cfg(feature = "flex")]
use super::flex;

/// The rows of `weight` at `tokens`.
///
/// # Shapes
/// `weight [v, d]`, `tokens [b, t]` to `[b, t, d]`.
///
/// # Panics
/// The fast form panics when a token is not below v.
pub fn embedding(weight: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::takes(&weight) {
        return flex::embedding(weight, tokens);
    }
    reference::embedding(weight, tokens)
}

pub mod reference {
    //! The same in plain tensor code.
    use super::*;

    /// See [`super::embedding`]. Gathered rather than selected: the backward of a gather runs in parallel on a GPU.
    pub fn embedding(weight: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [b, t] = tokens.dims();
        let [_, d] = weight.dims();
        let rows = tokens.reshape([b * t, 1]).expand([b * t, d]); // [n, d]
        weight.gather(0, rows).reshape([b, t, d]) // [b, t, d]
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    fn tokens(shape: [usize; 2], vocab: usize) -> Tensor<2, Int> {
        let ids: Vec<i32> = (0..shape[0] * shape[1]).map(|i| (i * i + 3 * i) as i32 % vocab as i32).collect();
        Tensor::<1, Int>::from_ints(ids.as_slice(), &check::device()).reshape(shape)
    }

    #[test]
    fn embedding_is_its_reference_in_values_and_gradients() {
        for (shape, v, d) in [([2, 3], 11, 7), ([1, 1], 1, 1), ([3, 9], 5, 64), ([4, 40], 300, 48)] {
            let fast = |x: &[Leaf]| embedding(x[0].get(), tokens(shape, v));
            let slow = |x: &[Leaf]| reference::embedding(x[0].get(), tokens(shape, v));
            check::same(&[vec![v, d]], fast, slow);
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        check::finite_differences(&[vec![5, 3]], |x| reference::embedding(x[0].get(), tokens([2, 4], 5)));
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| embedding(x[0].get::<2>().transpose(), tokens([2, 3], 5).transpose());
        let slow =
            |x: &[Leaf]| reference::embedding(x[0].get::<2>().transpose(), tokens([2, 3], 5).transpose());
        check::same(&[vec![4, 5]], fast, slow);
    }

    #[test]
    fn tokens_made_on_the_autodiff_device_are_taken_too() {
        let weight = check::random::<2>([5, 3], 1, &check::device().autodiff()).require_grad();
        let ids = Tensor::<2, Int>::from_ints([[4, 0]], &check::device().autodiff());
        let y = embedding(weight.clone(), ids.clone());
        assert_eq!(check::values(&y), check::values(&reference::embedding(weight, ids)));
    }

    #[test]
    #[should_panic(expected = "token 5 is not in a vocabulary of 5")]
    fn a_token_outside_the_vocabulary_is_refused() {
        let ids = Tensor::<2, Int>::from_ints([[0, 5]], &check::device());
        embedding(check::random::<2>([5, 3], 1, &check::device()), ids);
    }
}
