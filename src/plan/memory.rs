//! How much memory a run on a CPU takes: what its tensors hold when they are most, and what the process adds.
//!
//! Tensors are counted from the configs: a backward pass needs what the kernels of the forward pass have saved, saving
//! copies weights and moments, measuring reads many sequences and keeps nothing. What the process adds was measured.

use super::Plan;
use super::data_size::DataSize;
use crate::Result;
use crate::data::DataConfig;
use crate::layers::Widths;
use crate::layers::convolution::ConvolutionConfig;
use crate::layers::feed_forward::{ExpertConfig, FeedForwardConfig};
use crate::layers::mixer::{AttentionConfig, LogitSoftcap, MixerConfig, QkNormConfig};
use crate::layers::norm::NormConfig;
use crate::layers::position::PositionConfig;
use crate::measure::{MeasureContext, QuantizeConfig, TOKENS_PER_PASS};
use crate::model::context::cross_attention;
use crate::model::{BlockConfig, ModelConfig, NormPlacement};
use crate::training::ContextConfig;
use crate::training::context::{EncoderContext, Stage};
use crate::training::reading::chunk_len;

const MIB: f64 = 1024.0 * 1024.0;

// What the process adds and what the allocator holds: from the peaks in docs/reliability.md, without pages of 2 MiB.

/// The program and its heap before anything is trained.
const PROGRAM: f64 = 18.0 * MIB;
/// What the heap of a training begins with.
const TRAINING: f64 = 2.0 * MIB;
/// GPT-2's tokenizer while a vocabulary is cut out of it.
const TOKENIZER: f64 = 12.0 * MIB;
/// The heap of the thread pool, on which runs what is not fused.
const POOL: f64 = 8.0 * MIB;
/// Resident bytes for a byte that is read at once: what was freed is kept, and where a tensor of training was, a larger
/// one of a measurement finds no room.
const LEFT: f64 = 2.2;

/// The bytes of a number in float32.
const F32: f64 = 4.0;
/// A weight and its two moments.
const STATE: f64 = 3.0 * F32;
/// What saving adds: a copy of the moments, and the file that they become.
const SAVING: f64 = 4.0 * F32;
/// Rows of a chunk of logits (`kernels/flex/cross_entropy.rs`).
const LOGIT_ROWS: f64 = 96.0;
/// The head's weights packed for two products, and their gradient.
const HEADS: f64 = 3.0;
/// Matrices of scores that exist at once, where attention is not fused: as they are, hidden in part, and as shares.
const SCORES: f64 = 3.0;
/// The tokens that a QA test and GPTQ read at once.
const EXAM_TOKENS: f64 = 8192.0;
/// The largest expert load over the mean one: every expert has that capacity.
const FULLEST: f64 = 2.0;
/// Matrices that GPTQ makes of the inputs of a linear layer, in `f64`: their sum, damped, its factor, the inverse.
const HESSIANS: f64 = 4.0 * 8.0;

/// Numbers that a part of a model holds for each token.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    /// Saved by the forward pass for the backward.
    kept: f64,
    /// The most that exist at once in a pass that saves nothing, and as gradients in the backward.
    at_once: f64,
    /// Whether all of it is fused kernels.
    is_fused: bool,
}

impl Numbers {
    const NONE: Numbers = Numbers { kept: 0.0, at_once: 0.0, is_fused: true };

    /// What is kept and exists at once alike.
    fn alike(numbers: f64) -> Self {
        Numbers { kept: numbers, at_once: numbers, is_fused: true }
    }

    /// The numbers, held by Burn's own operations instead of fused kernels.
    fn unfused(self) -> Self {
        Numbers { is_fused: false, ..self }
    }

    /// One part after the other.
    fn then(self, next: Numbers) -> Self {
        Numbers {
            kept: self.kept + next.kept,
            at_once: self.at_once.max(next.at_once),
            is_fused: self.is_fused && next.is_fused,
        }
    }
}

/// What decides how much memory a run takes, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    params: f64,
    /// What a sequence of a training step adds; none where nothing is trained.
    of_a_row: f64,
    /// The weights of the head, and a chunk of logits.
    head: f64,
    /// What the measurements read at once.
    reading: f64,
    /// What is there before any tensor.
    process: f64,
    /// The micro-batch: sequences of a step that are in memory at once.
    rows: usize,
    /// The sequences of a step.
    pub(super) batch: usize,
}

impl Memory {
    /// The memory with this micro-batch.
    pub(super) fn with_rows(self, rows: usize) -> Self {
        Memory { rows, ..self }
    }

    /// The largest resident memory: of a step or of a checkpoint, and what the measurements add.
    pub(super) fn peak_bytes(&self) -> u64 {
        let sum_of_parts = if self.rows < self.batch { F32 * self.params } else { 0.0 };
        let state = STATE * self.params + sum_of_parts;
        let step = self.rows as f64 * self.of_a_row + self.head;
        (self.process + state + step.max(SAVING * self.params) + LEFT * self.reading) as u64
    }
}

impl Plan {
    pub(super) fn memory(&self) -> Result<Memory> {
        let (size, training, t) = (DataSize::of(&self.data)?, self.own_training()?, self.row_len()?);
        let (beside, rounds) = match (&self.context, &self.measure.quantize) {
            (ContextConfig::Encoder(context), _) => (self.context_numbers(context, t)?, false),
            (_, quantize) => (0.0, matches!(quantize, QuantizeConfig::Gptq(_))),
        };
        let trains = self.steps()? > 0;
        let is_fused = of_model(&self.model, t).is_fused && beside == 0.0 && !rounds;
        let row = t as f64 * step_numbers(&self.model, t) + beside;
        let pool = if is_fused { 0.0 } else { POOL };
        Ok(Memory {
            params: self.num_params()?.total as f64,
            of_a_row: if trains { F32 * row } else { 0.0 },
            head: head(&self.model, size.vocab_size),
            reading: F32 * self.reading_numbers(size.tokens_per_exposure)?,
            process: PROGRAM + if trains { TRAINING } else { 0.0 } + opening(&self.data) + pool,
            rows: training.rows_at_once(),
            batch: training.batch,
        })
    }

    /// Numbers that exist at once while the run is measured.
    fn reading_numbers(&self, tokens_per_exposure: f64) -> Result<f64> {
        let (d, t) = (self.model.d_model as f64, self.data.seq_len());
        let of_a_token = |t: usize| d + of_model(&self.model, t).at_once;
        let to_read = match &self.data {
            DataConfig::Corpus(corpus) => corpus.held_out as f64 * corpus.length as f64,
            DataConfig::BioS(_)
            | DataConfig::BioD(_)
            | DataConfig::BioR(_)
            | DataConfig::Reading(_)
            | DataConfig::Text(_)
            | DataConfig::Mixture(_) => tokens_per_exposure,
        };
        let at_once = match self.measure.context {
            MeasureContext::Alone => TOKENS_PER_PASS,
            MeasureContext::Packed => TOKENS_PER_PASS.max(t),
        };
        let read = to_read.min(at_once as f64) * of_a_token(t);
        let rounded = match &self.measure.quantize {
            QuantizeConfig::None | QuantizeConfig::Rtn(_) => 0.0,
            QuantizeConfig::Gptq(config) => {
                let inputs = inputs(&self.model.block, &self.model.widths(t));
                let widest = inputs.iter().fold(0.0f64, |widest, width| widest.max(*width));
                let tokens = EXAM_TOKENS.min(config.tokens as f64);
                tokens * (inputs.iter().sum::<f64>() + of_a_token(t)) + HESSIANS / F32 * widest * widest
            }
        };
        let exam = match &self.context {
            ContextConfig::None | ContextConfig::Replug => 0.0,
            ContextConfig::Window | ContextConfig::Stretched(_) => {
                self.exam_tokens_at_once()? * of_a_token(t)
            }
            ContextConfig::Encoder(context) => {
                let (encoder, chunk) = (context.encoder.model(&self.model), chunk_len(&self.data)?);
                self.exam_tokens_at_once()? * (encoder.d_model as f64 + of_model(&encoder, chunk).at_once)
            }
        };
        Ok(read.max(rounded).max(exam))
    }

    /// The tokens of chunks that a QA test reads at once.
    fn exam_tokens_at_once(&self) -> Result<f64> {
        let (exam, chunk) = (&self.measure.qa_test, chunk_len(&self.data)?);
        Ok((exam.questions as f64 * exam.most_chunks as f64 * chunk as f64).min(EXAM_TOKENS))
    }

    /// What a sequence of `t` tokens reads beside itself: its chunks in the encoder, and in each block the keys and values made
    /// of them and its scores for them. For the sequence as a whole.
    fn context_numbers(&self, context: &EncoderContext, t: usize) -> Result<f64> {
        let chunk = chunk_len(&self.data)?;
        let chunks = match context.stage {
            Stage::Read => context.chunks as usize,
            Stage::Copy => t.div_ceil(chunk),
        };
        let s = (chunks * chunk) as f64;
        let encoder = context.encoder.model(&self.model);
        let (d, h) = (self.model.d_model as f64, self.model.n_heads as f64);
        let reading = cross_attention(&self.model, encoder.d_model).into_iter().map(|sublayer| {
            let d_kv = 2.0 * sublayer.n_kv_heads as f64 * d / h;
            t as f64 * (5.0 * d + SCORES * h * s) + 2.0 * d_kv * s
        });
        let numbers = of_model(&encoder, chunk);
        Ok(s * (numbers.kept + numbers.at_once) + reading.sum::<f64>())
    }
}

/// The weights of the head, and a chunk of logits, in bytes.
fn head(model: &ModelConfig, vocab_size: usize) -> f64 {
    F32 * (HEADS * model.d_model as f64 + LOGIT_ROWS) * vocab_size as f64
}

/// What opening the data takes for a moment: GPT-2's tokenizer where text is English.
fn opening(data: &DataConfig) -> f64 {
    match data {
        DataConfig::BioS(_) | DataConfig::BioR(_) | DataConfig::Text(_) => TOKENIZER,
        DataConfig::BioD(_) | DataConfig::Reading(_) | DataConfig::Corpus(_) => 0.0,
        DataConfig::Mixture(mixture) => {
            mixture.sources.values().map(|source| opening(&source.data)).fold(0.0, f64::max)
        }
    }
}

/// Numbers of a token of a training step with sequences of length `t`: what is kept, the last norm with its input and output, the
/// gradient of the stream, and those of the widest sublayer.
fn step_numbers(model: &ModelConfig, t: usize) -> f64 {
    let Numbers { kept, at_once, .. } = of_model(model, t);
    kept + 3.0 * model.d_model as f64 + at_once
}

/// All blocks, with sequences of length `t`.
fn of_model(model: &ModelConfig, t: usize) -> Numbers {
    let widths = model.widths(t);
    let blocks = model.blocks().into_iter().map(|block| of_block(&block, &model.norm, &widths));
    blocks.fold(Numbers::NONE, Numbers::then)
}

/// Each half keeps the stream before it, and what its norms were given and gave.
fn of_block(block: &BlockConfig, norm: &NormConfig, widths: &Widths) -> Numbers {
    let d = widths.d_model as f64;
    let norms = match (norm, block.norm_placement) {
        (NormConfig::None, _) => 0.0,
        (_, NormPlacement::Sandwich) => 2.0,
        (_, NormPlacement::Pre | NormPlacement::Post | NormPlacement::Output) => 1.0,
        (_, NormPlacement::Parallel(_)) => 1.0,
    };
    let stream = Numbers { kept: d + norms * (d + 2.0), ..Numbers::NONE };
    let half = |convolution: ConvolutionConfig, sublayer: Numbers| {
        stream.then(of_convolution(convolution, d)).then(sublayer)
    };
    let mixer = half(block.mixer_convolution, of_mixer(&block.mixer, widths));
    match block.feed_forward {
        FeedForwardConfig::None => mixer,
        feed_forward => {
            mixer.then(half(block.feed_forward_convolution, of_feed_forward(feed_forward, widths)))
        }
    }
}

/// Each tap keeps its part of the sequence.
fn of_convolution(convolution: ConvolutionConfig, channels: f64) -> Numbers {
    match convolution {
        ConvolutionConfig::None => Numbers::NONE,
        ConvolutionConfig::Canon(canon) => Numbers::alike((canon.width + 1) as f64 * channels),
    }
}

fn of_mixer(mixer: &MixerConfig, widths: &Widths) -> Numbers {
    match mixer {
        MixerConfig::Attention(attention) => of_attention(attention, widths),
        MixerConfig::Average(_) => Numbers::alike(3.0 * widths.d_model as f64),
    }
}

/// The fused kernel keeps the packed projection, its output and a number a head; else queries, keys and values stand
/// apart, and scores are whole.
fn of_attention(attention: &AttentionConfig, widths: &Widths) -> Numbers {
    let (h, k) = (widths.n_heads as f64, attention.d_head(widths) as f64);
    let packed = (h + 2.0 * attention.n_kv_heads(widths) as f64) * k;
    let t = widths.seq_len;
    let is_fused = attention.logit_softcap == LogitSoftcap::None
        && attention.position != PositionConfig::Alibi
        && attention.mask.is_causal_within(t);
    let heads = match is_fused {
        true => Numbers::alike(packed + h * k + h),
        false => Numbers::alike(packed + h * k + SCORES * h * t as f64).unfused(),
    };
    let normed = match attention.qk_norm {
        QkNormConfig::None => Numbers::NONE,
        QkNormConfig::PerHead(_) | QkNormConfig::Joint(_) => Numbers::alike(2.0 * packed),
    };
    of_convolution(attention.convolution, packed).then(normed).then(heads)
}

fn of_feed_forward(feed_forward: FeedForwardConfig, widths: &Widths) -> Numbers {
    match feed_forward {
        FeedForwardConfig::Mlp(mlp) => Numbers::alike(2.0 * mlp.d_ff(widths.d_model) as f64),
        FeedForwardConfig::GatedMlp(mlp) => Numbers::alike(3.0 * mlp.d_ff(widths.d_model) as f64),
        FeedForwardConfig::Moe(moe) => {
            let (d, k) = (widths.d_model as f64, moe.top_k as f64);
            let expert = of_feed_forward(moe.expert.into(), widths).kept;
            let places = FULLEST * k + moe.n_shared as f64;
            let routing = 6.0 * k * moe.n_experts as f64;
            Numbers::alike(places * (2.0 * d + expert) + k * d + routing).unfused()
        }
        FeedForwardConfig::None => Numbers::NONE,
    }
}

/// The widths of the inputs of the linear layers of a block.
fn inputs(block: &BlockConfig, widths: &Widths) -> [f64; 4] {
    let d = widths.d_model;
    let heads = match &block.mixer {
        MixerConfig::Attention(attention) => widths.n_heads * attention.d_head(widths),
        MixerConfig::Average(_) => d,
    };
    let of_expert = |expert: &ExpertConfig| match expert {
        ExpertConfig::Mlp(mlp) => mlp.d_ff(widths.d_model),
        ExpertConfig::GatedMlp(mlp) => mlp.d_ff(widths.d_model),
    };
    let hidden = match &block.feed_forward {
        FeedForwardConfig::Mlp(mlp) => mlp.d_ff(widths.d_model),
        FeedForwardConfig::GatedMlp(mlp) => mlp.d_ff(widths.d_model),
        FeedForwardConfig::Moe(moe) => of_expert(&moe.expert),
        FeedForwardConfig::None => 0,
    };
    [d, heads, d, hidden].map(|width| width as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::feed_forward::MlpConfig;

    fn model(d_model: usize, n_layers: usize) -> ModelConfig {
        let mut model = ModelConfig { d_model, n_layers, n_heads: 4, ..ModelConfig::default() };
        model.block.feed_forward = FeedForwardConfig::Mlp(MlpConfig::default());
        model
    }

    /// Peaks of steps without a measurement in MiB, measured as resident memory on a CPU: `zoo bench`, less the 12 MiB of
    /// the matrices that it multiplies.
    #[test]
    fn the_estimate_of_steps_is_near_measured_peaks() {
        let measured = [
            (model(64, 2), 1024, 128, 16, 45.9),
            (model(128, 4), 2048, 256, 8, 117.3),
            (model(256, 6), 8192, 512, 8, 549.0),
        ];
        for (model, vocab_size, seq_len, rows, measured) in measured {
            let memory = Memory {
                params: model.num_params(vocab_size, seq_len).total as f64,
                of_a_row: F32 * seq_len as f64 * step_numbers(&model, seq_len),
                head: head(&model, vocab_size),
                reading: 0.0,
                process: PROGRAM + TRAINING,
                rows,
                batch: rows,
            };
            let mib = memory.peak_bytes() as f64 / MIB;
            assert!((mib / measured - 1.0).abs() < 0.15, "{mib} MiB, measured {measured}");
        }
    }

    /// Of a block of width 64: the stream, norm and kernel of attention, then those of a plain MLP, counted by hand.
    #[test]
    fn a_block_keeps_what_its_kernels_save() {
        let of = |model: &ModelConfig| of_model(model, 16);
        let numbers = of(&model(64, 1));
        let by_hand = (64 + 66 + 192 + 64 + 4) + (64 + 66 + 2 * 256);
        assert_eq!((numbers.kept, numbers.at_once, numbers.is_fused), (by_hand as f64, 512.0, true));
        assert_eq!(of(&model(64, 3)).kept, 3.0 * numbers.kept);
        let mut alibi = model(64, 1);
        let MixerConfig::Attention(attention) = &mut alibi.block.mixer else { panic!("it has attention") };
        attention.position = PositionConfig::Alibi;
        let scores = of(&alibi);
        assert_eq!((scores.kept - numbers.kept, scores.is_fused), (3.0 * 4.0 * 16.0 - 4.0, false));
    }

    #[test]
    fn gptq_needs_more_than_rounding_to_nearest_and_a_checkpoint_of_a_large_model_more_than_its_steps() {
        let mut plan = Plan { model: model(64, 2), ..Plan::default() };
        let needs = |plan: &Plan| plan.memory().unwrap().peak_bytes();
        plan.measure.quantize = QuantizeConfig::Rtn(Default::default());
        let nearest = needs(&plan);
        plan.measure.quantize = QuantizeConfig::Gptq(Default::default());
        assert!(needs(&plan) > nearest);
        plan.model = model(1024, 8);
        plan.training.batch = 1;
        let params = plan.num_params().unwrap().total as f64;
        assert!(needs(&plan) as f64 >= 28.0 * params);
    }
}
