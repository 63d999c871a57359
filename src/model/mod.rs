//! Models assembled from layers: the decoder and its block, counts from the config alone, names of parameters, and
//! the values that they start from.

pub mod block;
pub mod count;
pub mod decoder;
pub mod init;
pub mod parameter;

pub use block::{Block, BlockConfig};
pub use count::{FlopCount, ParamCount};
pub use decoder::{Decoder, ModelConfig};
pub use init::InitConfig;
