//! The encoder: the decoder's own blocks, but every mixer reads the whole sequence, in both directions.
//!
//! It knows the decoder's tokens and one more, [`mask`], for its pre-training: tokens are hidden behind the mask and
//! predicted from both sides (Devlin et al. 2019, arXiv 1810.04805). Its head is tied or untied, as the decoder's.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::block::BlockConfig;
use super::decoder::{Decoder, ModelConfig};
use crate::error::Problem;
use crate::layers::feed_forward::{Capacity, FeedForwardConfig};
use crate::layers::mixer::{AttentionMask, MixerConfig};

/// How large an encoder is beside its decoder; everything else is as there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderConfig {
    /// Width of its residual stream over the decoder's, rounded to an even number of channels per head.
    pub width: f64,
    /// Its blocks over the decoder's, rounded, at least one.
    pub depth: f64,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        EncoderConfig { width: 0.5, depth: 1.0 }
    }
}

/// The token that hides another, the last one of an encoder of this many tokens.
pub fn mask(vocab_size: usize) -> i32 {
    vocab_size as i32 - 1
}

impl EncoderConfig {
    /// Width of its residual stream.
    pub fn d_model(&self, decoder: &ModelConfig) -> usize {
        let pair = 2 * decoder.n_heads;
        ((self.width * decoder.d_model as f64 / pair as f64).round() as usize).max(1) * pair
    }

    /// All that is impossible about the encoder.
    pub fn check(&self) -> Vec<Problem> {
        let shares = [("width", self.width), ("depth", self.depth)];
        let wrong = shares.into_iter().filter(|(_, share)| !(*share > 0.0 && *share <= 16.0));
        wrong
            .map(|(key, share)| {
                Problem::new(share.to_string()).key(key).expected("a ratio above 0, at most 16")
            })
            .collect()
    }

    /// The encoder as a model: the blocks of `decoder` without its exceptions for single layers, every query head with
    /// a key-value head of its own, reading both ways.
    pub fn model(&self, decoder: &ModelConfig) -> ModelConfig {
        let (d_model, n_heads) = (self.d_model(decoder), decoder.n_heads);
        let n_layers = ((self.depth * decoder.n_layers as f64).round() as usize).max(1);
        let mut model = ModelConfig { d_model, n_layers, n_heads, layers: Vec::new(), ..decoder.clone() };
        match &mut model.block.mixer {
            MixerConfig::Attention(attention) => {
                attention.mask = AttentionMask::Bidirectional;
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
            problems.push(problem.expected("attention with mask = \"bidirectional\" in every layer"));
        }
        let limited = |block: &BlockConfig| {
            let FeedForwardConfig::Moe(moe) = block.feed_forward else { return None };
            let capacities = [("capacity", moe.capacity), ("test_capacity", moe.test_capacity)];
            capacities.into_iter().find(|(_, capacity)| *capacity != Capacity::Unlimited)
        };
        if let Some((key, _)) = self.blocks().iter().find_map(limited) {
            let found = "tokens that are not there would take places of experts from those that are";
            let problem = Problem::new(found).key(format!("block.feed_forward.{key}"));
            problems.push(problem.help(format!("say {key} = \"unlimited\"")));
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
