//! Models assembled from layers: the decoder and its block, counts from the config alone, names of parameters, the
//! values that they start from, and text.

pub mod arrangement;
pub mod block;
pub mod context;
pub mod count;
pub mod decoder;
pub mod encoder;
pub mod generate;
pub mod init;
pub mod overrides;
pub mod parameter;
#[cfg(test)]
mod variants;

pub use arrangement::Arrangement;
pub use block::{Block, BlockConfig};
pub use context::{Chunks, ContextModel, CrossAttentionInit};
pub use count::{FlopCount, ParamCount};
pub use decoder::{Decoder, ModelConfig};
pub use encoder::EncoderConfig;
pub use generate::{Choice, Sampling, generate};
pub use init::InitConfig;
pub use overrides::LayerOverride;
