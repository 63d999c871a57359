//! Parameters and FLOPs from the config alone: one function for plan, meters and bench.

use serde::{Deserialize, Serialize};

use super::decoder::ModelConfig;

/// How many parameters, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamCount {
    /// All trainable parameters; a tied table counts once.
    pub total: u64,
    /// Token tables.
    pub embedding: u64,
    /// Parameters that work on any one token (all of them, unless experts are chosen).
    pub active: u64,
}

impl ParamCount {
    /// All but the token tables.
    pub fn non_embedding(&self) -> u64 {
        self.total - self.embedding
    }
}

/// FLOPs per token of a training step (forward and backward), by two countings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlopCount {
    /// What is computed: no look-up, the causal half of attention, head included; backward is twice forward.
    pub exact: u64,
    /// Six per non-embedding parameter (Kaplan et al. 2020).
    pub six_n: u64,
    /// Chinchilla's own counting (Hoffmann et al. 2022, Appendix F): embedding look-up as a product, full attention
    /// matrix, softmax and head. Only for fits beside published ones.
    pub chinchilla: u64,
}

impl ModelConfig {
    /// Counts the parameters without building anything.
    pub fn num_params(&self, vocab_size: usize) -> ParamCount {
        let widths = self.widths(1);
        let embedding = self.embedding.num_params(vocab_size, self.d_model);
        let blocks: u64 = self.blocks().iter().map(|block| block.num_params(&widths, &self.norm)).sum();
        let total = embedding + blocks + self.norm.num_params(self.d_model);
        ParamCount { total, embedding, active: total }
    }

    /// Counts the FLOPs of a training step per token, in rows of `seq_len`.
    pub fn flops_per_token(&self, vocab_size: usize, seq_len: usize) -> FlopCount {
        let widths = self.widths(seq_len);
        let blocks: u64 = self.blocks().iter().map(|block| block.flops_per_token(&widths)).sum();
        let head = 2 * vocab_size as u64 * self.d_model as u64;
        let attention_full_half = self.n_layers as u64 * 2 * self.d_model as u64 * seq_len as u64;
        let softmax = 3 * (self.n_layers * self.n_heads * seq_len) as u64;
        FlopCount {
            exact: 3 * (blocks + head),
            six_n: 6 * self.num_params(vocab_size).non_embedding(),
            chinchilla: 3 * (blocks + 2 * head + attention_full_half + softmax),
        }
    }
}
