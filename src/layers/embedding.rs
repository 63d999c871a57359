//! Tokens to vectors, and vectors back to tokens: `x = E[token]`, `logits = h H^T`.
//!
//! A tied head reads the same table in both directions (Press and Wolf 2017, arXiv 1608.05859); in a small model the
//! table is half of all parameters, so the choice matters for bits per parameter.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::start::{Start, checked};
use crate::error::Problem;
use crate::kernels;

/// How tokens enter and leave the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingConfig {
    /// A learned vector per token.
    Token(TokenEmbeddingConfig),
}

/// Settings of the token embedding.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenEmbeddingConfig {
    /// Whether the head has an embedding of its own.
    pub head: Head,
    /// What the vectors are multiplied by.
    pub scale: EmbeddingScale,
}

/// What the vectors of tokens are multiplied by on their way in; the head is not.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingScale {
    /// The vectors are used as they are.
    #[default]
    None,
    /// `sqrt(d)`, as in the first Transformer and in Gemma.
    RootWidth,
    /// A number.
    Factor(FactorConfig),
}

/// A number to multiply by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FactorConfig {
    /// The number.
    pub factor: f64,
}

impl Default for FactorConfig {
    fn default() -> Self {
        FactorConfig { factor: 1.0 }
    }
}

/// Where the output embedding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The input embedding, used a second time.
    #[default]
    Tied,
    /// A second embedding.
    Untied,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        EmbeddingConfig::Token(TokenEmbeddingConfig::default())
    }
}

/// The token embedding.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let (embedding, head) = EmbeddingConfig::default().init(100, 64, &device); // vocabulary, d_model
/// let x = embedding.forward(Tensor::<2, Int>::zeros([2, 10], &device));
/// assert_eq!(x.dims(), [2, 10, 64]);
/// assert!(head.is_none(), "tied: logits are made by the same weight");
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[v, d]`.
    pub weight: Param<Tensor<2>>,
    scale: Option<f64>,
}

/// A head with an embedding of its own.
#[derive(Module, Debug)]
pub struct OutputHead {
    /// `[v, d]`.
    pub weight: Param<Tensor<2>>,
}

impl EmbeddingConfig {
    /// Where the output embedding comes from.
    pub fn head(&self) -> Head {
        match self {
            EmbeddingConfig::Token(config) => config.head,
        }
    }

    /// What is impossible about it; keys are relative to `embedding`.
    pub fn check(&self) -> Vec<Problem> {
        let EmbeddingConfig::Token(config) = self;
        match config.scale {
            EmbeddingScale::Factor(FactorConfig { factor }) if !factor.is_normal() => {
                let problem = Problem::new(factor.to_string()).key("scale.factor");
                vec![problem.expected("a finite number other than 0")]
            }
            EmbeddingScale::None | EmbeddingScale::RootWidth | EmbeddingScale::Factor(_) => Vec::new(),
        }
    }

    fn scale(&self, d_model: usize) -> Option<f64> {
        let EmbeddingConfig::Token(config) = self;
        match config.scale {
            EmbeddingScale::None => None,
            EmbeddingScale::RootWidth => Some((d_model as f64).sqrt()),
            EmbeddingScale::Factor(FactorConfig { factor }) => Some(factor),
        }
    }

    /// The input embedding, and the output embedding if it is a second one: draws from N(0, 1 / d).
    ///
    /// # Panics
    /// If [`EmbeddingConfig::check`] finds a problem.
    pub fn init(
        &self,
        vocab_size: usize,
        d_model: usize,
        device: &Device,
    ) -> (Embedding, Option<OutputHead>) {
        let sizes = [("vocab_size", vocab_size), ("d_model", d_model)].into_iter();
        let absent = sizes.filter(|(_, size)| *size == 0);
        let absent = absent.map(|(key, _)| Problem::new("0").key(key).expected("at least 1"));
        let problems = absent.chain(self.check()).collect();
        checked(problems, || self.build(vocab_size, d_model, Start::Drawn, device))
    }

    pub(crate) fn build(
        &self,
        vocab_size: usize,
        d_model: usize,
        start: Start,
        device: &Device,
    ) -> (Embedding, Option<OutputHead>) {
        let table = || start.weight([vocab_size, d_model], d_model, device);
        let head = match self.head() {
            Head::Tied => None,
            Head::Untied => Some(OutputHead { weight: table() }),
        };
        (Embedding { weight: table(), scale: self.scale(d_model) }, head)
    }

    /// Parameters of both embeddings; a tied embedding counts once.
    pub fn num_params(&self, vocab_size: usize, d_model: usize) -> u64 {
        let table = vocab_size as u64 * d_model as u64;
        match self.head() {
            Head::Tied => table,
            Head::Untied => 2 * table,
        }
    }
}

impl Embedding {
    /// Looks tokens up.
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, d]`
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let x = kernels::embedding(self.weight.val(), tokens); // [b, t, d]
        match self.scale {
            Some(scale) => x * scale,
            None => x,
        }
    }
}
