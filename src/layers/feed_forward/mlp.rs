//! Plain MLP: `W_down f(W_up x)`, the feed-forward of GPT-2.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762), with GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415) by default.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::check_width;
use crate::error::Problem;
use crate::kernels::{self, Activation};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::start::{Start, checked, over_tokens};
use crate::layers::{Bias, ForwardContext};

/// Settings of the plain MLP.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MlpConfig {
    /// The function between the two projections.
    pub activation: Activation,
    /// Hidden width over model width: `f = expansion * d`.
    pub expansion: f64,
    /// Whether the two projections have biases.
    pub bias: Bias,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig { activation: Activation::Gelu, expansion: 4.0, bias: Bias::Without }
    }
}

/// The plain MLP.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let mlp = MlpConfig::default().init(64, &device);
/// let y = mlp.forward(Tensor::<2>::ones([10, 64], &device));
/// assert_eq!(y.dims(), [10, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[d, f]`.
    pub up: Linear,
    /// `[f, d]`.
    pub down: Linear,
    #[module(skip)]
    activation: Activation,
}

impl MlpConfig {
    /// Hidden width: `expansion * d`, rounded.
    pub fn d_ff(&self, d_model: usize) -> usize {
        (self.expansion * d_model as f64).round() as usize
    }

    /// The projections of so many experts: up, down.
    fn linears(&self, d_model: usize, n_experts: usize) -> [LinearConfig; 2] {
        let f = self.d_ff(d_model);
        [(d_model, f), (f, d_model)]
            .map(|(d_in, d_out)| LinearConfig::new(d_in, d_out, self.bias).with_experts(n_experts))
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero.
    ///
    /// # Panics
    /// If [`MlpConfig::check`] finds a problem.
    pub fn init(&self, d_model: usize, device: &Device) -> Mlp {
        checked(self.check(d_model), || self.build(d_model, 1, Start::Drawn, device))
    }

    pub(crate) fn build(&self, d_model: usize, n_experts: usize, start: Start, device: &Device) -> Mlp {
        let [up, down] = self.linears(d_model, n_experts);
        let linear = |config: LinearConfig| config.build(start, device);
        Mlp { up: linear(up), down: linear(down), activation: self.activation }
    }

    /// What is impossible about it at this width.
    pub fn check(&self, d_model: usize) -> Vec<Problem> {
        check_width(self.expansion, d_model, self.d_ff(d_model))
    }

    /// `2 d f`, and `f + d` with a bias.
    pub fn num_params(&self, d_model: usize) -> u64 {
        let [up, down] = self.linears(d_model, 1);
        up.num_params() + down.num_params()
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, d_model: usize) -> u64 {
        let [up, down] = self.linears(d_model, 1);
        up.flops_per_token() + down.flops_per_token()
    }
}

impl Mlp {
    /// Maps each position by itself, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.forward_with(x, &mut ForwardContext::new()))
    }

    /// The same inside a model; several experts map `[e, c, d]`, each its own row.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let x = kernels::activation(self.up.forward_with(x, ctx), self.activation); // [b, t, f]
        self.down.forward_to_residual(x, ctx) // [b, t, d]
    }
}
