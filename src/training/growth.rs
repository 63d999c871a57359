//! A run that begins from a smaller model: what it takes over, what growing costs, which rate its steps have.
//!
//! The steps of a grown run count on from those of the small model, so that it reads on where that one stopped. It does
//! fewer steps of its own than a run from scratch: as many as leave the same FLOPs in all.

use std::ops::Range;
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::config::{AdamwConfig, OptimizerConfig, ScheduleConfig, TrainingConfig};
use super::fit::{InitialState, Job, StepGradients, backward_in_parts};
use super::meters::Meters;
use super::objective::{Objective, StepLoss};
use super::optimizer::Optimizer;
use super::weights::{self, Weights};
use crate::data::{Batch, Dataset};
use crate::error::{Error, Kind, Problem, Result};
use crate::model::Decoder;
use crate::model::growth::learn::Seed;
use crate::model::growth::{Carry, Growth, LearnConfig, Ligo, Operator, Ramp};

/// Which learning rates the big model's steps have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resume {
    /// The schedule begins anew with its warm-up, as in the Gstack paper.
    #[default]
    Restart,
    /// The schedule goes on where a run from scratch would be after as many FLOPs.
    Continue,
}

/// The steps of a grown run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Steps of a run from scratch of as many FLOPs.
    pub budget: u64,
    /// Steps of the small model.
    pub small: u64,
    /// Steps in which growth is learned, by the big model.
    pub learning: u64,
    /// Steps of the big model that those of the small one cost.
    pub spared: u64,
    /// Which learning rates the steps have.
    pub resume: Resume,
}

impl Timing {
    /// All steps, those of the small model counted.
    pub fn steps(&self) -> u64 {
        self.first() + self.own()
    }

    /// The first step of the big model.
    pub fn first(&self) -> u64 {
        self.small + self.learning
    }

    /// Steps that the big model is trained for.
    pub fn own(&self) -> u64 {
        self.budget.saturating_sub(self.spared + self.learning)
    }

    /// Steps of the schedule before the first of the big model.
    fn ahead(&self) -> u64 {
        match self.resume {
            Resume::Restart => 0,
            Resume::Continue => self.spared + self.learning,
        }
    }

    /// The rate of `step` as a share of the peak.
    pub fn share(&self, schedule: &ScheduleConfig, step: u64) -> f64 {
        schedule.share(step - self.first() + self.ahead(), self.own() + self.ahead())
    }

    /// The budget of the run that ends where the cooldown of this one begins.
    pub fn trunk_budget(&self, schedule: &ScheduleConfig) -> Option<u64> {
        let trunk = schedule.trunk_steps(self.own() + self.ahead())?;
        Some(trunk.saturating_sub(self.ahead()) + self.spared + self.learning)
    }
}

/// How a run begins from a smaller model.
#[derive(Debug, Clone)]
pub struct Growing {
    /// Both models and the way between them.
    pub growth: Growth,
    /// What happens to the moments of the optimizer.
    pub optimizer: Carry,
    /// Its steps.
    pub timing: Timing,
}

/// A job whose model was grown.
#[derive(Debug)]
pub struct Grown<'a> {
    /// What the big model is trained on, and how.
    pub job: Job<'a>,
    /// How it begins.
    pub growing: Growing,
    ramp: Option<Ramp>,
}

impl<'a> Grown<'a> {
    /// `job` is about the big model, `growing` about how it begins.
    ///
    /// # Errors
    /// The data's files cannot be read.
    pub fn new(job: Job<'a>, growing: Growing, device: &Device) -> Result<Self> {
        let ramp = growing.growth.ramp(job.data.vocab_size()?, job.data.seq_len(), device);
        Ok(Grown { job, growing, ramp })
    }
}

impl Objective for Grown<'_> {
    type Model = Decoder;
    type Data = Dataset;
    type Batch = Batch;

    fn training(&self) -> &TrainingConfig {
        self.job.training
    }

    fn steps(&self) -> Result<u64> {
        Ok(self.growing.timing.steps())
    }

    fn open_data(&self) -> Result<Dataset> {
        self.job.open_data()
    }

    fn start(&self, device: &Device) -> Result<Decoder> {
        self.job.start(device)
    }

    fn optimizer(&self) -> Optimizer {
        self.job.optimizer()
    }

    fn share(&self, step: u64, _steps: u64) -> f64 {
        self.growing.timing.share(&self.job.training.schedule, step)
    }

    fn updates(&self, step: u64) -> u64 {
        match self.growing.optimizer {
            Carry::Fresh => step.saturating_sub(self.growing.timing.first()),
            Carry::Copy => step,
        }
    }

    fn batch(&self, data: &Dataset, step: u64) -> Batch {
        self.job.batch(data, step)
    }

    fn loss(
        &self,
        model: &Decoder,
        batch: &Batch,
        step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss {
        match &self.ramp {
            Some(ramp) => {
                let ramped = ramp.apply(model, step - self.growing.timing.first());
                self.job.loss(&ramped, batch, step, part, device)
            }
            None => self.job.loss(model, batch, step, part, device),
        }
    }
}

impl Growing {
    /// The state that the run of `job` begins with; `small` is where the small model ended, or nothing for a small model
    /// that was never trained.
    ///
    /// # Errors
    /// The state is not that of the small model, data cannot be read, or learning diverges.
    pub fn begin(&self, job: &Job, small: Option<InitialState>, device: &Device) -> Result<InitialState> {
        let (vocab_size, seq_len) = (job.data.vocab_size()?, job.data.seq_len());
        let small = small.unwrap_or_else(|| InitialState {
            model: weights::of(&self.growth.small().init(vocab_size, seq_len, job.seed, device)),
            moments: None,
            step: 0,
            meters: Meters::default(),
        });
        let fresh = weights::of(&job.model.init(vocab_size, seq_len, job.seed, device));
        let moments = match (self.optimizer, &small.moments) {
            (Carry::Copy, Some(moments)) => Some(self.growth.moments(moments, &small.model, &fresh)?),
            (Carry::Copy, None) | (Carry::Fresh, _) => None,
        };
        if let Operator::Learn(config) = self.growth.recipe().operator {
            return learn(&self.growth, &config, job, small, device);
        }
        let model = self.growth.weights(&small.model, &fresh)?;
        Ok(InitialState { model, moments, ..small })
    }
}

/// Trains the matrices of [`Ligo`] on the batches that follow, and multiplies them out.
///
/// # Errors
/// The data cannot be read, or the loss is not finite.
pub fn learn(
    growth: &Growth,
    config: &LearnConfig,
    job: &Job,
    small: InitialState,
    device: &Device,
) -> Result<InitialState> {
    let (start, device) = (Instant::now(), device.clone().autodiff());
    let (vocab_size, seq_len) = (job.data.vocab_size()?, job.data.seq_len());
    let seed = Seed::new(&small.model, &device);
    let empty = job.model.init(vocab_size, seq_len, job.seed, &device);
    let mut ligo = Ligo::new(growth, &seed, job.seed, &device);
    let mut optimizer = Optimizer::new(&without_decay(&job.training.optimizer), &job.training.clip);
    let (data, mut meters) = (job.open_data()?, small.meters);
    for step in 0..config.steps {
        let batch = job.batch(&data, small.step + step);
        let of_part = |part| {
            let grown = ligo.grow(growth, &seed, empty.clone());
            job.loss(&grown, &batch, small.step + step, part, &device)
        };
        let StepGradients { gradients, tokens, flops, .. } = backward_in_parts(&ligo, job.training, of_part);
        ligo = optimizer.step(ligo, gradients, config.lr).map_err(|_| diverged(step))?.0;
        meters.tokens += tokens;
        meters.flops += flops;
    }
    meters.seconds += start.elapsed().as_secs_f64();
    let model: Weights = weights::of(&ligo.grow(growth, &seed, empty));
    Ok(InitialState { model, moments: None, step: small.step + config.steps, meters })
}

/// Decay would pull the matrices away from what they start as.
fn without_decay(optimizer: &OptimizerConfig) -> OptimizerConfig {
    let OptimizerConfig::Adamw(config) = *optimizer;
    OptimizerConfig::Adamw(AdamwConfig { weight_decay: 0.0, ..config })
}

fn diverged(step: u64) -> Error {
    let problem = Problem::new(format!("step {} of learned growth: the gradient is not finite", step + 1));
    Error::new(Kind::Diverged, problem.help("use a lower growth.operator.lr"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BioDConfig, DataConfig};
    use crate::model::ModelConfig;
    use crate::model::growth::{RampConfig, Recipe};
    use crate::training::config::{ConstantConfig, Count, Length, TrainingConfig, WsdConfig};
    use crate::training::fit::{fit_from, loss};
    use crate::training::observer::{Control, NoopObserver, Observer, Progress};
    use crate::training::{Metrics, Outcome};

    const SMALL: u64 = 6;
    const OWN: u64 = 8;

    struct Setup {
        data: DataConfig,
        small: ModelConfig,
        training: TrainingConfig,
        growing: Growing,
    }

    impl Setup {
        fn new(operator: Operator, optimizer: Carry) -> Self {
            let data = DataConfig::BioD(BioDConfig { people: 40, ..BioDConfig::default() });
            let small = ModelConfig { d_model: 12, n_layers: 1, n_heads: 2, ..ModelConfig::default() };
            let training = TrainingConfig {
                length: Length::Steps(Count { count: 10 }),
                batch: 3,
                schedule: ScheduleConfig::Constant(ConstantConfig { warmup_steps: 2 }),
                order: crate::training::DocumentOrder::Epochs,
                ..TrainingConfig::default()
            };
            let recipe = Recipe { operator, factor: Some(2), ..Recipe::default() };
            let growth = Growth::new(&recipe, &small).unwrap();
            let timing =
                Timing { budget: OWN + 3, small: SMALL, learning: 0, spared: 3, resume: Resume::Restart };
            Setup { data, small, training, growing: Growing { growth, optimizer, timing } }
        }

        fn job(&self) -> Job<'_> {
            Job { model: self.growing.growth.big(), data: &self.data, training: &self.training, seed: 5 }
        }

        fn grown(&self) -> Grown<'_> {
            Grown::new(self.job(), self.growing.clone(), &device()).unwrap()
        }

        /// Where the small model stands after its run.
        fn small_run(&self) -> InitialState {
            let training = TrainingConfig { length: Length::Steps(Count { count: SMALL }), ..self.training };
            let job = Job { model: &self.small, training: &training, ..self.job() };
            let folder = tempfile::tempdir().unwrap();
            fit_from(&job, &device(), folder.path().into(), || Ok(None), &mut NoopObserver).unwrap();
            InitialState::read(folder.path().into(), &device()).unwrap().unwrap()
        }
    }

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    #[derive(Default)]
    struct Recorder {
        stop_after: Option<u64>,
        metrics: Vec<Metrics>,
    }

    impl Observer for Recorder {
        fn stepped(&mut self, progress: &Progress) -> Result<Control> {
            Ok(if self.stop_after == Some(progress.step) { Control::Stop } else { Control::Continue })
        }

        fn metrics(&mut self, metrics: &Metrics) -> Result<()> {
            self.metrics.push(*metrics);
            Ok(())
        }
    }

    /// The weights at the end and what was told; cut after a step and resumed, if one is named.
    fn run(setup: &Setup, cut: Option<u64>) -> (Weights, Recorder, Meters) {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder { stop_after: cut, ..Recorder::default() };
        let begin = || setup.growing.begin(&setup.job(), Some(setup.small_run()), &device()).map(Some);
        let mut fit =
            || fit_from(&setup.grown(), &device(), folder.path().into(), begin, &mut recorder).unwrap();
        let outcome = match (fit(), cut) {
            (Outcome::Stopped, Some(_)) => fit(),
            (outcome, _) => outcome,
        };
        let Outcome::Finished(trained) = outcome else { panic!("nobody asked it to stop twice") };
        (weights::of(&trained.model), recorder, trained.meters)
    }

    #[test]
    fn a_grown_run_that_is_cut_anywhere_ends_with_the_same_bits() {
        let ramp = Operator::Random(RampConfig { ramp_steps: 4 });
        for (operator, optimizer) in [(Operator::default(), Carry::Fresh), (ramp, Carry::Copy)] {
            let setup = Setup::new(operator, optimizer);
            let (whole, recorder, meters) = run(&setup, None);
            assert_eq!(recorder.metrics.last().unwrap().step, SMALL + OWN);
            for cut in [SMALL + 1, SMALL + 3, SMALL + OWN - 1] {
                let (resumed, _, again) = run(&setup, Some(cut));
                assert_eq!(resumed, whole, "cut after {cut} of {operator:?}, {optimizer:?}");
                assert_eq!((again.tokens, again.flops), (meters.tokens, meters.flops));
            }
        }
    }

    #[test]
    fn the_small_model_s_tokens_flops_and_seconds_are_charged() {
        let setup = Setup::new(Operator::default(), Carry::Fresh);
        let small = setup.small_run();
        let begun = setup.growing.begin(&setup.job(), Some(setup.small_run()), &device()).unwrap();
        assert_eq!((begun.meters.tokens, begun.meters.flops), (small.meters.tokens, small.meters.flops));
        let (_, recorder, meters) = run(&setup, None);
        let per_token = |model: &ModelConfig| model.flops_per_token(261, 16).exact;
        let tokens = 3 * 16;
        let expected = SMALL * tokens * per_token(&setup.small) + OWN * tokens * per_token(setup.job().model);
        assert_eq!((meters.tokens, meters.flops), ((SMALL + OWN) * tokens, expected as f64));
        assert!(meters.seconds > small.meters.seconds / 2.0);
        assert_eq!(recorder.metrics[0].lr, setup.training.peak_lr / 2.0, "the warm-up begins anew");
    }

    #[test]
    fn learned_growth_trains_its_matrices_and_charges_them_as_the_big_model() {
        let learn = Operator::Learn(LearnConfig { steps: 4, lr: 1e-2 });
        let setup = Setup::new(learn, Carry::Fresh);
        let (job, small) = (setup.job(), setup.small_run());
        let stacked = Setup::new(Operator::default(), Carry::Fresh);
        let stacked = stacked.growing.begin(&job, Some(setup.small_run()), &device()).unwrap();
        let before = small.meters;
        let learned = setup.growing.begin(&job, Some(small), &device()).unwrap();
        assert_eq!(learned.step, SMALL + 4);
        assert_eq!(learned.meters.tokens - before.tokens, 4 * 3 * 16);
        let data = job.open_data().unwrap();
        let loss_of = |state: &InitialState| -> f64 {
            let empty = job.model.init(job.data.vocab_size().unwrap(), 16, 0, &device());
            let model = weights::put(empty, state.model.clone(), "the test").unwrap();
            (0..8)
                .map(|step| loss(&model, &data.batch(SMALL + step, 3), &device()).into_scalar::<f32>() as f64)
                .sum()
        };
        assert!(loss_of(&learned) < loss_of(&stacked), "{} < {}", loss_of(&learned), loss_of(&stacked));
    }

    #[test]
    fn rates_begin_anew_or_go_on() {
        let wsd = ScheduleConfig::Wsd(WsdConfig { warmup_steps: 10, cooldown: 0.2, ..WsdConfig::default() });
        let timing = |resume| Timing { budget: 100, small: 80, learning: 0, spared: 20, resume };
        let (restart, go_on) = (timing(Resume::Restart), timing(Resume::Continue));
        assert_eq!((restart.first(), restart.own(), restart.steps()), (80, 80, 160));
        assert_eq!((restart.share(&wsd, 80), go_on.share(&wsd, 80)), (0.1, 1.0));
        assert_eq!(restart.trunk_budget(&wsd), Some(20 + 64));
        assert_eq!(go_on.trunk_budget(&wsd), Some(80));
        let constant = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 10 });
        for timing in [restart, go_on] {
            let trunk = Timing { budget: timing.trunk_budget(&wsd).unwrap(), ..timing };
            assert!((80..trunk.steps()).all(|step| trunk.share(&constant, step) == timing.share(&wsd, step)));
            assert!(timing.share(&wsd, trunk.steps() + 1) < 1.0);
        }
    }
}
