//! What a run costs, from its plan alone.

use serde::Serialize;

use super::Plan;
use super::data_size::DataSize;
use crate::Result;
use crate::model::{ModelConfig, ParamCount};

/// How fast this machine trains: large steps run nearer to its peak than small ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// What finished runs have reached, by growing step; empty when nothing was measured.
    pub measured: Vec<Pace>,
    /// Runs that run beside each other at that speed.
    pub parallel_runs: usize,
}

/// What a run has reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// FLOPs of a step, exact counting.
    pub flops_per_step: f64,
    /// Training FLOPs per second of one run.
    pub flops_per_second: f64,
}

/// An ordinary core, on the safe side, for a machine on which nothing was measured.
const UNMEASURED: f64 = 3e10;

impl Default for Calibration {
    /// Two ordinary cores with one run on each.
    fn default() -> Self {
        Calibration { measured: Vec::new(), parallel_runs: 2 }
    }
}

impl Calibration {
    /// Training FLOPs per second of a run with such steps: between two measured paces on a line in logarithms, beyond
    /// them that of the nearest.
    pub fn flops_per_second(&self, flops_per_step: f64) -> f64 {
        let above = self.measured.partition_point(|pace| pace.flops_per_step < flops_per_step);
        match (above.checked_sub(1).map(|below| self.measured[below]), self.measured.get(above)) {
            (None, None) => UNMEASURED,
            // Small steps say little of how fast large ones are, but that those are no slower.
            (Some(last), None) => match flops_per_step > 10.0 * last.flops_per_step {
                true => last.flops_per_second.max(UNMEASURED),
                false => last.flops_per_second,
            },
            (None, Some(only)) => only.flops_per_second,
            (Some(low), Some(high)) => {
                let span = (high.flops_per_step / low.flops_per_step).ln();
                let share = (flops_per_step / low.flops_per_step).ln() / span;
                low.flops_per_second * (high.flops_per_second / low.flops_per_second).powf(share)
            }
        }
    }
}

/// What a run costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Parameters of the model.
    pub params: ParamCount,
    /// Optimizer steps of its own.
    pub steps: u64,
    /// Tokens read.
    pub tokens: u64,
    /// FLOPs of forward and backward, exact counting.
    pub flops: f64,
    /// Estimate of the largest resident memory, in bytes.
    pub peak_bytes: u64,
    /// Estimate of the time, in seconds.
    pub seconds: f64,
}

/// Memory of a process that has not built anything yet, in bytes.
const BASE_BYTES: f64 = 28.0 * 1024.0 * 1024.0;

/// Activations that live beside the stored ones during the backward pass, as a factor; from measured peaks.
const IN_FLIGHT: f64 = 1.2;

/// Tokens that the measurements read in one pass, if there are so many (`measure/`).
const READ_TOKENS: f64 = 8192.0;

/// Rows of logits that exist at once.
const LOGIT_ROWS: usize = 512;

impl Plan {
    /// What the run itself costs, without the runs that it begins from; the plan must have passed its check.
    ///
    /// # Errors
    /// If a data file that the plan names cannot be read.
    pub fn cost(&self, calibration: &Calibration) -> Result<Cost> {
        self.cost_after(self.first_step()?, calibration)
    }

    /// What the run costs from a step on.
    ///
    /// # Errors
    /// As [`Plan::cost`].
    pub fn cost_after(&self, first_step: u64, calibration: &Calibration) -> Result<Cost> {
        let (params, seq_len) = (self.num_params()?, self.row_len()?);
        let batch = self.own_training()?.batch;
        let steps = self.steps()? - first_step;
        let rows = batch as u64;
        let tokens = steps.saturating_mul(rows).saturating_mul(seq_len as u64);
        let flops_per_token = self.flops_per_token()?.exact as f64;
        let flops = tokens as f64 * flops_per_token;
        let pace = calibration.flops_per_second((batch * seq_len) as f64 * flops_per_token);
        let peak_bytes = self.memory()?.peak_bytes();
        Ok(Cost { params, steps, tokens, flops, peak_bytes, seconds: flops / pace })
    }

    /// The most rows at once with which a step fits into so many bytes; nothing when not one does.
    ///
    /// # Errors
    /// As [`Plan::cost`].
    pub fn rows_that_fit(&self, bytes: u64) -> Result<Option<usize>> {
        let memory = self.memory()?;
        let fits = |rows: usize| Memory { rows, ..memory }.peak_bytes() <= bytes;
        if fits(memory.batch) {
            return Ok(Some(memory.batch));
        }
        // Parts need room for their sum, so that the whole may fit where a little less than it does not.
        let (mut most, mut too_many) = (0, memory.batch);
        while too_many - most > 1 {
            let rows = most + (too_many - most) / 2;
            if fits(rows) { most = rows } else { too_many = rows }
        }
        // The key is checked against the rows of the plan's own training, which a stage may exceed.
        Ok((most > 0).then_some(most.min(self.training.batch)))
    }

    fn memory(&self) -> Result<Memory<'_>> {
        let (size, training) = (DataSize::of(&self.data)?, self.own_training()?);
        Ok(Memory {
            model: &self.model,
            params: self.num_params()?,
            vocab_size: size.vocab_size,
            seq_len: self.row_len()?,
            rows: training.rows_at_once(),
            batch: training.batch,
            read: size.tokens_per_exposure.min(READ_TOKENS),
        })
    }
}

/// What decides how much memory a run needs.
#[derive(Debug, Clone, Copy)]
struct Memory<'a> {
    model: &'a ModelConfig,
    params: ParamCount,
    vocab_size: usize,
    seq_len: usize,
    /// Rows of a step that are in memory at once.
    rows: usize,
    batch: usize,
    /// Tokens that the measurements read at once.
    read: f64,
}

impl Memory<'_> {
    /// An estimate. Weights, gradients and two moments: 16 bytes a parameter, and 4 more for the sum over the parts of a
    /// step if there are several. Activations of the rows at once: a linear map keeps its wider side, which is about its
    /// parameters over `d`; norms and the residual stream keep four vectors a block. The head keeps one chunk of logits
    /// and their gradient. Afterwards the measurements read `read` tokens at once, block by block: two vectors and, with
    /// what is in flight, one and a half times all that the linear maps of a block keep. Factors are from measured peaks
    /// of runs on a CPU.
    fn peak_bytes(&self) -> u64 {
        let Memory { model, params, rows, .. } = self;
        let (n, d) = ((rows * self.seq_len) as f64, model.d_model as f64);
        let in_blocks = (params.active - params.embedding) as f64;
        let activations = n * (in_blocks / d + (4.0 * model.n_layers as f64 + 2.0) * d);
        let logits = 2.0 * n.min(LOGIT_ROWS as f64) * self.vocab_size as f64;
        let of_a_block = in_blocks / d / (model.n_layers as f64).max(1.0);
        let measuring = self.read * (2.0 * d + 1.5 * of_a_block);
        let most = (IN_FLIGHT * activations).max(measuring);
        let of_a_param = if *rows < self.batch { 20.0 } else { 16.0 };
        (BASE_BYTES + of_a_param * params.total as f64 + 4.0 * (most + logits)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Bias;
    use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};

    fn model(d_model: usize, n_layers: usize) -> ModelConfig {
        let mut model = ModelConfig { d_model, n_layers, n_heads: 4, ..ModelConfig::default() };
        model.block.feed_forward =
            FeedForwardConfig::Mlp(MlpConfig { bias: Bias::Without, ..MlpConfig::default() });
        model
    }

    #[test]
    fn a_pace_lies_between_its_neighbours_and_never_beyond_the_last() {
        let pace = |flops_per_step, flops_per_second| Pace { flops_per_step, flops_per_second };
        let calibration = Calibration { measured: vec![pace(1e6, 1e10), pace(1e8, 4e10)], parallel_runs: 2 };
        assert!((calibration.flops_per_second(1e7) - 2e10).abs() < 1.0);
        assert_eq!(calibration.flops_per_second(1.0), 1e10);
        assert_eq!(calibration.flops_per_second(1e8), 4e10);
        assert_eq!(calibration.flops_per_second(1e12), 4e10);
        let small = Calibration { measured: vec![pace(1e6, 1e9)], parallel_runs: 2 };
        assert_eq!((small.flops_per_second(5e6), small.flops_per_second(1e8)), (1e9, UNMEASURED));
        assert_eq!(Calibration::default().flops_per_second(1e7), UNMEASURED);
    }

    #[test]
    fn as_many_rows_at_once_fit_as_the_memory_says() {
        let mut plan = Plan { model: model(64, 2), ..Plan::default() };
        plan.training.batch = 4000;
        let needs = |plan: &Plan| plan.cost(&Calibration::default()).unwrap().peak_bytes;
        let whole = needs(&plan);
        assert_eq!(plan.rows_that_fit(whole).unwrap(), Some(4000));
        assert_eq!(plan.rows_that_fit(1).unwrap(), None);
        plan.training.micro_batch = Some(1600);
        let parts = needs(&plan);
        assert!(parts < whole, "{parts} in parts, {whole} at once");
        assert_eq!(plan.rows_that_fit(parts).unwrap(), Some(1600));
        assert_eq!(plan.rows_that_fit(parts - 1).unwrap(), Some(1599));
    }

    /// Peaks of three models in MiB, measured as resident memory on a CPU: lowest and highest of several runs.
    #[test]
    fn the_estimate_of_memory_is_near_measured_peaks() {
        let measured = [
            (model(64, 2), 1024, 128, 16, 33.0, 70.0),
            (model(128, 4), 2048, 256, 8, 100.0, 156.0),
            (model(256, 6), 8192, 512, 8, 570.0, 690.0),
        ];
        for (model, vocab_size, seq_len, batch, low, high) in measured {
            let params = model.num_params(vocab_size, seq_len);
            let memory = Memory { model: &model, params, vocab_size, seq_len, rows: batch, batch, read: 0.0 };
            let mib = memory.peak_bytes() as f64 / (1024.0 * 1024.0);
            assert!((low..=high).contains(&mib), "{mib} MiB, measured {low} to {high}");
        }
    }
}
