//! The loop: batch, loss, gradients, update; checkpoints and lines of metrics on the way.
//!
//! Everything that changes the numbers is a function of the job and the step, so that a run that was cut anywhere and
//! resumed ends with the same bits as one that was not.

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::checkpoint;
use super::config::TrainingConfig;
use super::meters::{Mean, Meters, Metrics};
use super::observer::{Control, Observer, Progress};
use super::optimizer::Optimizer;
use super::weights;
use crate::data::{Batch, DataConfig, Dataset};
use crate::error::{Error, Kind, Problem, Result};
use crate::kernels;
use crate::layers::Pass;
use crate::model::{Decoder, ModelConfig};

/// Lines of metrics in a run.
const METRICS_LINES: u64 = 200;
/// The loss that a run is credited with is the mean of its last twentieth.
const TAIL: u64 = 20;

/// What is trained, on what, how, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What is built.
    pub model: &'a ModelConfig,
    /// What it learns.
    pub data: &'a DataConfig,
    /// How it learns.
    pub training: &'a TrainingConfig,
    /// Decides people, order and starting weights.
    pub seed: u64,
}

/// How training ended.
#[derive(Debug)]
pub enum Outcome {
    /// All steps are done.
    Finished(Box<Trained>),
    /// Stopped on request, with a checkpoint.
    Stopped,
}

/// A trained model.
#[derive(Debug)]
pub struct Trained {
    /// The model, on the device without autodiff.
    pub model: Decoder,
    /// What it was trained on.
    pub data: Dataset,
    /// Steps done.
    pub steps: u64,
    /// What they cost; the loss is in `meters.tail`.
    pub meters: Meters,
}

impl Job<'_> {
    /// Optimizer steps of the whole run.
    ///
    /// # Errors
    /// The data's files cannot be read.
    pub fn steps(&self) -> Result<u64> {
        Ok(self.training.steps(self.data.seq_len(), self.data.tokens_per_exposure()?))
    }
}

/// Trains from the newest checkpoint in `checkpoints`, or from the start.
///
/// # Errors
/// [`Kind::Data`] when the loss or a gradient is not finite (no weight has taken it up, no checkpoint holds it), and
/// whatever files and observer cause.
pub fn fit(job: &Job, device: &Device, checkpoints: &Path, observer: &mut impl Observer) -> Result<Outcome> {
    let mut run = Run::start(job, device, checkpoints, observer)?;
    while run.step < run.steps {
        let progress = run.advance(observer)?;
        match observer.stepped(&progress)? {
            Control::Continue => {}
            Control::Checkpoint => run.save(checkpoints, observer)?,
            Control::Stop => {
                run.save(checkpoints, observer)?;
                return Ok(Outcome::Stopped);
            }
        }
    }
    run.save(checkpoints, observer)?;
    Ok(Outcome::Finished(Box::new(run.finish())))
}

/// The training loss of a batch: the weighted mean over tokens in nats, `[1]`.
pub fn loss(model: &Decoder, batch: &Batch, device: &Device) -> Tensor<1> {
    let (tokens, targets, weights) = tensors(batch, device);
    let hidden = model.hidden(tokens, &mut Pass::new()); // [b, t, d]
    let hidden = hidden.flatten::<2>(0, 1); // [n, d]
    kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights).0
}

/// A batch as tensors: tokens `[b, t]`, targets `[n]`, weights `[n]`.
pub fn tensors(batch: &Batch, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>, Tensor<1>) {
    let (b, t) = (batch.rows, batch.seq_len);
    let tokens = Tensor::from_data(TensorData::new(batch.tokens.clone(), [b, t]), device);
    let targets = Tensor::from_data(TensorData::new(batch.targets.clone(), [b * t]), device);
    let weights = Tensor::from_data(TensorData::new(batch.weights.clone(), [b * t]), device);
    (tokens, targets, weights)
}

/// A run under way.
struct Run<'a> {
    job: &'a Job<'a>,
    device: Device,
    data: Dataset,
    /// Absent only inside a step.
    model: Option<Decoder>,
    optimizer: Optimizer,
    step: u64,
    steps: u64,
    flops_per_token: f64,
    meters: Meters,
}

impl<'a> Run<'a> {
    fn start(
        job: &'a Job,
        device: &Device,
        checkpoints: &Path,
        observer: &mut impl Observer,
    ) -> Result<Self> {
        let device = device.clone().autodiff();
        let (vocab_size, seq_len) = (job.data.vocab_size()?, job.data.seq_len());
        let mut model = job.model.init(vocab_size, seq_len, job.seed, &device);
        let mut optimizer = Optimizer::new(&job.training.optimizer, &job.training.clip);
        let (mut step, mut meters) = (0, Meters::default());
        let (saved, skipped) = checkpoint::latest(checkpoints)?;
        skipped.iter().for_each(|error| observer.warns(error));
        if let Some(saved) = saved {
            (step, meters) = (saved.state.step, saved.state.meters);
            model = weights::put(model, saved.model, "the checkpoint")?;
            optimizer.restore(saved.moments, step, &device)?;
        }
        let steps = job.steps()?;
        observer.starts(step, steps)?;
        Ok(Run {
            job,
            data: job.data.open(job.seed)?,
            device,
            model: Some(model),
            optimizer,
            step,
            steps,
            flops_per_token: job.model.flops_per_token(vocab_size, seq_len).exact as f64,
            meters,
        })
    }

    /// One step.
    fn advance(&mut self, observer: &mut impl Observer) -> Result<Progress> {
        let start = Instant::now();
        let training = self.job.training;
        let lr = training.peak_lr * training.schedule.share(self.step, self.steps);
        let batch = self.data.batch(self.step, training.batch);
        let model = self.model.take().expect("a run under way has a model");
        let loss = loss(&model, &batch, &self.device);
        let gradients = loss.backward();
        let loss = loss.into_scalar::<f32>() as f64;
        let stepped = match loss.is_finite() {
            true => self.optimizer.step(model, gradients, lr),
            false => return Err(self.diverged(format!("the loss is {loss}"))),
        };
        let grad_norm = match stepped {
            Ok((model, grad_norm)) => {
                self.model = Some(model);
                grad_norm
            }
            Err(refused) => {
                return Err(self.diverged(format!("the gradient norm is {}", refused.1.grad_norm)));
            }
        };
        self.step += 1;
        self.meter(&batch, loss, start);
        if self.step.is_multiple_of((self.steps / METRICS_LINES).max(1)) || self.step == self.steps {
            observer.metrics(&self.metrics(lr, grad_norm))?;
            self.meters.stretch = Mean::default();
        }
        let Meters { tokens, seconds, .. } = self.meters;
        Ok(Progress { step: self.step, steps: self.steps, tokens, seconds, loss })
    }

    fn meter(&mut self, batch: &Batch, loss: f64, start: Instant) {
        let tokens = (batch.rows * batch.seq_len) as u64;
        self.meters.tokens += tokens;
        self.meters.flops += tokens as f64 * self.flops_per_token;
        self.meters.stretch.add(loss);
        if (self.steps - self.step) < self.steps.div_ceil(TAIL) {
            self.meters.tail.add(loss);
        }
        self.meters.seconds += start.elapsed().as_secs_f64();
    }

    fn metrics(&self, lr: f64, grad_norm: f64) -> Metrics {
        let Meters { tokens, flops, seconds, stretch, .. } = self.meters;
        Metrics { step: self.step, tokens, flops, seconds, lr, loss: stretch.value(), grad_norm }
    }

    fn diverged(&self, what: String) -> Error {
        let remedy = "use a lower training.peak_lr or a longer warm-up";
        Error::new(Kind::Data, Problem::new(format!("step {}: {what}", self.step + 1)).remedy(remedy))
    }

    fn save(&self, checkpoints: &Path, observer: &mut impl Observer) -> Result<()> {
        let model = self.model.as_ref().expect("a run under way has a model");
        let commits = |step| observer.commits(step);
        checkpoint::save(checkpoints, model, &self.optimizer, self.step, &self.meters, commits)
    }

    fn finish(self) -> Trained {
        use burn::module::Module;
        let model = self.model.expect("a run under way has a model").valid();
        Trained { model, data: self.data, steps: self.steps, meters: self.meters }
    }
}
