//! The encoder: the decoder's own blocks, but every mixer reads the whole row, in both directions.
//!
//! It knows the decoder's tokens and one more, [`mask`], for its pre-training: tokens are hidden behind the mask and
//! predicted from both sides through the table that they came in by (Devlin et al. 2019, arXiv 1810.04805).

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, ModelConfig};
use crate::error::Problem;
use crate::layers::mixer::{MixerConfig, Reach};

/// Widths and depth of an encoder; everything else is as in its decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderConfig {
    /// Width of its residual stream.
    pub d_model: usize,
    /// Number of its blocks.
    pub n_layers: usize,
    /// Heads of each attention.
    pub n_heads: usize,
}

/// The token that hides another, the last one of an encoder of this many tokens.
pub fn mask(vocab_size: usize) -> i32 {
    vocab_size as i32 - 1
}

impl EncoderConfig {
    /// The encoder as a model: the blocks of `decoder` without its exceptions for single layers, every query head with
    /// a key-value head of its own, reading both ways.
    pub fn model(&self, decoder: &ModelConfig) -> ModelConfig {
        let EncoderConfig { d_model, n_layers, n_heads } = *self;
        let mut model = ModelConfig { d_model, n_layers, n_heads, layers: Vec::new(), ..decoder.clone() };
        match &mut model.block.mixer {
            MixerConfig::Attention(attention) => {
                attention.reach = Reach::Both;
                attention.n_kv_heads = None;
            }
            MixerConfig::Average(_) => {}
        }
        model
    }
}

impl ModelConfig {
    /// What is impossible about it as an encoder of rows of `seq_len`; keys are relative to `[model]`.
    pub fn check_encoder(&self, seq_len: usize) -> Vec<Problem> {
        let mut problems = self.check_shapes(seq_len);
        if !self.blocks().iter().all(|block| block.mixer.reads_ahead()) {
            let problem = Problem::new("an encoder reads both ways").key("block.mixer");
            problems.push(problem.expected("attention with reach = \"both\" in every layer"));
        }
        problems
    }

    /// Builds an encoder of `vocab_size` tokens and the mask.
    ///
    /// # Panics
    /// If [`ModelConfig::check_encoder`] finds a problem.
    pub fn init_encoder(&self, vocab_size: usize, seq_len: usize, seed: u64, device: &Device) -> Decoder {
        let problems = self.check_encoder(seq_len);
        assert!(problems.is_empty(), "an impossible encoder reached init: {}", problems[0]);
        self.build(vocab_size + 1, seq_len, seed, device)
    }
}
