//! The decoder: tokens to vectors, `n` blocks, a norm, and a table that turns vectors into logits.
//!
//! The model stops at the last hidden state; loss and logits are made from [`Decoder::hidden`] and
//! [`Decoder::head_weight`], so that training never has to hold all logits at once.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::block::{Block, BlockConfig};
use super::init::{self, InitConfig};
use crate::error::Problem;
use crate::layers::embedding::{Embedding, EmbeddingConfig, OutputHead};
use crate::layers::norm::{Norm, NormConfig};
use crate::layers::{Pass, Widths};

/// What is built: the `[model]` table of a plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Query heads of each attention.
    pub n_heads: usize,
    /// How tokens enter and leave.
    pub embedding: EmbeddingConfig,
    /// Which normalisation, everywhere.
    pub norm: NormConfig,
    /// What each block is made of.
    pub block: BlockConfig,
    /// The values that the weights start from.
    pub init: InitConfig,
}

/// A decoder-only language model.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Tokens to vectors.
    pub embedding: Embedding,
    /// In order of depth.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: Norm,
    /// A second table, if the head is untied.
    pub head: Option<OutputHead>,
}

/// The largest widths and depths that are taken for meant; they keep every count far inside 64 bits.
const MAX_D_MODEL: usize = 1 << 20;
const MAX_LAYERS: usize = 10_000;

impl ModelConfig {
    /// The widths that are passed down.
    pub fn widths(&self, seq_len: usize) -> Widths {
        Widths { d_model: self.d_model, n_heads: self.n_heads, seq_len }
    }

    /// One block config per layer.
    pub fn blocks(&self) -> Vec<BlockConfig> {
        vec![self.block; self.n_layers]
    }

    /// What is impossible about it; keys are relative to `[model]`. An empty list means that `init` cannot fail.
    pub fn check(&self, seq_len: usize) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: usize, max: usize| {
            if value == 0 || value > max {
                let problem = Problem::new(value.to_string()).key(key).expected(format!("1 to {max}"));
                problems.push(match value {
                    0 => problem.remedy("name a size row with `size`, or set it"),
                    _ => problem,
                });
            }
        };
        within("d_model", self.d_model, MAX_D_MODEL);
        within("n_layers", self.n_layers, MAX_LAYERS);
        within("n_heads", self.n_heads, MAX_D_MODEL);
        if !problems.is_empty() {
            return problems;
        }
        if !self.d_model.is_multiple_of(self.n_heads) {
            problems.push(
                Problem::new(self.n_heads.to_string())
                    .key("n_heads")
                    .expected(format!("a divisor of d_model = {}", self.d_model)),
            );
            return problems;
        }
        problems.extend(self.init.check());
        problems.extend(self.block.check(&self.widths(seq_len)).into_iter().map(|p| {
            let key = format!("block.{}", p.key.as_deref().unwrap_or_default());
            p.key(key)
        }));
        problems
    }

    /// Builds the model and fills it with the values that `seed` gives to each parameter's name.
    ///
    /// # Panics
    /// If [`ModelConfig::check`] finds a problem: a plan is checked before anything is built.
    pub fn init(&self, vocab_size: usize, seq_len: usize, seed: u64, device: &Device) -> Decoder {
        let problems = self.check(seq_len);
        assert!(problems.is_empty(), "an impossible model reached init: {}", problems[0]);
        let widths = self.widths(seq_len);
        let (embedding, head) = self.embedding.init(vocab_size, self.d_model, device);
        let decoder = Decoder {
            embedding,
            blocks: self.blocks().iter().map(|block| block.init(&widths, &self.norm, device)).collect(),
            norm: self.norm.init(self.d_model, device),
            head,
        };
        init::fill(decoder, &self.init.scheme(self), seed)
    }
}

impl Decoder {
    /// The last hidden state, normalised.
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, d]`
    pub fn hidden(&self, tokens: Tensor<2, Int>, pass: &mut Pass) -> Tensor<3> {
        let mut x = self.embedding.forward(tokens); // [b, t, d]
        for block in &self.blocks {
            x = block.forward(x, pass);
        }
        self.norm.forward(x)
    }

    /// The table that turns hidden states into logits, `[v, d]`.
    pub fn head_weight(&self) -> Tensor<2> {
        self.head.as_ref().map_or_else(|| self.embedding.weight.val(), |head| Param::val(&head.weight))
    }

    /// All logits: for reading and generating; training uses
    /// [`linear_cross_entropy`](crate::kernels::linear_cross_entropy).
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, v]`
    pub fn logits(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let hidden = self.hidden(tokens, &mut Pass::new()); // [b, t, d]
        hidden.matmul(self.head_weight().transpose().unsqueeze::<3>()) // [b, t, v]
    }
}
