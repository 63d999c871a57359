//! Gated MLP: `W_down (f(W_gate x) * (W_up x))`, the feed-forward of Llama (SwiGLU) and of most models after it.
//!
//! Shazeer 2020 (arXiv 2002.05202). Three projections instead of two: at `expansion = 8/3` it has the parameters of a plain
//! MLP of expansion 4.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::check_width;
use crate::error::Problem;
use crate::kernels::{self, Activation};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::start::{Start, checked, over_tokens};
use crate::layers::{Bias, ForwardContext};

/// Settings of the gated MLP.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatedMlpConfig {
    /// The function of the gate: SiLU gives SwiGLU, GELU gives GeGLU, ReLU gives ReGLU.
    pub activation: Activation,
    /// Hidden width over model width: `f = expansion * d`, rounded to `multiple_of`.
    pub expansion: f64,
    /// The hidden width is rounded to the nearest multiple of this.
    pub multiple_of: usize,
    /// Whether the three projections have biases.
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
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let config = GatedMlpConfig { activation: Activation::Gelu, ..GatedMlpConfig::default() };
/// let y = config.init(64, &device).forward(Tensor::<3>::ones([2, 5, 64], &device));
/// assert_eq!(y.dims(), [2, 5, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
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
    /// Hidden width: `expansion * d`, rounded to the nearest multiple of `multiple_of`.
    pub fn d_ff(&self, d_model: usize) -> usize {
        let unit = self.multiple_of.max(1);
        (self.expansion * d_model as f64 / unit as f64).round() as usize * unit
    }

    /// The projections of so many experts: gate and up, down.
    fn linears(&self, d_model: usize, n_experts: usize) -> [LinearConfig; 2] {
        let f = self.d_ff(d_model);
        [(d_model, f), (f, d_model)]
            .map(|(d_in, d_out)| LinearConfig::new(d_in, d_out, self.bias).with_experts(n_experts))
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero.
    ///
    /// # Panics
    /// If [`GatedMlpConfig::check`] finds a problem.
    pub fn init(&self, d_model: usize, device: &Device) -> GatedMlp {
        checked(self.check(d_model), || self.build(d_model, 1, Start::Drawn, device))
    }

    pub(crate) fn build(&self, d_model: usize, n_experts: usize, start: Start, device: &Device) -> GatedMlp {
        let [up, down] = self.linears(d_model, n_experts);
        let linear = |config: LinearConfig| config.build(start, device);
        GatedMlp { gate: linear(up), up: linear(up), down: linear(down), activation: self.activation }
    }

    /// What is impossible about it at this width.
    pub fn check(&self, d_model: usize) -> Vec<Problem> {
        check_width(self.expansion, d_model, self.d_ff(d_model))
    }

    /// `3 d f`, and `2 f + d` with a bias.
    pub fn num_params(&self, d_model: usize) -> u64 {
        let [up, down] = self.linears(d_model, 1);
        2 * up.num_params() + down.num_params()
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, d_model: usize) -> u64 {
        let [up, down] = self.linears(d_model, 1);
        2 * up.flops_per_token() + down.flops_per_token()
    }
}

impl GatedMlp {
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
        let gate = self.gate.forward_with(x.clone(), ctx); // [b, t, f]
        let up = self.up.forward_with(x, ctx); // [b, t, f]
        self.down.forward_to_residual(kernels::gated(gate, up, self.activation), ctx) // [b, t, d]
    }
}
