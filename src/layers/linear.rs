//! `y = x W + b`: the one linear map that all sublayers use.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Bias, Pass};
use crate::kernels;

/// A linear map from `d_in` to `d_out` channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearConfig {
    /// Channels in.
    pub d_in: usize,
    /// Channels out.
    pub d_out: usize,
    /// Whether an offset is added.
    pub bias: Bias,
}

/// The linear map; `weight` is `[d_in, d_out]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_in, d_out]`.
    pub weight: Param<Tensor<2>>,
    /// `[d_out]`, if any.
    pub bias: Option<Param<Tensor<1>>>,
}

impl LinearConfig {
    /// A linear map of these widths.
    pub fn new(d_in: usize, d_out: usize, bias: Bias) -> Self {
        LinearConfig { d_in, d_out, bias }
    }

    /// Zeros of the right shapes; values come from [`crate::model::init`].
    pub fn init(&self, device: &Device) -> Linear {
        Linear {
            weight: Param::from_tensor(Tensor::zeros([self.d_in, self.d_out], device)),
            bias: match self.bias {
                Bias::With => Some(Param::from_tensor(Tensor::zeros([self.d_out], device))),
                Bias::Without => None,
            },
        }
    }

    /// `d_in d_out (+ d_out)`.
    pub fn num_params(&self) -> u64 {
        self.d_in as u64 * self.d_out as u64 + self.bias.num_params(self.d_out)
    }

    /// Forward FLOPs per token: a multiply and an add for each weight.
    pub fn flops_per_token(&self) -> u64 {
        2 * self.d_in as u64 * self.d_out as u64
    }
}

impl Linear {
    /// Maps the last axis.
    ///
    /// # Shapes
    /// `[b, t, d_in] -> [b, t, d_out]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// Maps the last axis and, when the pass offers the residual stream, adds it in the same kernel.
    ///
    /// # Shapes
    /// `[b, t, d_in] -> [b, t, d_out]`
    pub fn forward_to_residual(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        match pass.take_residual() {
            Some(residual) => {
                kernels::linear_add(x, self.weight.val(), self.bias.as_ref().map(Param::val), residual)
            }
            None => self.forward(x),
        }
    }
}
