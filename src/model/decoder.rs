//! The decoder: tokens to vectors, `n` blocks, a norm, and a table that turns vectors into logits.
//!
//! The model stops at the last hidden state; loss and logits are made from [`Decoder::hidden`] and
//! [`Decoder::head_weight`], so that training never has to hold all logits at once.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::block::{Block, BlockConfig};
use super::init::{self, InitConfig};
use super::overrides::{LayerOverride, check_causal};
use crate::error::Problem;
use crate::layers::embedding::{Embedding, EmbeddingConfig, OutputHead};
use crate::layers::norm::{Norm, NormConfig};
use crate::layers::position::PositionTable;
use crate::layers::start::Start;
use crate::layers::{ForwardContext, Widths, within};

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
    /// The token embedding and the output head.
    pub embedding: EmbeddingConfig,
    /// The norm of every block and of the last hidden state.
    pub norm: NormConfig,
    /// The slots of every block.
    pub block: BlockConfig,
    /// Where single layers differ from it.
    pub layers: Vec<LayerOverride>,
    /// The values that the weights start from.
    pub init: InitConfig,
}

/// A decoder-only language model.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let config = ModelConfig { d_model: 64, n_layers: 2, n_heads: 4, ..ModelConfig::default() };
/// let model = config.init(100, 128, 0, &device); // vocabulary, sequence length, seed
/// let logits = model.logits(Tensor::<2, Int>::zeros([2, 10], &device));
/// assert_eq!(logits.dims(), [2, 10, 100]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Decoder {
    /// Tokens to vectors.
    pub embedding: Embedding,
    /// Positions that are added to them, if any.
    pub position: Option<PositionTable>,
    /// In order of depth.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: Option<Norm>,
    /// A second embedding, if the head is untied.
    pub head: Option<OutputHead>,
    seq_len: usize,
}

/// The largest widths and depths that are taken for meant; they keep every count far inside 64 bits.
const MAX_D_MODEL: usize = 1 << 20;
const MAX_LAYERS: usize = 10_000;

impl ModelConfig {
    /// The widths that are passed down.
    pub fn widths(&self, seq_len: usize) -> Widths {
        Widths::new(self.d_model, self.n_heads, seq_len)
    }

    /// One block config per layer.
    pub fn blocks(&self) -> Vec<BlockConfig> {
        let mut blocks = vec![self.block; self.n_layers];
        for layer in &self.layers {
            layer.apply(&mut blocks);
        }
        blocks
    }

    /// The norm after the last block; a stream that is already normalised has none.
    pub(crate) fn last_norm(&self) -> NormConfig {
        match self.block.norm_placement.normalises_the_stream() {
            true => NormConfig::None,
            false => self.norm,
        }
    }

    /// What is impossible about it; keys are relative to `[model]`. An empty list means that `init` cannot fail.
    pub fn check(&self, seq_len: usize) -> Vec<Problem> {
        let mut problems = self.check_shapes(seq_len);
        problems.extend(within("block.mixer", check_causal(&self.block.mixer)));
        for (i, layer) in self.layers.iter().enumerate() {
            let mixer = layer.mixer.iter().flat_map(check_causal).collect();
            problems.extend(within(&format!("layers.{i}.mixer"), mixer));
        }
        problems
    }

    /// The same, whichever way its mixers read.
    pub(super) fn check_shapes(&self, seq_len: usize) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut in_range = |key: &str, value: usize, max: usize| {
            if value == 0 || value > max {
                let problem = Problem::new(value.to_string()).key(key).expected(format!("1 to {max}"));
                problems.push(match value {
                    0 => problem.help("name a size row with `size`, or set it"),
                    _ => problem,
                });
            }
        };
        in_range("d_model", self.d_model, MAX_D_MODEL);
        in_range("n_layers", self.n_layers, MAX_LAYERS);
        in_range("n_heads", self.n_heads, MAX_D_MODEL);
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
        let widths = self.widths(seq_len);
        problems.extend(within("embedding", self.embedding.check()));
        problems.extend(within("norm", self.norm.check()));
        problems.extend(within("block", self.block.check(&widths)));
        for (i, layer) in self.layers.iter().enumerate() {
            problems.extend(within(&format!("layers.{i}"), layer.check(self, &widths)));
        }
        problems.extend(within("init", self.init.check()));
        problems
    }

    /// Builds the model and fills it with the values that `seed` gives to each parameter's name.
    ///
    /// # Panics
    /// If [`ModelConfig::check`] finds a problem: a plan is checked before anything is built.
    pub fn init(&self, vocab_size: usize, seq_len: usize, seed: u64, device: &Device) -> Decoder {
        let problems = self.check(seq_len);
        assert!(problems.is_empty(), "an impossible model reached init: {}", problems[0]);
        self.build(vocab_size, seq_len, seed, device)
    }

    pub(super) fn build(&self, vocab_size: usize, seq_len: usize, seed: u64, device: &Device) -> Decoder {
        let widths = self.widths(seq_len);
        let (embedding, head) = self.embedding.build(vocab_size, self.d_model, Start::Zeros, device);
        let decoder = Decoder {
            embedding,
            position: self.block.mixer.position().init_table(&widths, Start::Zeros, device),
            blocks: self
                .blocks()
                .iter()
                .map(|block| block.build(&widths, &self.norm, Start::Zeros, device))
                .collect(),
            norm: self.last_norm().init(self.d_model, device),
            head,
            seq_len,
        };
        init::fill(decoder, &self.init.scheme(self), seed)
    }
}

impl Decoder {
    /// The longest sequence that it reads.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// The last hidden state, normalised.
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, d]`
    pub fn hidden(&self, tokens: Tensor<2, Int>, ctx: &mut ForwardContext) -> Tensor<3> {
        let [_, t] = tokens.dims();
        let mut x = self.embedding.forward(tokens); // [b, t, d]
        if let Some(position) = &self.position {
            x = position.forward(x, ctx.start());
        }
        for block in &self.blocks {
            x = block.forward_with(x, ctx);
        }
        ctx.advance(t);
        Norm::forward_if(&self.norm, x)
    }

    /// The table that turns hidden states into logits, `[v, d]`.
    pub fn head_weight(&self) -> Tensor<2> {
        self.head.as_ref().map_or_else(|| self.embedding.weight.val(), |head| Param::val(&head.weight))
    }

    /// The size of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.embedding.weight.dims()[0]
    }

    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.embedding.weight.dims()[1]
    }

    /// All logits: for reading and generating; training uses
    /// [`linear_cross_entropy`](crate::kernels::linear_cross_entropy).
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, v]`
    pub fn logits(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let hidden = self.hidden(tokens, &mut ForwardContext::new()); // [b, t, d]
        hidden.matmul(self.head_weight().transpose().unsqueeze::<3>()) // [b, t, v]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig};
    use crate::layers::mixer::{AttentionConfig, MixerConfig, QkNormConfig};
    use crate::layers::norm::{LayerNormConfig, RmsNormConfig};
    use crate::model::parameter;
    use crate::model::variants::{self, V, base as config};

    #[test]
    fn names_are_field_paths_without_variants() {
        let device = crate::device::open("cpu").unwrap();
        let mut gated = config();
        gated.block.feed_forward = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        let names: Vec<String> =
            parameter::shapes(&gated.init(V, 5, 0, &device)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[0], "embedding.weight");
        for name in ["blocks.0.mixer.qkv.weight", "blocks.1.feed_forward.gate.weight", "norm.gamma"] {
            assert!(names.contains(&name.to_string()), "{name} not in {names:?}");
        }
    }

    #[test]
    fn arms_share_the_weights_that_they_have_in_common() {
        let device = crate::device::open("cpu").unwrap();
        let plain = config().init(V, 5, 7, &device);
        let mut without = config();
        without.block.feed_forward = FeedForwardConfig::None;
        let without = without.init(V, 5, 7, &device);
        let value = |model: &Decoder| variants::value(model, "blocks.1.mixer.qkv.weight");
        assert_eq!(value(&plain), value(&without));
        assert_ne!(value(&plain), value(&config().init(V, 5, 8, &device)), "another seed, other weights");
    }

    #[test]
    fn impossible_shapes_are_refused_with_their_keys() {
        let keys = |config: ModelConfig| -> Vec<String> {
            config.check(5).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        assert_eq!(keys(ModelConfig { n_heads: 5, ..config() }), ["n_heads"]);
        assert_eq!(
            keys(ModelConfig { d_model: 1 << 40, n_layers: 1_000_000_000, ..config() }),
            ["d_model", "n_layers"]
        );
        assert_eq!(keys(ModelConfig::default()), ["d_model", "n_layers", "n_heads"]);
        let mut thin = config();
        thin.block.feed_forward =
            FeedForwardConfig::GatedMlp(GatedMlpConfig { expansion: 0.0, ..Default::default() });
        assert_eq!(keys(thin), ["block.feed_forward.expansion"]);
        for eps in [-1e-5, f64::NAN, f64::INFINITY] {
            let norm = RmsNormConfig { eps };
            assert_eq!(keys(ModelConfig { norm: NormConfig::Rms(norm), ..config() }), ["norm.eps"]);
            let layer = LayerNormConfig { eps, ..Default::default() };
            assert_eq!(keys(ModelConfig { norm: NormConfig::Layer(layer), ..config() }), ["norm.eps"]);
            let mut normed = config();
            let attention = AttentionConfig { qk_norm: QkNormConfig::Joint(norm), ..Default::default() };
            normed.block.mixer = MixerConfig::Attention(attention);
            assert_eq!(keys(normed), ["block.mixer.qk_norm.eps"]);
        }
    }
}
