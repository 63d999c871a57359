//! A trained model learns to answer questions about some people, by low-rank adapters beside its frozen weights: the
//! `[adapt]` table of a plan, and the loss that is minimised.
//!
//! The check of arXiv 2404.05405, Appendix A.2: what a model has stored of the others is of use only if it can answer
//! about them, too.

use std::ops::Range;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::answering::AnsweringAdapt;
use super::config::{
    AdamwConfig, Cooldown, Count, Length, OptimizerConfig, ScheduleConfig, TrainingConfig, WsdConfig,
};
use super::fit::{Job, cross_entropy, tensors};
use super::objective::{Objective, StepLoss};
use super::weights::{self, Weights};
use crate::data::questions::{Form, Gold, Question, QuestionsConfig};
use crate::data::reading::AnswerForm;
use crate::data::{Batch, Dataset};
use crate::error::{Problem, Result};
use crate::layers::{ForwardContext, within};
use crate::model::{Adapted, LoraConfig, ModelConfig};

/// What becomes of a trained model before it is measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdaptConfig {
    /// Nothing.
    #[default]
    None,
    /// QA tuning on questions about some people, and a test on the others.
    Questions(QuestionsAdapt),
    /// Tuning to answer in another form than text about what is read, and a test of that form.
    Answering(AnsweringAdapt),
}

impl AdaptConfig {
    /// How questions about what is read are answered.
    pub fn form(&self) -> AnswerForm {
        match self {
            AdaptConfig::None | AdaptConfig::Questions(_) => AnswerForm::Value,
            AdaptConfig::Answering(answering) => answering.form,
        }
    }
}

/// Settings of learning to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuestionsAdapt {
    /// What is learned beside the frozen weights.
    pub lora: LoraConfig,
    /// The share of people that questions are about in training; the others are the test.
    pub asked: f64,
    /// Steps.
    pub steps: u64,
    /// Questions in a step.
    pub batch: usize,
    /// The learning rate of the first step; it falls on a line to zero.
    pub peak_lr: f64,
    /// Share of the adapters that is taken away per step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for QuestionsAdapt {
    /// As published, but for the number of steps (75,000 there).
    fn default() -> Self {
        QuestionsAdapt {
            lora: LoraConfig::default(),
            asked: 0.5,
            steps: 2000,
            batch: 96,
            peak_lr: 1e-3,
            weight_decay: 0.1,
        }
    }
}

/// The most steps that are taken for meant.
const MAX_STEPS: u64 = 1 << 32;
/// The most questions in a step that are taken for meant.
const MAX_BATCH: usize = 1 << 20;

impl QuestionsAdapt {
    /// All of it as training: the optimizer and clipping of the model itself, another decay, and a line to zero.
    pub fn training(&self, model: &TrainingConfig) -> TrainingConfig {
        let OptimizerConfig::Adamw(adamw) = model.optimizer;
        TrainingConfig {
            length: Length::Steps(Count { count: self.steps }),
            batch: self.batch,
            micro_batch: model.micro_batch.filter(|&rows| rows < self.batch),
            precision: model.precision,
            gradient_checkpointing: model.gradient_checkpointing,
            peak_lr: self.peak_lr,
            schedule: ScheduleConfig::Wsd(WsdConfig {
                warmup_steps: 0,
                cooldown: 1.0,
                shape: Cooldown::Linear,
                floor: 0.0,
            }),
            optimizer: OptimizerConfig::Adamw(AdamwConfig { weight_decay: self.weight_decay, ..adamw }),
            clip: model.clip,
            ..TrainingConfig::default()
        }
    }

    /// How many of so many people are asked about in training: from the first on.
    pub fn n_asked(&self, people: u64) -> u64 {
        (self.asked * people as f64).round() as u64
    }

    /// What is impossible about it for a model; keys are relative to `[adapt]`.
    pub fn check(&self, model: &ModelConfig) -> Vec<Problem> {
        let mut problems = within("lora", self.lora.check(model));
        let mut demand = |possible: bool, key: &str, found: String, expected: &str| {
            if !possible {
                problems.push(Problem::new(found).key(key).expected(expected));
            }
        };
        let (asked, rate, decay) = (self.asked, self.peak_lr, self.weight_decay);
        demand(asked > 0.0 && asked < 1.0, "asked", asked.to_string(), "a share above 0 and below 1");
        demand((1..=MAX_STEPS).contains(&self.steps), "steps", self.steps.to_string(), "1 to 2^32");
        demand((1..=MAX_BATCH).contains(&self.batch), "batch", self.batch.to_string(), "1 to 2^20");
        demand(rate > 0.0 && rate <= 10.0, "peak_lr", rate.to_string(), "a rate above 0 and at most 10");
        demand((0.0..=100.0).contains(&decay), "weight_decay", decay.to_string(), "0 to 100");
        problems
    }
}

/// Learning to answer questions about the first people of the data.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The model, its data and seed.
    pub job: Job<'a>,
    /// What is learned.
    pub questions: &'a QuestionsAdapt,
    /// How it is learned.
    pub training: TrainingConfig,
    /// The trained model; absent: as it starts.
    pub base: Option<Weights>,
}

impl Asking<'_> {
    /// FLOPs of a part of a step over `tokens` tokens in sequences of `seq_len`: merged matrices cost what they cost in any
    /// training, and `A B` comes on top.
    fn flops(&self, vocab_size: usize, seq_len: usize, tokens: usize) -> f64 {
        let Job { model, data, .. } = self.job;
        let per_token = model.flops_per_token(vocab_size, seq_len).exact;
        let merging = self.questions.lora.flops_per_step(model, vocab_size, data.seq_len());
        tokens as f64 * per_token as f64 + merging as f64
    }
}

/// Questions as sequences, right-padded; only tokens of answers count in the loss.
pub fn answers(questions: &[Question]) -> Batch {
    let written: Vec<_> = questions.iter().map(Question::row).collect();
    let seq_len = written.iter().map(|(row, _)| row.len() - 1).max().unwrap_or(1);
    let n = written.len() * seq_len;
    let mut batch = Batch {
        tokens: vec![0; n],
        targets: vec![0; n],
        weights: vec![0.0; n],
        rows: written.len(),
        seq_len,
    };
    for (index, (row, answer)) in written.iter().enumerate() {
        for (place, pair) in row.windows(2).enumerate() {
            let place_in_batch = index * seq_len + place;
            batch.tokens[place_in_batch] = pair[0] as i32;
            batch.targets[place_in_batch] = pair[1] as i32;
            batch.weights[place_in_batch] = if answer.contains(&(place + 1)) { 1.0 } else { 0.0 };
        }
    }
    batch
}

impl Objective for Asking<'_> {
    type Model = Adapted;
    type Data = Dataset;
    type Batch = Batch;

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn steps(&self) -> Result<u64> {
        Ok(self.questions.steps)
    }

    fn open_data(&self) -> Result<Dataset> {
        self.job.open_data()
    }

    fn start(&self, device: &Device) -> Result<Adapted> {
        let Job { model, data, seed, .. } = self.job;
        let (vocab_size, seq_len) = (data.vocab_size()?, data.seq_len());
        let mut base = model.init(vocab_size, seq_len, seed, device);
        if let Some(trained) = &self.base {
            base = weights::put(base, trained.clone(), "the run that is asked")?;
        }
        Ok(Adapted::new(base, self.questions.lora.places(model, vocab_size, seq_len), seed, device))
    }

    fn batch(&self, data: &Dataset, step: u64) -> Batch {
        let people = data.information().map_or(0, |information| information.people);
        let config = QuestionsConfig {
            people: 0..self.questions.n_asked(people),
            chunks: 0,
            gold: Gold::Present,
            form: Form::Turned,
        };
        let questions =
            data.questions(self.job.seed, config).expect("the plan was checked to have people to ask about");
        let rows = self.training.batch as u64;
        answers(&(step * rows..(step + 1) * rows).map(|index| questions.get(index)).collect::<Vec<_>>())
    }

    fn loss(
        &self,
        model: &Adapted,
        batch: &Batch,
        _step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss {
        let (batch, share) = batch.part(part);
        let (tokens, targets, weights) = tensors(&batch, device);
        let merged = model.merged();
        let mut ctx = ForwardContext::training();
        let hidden = merged.hidden(tokens, &mut ctx); // [b, t, d]
        let n = batch.rows * batch.seq_len;
        let flops = self.flops(merged.vocab_size(), batch.seq_len, n);
        let (loss, auxiliary) = cross_entropy(hidden, &merged, targets, weights, ctx);
        StepLoss::new(loss, auxiliary, share).costing(n as u64, flops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BioDConfig, DataConfig};
    use crate::model::parameter;
    use crate::training::{Control, NoopObserver, Observer, Outcome, Progress, Trained, fit};
    use std::path::Path;

    struct Setup {
        model: ModelConfig,
        data: DataConfig,
        training: TrainingConfig,
        questions: QuestionsAdapt,
    }

    fn setup() -> Setup {
        let length = Length::Steps(Count { count: 3 });
        Setup {
            model: crate::model::variants::base(),
            data: DataConfig::BioD(BioDConfig { people: 40, ..BioDConfig::default() }),
            training: TrainingConfig { length, batch: 3, ..TrainingConfig::default() },
            questions: QuestionsAdapt { steps: 6, batch: 5, peak_lr: 1e-2, ..QuestionsAdapt::default() },
        }
    }

    impl Setup {
        fn objective(&self) -> Asking<'_> {
            let Setup { model, data, training, questions } = self;
            let job = Job { model, data, training, seed: 5 };
            Asking { job, questions, training: questions.training(training), base: None }
        }

        fn fit(&self, checkpoints: &Path, observer: &mut impl Observer<Adapted>) -> Outcome<Adapted> {
            let device = crate::device::open("cpu").unwrap();
            fit(&self.objective(), &device, checkpoints, observer).unwrap()
        }
    }

    fn finished(outcome: Outcome<Adapted>) -> Box<Trained<Adapted>> {
        match outcome {
            Outcome::Finished(trained) => trained,
            Outcome::Stopped => panic!("nobody stopped it"),
        }
    }

    #[test]
    fn only_answers_count_and_only_people_who_are_asked_about() {
        let setup = setup();
        let data = setup.objective().open_data().unwrap();
        let batch = setup.objective().batch(&data, 3);
        assert_eq!(
            (batch.rows, batch.seq_len),
            (5, 6),
            "end-of-text, attribute, name, value, one token ahead"
        );
        let names: Vec<Vec<u32>> =
            (0..20).map(|person| data.document(person, 0).tokens[1..4].to_vec()).collect();
        for (row, weights) in batch.weights.chunks(6).enumerate() {
            assert_eq!(weights, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
            let name: Vec<u32> =
                batch.tokens[row * 6 + 2..row * 6 + 5].iter().map(|&token| token as u32).collect();
            assert!(names.contains(&name), "row {row} is about one of the first half");
        }
        assert_ne!(batch, setup.objective().batch(&data, 4));
    }

    #[test]
    fn training_moves_the_adapters_and_leaves_the_base_as_it_is_to_the_bit() {
        let setup = setup();
        let device = crate::device::open("cpu").unwrap();
        let start = setup.objective().start(&device).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let trained = finished(setup.fit(folder.path(), &mut NoopObserver));
        assert_eq!(trained.model.base_weights(), start.base_weights());
        let (before, after) = (weights::of(&start), weights::of(&trained.model));
        let moved = before.keys().filter(|name| before[*name] != after[*name]).count();
        assert_eq!(
            moved,
            2 * start.adapters.len(),
            "both halves of every adapter have moved, and nothing else"
        );
        assert_ne!(weights::of(&trained.model.merged()), start.base_weights());
    }

    /// Stops after a step.
    struct Stopper(u64);

    impl Observer<Adapted> for Stopper {
        fn stepped(&mut self, progress: &Progress) -> Result<Control> {
            Ok(if progress.step == self.0 { Control::Stop } else { Control::Continue })
        }
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
        let setup = setup();
        let [whole, cut] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let expected = finished(setup.fit(whole.path(), &mut NoopObserver));
        assert!(matches!(setup.fit(cut.path(), &mut Stopper(4)), Outcome::Stopped));
        let resumed = finished(setup.fit(cut.path(), &mut NoopObserver));
        assert_eq!(weights::of(&resumed.model), weights::of(&expected.model));
        assert_eq!(resumed.steps, 6);
    }

    #[test]
    fn the_rate_falls_on_a_line_from_its_peak_to_zero() {
        let training = setup().objective().training;
        let shares: Vec<f64> = (0..4).map(|step| training.schedule.share(step, 4)).collect();
        assert_eq!(shares, [1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn tables_and_maps_are_adapted_by_default() {
        let setup = setup();
        let device = crate::device::open("cpu").unwrap();
        let adapted = setup.objective().start(&device).unwrap();
        let names: Vec<String> = parameter::shapes(&adapted).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("adapters.")).count(), 6);
        assert!(names.contains(&"base.blocks.0.mixer.qkv.weight".to_string()), "{names:?}");
    }

    #[test]
    fn impossible_settings_are_refused_with_their_keys() {
        let model = setup().model;
        let keys = |questions: QuestionsAdapt| -> Vec<String> {
            questions.check(&model).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        let good = QuestionsAdapt::default();
        assert_eq!(keys(good.clone()), [""; 0]);
        let bad =
            QuestionsAdapt { asked: 1.0, steps: 0, batch: 0, peak_lr: f64::NAN, weight_decay: -1.0, ..good };
        let bad = QuestionsAdapt { lora: LoraConfig { rank: 99, ..bad.lora.clone() }, ..bad };
        assert_eq!(keys(bad), ["lora.rank", "asked", "steps", "batch", "peak_lr", "weight_decay"]);
    }
}
