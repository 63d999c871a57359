//! The parts of a model that classes of `transformers` speak of. Where a model has another choice, its default stands
//! for it: [`super::fit`] sees that it does not come back.

use crate::kernels::Activation;
use crate::layers::embedding::{EmbeddingConfig, EmbeddingScale, Head, TokenEmbeddingConfig};
use crate::layers::feed_forward::{ExpertConfig, FeedForwardConfig, GatedMlpConfig, MlpConfig, MoeConfig};
use crate::layers::mixer::{AttentionConfig, AttentionMask, MixerConfig, QkNormConfig, WindowConfig};
use crate::layers::norm::NormConfig;
use crate::layers::position::{PositionConfig, RopeConfig};
use crate::model::ModelConfig;

/// The attention of all layers.
pub(super) fn attention(model: &ModelConfig) -> AttentionConfig {
    match model.block.mixer {
        MixerConfig::Attention(config) => config,
        MixerConfig::Average(_) => AttentionConfig::default(),
    }
}

/// Its rotary positions.
pub(super) fn rope(model: &ModelConfig) -> RopeConfig {
    match attention(model).position {
        PositionConfig::Rope(config) => config,
        PositionConfig::Alibi
        | PositionConfig::Learned
        | PositionConfig::Sinusoidal
        | PositionConfig::None => RopeConfig::default(),
    }
}

/// Its window, if any.
pub(super) fn window(model: &ModelConfig) -> Option<usize> {
    match attention(model).mask {
        AttentionMask::SlidingWindow(WindowConfig { size }) => Some(size),
        AttentionMask::Causal | AttentionMask::Bidirectional => None,
    }
}

/// What is added under the root of its norms.
pub(super) fn eps(model: &ModelConfig) -> f64 {
    match (model.norm, attention(model).qk_norm) {
        (NormConfig::Layer(config), _) => config.eps,
        (NormConfig::Rms(config), _) => config.eps,
        (NormConfig::None, QkNormConfig::PerHead(config) | QkNormConfig::Joint(config)) => config.eps,
        (NormConfig::None, QkNormConfig::None) => 1e-5,
    }
}

/// The plain MLP.
pub(super) fn mlp(model: &ModelConfig) -> MlpConfig {
    match model.block.feed_forward {
        FeedForwardConfig::Mlp(config) => config,
        FeedForwardConfig::GatedMlp(_) | FeedForwardConfig::Moe(_) | FeedForwardConfig::None => {
            MlpConfig::default()
        }
    }
}

/// The gated MLP.
pub(super) fn gated_mlp(model: &ModelConfig) -> GatedMlpConfig {
    match model.block.feed_forward {
        FeedForwardConfig::GatedMlp(config) => config,
        FeedForwardConfig::Mlp(_) | FeedForwardConfig::Moe(_) | FeedForwardConfig::None => {
            GatedMlpConfig::default()
        }
    }
}

/// The mixture of experts.
pub(super) fn moe(model: &ModelConfig) -> MoeConfig {
    match model.block.feed_forward {
        FeedForwardConfig::Moe(config) => config,
        FeedForwardConfig::Mlp(_) | FeedForwardConfig::GatedMlp(_) | FeedForwardConfig::None => {
            MoeConfig::default()
        }
    }
}

/// What its experts are.
pub(super) fn expert(model: &ModelConfig) -> GatedMlpConfig {
    match moe(model).expert {
        ExpertConfig::GatedMlp(config) => config,
        ExpertConfig::Mlp(_) => GatedMlpConfig::default(),
    }
}

/// Whether the head has an embedding of its own.
pub(super) fn is_tied(model: &ModelConfig) -> bool {
    model.embedding.head() == Head::Tied
}

/// A table of tokens as all classes have it.
pub(super) fn embedding(tied: bool) -> EmbeddingConfig {
    let head = if tied { Head::Tied } else { Head::Untied };
    EmbeddingConfig::Token(TokenEmbeddingConfig { head, scale: EmbeddingScale::None })
}

/// What `transformers` calls a function.
pub(super) fn function_name(function: Activation) -> &'static str {
    match function {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Silu => "silu",
        Activation::Relu => "relu",
        Activation::ReluSquared => "relu2",
    }
}

/// Which function `transformers` means.
pub(super) fn function(name: &str) -> Option<Activation> {
    match name {
        "gelu" => Some(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Some(Activation::GeluTanh),
        "silu" | "swish" => Some(Activation::Silu),
        "relu" => Some(Activation::Relu),
        "relu2" => Some(Activation::ReluSquared),
        _ => None,
    }
}
