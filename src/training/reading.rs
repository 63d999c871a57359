//! A frozen decoder learns to read an encoder: first copying, then answering from chunks beside its sequence.
//!
//! Yen, Gao and Chen 2024 (arXiv 2402.16617), section 3.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::TrainingConfig;
use super::context::{DistillConfig, EncoderContext, Stage};
use super::distill;
use super::fit::{Job, cross_entropy, tensors};
use super::objective::{Objective, StepLoss};
use super::weights::{self, Weights};
use crate::data::{Batch, ChunkBatch, DataConfig, Dataset};
use crate::error::{Error, Problem, Result};
use crate::layers::ForwardContext;
use crate::model::context::cross_attention;
use crate::model::{Chunks, ContextModel, ModelConfig};

/// A stage of training with an encoder beside a decoder.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The decoder, its data and seed.
    pub job: Job<'a>,
    /// The encoder, and the stage.
    pub context: &'a EncoderContext,
    /// How the stage is trained.
    pub training: TrainingConfig,
    /// The trained decoder; absent: as it starts.
    pub decoder: Option<Weights>,
    /// The trained encoder; absent: as it starts.
    pub encoder: Option<Weights>,
}

/// Tokens of a chunk of `data`, the window of its encoder.
///
/// # Errors
/// The data has no chunks.
pub fn chunk_len(data: &DataConfig) -> Result<usize> {
    match data {
        DataConfig::Reading(config) => Ok(config.chunk_len()),
        DataConfig::BioS(_)
        | DataConfig::BioD(_)
        | DataConfig::BioR(_)
        | DataConfig::Text(_)
        | DataConfig::Corpus(_)
        | DataConfig::Mixture(_) => {
            let problem = Problem::new(format!("\"{}\" has no chunks beside its sequences", data.kind()));
            Err(Error::config(problem.key("data.kind").expected("\"reading\", for a plan with a [context]")))
        }
    }
}

/// Tokens of the decoder's sequences at a stage.
///
/// # Errors
/// The data has no chunks.
pub fn row_len(data: &DataConfig, stage: Stage) -> Result<usize> {
    match (data, stage) {
        (DataConfig::Reading(config), Stage::Read) => Ok(config.questions_len()),
        (data, Stage::Read | Stage::Copy) => chunk_len(data).map(|_| data.seq_len()),
    }
}

/// FLOPs of a training step of one sequence of `t` tokens with `k` chunks of `c` beside it: two passes through the frozen
/// decoder (forward, and the gradient of its states), three through everything that learns, and what a teacher with a
/// window of so many tokens costs.
pub fn flops_per_row(
    model: &ModelConfig,
    context: &EncoderContext,
    vocab_size: usize,
    [t, k, c]: [usize; 3],
    window: usize,
) -> u64 {
    let encoder = context.encoder.model(model);
    let head = 2 * (vocab_size as u64 + 1) * encoder.d_model as u64;
    let of_decoder = model.flops_per_token(vocab_size, t).exact / 3;
    let of_encoder = encoder.flops_per_token(vocab_size + 1, c).exact / 3 - head;
    let widths = model.widths(t);
    let reading: u64 = cross_attention(model, encoder.d_model)
        .iter()
        .map(|sublayer| {
            t as u64 * sublayer.flops_per_token(&widths, k * c)
                + (k * c) as u64 * sublayer.flops_per_context_token(&widths)
        })
        .sum();
    let passes = match context.encoder_training {
        crate::model::EncoderTraining::Trained => 3,
        crate::model::EncoderTraining::Frozen => 1,
    };
    let teaching = match context.distill {
        DistillConfig::None => 0,
        DistillConfig::Teacher(_) => distill::flops_per_row(model, vocab_size, [t, k, c], window),
    };
    2 * t as u64 * of_decoder + 3 * reading + passes * (k * c) as u64 * of_encoder + teaching
}

/// A batch of chunks on a device.
pub fn chunk_tensors(chunks: &ChunkBatch, rows: usize, device: &Device) -> Chunks {
    let shape = [rows, chunks.n_chunks, chunks.chunk_len];
    Chunks {
        tokens: Tensor::from_data(TensorData::new(chunks.tokens.clone(), shape), device),
        hidden: Tensor::from_data(TensorData::new(chunks.hidden.clone(), shape), device),
    }
}

impl Reading<'_> {
    fn chunk_len(&self) -> usize {
        chunk_len(self.job.data).expect("a plan with a context was checked to have chunks")
    }
}

impl Objective for Reading<'_> {
    type Model = ContextModel;
    type Data = Dataset;
    type Batch = (Batch, ChunkBatch);

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn steps(&self) -> Result<u64> {
        Job { training: &self.training, ..self.job }.steps()
    }

    fn open_data(&self) -> Result<Dataset> {
        self.job.open_data()
    }

    fn start(&self, device: &Device) -> Result<ContextModel> {
        let Job { model, data, seed, .. } = self.job;
        let vocab_size = data.vocab_size()?;
        let mut decoder = model.init(vocab_size, data.seq_len(), seed, device);
        if let Some(trained) = &self.decoder {
            decoder = weights::put(decoder, trained.clone(), "the decoder's run")?;
        }
        let config = self.context.encoder.model(model);
        let mut encoder = config.init_encoder(vocab_size, chunk_len(data)?, seed, device);
        if let Some(trained) = &self.encoder {
            encoder = weights::put(encoder, trained.clone(), "the encoder's run")?;
        }
        ContextModel::join(model, decoder, encoder, self.context.output, self.context.encoder_training, seed)
    }

    fn batch(&self, data: &Dataset, step: u64) -> (Batch, ChunkBatch) {
        let rows = self.training.batch;
        match (self.context.stage, data.reading()) {
            (Stage::Read, Some(reading)) => {
                reading.with_chunks(step, rows, self.context.chunks, self.context.chunk_dropout)
            }
            (Stage::Read, None) | (Stage::Copy, _) => {
                let batch = data.batch(step, rows);
                let chunks = ChunkBatch::copy_of(&batch, self.chunk_len());
                (batch, chunks)
            }
        }
    }

    fn loss(
        &self,
        model: &ContextModel,
        (batch, chunks): &(Batch, ChunkBatch),
        _step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss {
        let ((batch, share), chunks) = (batch.part(part.clone()), chunks.part(part));
        let (tokens, targets, weights) = tensors(&batch, device);
        let sizes = [batch.seq_len, chunks.n_chunks, chunks.chunk_len];
        let chunks = chunk_tensors(&chunks, batch.rows, device);
        let (hidden, ctx) = model.hidden(tokens.clone(), Some(chunks.clone()), ForwardContext::training());
        let (loss, mut auxiliary) = cross_entropy(hidden.clone(), &model.decoder, targets, weights, ctx);
        let (vocab_size, window) = (model.decoder.vocab_size(), model.decoder.seq_len());
        let flops = flops_per_row(self.job.model, self.context, vocab_size, sizes, window);
        if let DistillConfig::Teacher(teacher) = &self.context.distill {
            let apart = teacher.loss(&model.decoder, hidden, tokens, chunks);
            auxiliary = Some(super::fit::sum(apart, auxiliary));
        }
        let tokens = (batch.rows * (sizes[0] + sizes[1] * sizes[2])) as u64;
        StepLoss::new(loss, auxiliary, share).costing(tokens, batch.rows as f64 * flops as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReadingConfig;
    use crate::model::context::is_new;
    use crate::model::{CrossAttentionInit, EncoderConfig, EncoderTraining};
    use crate::training::config::{ConstantConfig, Count, Length, ScheduleConfig};
    use crate::training::context::TeacherConfig;
    use crate::training::{Control, NoopObserver, Observer, Outcome, Progress, Trained, fit};
    use std::path::Path;

    const STEPS: u64 = 6;

    struct Setup {
        model: ModelConfig,
        data: DataConfig,
        training: TrainingConfig,
        context: EncoderContext,
    }

    fn setup(stage: Stage, encoder_training: EncoderTraining) -> Setup {
        let schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 1 });
        let length = Length::Steps(Count { count: STEPS });
        let training = TrainingConfig { length, batch: 3, schedule, ..TrainingConfig::default() };
        let context = EncoderContext {
            encoder: EncoderConfig { width: 0.3, depth: 0.5 },
            output: CrossAttentionInit::Copy,
            encoder_training,
            chunks: 3,
            stage,
            ..EncoderContext::default()
        };
        let data = ReadingConfig { biographies: 2, questions: 2, ..ReadingConfig::default() };
        Setup { model: crate::model::variants::base(), data: DataConfig::Reading(data), training, context }
    }

    /// The last stage with a teacher, or with nobody.
    fn taught(weight: Option<f64>) -> Setup {
        let mut setup = setup(Stage::Read, EncoderTraining::Trained);
        setup.context.chunks = 2;
        if let Some(weight) = weight {
            setup.context.distill = DistillConfig::Teacher(TeacherConfig { weight, top_k: 5 });
        }
        setup
    }

    impl Setup {
        fn objective(&self) -> Reading<'_> {
            let job = Job { model: &self.model, data: &self.data, training: &self.training, seed: 4 };
            Reading { job, context: &self.context, training: self.training, decoder: None, encoder: None }
        }

        fn train(
            &self,
            folder: &Path,
            observer: &mut impl Observer<ContextModel, Dataset>,
        ) -> Option<Box<Trained<ContextModel>>> {
            let device = crate::device::open("cpu").unwrap();
            match fit(&self.objective(), &device, folder, observer).unwrap() {
                Outcome::Finished(trained) => Some(trained),
                Outcome::Stopped => None,
            }
        }
    }

    #[test]
    fn training_leaves_every_bit_of_the_decoder_and_changes_everything_new() {
        let setups = [
            setup(Stage::Read, EncoderTraining::Trained),
            setup(Stage::Copy, EncoderTraining::Frozen),
            taught(Some(2.0)),
        ];
        for setup in setups {
            let encoder_training = setup.context.encoder_training;
            let device = crate::device::open("cpu").unwrap();
            let before = weights::of(&setup.objective().start(&device).unwrap());
            let trained = setup.train(tempfile::tempdir().unwrap().path(), &mut NoopObserver).unwrap();
            for (name, after) in weights::of(&trained.model) {
                let learns = match name.strip_prefix("decoder.") {
                    Some(own) => is_new(own),
                    None => encoder_training == EncoderTraining::Trained,
                };
                // A sequence of the encoder's table whose token was never read has no gradient, the table as a whole has.
                assert_eq!(after != before[&name], learns, "{name}");
            }
        }
    }

    #[test]
    fn a_stage_cut_anywhere_ends_with_the_same_bits() {
        struct Cut(u64);
        impl Observer<ContextModel, Dataset> for Cut {
            fn stepped(&mut self, progress: &Progress) -> Result<Control> {
                Ok(if progress.step == self.0 { Control::Stop } else { Control::Continue })
            }
        }
        for setup in [setup(Stage::Read, EncoderTraining::Trained), taught(Some(2.0))] {
            let whole = setup.train(tempfile::tempdir().unwrap().path(), &mut NoopObserver).unwrap();
            for cut in 1..STEPS {
                let folder = tempfile::tempdir().unwrap();
                assert!(setup.train(folder.path(), &mut Cut(cut)).is_none());
                let resumed = setup.train(folder.path(), &mut NoopObserver).unwrap();
                assert_eq!(weights::of(&resumed.model), weights::of(&whole.model), "cut after step {cut}");
                assert_eq!(resumed.meters.flops, whole.meters.flops);
            }
        }
    }

    #[test]
    fn a_teacher_without_weight_changes_nothing_but_the_cost() {
        let trained =
            |weight| taught(weight).train(tempfile::tempdir().unwrap().path(), &mut NoopObserver).unwrap();
        let (alone, unheard, heard) = (trained(None), trained(Some(0.0)), trained(Some(2.0)));
        assert_eq!(weights::of(&alone.model), weights::of(&unheard.model));
        assert_ne!(weights::of(&alone.model), weights::of(&heard.model));
        assert!(alone.meters.flops < unheard.meters.flops);
        assert_eq!(unheard.meters.flops, heard.meters.flops);
    }

    #[test]
    fn data_without_chunks_is_refused() {
        let message = chunk_len(&DataConfig::default()).unwrap_err().to_string();
        assert_eq!(
            message,
            "data.kind: \"bio-d\" has no chunks beside its sequences, expected \"reading\", for a plan with a [context]"
        );
    }
}
