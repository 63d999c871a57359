//! The head and its loss in one: `l = logsumexp(h W^T) - (h W^T)[target]`, averaged with weights.

use burn::tensor::{Int, Tensor};

#[cfg(feature = "flex")]
use super::flex;
use super::precision::{to_compute_dtype, upcast};

/// The weighted mean `sum(w l) / sum(w)` as `[1]`, differentiable in `hidden` and `head_weight`, and the detached
/// losses `l [n]` in nats. A token of weight 0 gives no gradient but still a loss.
///
/// The fast form never stores all logits: it goes through the tokens in chunks and takes the gradient on the way.
///
/// # Shapes
/// `hidden [n, d]`, `head_weight [v, d]`, `targets [n]`, `weights [n]` to `([1], [n])`.
///
/// # Panics
/// The fast form panics when a target is not below v.
pub fn linear_cross_entropy(
    hidden: Tensor<2>,
    head_weight: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
) -> (Tensor<1>, Tensor<1>) {
    #[cfg(feature = "flex")]
    if flex::takes(&hidden) {
        return flex::linear_cross_entropy(hidden, head_weight, targets, weights);
    }
    reference::linear_cross_entropy(to_compute_dtype(hidden), head_weight, targets, weights)
}

pub mod reference {
    //! The same in plain tensor code.
    use burn::tensor::activation::log_softmax;

    use super::*;

    /// See [`super::linear_cross_entropy`].
    pub fn linear_cross_entropy(
        hidden: Tensor<2>,
        head_weight: Tensor<2>,
        targets: Tensor<1, Int>,
        weights: Tensor<1>,
    ) -> (Tensor<1>, Tensor<1>) {
        let [n, _] = hidden.dims();
        let head_weight = head_weight.cast(hidden.dtype());
        let log_shares = log_softmax(upcast(hidden.matmul(head_weight.transpose())), 1); // [n, v]
        let losses = -log_shares.gather(1, targets.reshape([n, 1])).reshape([n]); // [n]
        let mean = (losses.clone() * weights.clone()).sum() / weights.sum(); // [1]
        (mean, losses.detach())
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check::{self, Leaf};

    /// n, d, v: odd, one token, more tokens than a chunk, a vocabulary wider than a block of columns.
    const SHAPES: [[usize; 3]; 5] = [[6, 7, 11], [1, 1, 1], [40, 64, 261], [300, 24, 70], [9, 16, 1500]];

    fn targets(n: usize, v: usize) -> Tensor<1, Int> {
        let ids: Vec<i32> = (0..n).map(|i| (7 * i + 3) as i32 % v as i32).collect();
        Tensor::from_ints(ids.as_slice(), &check::device())
    }

    /// 1, 0, 0.5, 1.5, 1, 0, ...
    fn weights(n: usize, like: &Leaf) -> Tensor<1> {
        like.constant((0..n).map(|i| [1.0, 0.0, 0.5, 1.5][i % 4]).collect())
    }

    #[test]
    fn the_loss_is_its_reference_in_values_and_gradients() {
        for [n, d, v] in SHAPES {
            let fast =
                |x: &[Leaf]| linear_cross_entropy(x[0].get(), x[1].get(), targets(n, v), weights(n, &x[0])).0;
            let slow = |x: &[Leaf]| {
                reference::linear_cross_entropy(x[0].get(), x[1].get(), targets(n, v), weights(n, &x[0])).0
            };
            check::same(&[vec![n, d], vec![v, d]], |x| fast(x) * 1.5, |x| slow(x) * 1.5);
        }
    }

    #[test]
    fn the_losses_of_single_tokens_are_those_of_the_reference_with_and_without_autodiff() {
        for [n, d, v] in SHAPES {
            for device in [check::device(), check::device().autodiff()] {
                let (h, w) = (check::random::<2>([n, d], 1, &device), check::random::<2>([v, d], 2, &device));
                let (h, w) = if device.is_autodiff() { (h.require_grad(), w.require_grad()) } else { (h, w) };
                let ones = weights(n, &Leaf::of(&h));
                let (_, fast) = linear_cross_entropy(h.clone(), w.clone(), targets(n, v), ones.clone());
                let (_, slow) = reference::linear_cross_entropy(h, w, targets(n, v), ones);
                check::assert_close(&check::values(&fast), &check::values(&slow), "losses");
            }
        }
    }

    #[test]
    fn the_reference_gradients_are_the_finite_differences() {
        check::finite_differences(&[vec![5, 3], vec![4, 3]], |x| {
            reference::linear_cross_entropy(x[0].get(), x[1].get(), targets(5, 4), weights(5, &x[0])).0
        });
    }

    #[test]
    fn a_token_of_weight_zero_gives_a_loss_but_no_gradient() {
        let device = check::device().autodiff();
        let (h, w) =
            (check::random::<2>([4, 3], 1, &device).require_grad(), check::random::<2>([5, 3], 2, &device));
        let leaf = Leaf::of(&h);
        let (mean, losses) = linear_cross_entropy(h.clone(), w, targets(4, 5), weights(4, &leaf));
        let gradient = check::values(&h.grad(&mean.backward()).unwrap());
        assert_eq!(gradient[3..6], [0.0; 3]);
        assert!(gradient[0].abs() > 0.0 && check::values(&losses)[1] > 0.0);
    }

    #[test]
    fn huge_logits_neither_overflow_nor_lose_the_largest() {
        let h = Tensor::<2>::from_floats([[1e4, 0.0], [-1e4, 0.0]], &check::device());
        let w = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]], &check::device());
        let targets = Tensor::<1, Int>::from_ints([0, 1], &check::device());
        let (mean, losses) = linear_cross_entropy(h, w, targets, Tensor::ones([2], &check::device()));
        assert_eq!((check::values(&mean), check::values(&losses)), (vec![0.0], vec![0.0, 0.0]));
    }

    #[test]
    fn a_row_of_the_head_that_is_no_number_makes_every_loss_none() {
        let h = Tensor::<2>::from_floats([[1.0, 2.0], [0.5, -1.0]], &check::device());
        let w = Tensor::<2>::from_floats([[1.0, 0.0], [f32::NAN, f32::NAN], [0.5, 0.0]], &check::device());
        let targets = Tensor::<1, Int>::from_ints([0, 2], &check::device());
        let (mean, losses) = linear_cross_entropy(h, w, targets, Tensor::ones([2], &check::device()));
        let all = [check::values(&mean), check::values(&losses)].concat();
        assert!(all.iter().all(|loss| loss.is_nan()), "{all:?}");
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let fast = |x: &[Leaf]| {
            let (h, w) = (x[0].get::<2>().transpose(), x[1].get::<2>().narrow(1, 1, 3));
            linear_cross_entropy(h, w, targets(10, 4).narrow(0, 3, 5), weights(1, &x[0]).expand([5])).0
        };
        let slow = |x: &[Leaf]| {
            let (h, w) = (x[0].get::<2>().transpose(), x[1].get::<2>().narrow(1, 1, 3));
            reference::linear_cross_entropy(
                h,
                w,
                targets(10, 4).narrow(0, 3, 5),
                weights(1, &x[0]).expand([5]),
            )
            .0
        };
        check::same(&[vec![3, 5], vec![4, 5]], fast, slow);
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        check::equal_bits(&[vec![700, 32], vec![333, 32]], |x| {
            linear_cross_entropy(x[0].get(), x[1].get(), targets(700, 333), weights(700, &x[0])).0
        });
    }
}
