//! What a module of your own needs: `use ablation_zoo::prelude::*;`.
//!
//! Every config has `check` (all that is impossible about it), `init` (a module with drawn values), `num_params` and
//! `flops_per_token`; every module has `forward`. Burn's own `Tensor` and `Module` come from `burn::prelude`.

pub use crate::device;
pub use crate::kernels::Activation;
pub use crate::layers::convolution::{Canon, CanonConfig, ConvolutionConfig};
pub use crate::layers::cross_attention::{CrossAttention, CrossAttentionConfig};
pub use crate::layers::embedding::{Embedding, EmbeddingConfig, TokenEmbeddingConfig};
pub use crate::layers::feed_forward::{
    ExpertConfig, FeedForward, FeedForwardConfig, GatedMlp, GatedMlpConfig, Mlp, MlpConfig, Moe, MoeConfig,
};
pub use crate::layers::linear::{Linear, LinearConfig};
pub use crate::layers::mixer::{
    Attention, AttentionConfig, AttentionMask, Average, AverageConfig, Mixer, MixerConfig,
};
pub use crate::layers::norm::{LayerNorm, LayerNormConfig, Norm, NormConfig, RmsNorm, RmsNormConfig};
pub use crate::layers::position::{PositionConfig, RopeConfig, RopeTable};
pub use crate::layers::{Bias, EncoderStates, ForwardContext, Mode, Widths};
pub use crate::model::growth::{Operator, Recipe, grow, stack};
pub use crate::model::{Block, BlockConfig, Decoder, ModelConfig, NormPlacement};
