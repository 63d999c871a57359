//! The precision of matrix products in training.
//!
//! In bf16 the operands of every linear layer, of attention and of the head are rounded to bf16, and so is what linear layers
//! hand to an activation or to attention. Everything else stays f32: weights with the optimizer's state, the residual
//! stream, norms, routers, the insides of softmax and activations, sums over tokens, the loss. That is mixed precision as
//! in Micikevicius et al. 2018 (arXiv 1710.03740), without a scale of the loss, which bf16 does not need (Kalamkar et al.
//! 2019, arXiv 1905.12322).

use std::cell::Cell;

use burn::tensor::{DType, Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

/// What matrix products compute in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits everywhere.
    #[default]
    F32,
    /// Operands of 16 bits with the exponent of f32, summed in f32.
    Bf16,
}

thread_local! {
    /// That of the innermost scope.
    static HERE: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// As plans write it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// That of the innermost [`Precision::scope`] on this thread.
    #[cfg(feature = "flex")]
    pub(super) fn of_scope() -> Self {
        HERE.get()
    }

    /// Whether it is the default.
    pub fn is_f32(&self) -> bool {
        *self == Precision::F32
    }

    /// What `compute` builds on this thread, its matrix products in this precision; also those of its backward pass,
    /// whenever that runs. The kernels of [`super`] in f64 do not heed it.
    pub fn scope<T>(self, compute: impl FnOnce() -> T) -> T {
        struct Restore(Precision);
        impl Drop for Restore {
            fn drop(&mut self) {
                HERE.set(self.0);
            }
        }
        let _restore = Restore(HERE.replace(self));
        compute()
    }

    /// Whether a device computes in it.
    ///
    /// # Errors
    /// [`Kind::Device`](crate::error::Kind::Device) when it does not.
    pub fn check(self, device: &Device) -> Result<()> {
        let has = match self {
            Precision::F32 => true,
            Precision::Bf16 => device.supports_dtype(FloatDType::BF16),
        };
        if has {
            return Ok(());
        }
        let problem = Problem::new("this device does not compute in bf16").key("training.precision");
        Err(Error::device(problem.expected("\"f32\"").help("leave --dtype or training.precision out")))
    }
}

/// An operand of a matrix product, in the precision of the scope.
pub fn to_compute_dtype<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match HERE.get() {
        Precision::Bf16 if x.dtype() == DType::F32 => x.cast(FloatDType::BF16),
        Precision::F32 | Precision::Bf16 => x,
    }
}

/// What is summed or exponentiated: at least f32.
pub fn upcast<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match x.dtype() {
        DType::BF16 | DType::F16 => x.cast(FloatDType::F32),
        _ => x,
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::super::{self as kernels, check};
    use super::*;

    /// bf16 has 8 bits of fraction; a sum of products in random order loses about as much as its operands.
    const ROUNDING: f32 = 0.02;

    #[test]
    fn a_scope_ends_where_it_ends_also_by_a_panic() {
        let one = || Tensor::<1>::ones([1], &check::device());
        let nested = Precision::Bf16.scope(|| Precision::F32.scope(|| to_compute_dtype(one()).dtype()));
        assert_eq!((nested, to_compute_dtype(one()).dtype()), (DType::F32, DType::F32));
        assert_eq!(Precision::Bf16.scope(|| to_compute_dtype(one()).dtype()), DType::BF16);
        let panic =
            std::panic::catch_unwind(|| Precision::Bf16.scope(|| std::panic::resume_unwind(Box::new(()))));
        assert!(panic.is_err());
        assert_eq!(to_compute_dtype(one()).dtype(), DType::F32);
    }

    #[test]
    fn a_linear_layer_in_bf16_is_that_of_rounded_operands_with_gradients_in_f32() {
        let device = check::device().autodiff();
        let x = check::random::<3>([2, 3, 9], 1, &device).require_grad();
        let (weight, bias) = (
            check::random::<2>([9, 5], 2, &device).require_grad(),
            check::random::<1>([5], 3, &device).require_grad(),
        );
        let linear = || kernels::linear(x.clone(), weight.clone(), Some(bias.clone()));
        let (wide, low) = (linear(), Precision::Bf16.scope(linear));
        let distance = (upcast(low.clone()) - wide.clone()).abs().max().into_scalar::<f32>();
        assert!(distance > 0.0 && distance < ROUNDING * wide.clone().abs().max().into_scalar::<f32>());
        let (expected, found) = (wide.sum().backward(), upcast(low).sum().backward());
        let gradient = weight.grad(&found).unwrap();
        assert_eq!(gradient.dtype(), DType::F32);
        let difference = (gradient - weight.grad(&expected).unwrap()).abs().max().into_scalar::<f32>();
        assert!(difference < ROUNDING * 6.0, "six tokens are summed, {difference}");
    }

    #[test]
    fn the_gradient_of_a_bias_is_summed_over_tokens_in_f32() {
        let device = check::device().autodiff();
        let (x, weight) =
            (check::random::<3>([1, 1001, 4], 1, &device), check::random::<2>([4, 3], 2, &device));
        let bias = check::random::<1>([3], 3, &device).require_grad();
        let y = Precision::Bf16.scope(|| kernels::linear(x, weight, Some(bias.clone())));
        let gradients = upcast(y).sum().backward();
        assert_eq!(check::values(&bias.grad(&gradients).unwrap()), [1001.0; 3], "bf16 has 1000 and 1004");
    }

    /// The numbers rounded to bf16.
    fn rounded<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        x.cast(FloatDType::BF16).cast(FloatDType::F32)
    }

    #[test]
    fn products_in_bf16_are_those_of_rounded_operands_summed_in_f32() {
        let device = check::device().autodiff();
        // One row, odd depths, several blocks of the depth, of rows and of columns.
        for [n, d_in, d_out] in
            [[1, 1, 1], [3, 9, 5], [13, 64, 40], [100, 301, 70], [7, 530, 33], [200, 16, 530]]
        {
            let random = |seed, rows, columns| check::random::<2>([rows, columns], seed, &device);
            let (x, w, dy) = (random(1, n, d_in), random(2, d_in, d_out), random(3, n, d_out));
            let of = |x: Tensor<2>, w: Tensor<2>, dy: Tensor<2>, precision: Precision| {
                let (x, w) = (x.require_grad(), w.require_grad());
                let y = precision.scope(|| kernels::linear(x.clone().unsqueeze::<3>(), w.clone(), None));
                let gradients = (y.clone() * dy.unsqueeze::<3>()).sum().backward();
                [y.squeeze_dim::<2>(0).inner(), x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap()]
            };
            let found = of(x.clone(), w.clone(), dy.clone(), Precision::Bf16);
            let expected = of(rounded(x), rounded(w), rounded(dy), Precision::F32);
            for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
                let size = expected.clone().abs().max().into_scalar::<f32>();
                let difference = (found - expected).abs().max().into_scalar::<f32>();
                assert!(difference <= 2e-5 * size, "{n} {d_in} {d_out}, result {i}: {difference} of {size}");
            }
        }
    }

    #[test]
    fn attention_in_bf16_is_near_that_in_f32_and_reads_no_future() {
        let device = check::device().autodiff();
        let heads = kernels::Heads { n_heads: 4, n_kv_heads: 2, d_head: 10 };
        let qkv = check::random::<3>([2, 75, heads.d_packed()], 1, &device).require_grad();
        let attend = || kernels::causal_attention(qkv.clone(), None, heads);
        let (wide, low) = (attend(), Precision::Bf16.scope(attend));
        let difference = |a: Tensor<3>, b: Tensor<3>| (a - b).abs().max().into_scalar::<f32>();
        let distance = difference(wide.clone(), low.clone());
        assert!(distance > 0.0 && distance < ROUNDING, "{distance}");
        let gradient = |y: Tensor<3>| qkv.grad(&y.narrow(1, 0, 40).square().sum().backward()).unwrap();
        let (expected, found) = (gradient(wide), gradient(low));
        assert_eq!(found.clone().narrow(1, 40, 35).abs().max().into_scalar::<f32>(), 0.0);
        assert!(
            difference(expected.clone(), found) < 3.0 * ROUNDING * expected.abs().max().into_scalar::<f32>()
        );
    }

    #[test]
    fn the_loss_in_bf16_is_f32_and_near_that_of_f32() {
        let device = check::device();
        let (hidden, head) =
            (check::random::<2>([6, 16], 1, &device), check::random::<2>([9, 16], 2, &device));
        let targets = || Tensor::from_ints([0, 1, 2, 3, 4, 8], &device);
        let loss = || {
            let weights = Tensor::ones([6], &device);
            kernels::linear_cross_entropy(hidden.clone(), head.clone(), targets(), weights).0
        };
        let (wide, low) = (loss(), Precision::Bf16.scope(loss));
        assert_eq!(low.dtype(), DType::F32);
        let (wide, low) = (wide.into_scalar::<f32>(), low.into_scalar::<f32>());
        assert!(wide != low && (wide - low).abs() < ROUNDING * wide, "{low} is not near {wide}");
    }
}
/// Whether a number is finite and remains what it is in f32: neither 0 nor infinite, and below 1 if it is.
pub fn is_said_in_f32(value: f64) -> bool {
    let rounded = value as f32;
    value == 0.0 || rounded.is_normal() && (value.abs() >= 1.0 || rounded.abs() < 1.0)
}
