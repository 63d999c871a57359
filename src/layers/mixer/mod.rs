//! Slot: how tokens exchange information along a sequence.

pub mod attention;
pub mod average;
pub mod qk_norm;
pub mod mask;
pub mod scores;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::position::PositionConfig;
use super::start::{Start, checked};
use super::{ForwardContext, Widths};
use crate::error::Problem;
pub use attention::{Attention, AttentionConfig};
pub use average::{Average, AverageConfig};
pub use mask::{AttentionMask, WindowConfig};
pub use qk_norm::QkNormConfig;
pub use scores::{LogitSoftcap, TanhSoftcapConfig};

/// The choices of mixer: how tokens exchange information along a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixerConfig {
    /// Self-attention.
    Attention(AttentionConfig),
    /// The mean of the past.
    Average(AverageConfig),
}

/// A mixer.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // Burn has no modules in boxes, and a model has few of these
pub enum Mixer {
    /// Self-attention.
    Attention(Attention),
    /// The mean of the past.
    Average(Average),
}

impl Default for MixerConfig {
    fn default() -> Self {
        MixerConfig::Attention(AttentionConfig::default())
    }
}

impl MixerConfig {
    /// Draws the weights from N(0, 1 / fan_in); biases are zero, gains one.
    ///
    /// # Panics
    /// If [`MixerConfig::check`] finds a problem.
    pub fn init(&self, widths: &Widths, device: &Device) -> Mixer {
        checked(self.check(widths), || self.build(widths, Start::Drawn, device))
    }

    pub(crate) fn build(&self, widths: &Widths, start: Start, device: &Device) -> Mixer {
        match self {
            MixerConfig::Attention(config) => Mixer::Attention(config.build(widths, start, device)),
            MixerConfig::Average(config) => Mixer::Average(config.build(widths.d_model, start, device)),
        }
    }

    /// What is impossible about it at these widths; keys are relative to the slot.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        match self {
            MixerConfig::Attention(config) => config.check(widths),
            MixerConfig::Average(config) => config.check(widths.d_model),
        }
    }

    /// Parameters.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        match self {
            MixerConfig::Attention(config) => config.num_params(widths),
            MixerConfig::Average(config) => config.num_params(widths.d_model),
        }
    }

    /// Forward FLOPs per token in sequences of `widths.seq_len`.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        match self {
            MixerConfig::Attention(config) => config.flops_per_token(widths),
            MixerConfig::Average(config) => config.flops_per_token(widths.d_model),
        }
    }

    /// Of these, what pairs of positions cost (scores and values of attention).
    pub fn score_flops(&self, widths: &Widths) -> u64 {
        match self {
            MixerConfig::Attention(config) => config.score_flops(widths),
            MixerConfig::Average(_) => 0,
        }
    }

    /// What stands for these in Chinchilla's counting: the full matrix of scores, and its softmax.
    pub fn full_score_flops(&self, widths: &Widths) -> u64 {
        match self {
            MixerConfig::Attention(config) => config.full_score_flops(widths),
            MixerConfig::Average(_) => 0,
        }
    }

    /// How it knows the order of tokens.
    pub fn position(&self) -> PositionConfig {
        match self {
            MixerConfig::Attention(config) => config.position,
            MixerConfig::Average(_) => PositionConfig::None,
        }
    }

    /// Whether a position may read what comes after it.
    pub fn reads_ahead(&self) -> bool {
        match self {
            MixerConfig::Attention(config) => config.mask == AttentionMask::Bidirectional,
            MixerConfig::Average(_) => false,
        }
    }
}

impl Mixer {
    /// Mixes along time.
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
        match self {
            Mixer::Attention(attention) => attention.forward_with(x, ctx),
            Mixer::Average(average) => average.forward_with(x, ctx),
        }
    }
}
