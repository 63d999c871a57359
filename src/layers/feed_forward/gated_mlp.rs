//! Gated MLP: `W_down (f(W_gate x) * (W_up x))`, the feed-forward of Llama (SwiGLU) and of most models after it.
//!
//! Shazeer 2020 (arXiv 2002.05202). Three maps instead of two: at `expansion = 8/3` it has the parameters of a plain
//! MLP of expansion 4.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernels::{self, Activation};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::{Bias, ForwardContext, Widths};

/// Settings of the gated MLP.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatedMlpConfig {
    /// The function of the gate: SiLU gives SwiGLU, GELU gives GeGLU, ReLU gives ReGLU.
    pub activation: Activation,
    /// Width in the middle, in model widths: `f = expansion * d`, rounded to `multiple_of`.
    pub expansion: f64,
    /// The width in the middle is rounded to the nearest multiple of this.
    pub multiple_of: usize,
    /// Whether the three maps have offsets.
    pub bias: Bias,
}

impl Default for GatedMlpConfig {
    fn default() -> Self {
        GatedMlpConfig {
            activation: Activation::Silu,
            expansion: 8.0 / 3.0,
            multiple_of: 1,
            bias: Bias::Without,
        }
    }
}

/// The gated MLP.
#[derive(Module, Debug)]
pub struct GatedMlp {
    /// `[d, f]`.
    pub gate: Linear,
    /// `[d, f]`.
    pub up: Linear,
    /// `[f, d]`.
    pub down: Linear,
    #[module(skip)]
    activation: Activation,
}

impl GatedMlpConfig {
    /// Width in the middle: `expansion * d`, rounded to the nearest multiple of `multiple_of`.
    pub fn d_ff(&self, widths: &Widths) -> usize {
        let unit = self.multiple_of.max(1);
        (self.expansion * widths.d_model as f64 / unit as f64).round() as usize * unit
    }

    fn up(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(widths.d_model, self.d_ff(widths), self.bias).with_experts(widths.n_experts)
    }

    fn down(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(self.d_ff(widths), widths.d_model, self.bias).with_experts(widths.n_experts)
    }

    /// Zeros of the right shapes.
    pub fn init(&self, widths: &Widths, device: &Device) -> GatedMlp {
        GatedMlp {
            gate: self.up(widths).init(device),
            up: self.up(widths).init(device),
            down: self.down(widths).init(device),
            activation: self.activation,
        }
    }

    /// `3 d f`, and `2 f + d` with offsets.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        2 * self.up(widths).num_params() + self.down(widths).num_params()
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        2 * self.up(widths).flops_per_token() + self.down(widths).flops_per_token()
    }
}

impl GatedMlp {
    /// Maps each position by itself.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let gate = self.gate.forward(x.clone(), ctx); // [b, t, f]
        let up = self.up.forward(x, ctx); // [b, t, f]
        self.down.forward_to_residual(kernels::gated(gate, up, self.activation), ctx) // [b, t, d]
    }
}
