//! Masked language modelling: an encoder predicts tokens that are hidden from it, from both sides.
//!
//! Devlin et al. 2019 (arXiv 1810.04805). Every hidden token becomes the mask (no random and no unchanged ones), three in
//! ten of all (Wettig et al. 2023, arXiv 2202.08005; Yen et al. 2024 use the same for their encoder).

use std::ops::Range;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::config::TrainingConfig;
use super::fit::Job;
use super::objective::{Objective, StepLoss};
use crate::data::random::Streams;
use crate::data::{Batch, Dataset};
use crate::error::Result;
use crate::model::{Decoder, encoder};

/// The objective: the next token, or masked tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The next token, from those before it.
    #[default]
    NextToken,
    /// Tokens that are hidden, from both sides: an encoder.
    Masked(MaskedConfig),
}

/// Settings of masked language modelling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaskedConfig {
    /// Which share of the tokens is hidden.
    pub share: f64,
}

impl Default for MaskedConfig {
    fn default() -> Self {
        MaskedConfig { share: 0.3 }
    }
}

/// An encoder on sequences of the data.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    /// The encoder, its data, and how it learns.
    pub job: Job<'a>,
    /// What is hidden.
    pub config: MaskedConfig,
}

/// Tokens beside those of the data: the mask.
const MASKS: usize = 1;

impl Objective for Masked<'_> {
    type Model = Decoder;
    type Data = Dataset;
    type Batch = Batch;

    fn training(&self) -> &TrainingConfig {
        self.job.training
    }

    fn steps(&self) -> Result<u64> {
        self.job.steps_with(MASKS)
    }

    fn open_data(&self) -> Result<Dataset> {
        self.job.open_data_with(MASKS)
    }

    fn start(&self, device: &Device) -> Result<Decoder> {
        let Job { model, data, seed, .. } = self.job;
        Ok(model.init_encoder(data.vocab_size()?, data.seq_len(), seed, device))
    }

    fn batch(&self, data: &Dataset, step: u64) -> Batch {
        let mut batch = self.job.batch(data, step);
        self.hide(&mut batch, encoder::mask(data.vocab_size() + MASKS), step);
        batch
    }

    fn loss(
        &self,
        model: &Decoder,
        batch: &Batch,
        step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss {
        self.job.loss(model, batch, step, part, device)
    }
}

impl Masked<'_> {
    /// Puts `mask` in the place of some tokens, at least one, which become the targets.
    fn hide(&self, batch: &mut Batch, mask: i32, step: u64) {
        const FINE: u64 = 1 << 32;
        let mut draws = Streams::new(self.job.seed, "masks").at(step);
        batch.targets.clone_from(&batch.tokens);
        let mut hidden: Vec<bool> = batch
            .tokens
            .iter()
            .map(|_| (draws.below(FINE) as f64) < self.config.share * FINE as f64)
            .collect();
        let one = draws.below(hidden.len() as u64) as usize;
        hidden[one] |= !hidden.contains(&true);
        for ((token, weight), hidden) in batch.tokens.iter_mut().zip(&mut batch.weights).zip(hidden) {
            if hidden {
                *token = mask;
            } else {
                *weight = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataConfig, ReadingConfig};
    use crate::model::{EncoderConfig, ModelConfig};
    use crate::training::config::{Count, Length, ScheduleConfig};
    use crate::training::{NoopObserver, Outcome, fit};

    fn training(steps: u64) -> TrainingConfig {
        let schedule = ScheduleConfig::Constant(crate::training::config::ConstantConfig { warmup_steps: 2 });
        let length = Length::Steps(Count { count: steps });
        TrainingConfig { length, batch: 8, peak_lr: 1e-2, schedule, ..TrainingConfig::default() }
    }

    #[test]
    fn hidden_tokens_are_the_targets_and_nothing_else_counts() {
        let data = DataConfig::Reading(ReadingConfig::default().chunks());
        let (model, training) = (ModelConfig::default(), training(1));
        let job = Job { model: &model, data: &data, training: &training, seed: 3 };
        let masked = Masked { job, config: MaskedConfig::default() };
        let whole = job.open_data().unwrap().batch(0, 200);
        let mut batch = whole.clone();
        masked.hide(&mut batch, 99, 0);
        assert_eq!(batch.targets, whole.tokens);
        for ((&token, &weight), &before) in batch.tokens.iter().zip(&batch.weights).zip(&whole.tokens) {
            assert_eq!((token, weight), if weight == 1.0 { (99, 1.0) } else { (before, 0.0) });
        }
        let share = batch.weights.iter().sum::<f32>() / batch.weights.len() as f32;
        assert!((share - 0.3).abs() < 0.04, "{share} is more than four standard errors from 0.3");
        let mut again = whole;
        masked.hide(&mut again, 99, 1);
        assert_ne!(again.tokens, batch.tokens, "another step, other tokens");
    }

    #[test]
    fn an_encoder_learns_to_fill_the_gaps() {
        let data = DataConfig::Reading(ReadingConfig { name_pool: 4, ..ReadingConfig::default() }.chunks());
        let sizes = EncoderConfig { width: 1.0, depth: 1.0 };
        let model = sizes.model(&crate::model::variants::base());
        let training = training(200);
        let masked = Masked {
            job: Job { model: &model, data: &data, training: &training, seed: 3 },
            config: MaskedConfig::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let device = crate::device::open("cpu").unwrap();
        let Outcome::Finished(trained) = fit(&masked, &device, folder.path(), &mut NoopObserver).unwrap()
        else {
            panic!("nobody asked it to stop")
        };
        let guess = (data.vocab_size().unwrap() as f64).ln();
        assert!(trained.meters.tail.value() < 0.7 * guess, "{} of {guess}", trained.meters.tail.value());
        assert_eq!(trained.meters.tokens, 200 * 8 * 17);
    }
}
