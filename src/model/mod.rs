//! Models assembled from layers: the decoder and its block, counts from the config alone, names of parameters, the
//! values that they start from, their files, text, and the
//! way to and from other programs.

pub mod norm_placement;
pub mod block;
pub mod blueprint;
pub mod context;
pub mod count;
pub mod decoder;
pub mod encoder;
pub mod exchange;
pub mod generate;
pub mod growth;
pub mod init;
pub mod lora;
pub mod overrides;
pub mod parameter;
#[cfg(test)]
pub(crate) mod variants;
pub mod weights;

pub use block::{Block, BlockConfig};
pub use blueprint::Blueprint;
pub use context::{Chunks, ContextModel, CrossAttentionInit, EncoderTraining};
pub use count::{FlopCount, ParamCount};
pub use decoder::{Decoder, ModelConfig};
pub use encoder::EncoderConfig;
pub use generate::{Choice, Continuation, Sampling, generate};
pub use init::InitConfig;
pub use lora::{Adapted, LoraConfig};
pub use norm_placement::NormPlacement;
pub use overrides::LayerOverride;
