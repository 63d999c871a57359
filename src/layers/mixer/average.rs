//! Average: `W_out (mean of W_values x over all positions so far)`; every position reads the past, none chooses.
//!
//! Zhang et al. 2018 (arXiv 1805.00631), without its gate. It asks what the choosing of attention is worth: the same
//! way from token to token, the same two projections, no scores. It knows no order beyond the causal one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::kernels::upcast;
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::start::{Start, checked};
use crate::layers::{Bias, ForwardContext};

/// Settings of the average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AverageConfig {
    /// Whether the two linear layers have biases.
    pub bias: Bias,
}

/// The average over the past.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let average = AverageConfig::default().init(64, &device);
/// assert_eq!(average.forward(Tensor::<3>::ones([2, 10, 64], &device)).dims(), [2, 10, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Average {
    /// `[d, d]`.
    pub values: Linear,
    /// `[d, d]`.
    pub out: Linear,
}

impl AverageConfig {
    fn linear(&self, d_model: usize) -> LinearConfig {
        LinearConfig::new(d_model, d_model, self.bias)
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero, gains one.
    ///
    /// # Panics
    /// If [`AverageConfig::check`] finds a problem.
    pub fn init(&self, d_model: usize, device: &Device) -> Average {
        checked(self.check(d_model), || self.build(d_model, Start::Drawn, device))
    }

    pub(crate) fn build(&self, d_model: usize, start: Start, device: &Device) -> Average {
        let linear = || self.linear(d_model).build(start, device);
        Average { values: linear(), out: linear() }
    }

    /// What is impossible about it at this width.
    pub fn check(&self, d_model: usize) -> Vec<Problem> {
        match d_model {
            0 => vec![Problem::new("0").key("d_model").expected("at least 1")],
            _ => Vec::new(),
        }
    }

    /// Parameters of both projections.
    pub fn num_params(&self, d_model: usize) -> u64 {
        2 * self.linear(d_model).num_params()
    }

    /// Forward FLOPs per token: the linear layers; the running sum is an addition per channel.
    pub fn flops_per_token(&self, d_model: usize) -> u64 {
        2 * self.linear(d_model).flops_per_token()
    }
}

impl Average {
    /// Each position reads the mean of itself and all before it.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new())
    }

    /// The same inside a model, or step by step.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let [_, t, _] = x.dims();
        let values = self.values.forward_with(x, ctx).unsqueeze_dim::<4>(1); // [b, 1, t, d]
        let values = upcast(ctx.append_to_kv_cache(values).squeeze_dim::<3>(1)); // [b, s, d]
        let s = values.dims()[1];
        let counts = Tensor::arange(1..s as i64 + 1, &values.device()).float().reshape([1, s, 1]);
        let means = (values.cumsum(1) / counts).narrow(1, s - t, t); // [b, t, d]
        self.out.forward_to_residual(means, ctx) // [b, t, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;

    #[test]
    fn each_position_is_the_mean_of_those_so_far() {
        let device = crate::device::open("cpu").unwrap();
        let mut average = AverageConfig::default().init(1, &device);
        average.values.weight = Param::from_tensor(Tensor::ones([1, 1], &device));
        average.out.weight = Param::from_tensor(Tensor::ones([1, 1], &device));
        let x = Tensor::<1>::from_floats([6.0, 2.0, 1.0], &device).reshape([1, 3, 1]);
        let y: Vec<f32> = average.forward(x).into_data().iter::<f32>().collect();
        assert_eq!(y, [6.0, 4.0, 3.0]);
    }
}
