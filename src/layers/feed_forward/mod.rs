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

use super::{ForwardContext, Widths};
use crate::error::Problem;
pub use expert::ExpertConfig;
pub use gated_mlp::{GatedMlp, GatedMlpConfig};
pub use mlp::{Mlp, MlpConfig};
pub use moe::{Moe, MoeConfig};
pub use router::Router;
pub use routing::{Capacity, CapacityConfig, ExpertLoad, Routing};

/// Which feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardConfig {
    /// Two linear maps with an activation between them.
    Mlp(MlpConfig),
    /// The activation of one linear map multiplies a second one.
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
    /// Zeros of the right shapes, or nothing.
    pub fn init(&self, widths: &Widths, device: &Device) -> Option<FeedForward> {
        match self {
            FeedForwardConfig::Mlp(config) => Some(FeedForward::Mlp(config.init(widths, device))),
            FeedForwardConfig::GatedMlp(config) => Some(FeedForward::GatedMlp(config.init(widths, device))),
            FeedForwardConfig::Moe(config) => Some(FeedForward::Moe(config.init(widths, device))),
            FeedForwardConfig::None => None,
        }
    }

    /// What is impossible about it at these widths; keys are relative to the slot.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        match self {
            FeedForwardConfig::Mlp(config) => check_width(config.expansion, config.d_ff(widths)),
            FeedForwardConfig::GatedMlp(config) => check_width(config.expansion, config.d_ff(widths)),
            FeedForwardConfig::Moe(config) => config.check(widths),
            FeedForwardConfig::None => Vec::new(),
        }
    }

    /// Parameters.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        match self {
            FeedForwardConfig::Mlp(config) => config.num_params(widths),
            FeedForwardConfig::GatedMlp(config) => config.num_params(widths),
            FeedForwardConfig::Moe(config) => config.num_params(widths),
            FeedForwardConfig::None => 0,
        }
    }

    /// Parameters that work on any one token: all, unless experts are chosen.
    pub fn active_params(&self, widths: &Widths) -> u64 {
        match self {
            FeedForwardConfig::Moe(config) => config.active_params(widths),
            FeedForwardConfig::Mlp(_) | FeedForwardConfig::GatedMlp(_) | FeedForwardConfig::None => {
                self.num_params(widths)
            }
        }
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        match self {
            FeedForwardConfig::Mlp(config) => config.flops_per_token(widths),
            FeedForwardConfig::GatedMlp(config) => config.flops_per_token(widths),
            FeedForwardConfig::Moe(config) => config.flops_per_token(widths),
            FeedForwardConfig::None => 0,
        }
    }
}

impl FeedForward {
    /// Maps each position by itself.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        match self {
            FeedForward::Mlp(mlp) => mlp.forward(x, ctx),
            FeedForward::GatedMlp(mlp) => mlp.forward(x, ctx),
            FeedForward::Moe(moe) => moe.forward(x, ctx),
        }
    }
}

/// The largest expansion that is taken for meant.
const MAX_EXPANSION: f64 = 1024.0;

fn check_width(expansion: f64, d_ff: usize) -> Vec<Problem> {
    let possible = expansion > 0.0 && expansion <= MAX_EXPANSION && d_ff > 0;
    match possible {
        true => Vec::new(),
        false => vec![
            Problem::new(expansion.to_string())
                .key("expansion")
                .expected("a ratio of widths above 0 and at most 1024")
                .help("to leave the feed-forward out, say \"none\""),
        ],
    }
}
