//! The loop: batch, loss, gradients, update; checkpoints and lines of metrics on the way.
//!
//! Everything that changes the numbers is a function of the job and the step, so that a run that was cut anywhere and
//! resumed ends with the same bits as one that was not.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};

use super::checkpoint::{self, Checkpoints};
use super::config::{LengthUnits, TAIL, TrainingConfig};
use super::deferred::{DeferredMetrics, StepRead};
use super::meters::{Mean, Meters, Metrics};
use super::objective::{Objective, StepLoss};
use super::observer::{Control, Observer, Progress};
use super::optimizer::{self, Optimizer};
use super::prefetch::prefetch;
use super::weights::{self, Weights};
use crate::data::{Batch, DataConfig, Dataset};
use crate::device;
use crate::error::{Error, Kind, Problem, Result};
use crate::kernels;
use crate::layers::ForwardContext;
use crate::model::{Decoder, ModelConfig};

/// Lines of metrics in a run.
const METRICS_LINES: u64 = 200;
/// The observer looks at the model at every tenth of them.
const LINES_PER_LOOK: u64 = 10;

/// What is trained, on what, how, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The config of the model that is trained.
    pub model: &'a ModelConfig,
    /// The dataset that it learns.
    pub data: &'a DataConfig,
    /// How it learns.
    pub training: &'a TrainingConfig,
    /// Decides people, order and starting weights.
    pub seed: u64,
}

/// How training ended.
#[derive(Debug)]
pub enum Outcome<M = Decoder, D = Dataset> {
    /// All steps are done.
    Finished(Box<Trained<M, D>>),
    /// Stopped on request, with a checkpoint.
    Stopped,
}

/// A trained model.
#[derive(Debug)]
pub struct Trained<M = Decoder, D = Dataset> {
    /// The model, on the device without autodiff.
    pub model: M,
    /// The dataset that it was trained on.
    pub data: D,
    /// Steps done.
    pub steps: u64,
    /// What they cost; the loss is in `meters.tail`.
    pub meters: Meters,
}

impl Job<'_> {
    /// What lengths are measured with; an encoder has tokens beside those of the data.
    fn length_units(&self, masks: usize) -> Result<LengthUnits> {
        let seq_len = self.data.seq_len();
        let flops = self.model.flops_per_token(self.data.vocab_size()? + masks, seq_len).exact;
        let tokens_per_exposure = self.data.tokens_per_exposure()?;
        Ok(LengthUnits { seq_len, tokens_per_exposure, flops_per_token: flops as f64 })
    }

    /// Optimizer steps of the whole run.
    ///
    /// # Errors
    /// The data's files cannot be read.
    pub fn steps(&self) -> Result<u64> {
        self.steps_with(0)
    }

    pub(super) fn steps_with(&self, masks: usize) -> Result<u64> {
        Ok(self.training.steps(&self.length_units(masks)?))
    }

    /// The data, shuffled over the exposures of the whole run.
    ///
    /// # Errors
    /// The data's files cannot be read.
    pub fn open_data(&self) -> Result<Dataset> {
        self.open_data_with(0)
    }

    pub(super) fn open_data_with(&self, masks: usize) -> Result<Dataset> {
        self.data.open(self.seed, self.training.exposures(&self.length_units(masks)?))
    }
}

impl Objective for Job<'_> {
    type Model = Decoder;
    type Data = Dataset;
    type Batch = Batch;

    fn training(&self) -> &TrainingConfig {
        self.training
    }

    fn steps(&self) -> Result<u64> {
        Job::steps(self)
    }

    fn open_data(&self) -> Result<Dataset> {
        Job::open_data(self)
    }

    fn start(&self, device: &Device) -> Result<Decoder> {
        Ok(self.model.init(self.data.vocab_size()?, self.data.seq_len(), self.seed, device))
    }

    fn optimizer(&self) -> Optimizer {
        let TrainingConfig { optimizer, clip, .. } = self.training;
        Optimizer::new(optimizer, clip).with_rates(self.model.init.scheme(self.model))
    }

    fn batch(&self, data: &Dataset, step: u64) -> Batch {
        data.batch(step, self.training.batch)
    }

    fn loss(
        &self,
        model: &Decoder,
        batch: &Batch,
        _step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss {
        let (batch, share) = batch.part(part);
        let tokens = (batch.rows * batch.seq_len) as u64;
        let per_token = self.model.flops_per_token(model.vocab_size(), batch.seq_len).exact;
        let (loss, auxiliary) = losses(model, &batch, device);
        StepLoss::new(loss, auxiliary, share).costing(tokens, tokens as f64 * per_token as f64)
    }
}

/// The state of another run that this one goes on from.
#[derive(Debug)]
pub struct InitialState {
    /// Weights of the model, by name.
    pub model: Weights,
    /// Moments of the optimizer; without them it starts anew.
    pub moments: Option<Weights>,
    /// Steps done.
    pub step: u64,
    /// The tokens, FLOPs and seconds that they cost.
    pub meters: Meters,
}

impl InitialState {
    /// Where the run of `checkpoints` stands, to go on from on `device`; `None` when there is none that is whole.
    ///
    /// # Errors
    /// The folder cannot be read, or another kernel level, run or a newer version made the checkpoint.
    pub fn read(checkpoints: Checkpoints, device: &Device) -> Result<Option<Self>> {
        let (saved, _) = checkpoint::latest(checkpoints, device)?;
        Ok(saved.map(|saved| InitialState {
            model: saved.model,
            moments: Some(saved.moments),
            step: saved.state.step,
            meters: saved.state.meters,
        }))
    }
}

/// Trains from the newest checkpoint in `checkpoints`, or from the start.
///
/// # Errors
/// As [`fit_from`].
pub fn fit<O: Objective>(
    objective: &O,
    device: &Device,
    checkpoints: &Path,
    observer: &mut impl Observer<O::Model, O::Data>,
) -> Result<Outcome<O::Model, O::Data>> {
    fit_from(objective, device, checkpoints.into(), || Ok(None), observer)
}

/// Trains from the newest checkpoint in `checkpoints`, or from where `initial` says, or from the start.
///
/// # Errors
/// [`Kind::Diverged`] when the loss or a gradient is not finite (no weight has taken it up, no checkpoint holds it), and
/// whatever files and observer cause.
pub fn fit_from<O: Objective>(
    objective: &O,
    device: &Device,
    checkpoints: Checkpoints,
    initial: impl FnOnce() -> Result<Option<InitialState>>,
    observer: &mut impl Observer<O::Model, O::Data>,
) -> Result<Outcome<O::Model, O::Data>> {
    let waiting = device::computes_later(device).then(DeferredMetrics::new);
    fit_reading(objective, device, checkpoints, initial, observer, waiting)
}

/// The same; with `deferred`, as for a device that computes while the host goes on: losses and norms are read a few steps at
/// a time, and batches made prefetch.
fn fit_reading<O: Objective>(
    objective: &O,
    device: &Device,
    checkpoints: Checkpoints,
    initial: impl FnOnce() -> Result<Option<InitialState>>,
    observer: &mut impl Observer<O::Model, O::Data>,
    deferred: Option<DeferredMetrics>,
) -> Result<Outcome<O::Model, O::Data>> {
    let is_ahead = deferred.is_some();
    let mut run = Run::start(objective, device, checkpoints, initial, observer, deferred)?;
    let data = objective.open_data()?;
    let (first, steps) = (run.step, run.steps);
    let make = |step| objective.batch(&data, step);
    let train = |batch_of: &mut dyn FnMut(u64) -> O::Batch| {
        while run.step < steps {
            let progress = run.advance(batch_of, &data, observer)?;
            match observer.stepped(&progress)? {
                Control::Continue => {}
                Control::Checkpoint => run.save(checkpoints, observer)?,
                Control::Stop => {
                    run.save(checkpoints, observer)?;
                    return Ok(None);
                }
            }
        }
        run.save(checkpoints, observer)?;
        Ok(Some(run))
    };
    let finished = match is_ahead {
        true => prefetch(first..steps, make, train),
        false => train(&mut |step| make(step)),
    };
    Ok(match finished? {
        Some(run) => Outcome::Finished(Box::new(run.finish(data))),
        None => Outcome::Stopped,
    })
}

/// The loss that a training step minimises, `[1]`: the weighted mean over tokens in nats, and the auxiliary losses of
/// sublayers (load balancing of a mixture of experts; most models have none).
pub fn loss(model: &Decoder, batch: &Batch, device: &Device) -> Tensor<1> {
    let (loss, auxiliary) = losses(model, batch, device);
    sum(loss, auxiliary)
}

/// The weighted mean loss over tokens in nats, and what sublayers add of their own.
fn losses(model: &Decoder, batch: &Batch, device: &Device) -> (Tensor<1>, Option<Tensor<1>>) {
    let (tokens, targets, weights) = tensors(batch, device);
    let mut ctx = ForwardContext::training();
    let hidden = model.hidden(tokens, &mut ctx); // [b, t, d]
    cross_entropy(hidden, model, targets, weights, ctx)
}

/// What is minimised.
pub(super) fn sum(loss: Tensor<1>, auxiliary: Option<Tensor<1>>) -> Tensor<1> {
    match auxiliary {
        Some(auxiliary) => loss + auxiliary,
        None => loss,
    }
}

/// The weighted mean loss of hidden states `[b, t, d]`, and the auxiliary losses that sublayers have added to the context.
pub(super) fn cross_entropy(
    hidden: Tensor<3>,
    head: &Decoder,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
    mut ctx: ForwardContext,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let hidden = hidden.flatten::<2>(0, 1); // [n, d]
    let (loss, _) = kernels::linear_cross_entropy(hidden, head.head_weight(), targets, weights);
    (loss, ctx.take_auxiliary())
}

/// A batch as tensors: tokens `[b, t]`, targets `[n]`, weights `[n]`.
pub fn tensors(batch: &Batch, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>, Tensor<1>) {
    let (b, t) = (batch.rows, batch.seq_len);
    let tokens = Tensor::from_data(TensorData::new(batch.tokens.clone(), [b, t]), device);
    let targets = Tensor::from_data(TensorData::new(batch.targets.clone(), [b * t]), device);
    let weights = Tensor::from_data(TensorData::new(batch.weights.clone(), [b * t]), device);
    (tokens, targets, weights)
}

/// A step before its update, summed over its parts.
pub(super) struct StepGradients {
    /// The cross-entropy of each part, `[parts]`.
    pub(super) losses: Tensor<1>,
    /// What sublayers added of their own in each part, `[parts]`; none if nobody had any.
    pub(super) auxiliary: Option<Tensor<1>>,
    pub(super) gradients: Gradients,
    pub(super) tokens: u64,
    pub(super) flops: f64,
}

/// The loss of a step and its gradients for `model`; one part after the other is in memory.
pub(super) fn backward_in_parts<M: Module>(
    model: &M,
    training: &TrainingConfig,
    of_part: impl Fn(Range<usize>) -> StepLoss,
) -> StepGradients {
    let (mut losses, mut auxiliaries, mut total, mut all) = (Vec::new(), Vec::new(), None, (0, 0.0));
    for part in training.parts() {
        let StepLoss { loss, auxiliary, tokens, flops } = training.precision.scope(|| of_part(part));
        let gradients = sum(loss.clone(), auxiliary.clone()).backward();
        total = Some(match total {
            Some(before) => optimizer::add(model, before, gradients),
            None => gradients,
        });
        losses.push(loss.inner());
        auxiliaries.extend(auxiliary.map(Tensor::inner));
        all = (all.0 + tokens, all.1 + flops);
    }
    let (gradients, (tokens, flops)) = (total.expect("a step has at least one row"), all);
    let auxiliary = (!auxiliaries.is_empty()).then(|| Tensor::cat(auxiliaries, 0));
    StepGradients { losses: Tensor::cat(losses, 0), auxiliary, gradients, tokens, flops }
}

/// A run under way.
struct Run<'a, O: Objective> {
    objective: &'a O,
    device: Device,
    /// Absent only inside a step.
    model: Option<O::Model>,
    optimizer: Optimizer,
    step: u64,
    steps: u64,
    meters: Meters,
    /// Steps whose loss is on a device that computes later; absent: each is read before weights change.
    deferred: Option<DeferredMetrics>,
    /// The last step that was read.
    last: StepRead,
}

impl<'a, O: Objective> Run<'a, O> {
    fn start(
        objective: &'a O,
        device: &Device,
        checkpoints: Checkpoints,
        initial: impl FnOnce() -> Result<Option<InitialState>>,
        observer: &mut impl Observer<O::Model, O::Data>,
        deferred: Option<DeferredMetrics>,
    ) -> Result<Self> {
        objective.training().precision.check(device)?;
        let device = match objective.training().gradient_checkpointing {
            false => device.clone().autodiff(),
            true => device.clone().autodiff().gradient_checkpointing(),
        };
        let mut model = objective.start(&device)?;
        let mut optimizer = objective.optimizer();
        let (mut step, mut meters) = (0, Meters::default());
        if let Some(parent) = checkpoints.folder.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        let (saved, notes) = checkpoint::latest(checkpoints, &device)?;
        notes.iter().for_each(|error| observer.warns(error));
        if let Some(saved) = saved {
            (step, meters) = (saved.state.step, saved.state.meters);
            model = weights::put(model, saved.model, "the checkpoint")?;
            optimizer.restore(saved.moments, objective.updates(step), &device)?;
        } else if let Some(initial) = initial()? {
            step = initial.step;
            meters = initial.meters;
            if step < objective.steps()? {
                let Meters { tokens, flops, seconds, .. } = meters;
                meters = Meters { tokens, flops, seconds, ..Meters::default() };
            }
            model = weights::put(model, initial.model, "the run that it begins from")?;
            if let Some(moments) = initial.moments {
                optimizer.restore(moments, objective.updates(step), &device)?;
            }
        }
        let steps = objective.steps()?;
        observer.starts(step, steps)?;
        let (model, last) =
            (Some(model), StepRead { step, loss: f64::NAN, auxiliary: None, grad_norm: f64::NAN });
        Ok(Run { objective, device, model, optimizer, step, steps, meters, deferred, last })
    }

    /// One step.
    fn advance(
        &mut self,
        batch_of: &mut dyn FnMut(u64) -> O::Batch,
        data: &O::Data,
        observer: &mut impl Observer<O::Model, O::Data>,
    ) -> Result<Progress> {
        let start = Instant::now();
        let lr = self.objective.training().peak_lr * self.objective.share(self.step, self.steps);
        let model = self.model.take().expect("a run under way has a model");
        let Self { objective, step, device, .. } = &*self;
        let batch = batch_of(*step);
        let of_part = |part| objective.loss(&model, &batch, *step, part, device);
        let StepGradients { losses, auxiliary, gradients, tokens, flops } =
            backward_in_parts(&model, objective.training(), of_part);
        let step = self.step + 1;
        match &mut self.deferred {
            None => {
                let (loss, auxiliary) = (total(losses), auxiliary.map(total));
                // Before any weight changes.
                finite(step, "loss", loss)?;
                finite(step, "auxiliary loss", auxiliary.unwrap_or(0.0))?;
                let stepped = self.optimizer.step(model, gradients, lr);
                let (model, grad_norm) =
                    stepped.map_err(|refused| diverged(step, "gradient norm", refused.1.grad_norm))?;
                self.model = Some(model);
                self.step = step;
                self.meter(StepRead { step, loss, auxiliary, grad_norm });
            }
            Some(deferred) => {
                let (model, grad_norm) = self.optimizer.step_unread(model, gradients, lr, &self.device);
                self.model = Some(model);
                self.step = step;
                deferred.push(step, losses, auxiliary, grad_norm);
                if deferred.is_due() || self.ends_stretch() {
                    self.read()?;
                }
            }
        }
        self.meters.tokens += tokens;
        self.meters.flops += flops;
        self.meters.seconds += start.elapsed().as_secs_f64();
        self.report(lr, data, observer)?;
        let Meters { tokens, seconds, .. } = self.meters;
        Ok(Progress { step: self.step, steps: self.steps, tokens, seconds, loss: self.last.loss })
    }

    /// Reads what waits on the device.
    fn read(&mut self) -> Result<()> {
        for read in self.deferred.as_mut().map(DeferredMetrics::read).unwrap_or_default() {
            finite(read.step, "loss", read.loss)?;
            finite(read.step, "auxiliary loss", read.auxiliary.unwrap_or(0.0))?;
            finite(read.step, "gradient norm", read.grad_norm)?;
            self.meter(read);
        }
        Ok(())
    }

    fn meter(&mut self, read: StepRead) {
        self.meters.stretch.add(read.loss);
        if let Some(auxiliary) = read.auxiliary {
            self.meters.auxiliary.get_or_insert_default().add(auxiliary);
        }
        if (self.steps - read.step) < self.steps.div_ceil(TAIL) {
            self.meters.tail.add(read.loss);
        }
        self.last = read;
    }

    /// Steps between two lines of metrics.
    fn stretch(&self) -> u64 {
        (self.steps / METRICS_LINES).max(1)
    }

    fn ends_stretch(&self) -> bool {
        self.step.is_multiple_of(self.stretch()) || self.step == self.steps
    }

    /// A line of metrics at the end of each stretch, at every tenth with what the observer sees in the model.
    fn report(
        &mut self,
        lr: f64,
        data: &O::Data,
        observer: &mut impl Observer<O::Model, O::Data>,
    ) -> Result<()> {
        if !self.ends_stretch() {
            return Ok(());
        }
        let probe = match &self.model {
            Some(model) if self.step.is_multiple_of(self.stretch() * LINES_PER_LOOK) => {
                observer.looks(model, data)?
            }
            _ => None,
        };
        let Meters { tokens, flops, seconds, stretch, auxiliary, .. } = self.meters;
        let (loss, auxiliary) = (stretch.value(), auxiliary.map(|mean| mean.value()));
        let (step, grad_norm) = (self.step, self.last.grad_norm);
        observer.metrics(&Metrics { step, tokens, flops, seconds, lr, loss, auxiliary, grad_norm, probe })?;
        (self.meters.stretch, self.meters.auxiliary) = (Mean::default(), None);
        Ok(())
    }

    fn save(
        &mut self,
        checkpoints: Checkpoints,
        observer: &mut impl Observer<O::Model, O::Data>,
    ) -> Result<()> {
        // No checkpoint holds weights that are no numbers.
        self.read()?;
        let model = self.model.as_ref().expect("a run under way has a model");
        let commits = |step| observer.commits(step);
        let precision = self.objective.training().precision;
        checkpoint::save(checkpoints, model, &self.optimizer, self.step, &self.meters, precision, commits)
    }

    fn finish(self, data: O::Data) -> Trained<O::Model, O::Data> {
        let model = self.model.expect("a run under way has a model").valid();
        Trained { model, data, steps: self.steps, meters: self.meters }
    }
}

/// The sum of what the parts of a step add up to.
fn total(parts: Tensor<1>) -> f64 {
    parts.into_data().iter::<f32>().map(f64::from).sum()
}

fn finite(step: u64, what: &str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(diverged(step, what, value)) }
}

fn diverged(step: u64, what: &str, value: f64) -> Error {
    let help = "use a lower training.peak_lr or a longer warm-up";
    let problem = Problem::new(format!("step {step}: the {what} is {value}"));
    Error::new(Kind::Diverged, problem.help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BioDConfig;
    use crate::kernels::Precision;
    use crate::training::NoopObserver;
    use crate::training::config::{
        ConstantConfig, CosineConfig, Count, DocumentOrder, Length, ScheduleConfig, WsdConfig,
    };

    const STEPS: u64 = 12;

    struct Setup {
        model: ModelConfig,
        data: DataConfig,
        training: TrainingConfig,
    }

    impl Setup {
        fn new() -> Self {
            let data = DataConfig::BioD(BioDConfig { people: 40, ..BioDConfig::default() });
            let model = ModelConfig { d_model: 12, n_layers: 2, n_heads: 2, ..ModelConfig::default() };
            let training = TrainingConfig {
                length: Length::Steps(Count { count: STEPS }),
                batch: 3,
                schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps: 2, ..CosineConfig::default() }),
                ..TrainingConfig::default()
            };
            Setup { model, data, training }
        }

        fn job(&self) -> Job<'_> {
            Job { model: &self.model, data: &self.data, training: &self.training, seed: 5 }
        }
    }

    /// Stops after a step, and keeps the metrics as a file would: those after a restart replace later ones.
    #[derive(Default)]
    struct Recorder {
        stop_after: Option<u64>,
        metrics: Vec<(u64, f64, f64)>,
        warnings: Vec<String>,
    }

    impl Observer for Recorder {
        fn starts(&mut self, step: u64, _steps: u64) -> Result<()> {
            self.metrics.retain(|(seen, _, _)| *seen <= step);
            Ok(())
        }

        fn stepped(&mut self, progress: &Progress) -> Result<Control> {
            Ok(if self.stop_after == Some(progress.step) { Control::Stop } else { Control::Continue })
        }

        fn metrics(&mut self, metrics: &Metrics) -> Result<()> {
            self.metrics.push((metrics.step, metrics.loss, metrics.grad_norm));
            Ok(())
        }

        fn warns(&mut self, error: &Error) {
            self.warnings.push(error.to_string());
        }
    }

    fn train(setup: &Setup, folder: &Path, recorder: &mut Recorder) -> Outcome {
        fit(&setup.job(), &crate::device::open("cpu").unwrap(), folder, recorder).unwrap()
    }

    fn finished(outcome: Outcome) -> Box<Trained> {
        match outcome {
            Outcome::Finished(trained) => trained,
            Outcome::Stopped => panic!("nobody asked it to stop"),
        }
    }

    /// Trains once to the end, and once for each step with a stop after it.
    fn cut_anywhere(name: &str, setup: &Setup, steps: u64) {
        let whole_folder = tempfile::tempdir().unwrap();
        let mut whole_record = Recorder::default();
        let whole = finished(train(setup, whole_folder.path(), &mut whole_record));
        for cut in 1..steps {
            let folder = tempfile::tempdir().unwrap();
            let mut record = Recorder { stop_after: Some(cut), ..Recorder::default() };
            assert!(matches!(train(setup, folder.path(), &mut record), Outcome::Stopped));
            record.stop_after = None;
            let resumed = finished(train(setup, folder.path(), &mut record));
            assert_eq!(
                weights::of(&resumed.model),
                weights::of(&whole.model),
                "{name}, cut after step {cut}"
            );
            assert_eq!(record.metrics, whole_record.metrics, "{name}, cut after step {cut}");
            assert_eq!(resumed.meters.tokens, whole.meters.tokens);
        }
    }

    #[test]
    fn a_run_cut_anywhere_ends_with_the_same_bits() {
        cut_anywhere("plain", &Setup::new(), STEPS);
        let mut low = Setup::new();
        low.training.precision = Precision::Bf16;
        cut_anywhere("bf16", &low, STEPS);
    }

    /// `ZOO_TORTURE=1` does 50 steps of each; docs/reliability.md has its last result.
    #[test]
    fn every_choice_of_the_zoo_cut_anywhere_ends_with_the_same_bits() {
        let steps = if std::env::var_os("ZOO_TORTURE").is_some() { 50 } else { 3 };
        for (name, model) in crate::model::variants::all() {
            let mut setup = Setup { model, ..Setup::new() };
            setup.training.length = Length::Steps(Count { count: steps });
            setup.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 1 });
            cut_anywhere(name, &setup, steps);
        }
    }

    #[test]
    fn a_step_in_parts_descends_the_same_loss_and_resumes_to_the_bit() {
        let mut setup = Setup::new();
        let fit = |setup: &Setup| {
            let mut record = Recorder::default();
            let trained = finished(train(setup, tempfile::tempdir().unwrap().path(), &mut record));
            (weights::of(&trained.model), trained.meters, record.metrics)
        };
        let whole = fit(&setup);
        setup.training.micro_batch = Some(3);
        let (same, _, metrics) = fit(&setup);
        assert_eq!((same, metrics), (whole.0, whole.2.clone()), "all rows at once");
        setup.training.micro_batch = Some(2);
        let (_, meters, metrics) = fit(&setup);
        assert_eq!((meters.tokens, meters.flops), (whole.1.tokens, whole.1.flops));
        for ((step, loss, norm), (_, expected, expected_norm)) in metrics.iter().zip(&whole.2) {
            // Sums of f32 in another order, over a few steps of AdamW.
            assert!((loss / expected - 1.0).abs() < 1e-5, "step {step}: {loss} is not {expected}");
            assert!((norm / expected_norm - 1.0).abs() < 1e-3, "step {step}: {norm} is not {expected_norm}");
        }
        cut_anywhere("two rows at a time", &setup, 4);
    }

    #[test]
    fn what_is_computed_again_has_the_same_bits() {
        for precision in [Precision::F32, Precision::Bf16] {
            let [stored, recomputed] = [false, true].map(|checkpointing| {
                let mut setup = Setup::new();
                (setup.training.precision, setup.training.gradient_checkpointing) =
                    (precision, checkpointing);
                setup.training.length = Length::Steps(Count { count: 4 });
                let trained = train(&setup, tempfile::tempdir().unwrap().path(), &mut Recorder::default());
                weights::of(&finished(trained).model)
            });
            assert_eq!(stored, recomputed, "{precision:?}");
        }
    }

    #[test]
    fn a_cooldown_that_begins_from_its_trunk_ends_with_the_same_bits() {
        let mut setup = Setup::new();
        setup.training.order = DocumentOrder::Epochs;
        let schedule = WsdConfig { warmup_steps: 2, cooldown: 0.25, ..WsdConfig::default() };
        setup.training.schedule = ScheduleConfig::Wsd(schedule);
        let whole = finished(train(&setup, tempfile::tempdir().unwrap().path(), &mut Recorder::default()));
        let mut trunk = Setup { training: setup.training, ..Setup::new() };
        trunk.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 2 });
        trunk.training.length = Length::Steps(Count { count: 9 });
        let folder = tempfile::tempdir().unwrap();
        train(&trunk, folder.path(), &mut Recorder::default());
        let device = crate::device::open("cpu").unwrap();
        let (own, begin) =
            (tempfile::tempdir().unwrap(), || InitialState::read(folder.path().into(), &device));
        let branch =
            fit_from(&setup.job(), &device, own.path().into(), begin, &mut Recorder::default()).unwrap();
        let branch = finished(branch);
        assert_eq!(weights::of(&branch.model), weights::of(&whole.model));
        assert_eq!((branch.meters.tokens, branch.meters.flops), (whole.meters.tokens, whole.meters.flops));
        assert_eq!(branch.meters.tail, whole.meters.tail);
    }

    #[test]
    fn a_run_that_begins_at_its_end_has_all_numbers_of_the_other() {
        let (setup, folder) = (Setup::new(), tempfile::tempdir().unwrap());
        let whole = finished(train(&setup, folder.path(), &mut Recorder::default()));
        let device = crate::device::open("cpu").unwrap();
        let (own, begin) =
            (tempfile::tempdir().unwrap(), || InitialState::read(folder.path().into(), &device));
        let again =
            fit_from(&setup.job(), &device, own.path().into(), begin, &mut Recorder::default()).unwrap();
        let again = finished(again);
        assert_eq!(weights::of(&again.model), weights::of(&whole.model));
        assert_eq!((again.steps, again.meters), (whole.steps, whole.meters));
    }

    #[test]
    fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
        let setup = Setup::new();
        let folder = tempfile::tempdir().unwrap();
        for cut in [4, 7] {
            train(&setup, folder.path(), &mut Recorder { stop_after: Some(cut), ..Recorder::default() });
        }
        let newest = folder.path().join("step-000000000007/model.safetensors");
        let mut bytes = std::fs::read(&newest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&newest, bytes).unwrap();
        let mut record = Recorder::default();
        let resumed = finished(train(&setup, folder.path(), &mut record));
        assert!(record.warnings[0].contains("step-000000000007"), "{:?}", record.warnings);
        let whole = finished(train(&setup, tempfile::tempdir().unwrap().path(), &mut Recorder::default()));
        assert_eq!(weights::of(&resumed.model), weights::of(&whole.model));
    }

    #[test]
    fn a_run_whose_later_checkpoints_are_damaged_keeps_the_one_that_it_writes() {
        let (setup, folder) = (Setup::new(), tempfile::tempdir().unwrap());
        let stop = |after| {
            train(&setup, folder.path(), &mut Recorder { stop_after: Some(after), ..Recorder::default() });
        };
        let path = |step: u64| folder.path().join(format!("step-{step:012}"));
        stop(7);
        stop(9);
        for step in [7, 9] {
            std::fs::write(path(step).join("model.safetensors"), "rotten").unwrap();
        }
        stop(5);
        assert_eq!([5, 7, 9].map(|step| path(step).exists()), [true, false, false]);
    }

    #[test]
    fn a_loss_that_is_not_finite_ends_the_run_before_a_weight_changes() {
        let mut setup = Setup::new();
        setup.model.init = crate::model::InitConfig::Normal(crate::model::init::NormalInit { std: 1e30 });
        let folder = tempfile::tempdir().unwrap();
        let device = crate::device::open("cpu").unwrap();
        let error = fit(&setup.job(), &device, folder.path(), &mut NoopObserver).unwrap_err();
        assert!(error.to_string().starts_with("step 1: the "), "{error}");
        assert!(
            checkpoint::latest(folder.path().into(), &device).unwrap().0.is_none(),
            "no checkpoint holds it"
        );
    }

    /// As on a device that computes later, where so many steps wait at most.
    fn train_later(setup: &Setup, folder: &Path, recorder: &mut Recorder, limit: usize) -> Result<Outcome> {
        let device = crate::device::open("cpu").unwrap();
        let deferred = Some(DeferredMetrics::fixed(limit));
        fit_reading(&setup.job(), &device, folder.into(), || Ok(None), recorder, deferred)
    }

    #[test]
    fn steps_that_are_read_later_are_the_same_wherever_they_are_read_and_cut() {
        let mut setup = Setup::new();
        // Lines of metrics, for which all that waits is read, are five steps apart.
        setup.training.length = Length::Steps(Count { count: 1000 });
        let run = |setup: &Setup, limit: usize, cut: Option<u64>| {
            let (folder, mut record) = (tempfile::tempdir().unwrap(), Recorder::default());
            if cut.is_some() {
                record.stop_after = cut;
                assert!(matches!(
                    train_later(setup, folder.path(), &mut record, limit),
                    Ok(Outcome::Stopped)
                ));
                record.stop_after = None;
            }
            let trained = finished(train_later(setup, folder.path(), &mut record, limit).unwrap());
            (weights::of(&trained.model), trained.meters.tail, record.metrics)
        };
        let clipped = run(&setup, 1, None);
        for (limit, cut) in [(3, None), (100, None), (3, Some(2)), (100, Some(504))] {
            assert_eq!(run(&setup, limit, cut), clipped, "{limit} steps wait, cut after {cut:?}");
        }
        // The scale of the clipping is rounded to f32 on the device.
        let mut record = Recorder::default();
        train(&setup, tempfile::tempdir().unwrap().path(), &mut record);
        for ((step, loss, norm), (_, expected, expected_norm)) in
            clipped.2.iter().zip(&record.metrics).take(4)
        {
            assert!((loss / expected - 1.0).abs() < 1e-5, "step {step}: {loss} is not {expected}");
            assert!((norm / expected_norm - 1.0).abs() < 1e-3, "step {step}: {norm} is not {expected_norm}");
        }
        setup.training.clip = super::super::config::Clip::None;
        let whole = finished(train(&setup, tempfile::tempdir().unwrap().path(), &mut Recorder::default()));
        assert_eq!(run(&setup, 3, None).0, weights::of(&whole.model), "without clipping");
    }

    #[test]
    fn a_loss_that_is_read_late_names_its_step_and_no_checkpoint_holds_what_came_of_it() {
        let mut setup = Setup::new();
        setup.training.length = Length::Steps(Count { count: 1000 });
        setup.model.init = crate::model::InitConfig::Normal(crate::model::init::NormalInit { std: 1e30 });
        for stop_after in [None, Some(3)] {
            let (folder, device) = (tempfile::tempdir().unwrap(), crate::device::open("cpu").unwrap());
            let mut record = Recorder { stop_after, ..Recorder::default() };
            let error = train_later(&setup, folder.path(), &mut record, 100).unwrap_err();
            assert_eq!(error.kind, Kind::Diverged);
            assert!(error.to_string().starts_with("step 1: the "), "{error}");
            assert!(
                checkpoint::latest(folder.path().into(), &device).unwrap().0.is_none(),
                "no checkpoint holds it"
            );
        }
    }

    #[test]
    fn tokens_flops_and_the_final_loss_are_metered() {
        let setup = Setup::new();
        let trained = finished(train(&setup, tempfile::tempdir().unwrap().path(), &mut Recorder::default()));
        assert_eq!(trained.meters.tokens, STEPS * 3 * 16);
        let per_token = setup.model.flops_per_token(261, 16).exact;
        assert_eq!(trained.meters.flops, (trained.meters.tokens * per_token) as f64);
        assert!(trained.meters.tail.value() > 0.0 && trained.meters.seconds > 0.0);
    }
}
