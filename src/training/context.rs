//! How a model reads more than its context length: the `[context]` table of a plan.

use serde::{Deserialize, Serialize};

use super::config::{CosineConfig, Count, Length, ScheduleConfig, TrainingConfig};
use super::masked::MaskedConfig;
use crate::error::Problem;
use crate::layers::position::RopeScaling;
use crate::model::{CrossAttentionInit, EncoderConfig, EncoderTraining};

/// How a model reads more than the decoder's context length. Everything but `none` begins from the decoder that the same plan
/// trains without a context.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant)] // one per plan
pub enum ContextConfig {
    /// Nothing more is read.
    #[default]
    None,
    /// As many chunks as fit before the question in the decoder's window; the first are cut off.
    Window,
    /// The window is longer than it was in training.
    Stretched(StretchedConfig),
    /// One forward pass per chunk, probabilities averaged (Shi et al. 2023, arXiv 2301.12652, all weights alike).
    Replug,
    /// An encoder reads the chunks, a cross-attention in every block reads the encoder.
    Encoder(EncoderContext),
}

/// Settings of a stretched window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StretchedConfig {
    /// How its positions are stretched; the factor is that of the window.
    pub scaling: RopeScaling,
}

/// Settings of an encoder beside a decoder, and of the stages of its training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderContext {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// What it learns by itself first.
    pub pretraining: Pretraining,
    /// What the output projections of the cross-attentions start from.
    pub output: CrossAttentionInit,
    /// Whether the encoder learns together with the cross-attentions.
    pub encoder_training: EncoderTraining,
    /// What encoder and cross-attentions learn first.
    pub warm_up: WarmUp,
    /// The largest number of chunks beside a sequence in training.
    pub chunks: u64,
    /// Which share of them loses its end; one in ten of those loses everything.
    pub chunk_dropout: f64,
    /// The last stage: sequences with chunks beside them.
    pub training: StageTraining,
    /// What the last stage learns from besides the text.
    #[serde(skip_serializing_if = "DistillConfig::is_none")]
    pub distill: DistillConfig,
    /// The stage of CEPE that the plan trains.
    pub stage: Stage,
}

/// What an encoder learns by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pretraining {
    /// Nothing: it starts with random weights.
    #[default]
    None,
    /// To fill gaps in single chunks.
    Masked(MaskedPretraining),
}

/// Settings of an encoder's pre-training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MaskedPretraining {
    /// The masked-language-modelling settings.
    pub masked: MaskedConfig,
    /// How it is trained.
    pub training: StageTraining,
}

/// What encoder and cross-attentions learn first.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarmUp {
    /// Nothing.
    #[default]
    None,
    /// To copy: the chunks hold the decoder's own sequence.
    Copy(CopyWarmUp),
}

/// Settings of the copy warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyWarmUp {
    /// How it is trained.
    pub training: StageTraining,
}

/// What the last stage learns from besides the text.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistillConfig {
    /// Nothing.
    #[default]
    None,
    /// The decoder itself, when it reads the chunks in its own window (CEPED).
    Teacher(TeacherConfig),
}

/// Settings of a teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TeacherConfig {
    /// What the divergence counts beside the loss of the text; 0: nothing.
    pub weight: f64,
    /// Tokens that the teacher holds for the most probable, by which it is followed; the others are dropped.
    pub top_k: usize,
}

/// How a stage is trained, beside the decoder's own training: its optimizer and clipping, and a cosine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTraining {
    /// Steps over the decoder's.
    pub length: f64,
    /// Sequences in a step.
    pub batch: usize,
    /// The highest learning rate.
    pub peak_lr: f64,
}

/// A stage of training with a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The last stage: chunks hold what the sequence needs.
    #[default]
    Read,
    /// The warm-up: chunks hold the sequence itself.
    Copy,
}

impl Default for StretchedConfig {
    fn default() -> Self {
        StretchedConfig { scaling: RopeScaling::Linear(Default::default()) }
    }
}

/// Share of a stage in which its learning rate rises.
const WARMUP: f64 = 0.04;

impl Default for StageTraining {
    fn default() -> Self {
        StageTraining { length: 0.5, batch: 16, peak_lr: 1e-3 }
    }
}

impl StageTraining {
    /// All of it, beside a decoder that is trained like this for so many steps.
    pub fn beside(&self, decoder: &TrainingConfig, steps: u64) -> TrainingConfig {
        let count = ((self.length * steps as f64).round() as u64).max(1);
        let warmup_steps = (WARMUP * count as f64).round() as u64;
        TrainingConfig {
            length: Length::Steps(Count { count }),
            batch: self.batch,
            micro_batch: decoder.micro_batch.filter(|&rows| rows < self.batch),
            precision: decoder.precision,
            gradient_checkpointing: decoder.gradient_checkpointing,
            peak_lr: self.peak_lr,
            schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps, ..CosineConfig::default() }),
            optimizer: decoder.optimizer,
            clip: decoder.clip,
            ..TrainingConfig::default()
        }
    }

    /// What is impossible about it.
    pub fn check(&self) -> Vec<Problem> {
        let possible = self.length > 0.0 && self.length <= 1e6;
        let problem = Problem::new(self.length.to_string()).key("length");
        (!possible).then(|| problem.expected("a ratio above 0 to the decoder's steps")).into_iter().collect()
    }
}

impl Default for TeacherConfig {
    fn default() -> Self {
        TeacherConfig { weight: 2.0, top_k: 50 }
    }
}

impl DistillConfig {
    /// Whether nobody teaches.
    pub fn is_none(&self) -> bool {
        *self == DistillConfig::None
    }

    /// What is impossible about it; keys are relative to `[context]`.
    fn check(&self) -> Vec<Problem> {
        let DistillConfig::Teacher(TeacherConfig { weight, top_k }) = *self else { return Vec::new() };
        let mut problems = Vec::new();
        if !(0.0..=1e6).contains(&weight) {
            let problem = Problem::new(weight.to_string()).key("distill.weight");
            problems.push(problem.expected("a number from 0 to 1000000"));
        }
        if top_k == 0 {
            problems.push(Problem::new("0").key("distill.top_k").expected("at least 1"));
        }
        problems
    }
}

impl Default for EncoderContext {
    fn default() -> Self {
        EncoderContext {
            encoder: EncoderConfig::default(),
            pretraining: Pretraining::None,
            output: CrossAttentionInit::Zero,
            encoder_training: EncoderTraining::Trained,
            warm_up: WarmUp::None,
            chunks: 8,
            chunk_dropout: 0.3,
            training: StageTraining::default(),
            distill: DistillConfig::None,
            stage: Stage::Read,
        }
    }
}

impl StretchedConfig {
    /// How many times as long the window becomes.
    pub fn factor(&self) -> f64 {
        match self.scaling {
            RopeScaling::None => 1.0,
            RopeScaling::Linear(stretch) | RopeScaling::Ntk(stretch) => stretch.factor,
            RopeScaling::Yarn(yarn) => yarn.factor,
        }
    }
}

impl EncoderContext {
    /// The warm-up before it, if there is one; whatever only the last stage needs is as it is by default.
    pub fn warm_up(&self) -> Option<Self> {
        let WarmUp::Copy(copy) = self.warm_up else { return None };
        let EncoderContext { chunks, chunk_dropout, warm_up, distill, .. } = EncoderContext::default();
        Some(EncoderContext {
            stage: Stage::Copy,
            training: copy.training,
            chunks,
            chunk_dropout,
            warm_up,
            distill,
            ..*self
        })
    }

    /// What is impossible about its own numbers; keys are relative to `[context]`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.chunk_dropout) {
            let problem = Problem::new(self.chunk_dropout.to_string()).key("chunk_dropout");
            problems.push(problem.expected("a share from 0 to 1"));
        }
        if self.chunks == 0 {
            problems.push(Problem::new("0").key("chunks").expected("at least 1"));
        }
        if let Pretraining::Masked(pretraining) = self.pretraining {
            problems
                .extend(pretraining.masked.check().map(|problem| problem.key("pretraining.masked.share")));
        }
        if self.stage == Stage::Copy && self.warm_up != WarmUp::None {
            problems.push(Problem::new("a warm-up of the warm-up").key("warm_up").expected("\"none\""));
        }
        if self.stage == Stage::Copy && !self.distill.is_none() {
            problems.push(Problem::new("a teacher in the warm-up").key("distill").expected("\"none\""));
        }
        problems.extend(self.distill.check());
        problems
    }
}

impl MaskedConfig {
    /// What is impossible about it.
    pub fn check(&self) -> Option<Problem> {
        let possible = self.share > 0.0 && self.share < 1.0;
        (!possible).then(|| {
            Problem::new(self.share.to_string()).key("share").expected("a share above 0 and below 1")
        })
    }
}
