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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;
    use crate::layers::embedding::{Head, TokenEmbeddingConfig};
    use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig};
    use crate::model::parameter::{self, Visit};
    use burn::tensor::{Gradients, TensorData};

    const V: usize = 11;

    fn config() -> ModelConfig {
        ModelConfig { d_model: 24, n_layers: 2, n_heads: 4, ..ModelConfig::default() }
    }

    fn variants() -> Vec<ModelConfig> {
        let gated = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        let untied = EmbeddingConfig::Token(TokenEmbeddingConfig { head: Head::Untied });
        let mut variants = vec![config(); 4];
        variants[1].block.feed_forward = gated;
        variants[2].block.feed_forward = FeedForwardConfig::None;
        variants[3].embedding = untied;
        variants[3].norm = NormConfig::Rms(Default::default());
        variants
    }

    fn tokens(rows: [[i32; 5]; 2], device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::from(rows), device)
    }

    #[test]
    fn a_later_token_changes_no_earlier_logit() {
        let device = crate::device::open("cpu").unwrap();
        for config in variants() {
            let model = config.init(V, 5, 3, &device);
            let one = model.logits(tokens([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], &device));
            let two = model.logits(tokens([[1, 2, 3, 9, 5], [5, 4, 3, 7, 1]], &device));
            let early = |x: &Tensor<3>| x.clone().narrow(1, 0, 3).into_data();
            assert_eq!(early(&one), early(&two), "{config:?}");
            assert_ne!(one.into_data(), two.into_data());
        }
    }

    #[test]
    fn every_parameter_gets_a_gradient() {
        let device = crate::device::open("cpu").unwrap().autodiff();
        struct Ungraded<'a>(&'a Gradients, Vec<String>);
        impl Visit for Ungraded<'_> {
            fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
                let gradient = param.val().grad(self.0);
                if gradient.is_none_or(|g| g.abs().max().into_scalar::<f32>() == 0.0) {
                    self.1.push(name.to_string());
                }
            }
        }
        for config in variants() {
            let model = config.init(V, 5, 3, &device);
            let hidden = model.hidden(tokens([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], &device), &mut Pass::new());
            let targets = Tensor::from_data(TensorData::from([2, 3, 4, 5, 6, 4, 3, 2, 1, 0]), &device);
            let weights = Tensor::ones([10], &device);
            let hidden = hidden.flatten::<2>(0, 1);
            let (loss, _) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
            let gradients = loss.backward();
            let mut ungraded = Ungraded(&gradients, Vec::new());
            parameter::visit(&model, &mut ungraded);
            assert_eq!(ungraded.1, [""; 0], "{config:?}");
        }
    }

    #[test]
    fn names_are_field_paths_without_variants() {
        let device = crate::device::open("cpu").unwrap();
        let names: Vec<String> = parameter::shapes(&variants()[1].init(V, 5, 0, &device))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names[0], "embedding.weight");
        for name in ["blocks.0.mixer.qkv.weight", "blocks.1.feed_forward.gate.weight", "norm.gamma"] {
            assert!(names.contains(&name.to_string()), "{name} not in {names:?}");
        }
    }

    #[test]
    fn arms_share_the_weights_that_they_have_in_common() {
        let device = crate::device::open("cpu").unwrap();
        let plain = config().init(V, 5, 7, &device);
        let without = variants()[2].init(V, 5, 7, &device);
        let value = |model: &Decoder| {
            let Some(crate::layers::mixer::Mixer::Attention(attention)) =
                model.blocks.get(1).map(|b| &b.mixer)
            else {
                panic!("the second block has attention")
            };
            attention.qkv.weight.val().into_data()
        };
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
    }
}
