//! A trained decoder learns to answer in another form than text: how it answers before it is given an encoder.
//!
//! A small stand-in for the tuning to instructions behind the chat models of CEPED (Yen, Gao and Chen 2024, arXiv
//! 2402.16617).

use std::ops::Range;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::config::TrainingConfig;
use super::context::StageTraining;
use super::fit::Job;
use super::objective::{Objective, StepLoss};
use super::optimizer::Optimizer;
use super::weights::{self, Weights};
use crate::data::reading::AnswerForm;
use crate::data::{Batch, DataConfig, Dataset};
use crate::error::{Error, Problem, Result};
use crate::model::Decoder;

/// Settings of learning to answer in another form.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AnsweringAdapt {
    /// The form.
    pub form: AnswerForm,
    /// How it is trained; all parameters learn.
    pub training: StageTraining,
}

/// Learning to answer in another form.
#[derive(Debug)]
pub struct Answering<'a> {
    /// The decoder, its data and seed, and how it learns this.
    pub job: Job<'a>,
    /// The form.
    pub form: AnswerForm,
    /// The trained decoder; absent: as it starts.
    pub base: Option<Weights>,
}

/// Tokens of the sequences of `data` whose questions are answered in this form.
///
/// # Errors
/// The data asks no questions about what stands before them, or has no room for such an answer.
pub fn row_len(data: &DataConfig, form: AnswerForm) -> Result<usize> {
    match data {
        DataConfig::Reading(config) if config.answered_questions(form) > 0 => Ok(config.answered_len(form)),
        DataConfig::Reading(config) => {
            let problem = Problem::new(format!("{} questions in a sequence", config.questions));
            let problem = problem.key("data.questions").expected("room for one with its answer in this form");
            Err(Error::config(problem.help("at least 2, or adapt = \"none\"")))
        }
        DataConfig::BioS(_)
        | DataConfig::BioD(_)
        | DataConfig::BioR(_)
        | DataConfig::Text(_)
        | DataConfig::Corpus(_)
        | DataConfig::Mixture(_) => {
            let problem = Problem::new(format!("\"{}\" asks nothing that is read", data.kind()));
            Err(Error::config(problem.key("data.kind").expected("\"reading\", for adapt = \"answering\"")))
        }
    }
}

impl Objective for Answering<'_> {
    type Model = Decoder;
    type Data = Dataset;
    type Batch = Batch;

    fn training(&self) -> &TrainingConfig {
        self.job.training
    }

    fn steps(&self) -> Result<u64> {
        self.job.steps()
    }

    fn open_data(&self) -> Result<Dataset> {
        self.job.open_data()
    }

    fn start(&self, device: &Device) -> Result<Decoder> {
        let start = self.job.start(device)?;
        match &self.base {
            Some(trained) => weights::put(start, trained.clone(), "the run that is tuned"),
            None => Ok(start),
        }
    }

    fn optimizer(&self) -> Optimizer {
        self.job.optimizer()
    }

    fn batch(&self, data: &Dataset, step: u64) -> Batch {
        let reading = data.reading().expect("the plan was checked to ask questions");
        reading.answered(self.form, step, self.job.training.batch)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReadingConfig;
    use crate::model::ModelConfig;
    use crate::training::config::{Count, Length};
    use crate::training::{Control, NoopObserver, Observer, Outcome, Progress, Trained, fit};
    use std::path::Path;

    const STEPS: u64 = 5;

    struct Setup {
        model: ModelConfig,
        data: DataConfig,
        training: TrainingConfig,
    }

    fn setup() -> Setup {
        let length = Length::Steps(Count { count: STEPS });
        Setup {
            model: crate::model::variants::base(),
            data: DataConfig::Reading(ReadingConfig::default()),
            training: TrainingConfig { length, batch: 3, ..TrainingConfig::default() },
        }
    }

    impl Setup {
        fn train(&self, folder: &Path, base: Option<Weights>, observer: &mut impl Observer) -> Outcome {
            let Setup { model, data, training } = self;
            let job = Job { model, data, training, seed: 5 };
            let device = crate::device::open("cpu").unwrap();
            fit(&Answering { job, form: AnswerForm::Sentence, base }, &device, folder, observer).unwrap()
        }
    }

    fn finished(outcome: Outcome) -> Box<Trained> {
        match outcome {
            Outcome::Finished(trained) => trained,
            Outcome::Stopped => panic!("nobody stopped it"),
        }
    }

    /// Stops after a step.
    struct Stopper(u64);

    impl Observer for Stopper {
        fn stepped(&mut self, progress: &Progress) -> Result<Control> {
            Ok(if progress.step == self.0 { Control::Stop } else { Control::Continue })
        }
    }

    #[test]
    fn it_begins_from_the_base_and_a_run_that_was_stopped_goes_on_to_the_same_bits() {
        let setup = setup();
        let [fresh, whole, cut] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let base = weights::of(&finished(setup.train(fresh.path(), None, &mut NoopObserver)).model);
        let expected = finished(setup.train(whole.path(), Some(base.clone()), &mut NoopObserver));
        assert_ne!(weights::of(&expected.model), base);
        assert!(matches!(setup.train(cut.path(), Some(base.clone()), &mut Stopper(3)), Outcome::Stopped));
        let resumed = finished(setup.train(cut.path(), Some(base), &mut NoopObserver));
        assert_eq!(weights::of(&resumed.model), weights::of(&expected.model));
        assert_eq!(resumed.steps, STEPS);
    }

    #[test]
    fn data_without_room_for_an_answer_is_refused() {
        let message = |data: DataConfig| row_len(&data, AnswerForm::Ended).unwrap_err().to_string();
        assert!(message(DataConfig::default()).starts_with("data.kind: \"bio-d\" asks nothing"));
        let few = DataConfig::Reading(ReadingConfig { questions: 1, ..ReadingConfig::default() });
        assert!(message(few).starts_with("data.questions: 1 questions in a sequence"));
        assert_eq!(row_len(&setup().data, AnswerForm::Sentence).unwrap(), 4 * 17 + 4 * 9 - 1);
    }
}
