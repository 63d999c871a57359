//! A decoder that reads more than its window: chunks of text through an encoder, and a cross-attention in every block.
//!
//! CEPE (Yen, Gao and Chen 2024, arXiv 2402.16617). Chunks are encoded side by side, each from its first position on, so
//! that they are a set: their order means nothing, and their number has no limit that was trained. The decoder keeps
//! the names and values of all its parameters; only what is new is trained.

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, ModelConfig};
use super::init;
use super::parameter::{self, Map};
use super::weights::{self, Weights, floats};
use crate::error::{Error, Problem, Result};
use crate::layers::cross_attention::CrossAttentionConfig;
use crate::layers::mixer::MixerConfig;
use crate::layers::start::Start;
use crate::layers::{EncoderStates, ForwardContext, Mode};

/// Tokens of chunks that are encoded at once where nothing is learned from them.
const TOKENS_AT_ONCE: usize = 8192;

/// A decoder, and the encoder of what it reads beside its row.
#[derive(Module, Debug)]
pub struct ContextModel {
    /// With a cross-attention in every block.
    pub decoder: Decoder,
    /// A model that reads both ways.
    pub encoder: Decoder,
}

/// What the output projection of a cross-attention starts from; its other projections start from the self-attention before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossAttentionInit {
    /// Zero: at the start nothing is read.
    #[default]
    Zero,
    /// The output map of the self-attention.
    Copy,
    /// As the decoder's own output projections started.
    Normal,
}

/// Whether the encoder is trained with the cross-attentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderTraining {
    /// The encoder is trained with the cross-attentions.
    #[default]
    Trained,
    /// The encoder is frozen.
    Frozen,
}

/// Chunks of text, `k` of up to `c` tokens for each row.
#[derive(Debug, Clone)]
pub struct Chunks {
    /// `[b, k, c]`.
    pub tokens: Tensor<3, Int>,
    /// True where there is no token, `[b, k, c]`.
    pub hidden: Tensor<3, Bool>,
}

/// What is new in a decoder of this config that reads states of width `d_context`.
pub fn cross_attention(model: &ModelConfig, d_context: usize) -> Vec<CrossAttentionConfig> {
    let n_kv_heads = |mixer: &MixerConfig| match mixer {
        MixerConfig::Attention(attention) => attention.n_kv_heads.unwrap_or(model.n_heads),
        MixerConfig::Average(_) => model.n_heads,
    };
    let config = |mixer| CrossAttentionConfig { d_context, n_kv_heads: n_kv_heads(mixer), norm: model.norm };
    model.blocks().iter().map(|block| config(&block.mixer)).collect()
}

impl ContextModel {
    /// Gives `decoder`, built from `config`, a cross-attention in every block; its own parameters stay as they are and
    /// are not trained from here on.
    ///
    /// # Errors
    /// The encoder does not know the decoder's tokens.
    pub fn join(
        config: &ModelConfig,
        mut decoder: Decoder,
        encoder: Decoder,
        output: CrossAttentionInit,
        encoder_training: EncoderTraining,
        seed: u64,
    ) -> Result<Self> {
        let (known, read) = (decoder.vocab_size(), encoder.vocab_size() - 1);
        if known != read {
            let found = format!("an encoder of {read} tokens and the mask for a decoder of {known} tokens");
            let problem = Problem::new(found).key("context.encoder").expected("the decoder's vocabulary");
            return Err(Error::config(problem.help("pre-train the encoder with the decoder's tokenizer")));
        }
        let widths = config.widths(decoder.seq_len());
        let device = decoder.embedding.weight.val().device();
        let sublayers = cross_attention(config, encoder.d_model());
        for (block, sublayer) in decoder.blocks.iter_mut().zip(sublayers) {
            block.cross_attention = Some(sublayer.build(&widths, Start::Zeros, &device));
        }
        let own = weights::of(&decoder);
        let decoder = parameter::map(decoder, &mut NewSublayers { own: &own, config, output, seed });
        Ok(ContextModel { decoder, encoder }.frozen(encoder_training))
    }

    /// Trains only what is new.
    fn frozen(self, encoder: EncoderTraining) -> Self {
        parameter::freeze(self, |name| match name.strip_prefix("decoder.") {
            Some(own) => !is_new(own),
            None => encoder == EncoderTraining::Frozen,
        })
    }

    /// Encodes chunks side by side, each as if it were alone.
    ///
    /// # Panics
    /// If a chunk is longer than the encoder's longest row.
    pub fn encode(&self, chunks: Chunks, ctx: &mut ForwardContext) -> EncoderStates {
        let [b, k, c] = chunks.tokens.dims();
        let longest = self.encoder.seq_len();
        assert!(c <= longest, "chunks of {c} tokens for an encoder that reads {longest}");
        let hidden = chunks.hidden.reshape([b * k, c]);
        let (fresh, rows): (fn() -> ForwardContext, _) = match ctx.mode() {
            Mode::Eval => (ForwardContext::new, (TOKENS_AT_ONCE / c).clamp(1, b * k)),
            Mode::Train => (ForwardContext::training, b * k),
        };
        let tokens = chunks.tokens.reshape([b * k, c]);
        let mut part = |from: usize| {
            let n = rows.min(b * k - from);
            let mut each = fresh().with_padding(hidden.clone().narrow(0, from, n));
            let states = self.encoder.hidden(tokens.clone().narrow(0, from, n), &mut each);
            each.take_auxiliary().into_iter().for_each(|loss| ctx.add_auxiliary(loss));
            states // [n, c, d_context]
        };
        let states = match rows == b * k {
            true => part(0),
            false => Tensor::cat((0..b * k).step_by(rows).map(part).collect(), 0),
        }; // [b k, c, d_context]
        let d_context = self.encoder.d_model();
        EncoderStates { states: states.reshape([b, k * c, d_context]), hidden: hidden.reshape([b, k * c]) }
    }

    /// The last hidden state of a decoder that reads `chunks` beside its row; without any, that of the decoder alone.
    ///
    /// # Shapes
    /// `[b, t] -> [b, t, d]`
    pub fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        chunks: Option<Chunks>,
        mut ctx: ForwardContext,
    ) -> (Tensor<3>, ForwardContext) {
        let context = chunks.map(|chunks| self.encode(chunks, &mut ctx));
        let mut ctx = ctx.with_encoder_states(context);
        (self.decoder.hidden(tokens, &mut ctx), ctx)
    }
}

/// Whether the decoder has the parameter of this name from the cross-attentions.
pub fn is_new(name: &str) -> bool {
    name.split('.').any(|part| part == "cross_attention")
}

/// The values that cross-attentions start from: those of the self-attention before them, of the norm behind them.
struct NewSublayers<'a> {
    own: &'a Weights,
    config: &'a ModelConfig,
    output: CrossAttentionInit,
    seed: u64,
}

impl Map for NewSublayers<'_> {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let Some((block, part)) = name.split_once("cross_attention.") else { return value };
        let own = |sibling: &str| self.own.get(&format!("{block}{sibling}"));
        // Heads of another width have nothing to copy.
        let d = self.config.d_model;
        let alike = own("mixer.out.weight").is_some_and(|out| out.num_elements() == d * d);
        let attention = |map: &str| own(map).filter(|_| alike).map(floats);
        let shape = value.dims();
        let n = shape.iter().product();
        let drawn = || match self.config.init.scheme(self.config).std(name) {
            Some(std) => init::normal(self.seed, name, n, std),
            None => floats(&value.to_data()),
        };
        let values = match (part, self.output) {
            ("queries.weight", _) => {
                attention("mixer.qkv.weight").map(|qkv| columns(&qkv, shape[0], 0, shape[D - 1]))
            }
            ("keys_values.weight", _) => {
                attention("mixer.qkv.weight").map(|qkv| self.keys_values(&qkv, drawn()))
            }
            ("out.weight", CrossAttentionInit::Zero) => Some(vec![0.0; n]),
            ("out.weight", CrossAttentionInit::Copy) => attention("mixer.out.weight"),
            ("out.weight", CrossAttentionInit::Normal) => None,
            (norm, _) => Some(
                own(&norm.replace("norm.", "feed_forward_norm."))
                    .map(floats)
                    .unwrap_or_else(|| vec![if norm.ends_with("gamma") { 1.0 } else { 0.0 }; n]),
            ),
        };
        Tensor::from_data(TensorData::new(values.unwrap_or_else(drawn), shape), &value.device())
    }
}

impl NewSublayers<'_> {
    /// The keys and values of a packed projection, for as many input channels as both have; drawn beyond.
    fn keys_values(&self, qkv: &[f32], mut drawn: Vec<f32>) -> Vec<f32> {
        let d = self.config.d_model;
        let width = qkv.len() / d;
        let copied = columns(qkv, d, d, width - d);
        let n = copied.len().min(drawn.len());
        drawn[..n].copy_from_slice(&copied[..n]);
        drawn
    }
}

/// Columns `from..from + n` of a matrix of so many rows.
fn columns(matrix: &[f32], rows: usize, from: usize, n: usize) -> Vec<f32> {
    let width = matrix.len() / rows;
    matrix.chunks(width).flat_map(|row| row[from..from + n].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::feed_forward::{Capacity, CapacityConfig, FeedForwardConfig, MoeConfig};
    use crate::layers::mixer::MixerConfig;
    use crate::model::EncoderConfig;
    use crate::model::parameter::Visit;
    use crate::model::variants::{self, T, V};
    use burn::module::Param;
    use burn::tensor::Device;

    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-5;

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    /// Two layers of width 16, narrower than the decoder, for chunks of four.
    fn encoder(seed: u64, vocab_size: usize, device: &Device) -> Decoder {
        let sizes = EncoderConfig { width: 0.6, depth: 1.0 };
        sizes.model(&variants::base()).init_encoder(vocab_size, 4, seed, device)
    }

    fn join(config: &ModelConfig, output: CrossAttentionInit, device: &Device) -> ContextModel {
        let decoder = config.init(V, T, 3, device);
        let encoder = encoder(5, V, device);
        ContextModel::join(config, decoder, encoder, output, EncoderTraining::Trained, 7).unwrap()
    }

    /// Three chunks for each of the two rows; the last of each row lacks its last tokens.
    fn chunks(device: &Device) -> Chunks {
        let tokens: Vec<i32> = (0..2 * 3 * 4).map(|i| (i * 7 + 3) % V as i32).collect();
        let hidden: Vec<bool> = (0..2 * 3 * 4).map(|i| i % 12 > 9).collect();
        Chunks {
            tokens: Tensor::from_data(TensorData::new(tokens, [2, 3, 4]), device),
            hidden: Tensor::from_data(TensorData::new(hidden, [2, 3, 4]), device),
        }
    }

    fn read(model: &ContextModel, tokens: Tensor<2, Int>, chunks: Option<Chunks>) -> Tensor<3> {
        model.hidden(tokens, chunks, ForwardContext::new()).0
    }

    fn difference(x: Tensor<3>, y: Tensor<3>) -> f32 {
        (x - y).abs().max().into_scalar::<f32>()
    }

    fn map(
        chunks: Chunks,
        tokens: impl Fn(Tensor<3, Int>) -> Tensor<3, Int>,
        hidden: impl Fn(Tensor<3, Bool>) -> Tensor<3, Bool>,
    ) -> Chunks {
        Chunks { tokens: tokens(chunks.tokens), hidden: hidden(chunks.hidden) }
    }

    #[test]
    fn many_chunks_are_encoded_a_few_at_a_time_to_the_same_states() {
        let device = device();
        let model = join(&variants::base(), CrossAttentionInit::Normal, &device);
        let n = TOKENS_AT_ONCE / 4 + 3;
        let tokens: Vec<i32> = (0..n * 4).map(|i| (i * 7 + i / 11) as i32 % V as i32).collect();
        let chunks = Chunks {
            tokens: Tensor::from_data(TensorData::new(tokens, [1, n, 4]), &device),
            hidden: Tensor::from_data(TensorData::new(vec![false; n * 4], [1, n, 4]), &device),
        };
        let few = model.encode(chunks.clone(), &mut ForwardContext::new());
        let whole = model.encode(chunks, &mut ForwardContext::training());
        assert_eq!(few.states.dims(), whole.states.dims());
        assert!(difference(few.states, whole.states) < 1e-5);
    }

    #[test]
    fn every_decoder_keeps_its_names_values_and_without_context_its_outputs() {
        let device = device();
        for (name, config) in variants::all() {
            let alone = config.init(V, T, 3, &device);
            let tokens = variants::tokens(&device);
            let expected = alone.hidden(tokens.clone(), &mut ForwardContext::new());
            for output in [CrossAttentionInit::Normal, CrossAttentionInit::Copy] {
                let model = join(&config, output, &device);
                let mut kept = weights::of(&model.decoder);
                kept.retain(|name, _| !is_new(name));
                assert_eq!(kept, weights::of(&alone), "{name}");
                let nothing =
                    map(chunks(&device), |tokens| tokens, |hidden| hidden.clone().bool_or(hidden.bool_not()));
                for chunks in [None, Some(nothing)] {
                    let hidden = read(&model, tokens.clone(), chunks);
                    assert_eq!(hidden.into_data(), expected.clone().into_data(), "{name}");
                }
                let hidden = read(&model, tokens.clone(), Some(chunks(&device)));
                assert!(difference(hidden, expected.clone()) > 1e-3, "{name} reads, {output:?}");
            }
        }
    }

    #[test]
    fn chunks_are_a_set() {
        let device = device();
        let model = join(&variants::base(), CrossAttentionInit::Copy, &device);
        let tokens = variants::tokens(&device);
        let given = read(&model, tokens.clone(), Some(chunks(&device)));
        let back = map(chunks(&device), |tokens| tokens.flip([1]), |hidden| hidden.flip([1]));
        assert!(difference(given.clone(), read(&model, tokens.clone(), Some(back))) < ROUNDING);
        let inside = map(chunks(&device), |tokens| tokens.flip([2]), |hidden| hidden);
        assert!(
            difference(given.clone(), read(&model, tokens.clone(), Some(inside))) > 1e-3,
            "order inside a chunk counts"
        );
        let more = map(
            chunks(&device),
            |tokens| Tensor::cat(vec![tokens.clone(), tokens.narrow(1, 0, 1)], 1),
            |hidden| Tensor::cat(vec![hidden.clone(), hidden.narrow(1, 0, 1).bool_not()], 1),
        );
        assert!(difference(given, read(&model, tokens, Some(more))) < ROUNDING, "a chunk that is hidden");
    }

    #[test]
    fn what_a_row_reads_does_not_depend_on_the_rows_beside_it() {
        let device = device();
        let model = join(&variants::base(), CrossAttentionInit::Copy, &device);
        let both = read(&model, variants::tokens(&device), Some(chunks(&device)));
        for row in 0..2 {
            let one =
                map(chunks(&device), |tokens| tokens.narrow(0, row, 1), |hidden| hidden.narrow(0, row, 1));
            let alone = read(&model, variants::tokens(&device).narrow(0, row, 1), Some(one));
            assert!(difference(both.clone().narrow(0, row, 1), alone) < ROUNDING, "row {row}");
        }
    }

    #[test]
    fn a_token_that_is_hidden_is_read_by_nobody() {
        let device = device();
        let model = join(&variants::base(), CrossAttentionInit::Copy, &device);
        let tokens = variants::tokens(&device);
        let other = map(
            chunks(&device),
            |tokens| {
                let hidden = chunks(&device).hidden;
                tokens.mask_fill(hidden, 1)
            },
            |hidden| hidden,
        );
        let (one, two) =
            (read(&model, tokens.clone(), Some(chunks(&device))), read(&model, tokens, Some(other)));
        assert_eq!(one.into_data(), two.into_data());
    }

    #[test]
    fn only_what_is_new_is_trained() {
        let device = device().autodiff();
        for (output, encoder_training) in [
            (CrossAttentionInit::Copy, EncoderTraining::Trained),
            (CrossAttentionInit::Normal, EncoderTraining::Frozen),
        ] {
            let model = join(&variants::base(), output, &device).frozen(encoder_training);
            let gradients = read(&model, variants::tokens(&device), Some(chunks(&device)))
                .powi_scalar(2)
                .sum()
                .backward();
            struct Graded<'a>(&'a burn::tensor::Gradients, Vec<String>);
            impl Visit for Graded<'_> {
                fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
                    if param.val().grad(self.0).is_some() {
                        self.1.push(name.to_string());
                    }
                }
            }
            let mut graded = Graded(&gradients, Vec::new());
            parameter::visit(&model, &mut graded);
            let expected = parameter::shapes(&model).into_iter().map(|(name, _)| name).filter(|name| {
                is_new(name) || encoder_training == EncoderTraining::Trained && name.starts_with("encoder.")
            });
            assert_eq!(graded.1, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn cross_attentions_start_from_the_self_attention_before_them() {
        let (device, config) = (device(), variants::base());
        for output in [CrossAttentionInit::Zero, CrossAttentionInit::Copy, CrossAttentionInit::Normal] {
            let decoder = weights::of(&join(&config, output, &device).decoder);
            let of = |name: &str| floats(&decoder[&format!("blocks.1.{name}")]);
            let qkv = of("mixer.qkv.weight");
            assert_eq!(of("cross_attention.queries.weight"), columns(&qkv, 24, 0, 24));
            assert_eq!(of("cross_attention.keys_values.weight"), columns(&qkv, 24, 24, 48)[..16 * 48]);
            let (out, own) = (of("cross_attention.out.weight"), of("mixer.out.weight"));
            match output {
                CrossAttentionInit::Zero => assert!(out.iter().all(|&value| value == 0.0)),
                CrossAttentionInit::Copy => assert_eq!(out, own),
                CrossAttentionInit::Normal => assert!(out != own && out.iter().any(|&value| value != 0.0)),
            }
        }
    }

    #[test]
    fn from_heads_of_another_width_nothing_is_copied() {
        let mut config = variants::base();
        let MixerConfig::Attention(attention) = &mut config.block.mixer else { panic!("it has attention") };
        attention.d_head = Some(8); // 24 / 4 is 6
        let joined = |output| weights::of(&join(&config, output, &device()).decoder);
        assert_eq!(joined(CrossAttentionInit::Copy), joined(CrossAttentionInit::Normal));
    }

    #[test]
    fn counts_are_those_of_the_built_model() {
        let device = device();
        for (name, config) in variants::all() {
            let model = join(&config, CrossAttentionInit::Zero, &device);
            let built: usize = weights::of(&model.decoder).values().map(TensorData::num_elements).sum();
            let new: u64 = cross_attention(&config, 16).iter().map(|c| c.num_params(&config.widths(T))).sum();
            assert_eq!(config.num_params(V, T).total + new, built as u64, "{name}");
        }
    }

    #[test]
    fn another_vocabulary_is_refused() {
        let (device, config) = (device(), variants::base());
        let decoder = config.init(V, T, 3, &device);
        let joined = ContextModel::join(
            &config,
            decoder,
            encoder(5, V + 2, &device),
            CrossAttentionInit::Zero,
            EncoderTraining::Trained,
            7,
        );
        let message = joined.unwrap_err().to_string();
        assert!(
            message.starts_with("context.encoder: an encoder of 13 tokens and the mask for a decoder of 11"),
            "{message}"
        );
    }

    #[test]
    #[should_panic(expected = "chunks of 5 tokens for an encoder that reads 4")]
    fn a_chunk_longer_than_the_encoders_window_is_refused() {
        let device = device();
        let model = join(&variants::base(), CrossAttentionInit::Copy, &device);
        let longer = map(
            chunks(&device),
            |tokens| Tensor::cat(vec![tokens.clone(), tokens.narrow(2, 0, 1)], 2),
            |hidden| Tensor::cat(vec![hidden.clone(), hidden.narrow(2, 0, 1)], 2),
        );
        read(&model, variants::tokens(&device), Some(longer));
    }

    #[test]
    fn an_encoder_reads_both_ways_or_is_refused() {
        let mut config = variants::base();
        let sizes = EncoderConfig { width: 0.6, depth: 1.0 };
        assert_eq!(sizes.model(&config).check_encoder(4), []);
        assert_eq!(config.check_encoder(4)[0].key.as_deref(), Some("block.mixer"));
        config.block.mixer = MixerConfig::Average(Default::default());
        assert_eq!(sizes.model(&config).check_encoder(4)[0].key.as_deref(), Some("block.mixer"));
        assert_eq!(sizes.model(&variants::base()).check(4)[0].key.as_deref(), Some("block.mixer.mask"));
        let full = Capacity::Factor(CapacityConfig { factor: 2.0 });
        for (moe, key) in [
            (MoeConfig { capacity: full, ..MoeConfig::default() }, "block.feed_forward.capacity"),
            (MoeConfig { test_capacity: full, ..MoeConfig::default() }, "block.feed_forward.test_capacity"),
        ] {
            let mut config = variants::base();
            config.block.feed_forward = FeedForwardConfig::Moe(moe);
            assert_eq!(config.check(4), []);
            assert_eq!(sizes.model(&config).check_encoder(4)[0].key.as_deref(), Some(key));
        }
    }
}
