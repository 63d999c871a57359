//! What is needed to build a model around its weights: `config.json` of a run and of an imported model.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::weights::{self, Weights};
use super::{Decoder, ModelConfig, ParamCount};
use crate::error::{Error, Problem, Result};

/// A model without weights: its config, vocabulary size and context length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// The config of the model.
    pub model: ModelConfig,
    /// The size of the vocabulary.
    pub vocab_size: usize,
    /// The longest sequence that it reads.
    pub seq_len: usize,
}

/// The largest vocabulary and the longest sequence that are taken for meant; they keep every count far inside 64 bits.
const MAX_TOKENS: usize = 1 << 24;

impl Blueprint {
    /// What is impossible about it; an empty list means that a model can be built.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, value) in [("vocab_size", self.vocab_size), ("seq_len", self.seq_len)] {
            if !(1..=MAX_TOKENS).contains(&value) {
                problems
                    .push(Problem::new(value.to_string()).key(key).expected(format!("1 to {MAX_TOKENS}")));
            }
        }
        if problems.is_empty() {
            problems.extend(crate::layers::within("model", self.model.check(self.seq_len)));
        }
        problems
    }

    /// Parameters.
    pub fn num_params(&self) -> ParamCount {
        self.model.num_params(self.vocab_size, self.seq_len)
    }

    /// The model with these weights; `source` says where they come from. Nothing is built of more than twice their size.
    ///
    /// # Errors
    /// The model is impossible, or the weights are not its own.
    pub fn build(&self, weights: Weights, source: &str, device: &Device) -> Result<Decoder> {
        let problems = self.check();
        if !problems.is_empty() {
            return Err(Error { kind: crate::error::Kind::Data, problems });
        }
        let found: u64 = weights.values().map(|data| data.shape().num_elements() as u64).sum();
        let expected = self.num_params().total;
        if expected / 2 > found {
            let found = format!("{source} holds {found} numbers");
            return Err(Error::data(Problem::new(found).expected(format!("{expected}, as its config says"))));
        }
        weights::put(self.model.init(self.vocab_size, self.seq_len, 0, device), weights, source)
    }
}
