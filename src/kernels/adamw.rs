//! AdamW, one parameter tensor at a time (Loshchilov and Hutter 2017, arXiv 1711.05101), in PyTorch's order:
//! p -= lr wd p; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
//! p -= lr / (1 - b1^step) m / (sqrt(v / (1 - b2^step)) + eps).
//!
//! Works on inner tensors, those without autodiff.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::flex;

/// The numbers of one update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamwStep {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by `lr`.
    pub weight_decay: f64,
    /// Which step this is, from 1, for the bias correction.
    pub step: u64,
    /// Factor on the gradient: the scale of the clipping.
    pub grad_scale: f64,
}

impl AdamwStep {
    /// The factor on the parameter, the step size with its bias correction, and the factor on the second moment.
    fn factors(&self) -> [f64; 3] {
        let step = self.step as f64;
        let first = 1.0 - self.beta1.powf(step);
        let second = 1.0 - self.beta2.powf(step);
        [1.0 - self.lr * self.weight_decay, self.lr / first, 1.0 / second]
    }

    /// The numbers of the fast form, in its order.
    #[cfg(feature = "flex")]
    pub(super) fn packed(&self) -> [f32; 9] {
        let [keep, size, correction] = self.factors();
        let AdamwStep { beta1, beta2, eps, grad_scale, .. } = *self;
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps, grad_scale, keep, size, correction].map(|x| x as f32)
    }
}

/// The parameter `p` and its moments `m` and `v` after one step with gradient `g`. The fast form writes in place the
/// buffers that nobody else holds.
pub fn adamw<const D: usize>(
    p: Tensor<D>,
    g: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: &AdamwStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    #[cfg(feature = "flex")]
    if flex::takes(&p) {
        return flex::adamw(p, g, m, v, step);
    }
    reference::adamw(p, g, m, v, step)
}

/// The sum of the squares of all elements as `[1]`, for the global norm of the gradient. The fast form adds in f64.
pub fn square_sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if flex::takes(&x) {
        return flex::square_sum(x);
    }
    reference::square_sum(x)
}

pub mod reference {
    //! The same in plain tensor code.
    use super::*;

    /// See [`super::adamw`].
    pub fn adamw<const D: usize>(
        p: Tensor<D>,
        g: Tensor<D>,
        m: Tensor<D>,
        v: Tensor<D>,
        step: &AdamwStep,
    ) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
        let [keep, size, correction] = step.factors();
        let g = g * step.grad_scale;
        let m = m * step.beta1 + g.clone() * (1.0 - step.beta1);
        let v = v * step.beta2 + g.clone() * g * (1.0 - step.beta2);
        let root = (v.clone() * correction).sqrt() + step.eps;
        (p * keep - m.clone() / root * size, m, v)
    }

    /// See [`super::square_sum`].
    pub fn square_sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
        (x.clone() * x).sum()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::kernels::check;

    const STEP: AdamwStep = AdamwStep {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.1,
        step: 1,
        grad_scale: 0.5,
    };

    /// The update as PyTorch's documentation writes it, on one number in f64.
    fn by_hand(p: &mut f64, g: f64, m: &mut f64, v: &mut f64, s: &AdamwStep) {
        let g = g * s.grad_scale;
        *p -= s.lr * s.weight_decay * *p;
        *m = s.beta1 * *m + (1.0 - s.beta1) * g;
        *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
        let m_hat = *m / (1.0 - s.beta1.powi(s.step as i32));
        let v_hat = *v / (1.0 - s.beta2.powi(s.step as i32));
        *p -= s.lr * m_hat / (v_hat.sqrt() + s.eps);
    }

    #[test]
    fn five_steps_are_those_by_hand_in_both_forms() {
        let device = check::device();
        for fast in [true, false] {
            let p = check::random::<2>([3, 37], 1, &device);
            let (mut p, mut m, mut v) = (p.clone(), p.zeros_like(), p.zeros_like());
            let mut expected: Vec<[f64; 3]> = check::values(&p).iter().map(|&p| [p, 0.0, 0.0]).collect();
            for step in 1..=5 {
                let s = AdamwStep { step, ..STEP };
                let g = check::random::<2>([3, 37], 10 + step, &device);
                for ([p, m, v], &g) in expected.iter_mut().zip(&check::values(&g)) {
                    by_hand(p, g, m, v, &s);
                }
                (p, m, v) = if fast { adamw(p, g, m, v, &s) } else { reference::adamw(p, g, m, v, &s) };
            }
            for (i, tensor) in [p, m, v].iter().enumerate() {
                let expected: Vec<f64> = expected.iter().map(|x| x[i]).collect();
                check::assert_close(&check::values(tensor), &expected, "after five steps");
            }
        }
    }

    #[test]
    fn a_buffer_that_somebody_else_holds_is_not_written() {
        let device = check::device();
        let [p, g, m, v] = [1, 2, 3, 4].map(|seed| check::random::<2>([5, 9], seed, &device).abs());
        let before = check::values(&p);
        let held = p.clone();
        let (after, _, _) = adamw(p, g, m, v, &STEP);
        assert_eq!(check::values(&held), before);
        assert_ne!(check::values(&after), before);
    }

    #[test]
    fn views_that_are_not_contiguous_give_the_same_numbers() {
        let device = check::device();
        let [p, g, m, v] = [1, 2, 3, 4].map(|seed| check::random::<2>([5, 9], seed, &device).abs());
        let view = |x: &Tensor<2>| x.clone().transpose().narrow(0, 2, 6);
        let fast = adamw(view(&p), view(&g), view(&m), view(&v), &STEP);
        let slow = reference::adamw(view(&p), view(&g), view(&m), view(&v), &STEP);
        check::assert_close(&check::values(&fast.0), &check::values(&slow.0), "parameter");
        check::assert_close(&check::values(&fast.2), &check::values(&slow.2), "second moment");
    }

    #[test]
    fn the_sum_of_squares_is_exact_where_f32_sums_are_not() {
        let x = Tensor::<2>::full([1000, 1000], 0.1, &check::device());
        let exact = 1e6 * (0.1f32 as f64) * (0.1f32 as f64);
        assert_eq!(check::values(&square_sum(x)), [exact as f32 as f64]);
        let x = check::random::<2>([3, 7], 1, &check::device());
        check::assert_close(
            &check::values(&square_sum(x.clone())),
            &check::values(&reference::square_sum(x)),
            "sum",
        );
    }

    #[test]
    fn one_thread_and_two_give_equal_bits() {
        let device = check::device();
        let step = || {
            let [p, g, m, v] = [1, 2, 3, 4].map(|seed| check::random::<2>([700, 400], seed, &device).abs());
            let sum = square_sum(g.clone()).reshape([1, 1]);
            let (p, m, v) = adamw(p, g, m, v, &STEP);
            [p, m, v, sum].map(|x| check::values(&x))
        };
        assert_eq!(check::in_pool(1, step), check::in_pool(2, step));
    }
}
