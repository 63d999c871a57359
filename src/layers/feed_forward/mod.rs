//! Slot: what a block does to each token by itself.

pub mod expert;
pub mod gated_mlp;
pub mod mlp;
pub mod moe;
pub mod router;
pub mod routing;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::ForwardContext;
use super::start::{Start, checked, over_tokens};
use crate::error::Problem;
pub use expert::ExpertConfig;
pub use gated_mlp::{GatedMlp, GatedMlpConfig};
pub use mlp::{Mlp, MlpConfig};
pub use moe::{Moe, MoeConfig};
pub use router::Router;
pub use routing::{Capacity, CapacityConfig, ExpertLoad, Routing};

/// The choices of feed-forward: what a block does to each token by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardConfig {
    /// Two linear layers with an activation between them.
    Mlp(MlpConfig),
    /// The activation of one linear layer multiplies a second one.
    GatedMlp(GatedMlpConfig),
    /// A choice among many feed-forwards, token by token.
    Moe(MoeConfig),
    /// No feed-forward, and no norm before it.
    None,
}

/// A feed-forward.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // Burn has no modules in boxes, and a model has few of these
pub enum FeedForward {
    /// Plain.
    Mlp(Mlp),
    /// Gated.
    GatedMlp(GatedMlp),
    /// Mixture of experts.
    Moe(Moe),
}

impl Default for FeedForwardConfig {
    fn default() -> Self {
        FeedForwardConfig::Mlp(MlpConfig::default())
    }
}

impl FeedForwardConfig {
    /// Draws the weights from N(0, 1 / fan_in), or gives nothing.
    ///
    /// # Panics
    /// If [`FeedForwardConfig::check`] finds a problem.
    pub fn init(&self, d_model: usize, device: &Device) -> Option<FeedForward> {
        checked(self.check(d_model), || self.build(d_model, Start::Drawn, device))
    }

    pub(crate) fn build(&self, d_model: usize, start: Start, device: &Device) -> Option<FeedForward> {
        match self {
            FeedForwardConfig::Mlp(config) => Some(FeedForward::Mlp(config.build(d_model, 1, start, device))),
            FeedForwardConfig::GatedMlp(config) => {
                Some(FeedForward::GatedMlp(config.build(d_model, 1, start, device)))
            }
            FeedForwardConfig::Moe(config) => Some(FeedForward::Moe(config.build(d_model, start, device))),
            FeedForwardConfig::None => None,
        }
    }

    /// What is impossible about it at this width; keys are relative to the slot.
    pub fn check(&self, d_model: usize) -> Vec<Problem> {
        match self {
            FeedForwardConfig::Mlp(config) => config.check(d_model),
            FeedForwardConfig::GatedMlp(config) => config.check(d_model),
            FeedForwardConfig::Moe(config) => config.check(d_model),
            FeedForwardConfig::None => Vec::new(),
        }
    }

    /// Parameters.
    pub fn num_params(&self, d_model: usize) -> u64 {
        match self {
            FeedForwardConfig::Mlp(config) => config.num_params(d_model),
            FeedForwardConfig::GatedMlp(config) => config.num_params(d_model),
            FeedForwardConfig::Moe(config) => config.num_params(d_model),
            FeedForwardConfig::None => 0,
        }
    }

    /// Parameters that work on any one token: all, unless experts are chosen.
    pub fn active_params(&self, d_model: usize) -> u64 {
        match self {
            FeedForwardConfig::Moe(config) => config.active_params(d_model),
            FeedForwardConfig::Mlp(_) | FeedForwardConfig::GatedMlp(_) | FeedForwardConfig::None => {
                self.num_params(d_model)
            }
        }
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, d_model: usize) -> u64 {
        match self {
            FeedForwardConfig::Mlp(config) => config.flops_per_token(d_model),
            FeedForwardConfig::GatedMlp(config) => config.flops_per_token(d_model),
            FeedForwardConfig::Moe(config) => config.flops_per_token(d_model),
            FeedForwardConfig::None => 0,
        }
    }
}

impl FeedForward {
    /// Maps each position by itself, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.forward_with(x, &mut ForwardContext::new()))
    }

    /// The same inside a model.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        match self {
            FeedForward::Mlp(mlp) => mlp.forward_with(x, ctx),
            FeedForward::GatedMlp(mlp) => mlp.forward_with(x, ctx),
            FeedForward::Moe(moe) => moe.forward_with(x, ctx),
        }
    }
}

/// The largest expansion that is taken for meant.
const MAX_EXPANSION: f64 = 1024.0;

fn check_width(expansion: f64, d_model: usize, d_ff: usize) -> Vec<Problem> {
    if d_model == 0 {
        return vec![Problem::new("0").key("d_model").expected("at least 1")];
    }
    match expansion > 0.0 && expansion <= MAX_EXPANSION && d_ff > 0 {
        true => Vec::new(),
        false => vec![
            Problem::new(expansion.to_string())
                .key("expansion")
                .expected("a ratio of widths above 0 and at most 1024")
                .help("to leave the feed-forward out, say \"none\""),
        ],
    }
}
