//! `y = x W + b`: the one linear layer that all sublayers use.
//!
//! A map can stand for several of the same widths, one per expert; row `i` of its input then goes through map `i`.
//! So every feed-forward is an expert without knowing it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::start::{Start, checked, over_tokens};
use super::{Bias, ForwardContext};
use crate::error::Problem;
use crate::kernels::{self, to_compute_dtype, upcast};

/// A linear layer from `d_in` to `d_out` channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearConfig {
    /// Channels in.
    pub d_in: usize,
    /// Channels out.
    pub d_out: usize,
    /// Whether a bias is added.
    pub bias: Bias,
    /// Maps of these widths, `e`; one, but inside a mixture of experts.
    pub n_experts: usize,
}

/// The linear layer.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let linear = LinearConfig::new(8, 5, Bias::With).init(&device);
/// let y = linear.forward(Tensor::<2>::ones([3, 8], &device));
/// assert_eq!(y.dims(), [3, 5]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Linear {
    /// `[e d_in, d_out]`: the matrices one below the other.
    pub weight: Param<Tensor<2>>,
    /// `[e d_out]`, if any.
    pub bias: Option<Param<Tensor<1>>>,
    n_experts: usize,
}

impl LinearConfig {
    /// One linear layer of these widths.
    pub fn new(d_in: usize, d_out: usize, bias: Bias) -> Self {
        LinearConfig { d_in, d_out, bias, n_experts: 1 }
    }

    /// One matrix for each of `n_experts` experts, in place of one.
    pub fn with_experts(self, n_experts: usize) -> Self {
        LinearConfig { n_experts, ..self }
    }

    /// Draws the weight from N(0, 1 / d_in); the bias is zero.
    ///
    /// # Panics
    /// If [`LinearConfig::check`] finds a problem.
    pub fn init(&self, device: &Device) -> Linear {
        checked(self.check(), || self.build(Start::Drawn, device))
    }

    pub(crate) fn build(&self, start: Start, device: &Device) -> Linear {
        let bias = || Param::from_tensor(Tensor::zeros([self.n_experts * self.d_out], device));
        Linear {
            weight: start.weight([self.n_experts * self.d_in, self.d_out], self.d_in, device),
            bias: (self.bias == Bias::With).then(bias),
            n_experts: self.n_experts,
        }
    }

    /// All that is impossible about the layer.
    pub fn check(&self) -> Vec<Problem> {
        let sizes = [("d_in", self.d_in), ("d_out", self.d_out), ("n_experts", self.n_experts)];
        let absent = sizes.into_iter().filter(|(_, size)| *size == 0);
        absent.map(|(key, _)| Problem::new("0").key(key).expected("at least 1")).collect()
    }

    /// `e (d_in d_out (+ d_out))`.
    pub fn num_params(&self) -> u64 {
        self.n_experts as u64 * (self.d_in as u64 * self.d_out as u64 + self.bias.num_params(self.d_out))
    }

    /// Forward FLOPs of a token that goes through one of them: a multiply and an add for each weight.
    pub fn flops_per_token(&self) -> u64 {
        2 * self.d_in as u64 * self.d_out as u64
    }
}

impl Linear {
    /// `x W + b` over the last axis, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d_in] -> [.., d_out]`
    ///
    /// # Panics
    /// If it stands for several experts: those take `[e, c, d_in]`, by [`Linear::forward_with`].
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        assert!(self.n_experts == 1, "a batched linear of {} experts takes [e, c, d_in]", self.n_experts);
        over_tokens(x, |x| self.apply(x))
    }

    /// The same inside a model; the context may capture its input.
    ///
    /// # Shapes
    /// `[b, t, d_in] -> [b, t, d_out]`; several experts: `[e, c, d_in] -> [e, c, d_out]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        ctx.capture(self.weight.id, self.n_experts, &x);
        self.apply(x)
    }

    fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        if self.n_experts > 1 {
            return self.apply_each(x);
        }
        kernels::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// Map `i` for row `i`, as one batched product.
    fn apply_each(&self, x: Tensor<3>) -> Tensor<3> {
        let [e, _, d_in] = x.dims();
        let x = to_compute_dtype(x);
        let dtype = x.dtype();
        let weight = self.weight.val().cast(dtype).reshape([e as i32, d_in as i32, -1]); // [e, d_in, d_out]
        let y = x.matmul(weight); // [e, c, d_out]
        match &self.bias {
            Some(bias) => (upcast(y) + bias.val().reshape([e as i32, 1, -1])).cast(dtype),
            None => y,
        }
    }

    /// Maps the last axis and, when the context offers the residual stream, adds it in the same kernel.
    ///
    /// # Shapes
    /// `[b, t, d_in] -> [b, t, d_out]`
    pub fn forward_to_residual(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        ctx.capture(self.weight.id, self.n_experts, &x);
        match ctx.take_fused_residual() {
            Some(residual) if self.n_experts > 1 => residual + upcast(self.apply(x)),
            Some(residual) => {
                kernels::linear_add(x, self.weight.val(), self.bias.as_ref().map(Param::val), residual)
            }
            None => self.apply(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn each_row_goes_through_its_own_map() {
        let device = crate::device::open("cpu").unwrap();
        let random = |n: usize| Tensor::<1>::random([n], Distribution::Uniform(-1.0, 1.0), &device);
        let (weight, bias) = (random(2 * 3 * 5), random(2 * 5));
        let slice = |x: &Tensor<1>, i: usize, n: usize| x.clone().narrow(0, i * n, n);
        let linear = |n_experts: usize, weight: Tensor<1>, bias: Tensor<1>| Linear {
            weight: Param::from_tensor(weight.reshape([-1, 5])),
            bias: Some(Param::from_tensor(bias)),
            n_experts,
        };
        let x = random(2 * 4 * 3).reshape([2, 4, 3]);
        let both = linear(2, weight.clone(), bias.clone()).apply(x.clone());
        for i in 0..2 {
            let one = linear(1, slice(&weight, i, 15), slice(&bias, i, 5)).apply(x.clone().narrow(0, i, 1));
            let difference = (both.clone().narrow(0, i, 1) - one).abs().max().into_scalar::<f32>();
            assert!(
                difference < 1e-6,
                "row {i} is off by {difference}, more than the rounding of three products"
            );
        }
    }
}
