//! Plain MLP: `W_down f(W_up x)`, the feed-forward of GPT-2.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762), with GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415) by default.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernels::{self, Activation};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::{Bias, ForwardContext, Widths};

/// Settings of the plain MLP.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MlpConfig {
    /// The function between the two maps.
    pub activation: Activation,
    /// Width in the middle, in model widths: `f = expansion * d`.
    pub expansion: f64,
    /// Whether the two maps have offsets.
    pub bias: Bias,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig { activation: Activation::Gelu, expansion: 4.0, bias: Bias::Without }
    }
}

/// The plain MLP.
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
    /// Width in the middle: `expansion * d`, rounded.
    pub fn d_ff(&self, widths: &Widths) -> usize {
        (self.expansion * widths.d_model as f64).round() as usize
    }

    fn up(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(widths.d_model, self.d_ff(widths), self.bias).with_experts(widths.n_experts)
    }

    fn down(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(self.d_ff(widths), widths.d_model, self.bias).with_experts(widths.n_experts)
    }

    /// Zeros of the right shapes.
    pub fn init(&self, widths: &Widths, device: &Device) -> Mlp {
        Mlp {
            up: self.up(widths).init(device),
            down: self.down(widths).init(device),
            activation: self.activation,
        }
    }

    /// `2 d f`, and `f + d` with offsets.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        self.up(widths).num_params() + self.down(widths).num_params()
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        self.up(widths).flops_per_token() + self.down(widths).flops_per_token()
    }
}

impl Mlp {
    /// Maps each position by itself.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let x = kernels::activation(self.up.forward(x, ctx), self.activation); // [b, t, f]
        self.down.forward_to_residual(x, ctx) // [b, t, d]
    }
}
