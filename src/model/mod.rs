//! Models assembled from layers: the decoder and its block, counts from the config alone, names of parameters, the
//! values that they start from, and text.

pub mod arrangement;
pub mod block;
pub mod count;
pub mod decoder;
pub mod generate;
pub mod init;
pub mod overrides;
pub mod parameter;
#[cfg(test)]
mod variants;

pub use arrangement::Arrangement;
pub use block::{Block, BlockConfig};
pub use count::{FlopCount, ParamCount};
pub use decoder::{Decoder, ModelConfig};
pub use generate::{Choice, Sampling, generate};
pub use init::InitConfig;
pub use overrides::LayerOverride;
