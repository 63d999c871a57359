//! Tokens per second of a full training step (forward, backward, clip, AdamW), beside the machine's matrix peak.
//!
//! Five shapes of the `gpt2` preset: `S`, `M` and `L` are small language models, `Q` is near the quick profile of the main
//! ablation and `P` its smallest published size. Two more are for cards: `G` is the published GPT2-12-12, `H` GPT-2 with
//! 124 million parameters. `benches/pytorch/` has the same shapes in PyTorch.

use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::device;
use crate::error::{Error, Kind, Problem, Result};
use crate::kernels::{self, Precision};
use crate::layers::Bias;
use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};
use crate::layers::mixer::{AttentionConfig, MixerConfig};
use crate::layers::position::{PositionConfig, RopeConfig};
use crate::model::{Decoder, ModelConfig};
use crate::training::{
    Control, DeferredMetrics, Objective, Observer, Optimizer, Progress, TrainingConfig, fit, loss,
};

/// A shape that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// One letter.
    pub name: &'static str,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Heads.
    pub n_heads: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Tokens in a row.
    pub seq_len: usize,
    /// Rows in a step.
    pub batch: usize,
}

const fn shape(name: &'static str, sizes: [usize; 6]) -> Shape {
    let [d_model, n_layers, n_heads, vocab_size, seq_len, batch] = sizes;
    Shape { name, d_model, n_layers, n_heads, vocab_size, seq_len, batch }
}

/// The shapes for a CPU, smallest first.
pub const SHAPES: [Shape; 5] = [
    shape("Q", [64, 2, 2, 261, 16, 16]),
    shape("S", [64, 2, 4, 1024, 128, 16]),
    shape("P", [128, 2, 2, 3275, 512, 12]),
    shape("M", [128, 4, 4, 2048, 256, 8]),
    shape("L", [256, 6, 8, 8192, 512, 8]),
];

/// Those that ask for a card.
pub const LARGE: [Shape; 2] =
    [shape("G", [768, 12, 12, 3275, 512, 12]), shape("H", [768, 12, 12, 50257, 1024, 8])];

/// Steps before the time begins.
const WARM_UP: u64 = 4;

/// What was measured in one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// What was trained.
    pub shape: String,
    /// Tokens per second of training.
    pub tokens_per_second: f64,
    /// Model FLOPs per second, exact counting, in 10^9.
    pub gflops: f64,
    /// FLOPs per second of a square matrix product in this process and precision, in 10^9.
    pub peak_gflops: f64,
    /// Threads.
    pub threads: usize,
}

impl Shape {
    /// The shape of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Shape> {
        let mut all = SHAPES.into_iter().chain(LARGE);
        all.find(|shape| shape.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names: Vec<&str> = SHAPES.iter().chain(&LARGE).map(|shape| shape.name).collect();
            Error::config(
                Problem::new(format!("no shape \"{name}\""))
                    .key("--shape")
                    .expected(format!("one of {}", names.join(", "))),
            )
        })
    }

    /// The `gpt2` preset at this shape.
    pub fn model(&self) -> ModelConfig {
        let position = PositionConfig::Rope(RopeConfig { rotary_fraction: 0.25, ..RopeConfig::default() });
        let mixer = AttentionConfig { position, bias: Bias::With, ..AttentionConfig::default() };
        let mut model = ModelConfig {
            d_model: self.d_model,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            ..ModelConfig::default()
        };
        model.block.mixer = MixerConfig::Attention(mixer);
        model.block.feed_forward =
            FeedForwardConfig::Mlp(MlpConfig { bias: Bias::With, ..MlpConfig::default() });
        model
    }

    /// Bytes that a step takes at least on the CPU: weights, gradients and moments, and 16 numbers of each channel of each
    /// block that the backward pass needs.
    pub fn least_bytes(&self) -> u64 {
        let kept = 16 * self.d_model as u64 * self.n_layers as u64;
        let tokens = (self.seq_len as u64).saturating_mul(self.batch as u64);
        let params = self.model().num_params(self.vocab_size, self.seq_len).total;
        tokens.saturating_mul(kept).saturating_add(4 * params).saturating_mul(4)
    }

    /// A batch of tokens from a fixed generator.
    pub fn batch(&self, step: u64) -> Batch {
        let n = self.seq_len * self.batch;
        let mut state = step.wrapping_mul(7919).wrapping_add(12345);
        let mut token = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % self.vocab_size as u64) as i32
        };
        let tokens: Vec<i32> = (0..n).map(|_| token()).collect();
        let targets = (0..n).map(|_| token()).collect();
        Batch { tokens, targets, weights: vec![1.0; n], rows: self.batch, seq_len: self.seq_len }
    }
}

/// Trains a model of this shape for about `budget`, after a few steps of warm-up.
///
/// # Errors
/// The device does not compute in this precision.
pub fn measure(shape: &Shape, precision: Precision, device: &Device, budget: Duration) -> Result<Speed> {
    precision.check(device)?;
    let device = device.clone().autodiff();
    let config = shape.model();
    let mut training = Training { precision, ..Training::new(shape, device) };
    (0..WARM_UP).for_each(|_| _ = training.step());
    let (start, warm) = (Instant::now(), training.steps);
    // As the loop of a run does it.
    match device::computes_later(&training.device) {
        true => training.run_unread(start, budget),
        false => loop {
            training.step();
            if start.elapsed() >= budget {
                break;
            }
        },
    }
    let seconds = start.elapsed().as_secs_f64();
    let tokens = (training.steps - warm) as f64 * (shape.seq_len * shape.batch) as f64;
    let flops = tokens * config.flops_per_token(shape.vocab_size, shape.seq_len).exact as f64;
    Ok(Speed {
        shape: shape.name.to_string(),
        tokens_per_second: tokens / seconds,
        gflops: flops / seconds / 1e9,
        peak_gflops: matrix_peak(&training.device.inner(), precision),
        threads: rayon::current_num_threads(),
    })
}

/// Takes steps of `objective` from fresh weights for about `budget`, after a few of warm-up: its own data, its own loop.
///
/// # Errors
/// Whatever data and device cause, and a run of fewer than two steps.
pub fn of_steps<O: Objective>(
    objective: &O,
    flops_per_step: f64,
    device: &Device,
    budget: Duration,
) -> Result<Speed> {
    let mut watch = Stopwatch { budget, warm: None, last: None };
    // The watch ends training before anything would be saved.
    match fit(objective, device, Path::new(""), &mut watch) {
        Err(error) if error.kind != Kind::Stopped => return Err(error),
        Err(_) | Ok(_) => {}
    }
    let (Some(warm), Some(last)) = (watch.warm, watch.last) else {
        let problem = Problem::new("too few steps to time").key("training.length");
        return Err(Error::config(problem.expected("two steps at least")));
    };
    let seconds = last.seconds - warm.seconds;
    // An encoder's chunks are tokens too, FLOPs are those of the step.
    let (steps, tokens) = ((last.step - warm.step) as f64, (last.tokens - warm.tokens) as f64);
    Ok(Speed {
        shape: String::new(),
        tokens_per_second: tokens / seconds,
        gflops: steps * flops_per_step / seconds / 1e9,
        peak_gflops: matrix_peak(device, objective.training().precision),
        threads: rayon::current_num_threads(),
    })
}

/// Ends training when its time is up.
struct Stopwatch {
    budget: Duration,
    /// Where the time begins.
    warm: Option<Progress>,
    last: Option<Progress>,
}

impl<M, D> Observer<M, D> for Stopwatch {
    fn stepped(&mut self, progress: &Progress) -> Result<Control> {
        match self.warm {
            None if progress.step < WARM_UP.min(progress.steps / 2) => {}
            None => self.warm = Some(*progress),
            Some(_) => self.last = Some(*progress),
        }
        let is_over =
            self.warm.is_some_and(|warm| progress.seconds - warm.seconds >= self.budget.as_secs_f64());
        match is_over || progress.step == progress.steps {
            true => Err(Error::new(Kind::Stopped, Problem::new("timed"))),
            false => Ok(Control::Continue),
        }
    }
}

/// The losses of the first steps of training a model of this shape: what any two correct devices agree on.
pub fn losses(shape: &Shape, device: &Device, steps: usize) -> Vec<f32> {
    let mut training = Training::new(shape, device.clone().autodiff());
    (0..steps).map(|_| training.step()).collect()
}

struct Training {
    model: Option<Decoder>,
    optimizer: Optimizer,
    batches: Vec<Batch>,
    precision: Precision,
    device: Device,
    steps: u64,
}

impl Training {
    fn new(shape: &Shape, device: Device) -> Self {
        let training = TrainingConfig::default();
        Training {
            model: Some(shape.model().init(shape.vocab_size, shape.seq_len, 0, &device)),
            optimizer: Optimizer::new(&training.optimizer, &training.clip),
            batches: (0..4).map(|step| shape.batch(step)).collect(),
            precision: Precision::F32,
            device,
            steps: 0,
        }
    }

    /// The loss of the next step, `[1]`, and its gradients.
    fn descend(&self, model: &Decoder) -> (Tensor<1>, Gradients) {
        let batch = &self.batches[self.steps as usize % self.batches.len()];
        let loss = self.precision.scope(|| loss(model, batch, &self.device));
        let gradients = loss.backward();
        (loss.inner(), gradients)
    }

    /// The loss of a step; not a number where the gradients are none, as on a device that computes wrong.
    fn step(&mut self) -> f32 {
        let model = self.model.take().expect("every step gives the model back");
        let (loss, gradients) = self.descend(&model);
        let loss = loss.into_scalar::<f32>();
        let (model, loss) = match self.optimizer.step(model, gradients, 1e-3) {
            Ok((model, _)) => (model, loss),
            Err(refused) => (refused.0, f32::NAN),
        };
        self.model = Some(model);
        self.steps += 1;
        loss
    }

    /// Takes steps until the time is up, one at least, and reads their losses when that is due.
    fn run_unread(&mut self, start: Instant, budget: Duration) {
        let mut deferred = DeferredMetrics::new();
        loop {
            let model = self.model.take().expect("every step gives the model back");
            let (loss, gradients) = self.descend(&model);
            let (model, grad_norm) = self.optimizer.step_unread(model, gradients, 1e-3, &self.device);
            self.model = Some(model);
            self.steps += 1;
            deferred.push(self.steps, loss, None, grad_norm);
            let is_over = start.elapsed() >= budget;
            if is_over || deferred.is_due() {
                deferred.read();
            }
            if is_over {
                break;
            }
        }
    }
}

/// The best of some square matrix products, in 10^9 FLOPs per second: of 1024 x 1024 numbers, or of more where that takes too
/// little time to say something.
pub fn matrix_peak(device: &Device, precision: Precision) -> f64 {
    const LONG_ENOUGH: f64 = 2e-3;
    let mut n = 1024;
    loop {
        let x = Tensor::<3>::ones([1, n, n], device);
        let w = Tensor::<2>::ones([n, n], device);
        let time = || {
            let start = Instant::now();
            let y = precision.scope(|| kernels::linear(x.clone(), w.clone(), None));
            let _wait = y.narrow(1, 0, 1).narrow(2, 0, 1).sum().into_scalar::<f32>();
            start.elapsed().as_secs_f64()
        };
        let best = (0..20).map(|_| time()).fold(f64::INFINITY, f64::min);
        if best >= LONG_ENOUGH || n >= 16384 {
            return 2.0 * (n as f64).powi(3) / best / 1e9;
        }
        n *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataConfig;
    use crate::training::Job;
    use crate::training::config::{ConstantConfig, Count, Length, ScheduleConfig};

    #[test]
    fn a_device_that_computes_wrong_is_told_by_its_losses() {
        let device = crate::device::open("cpu").unwrap().autodiff();
        let mut training = Training::new(&Shape::named("Q").unwrap(), device);
        training.batches.iter_mut().for_each(|batch| batch.weights.fill(f32::NAN));
        assert!(training.step().is_nan() && training.step().is_nan());
    }

    #[test]
    fn steps_that_are_read_later_are_counted_and_done() {
        let device = crate::device::open("cpu").unwrap().autodiff();
        let shape = Shape::named("Q").unwrap();
        let [mut now, mut later] = [(); 2].map(|()| Training::new(&shape, device.clone()));
        later.run_unread(Instant::now(), Duration::from_millis(50));
        let losses: Vec<f32> = (0..later.steps + 1).map(|_| now.step()).collect();
        assert!(later.steps > 0);
        assert!((later.step() / losses.last().unwrap() - 1.0).abs() < 1e-3);
    }

    /// Against what docs/results/speed.md has measured of P and L.
    #[test]
    fn a_shape_takes_at_least_half_of_what_was_measured_and_not_more() {
        for (name, measured) in [("P", 191 << 20), ("L", 591 << 20)] {
            let least = Shape::named(name).unwrap().least_bytes();
            assert!(least > measured / 2 && least <= measured, "{name}: {least} of {measured}");
        }
        let huge = Shape { batch: usize::MAX, ..SHAPES[0] };
        assert_eq!(huge.least_bytes(), u64::MAX);
    }

    #[test]
    fn a_shape_is_found_by_its_letter_and_a_wrong_letter_names_all() {
        assert_eq!(Shape::named("p").unwrap().vocab_size, 3275);
        assert!(Shape::named("X").unwrap_err().to_string().contains("one of Q, S, P, M, L"));
    }

    #[test]
    fn a_job_is_timed_over_its_own_steps_and_leaves_nothing() {
        let device = crate::device::open("cpu").unwrap();
        let model = ModelConfig { d_model: 12, n_layers: 1, n_heads: 2, ..ModelConfig::default() };
        let (data, mut training) =
            (DataConfig::default(), TrainingConfig { batch: 2, ..TrainingConfig::default() });
        training.length = Length::Steps(Count { count: 6 });
        training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps: 1 });
        let time = |training: &TrainingConfig| {
            let job = Job { model: &model, data: &data, training, seed: 1 };
            of_steps(&job, 1e6, &device, Duration::from_secs(1000))
        };
        let speed = time(&training).unwrap();
        assert!(speed.tokens_per_second > 0.0 && speed.gflops > 0.0, "{speed:?}");
        training.length = Length::Steps(Count { count: 1 });
        assert!(time(&training).unwrap_err().to_string().contains("training.length"));
    }

    #[test]
    fn a_measurement_counts_whole_steps() {
        let device = crate::device::open("cpu").unwrap();
        let shape = Shape { batch: 4, ..Shape::named("q").unwrap() };
        let speed = measure(&shape, Precision::Bf16, &device, Duration::from_millis(1)).unwrap();
        assert!(
            speed.tokens_per_second > 0.0 && speed.gflops > 0.0 && speed.peak_gflops > speed.gflops / 10.0
        );
    }
}
