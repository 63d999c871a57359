//! The cost of a run, from its plan alone.

use serde::Serialize;

use super::Plan;
use super::data_size::DataSize;
use crate::Result;
use crate::measure::{MeasureConfig, MeasureContext, sequences};
use crate::model::ParamCount;
use crate::training::TrainingConfig;

/// How fast this machine trains: large steps run nearer to its peak than small ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The speeds of finished runs, by increasing FLOPs of a step; empty when nothing was measured.
    pub measured: Vec<Pace>,
    /// The time that runs of each kind took.
    pub known: Vec<Known>,
    /// The number of runs in parallel at that speed.
    pub parallel_runs: usize,
}

/// The speed that a run reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The FLOPs of a step, exact counting.
    pub flops_per_step: f64,
    /// Training FLOPs per second of one run.
    pub flops_per_second: f64,
}

/// The time that runs of one kind took.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The [`Plan::kind`] of these runs.
    pub kind: Plan,
    /// The measurements that these runs made.
    pub measure: MeasureConfig,
    /// Training FLOPs per second of one run; nothing where they took no steps.
    pub flops_per_second: Option<f64>,
    /// Seconds of a run beside its steps, where runs were whole.
    pub other_seconds: Option<f64>,
}

/// An ordinary core, on the safe side, for a machine on which nothing was measured.
const UNMEASURED: f64 = 3e10;

/// Seconds of a run that neither trains nor measures: its process, its data, its files.
const START: f64 = 0.1;

/// FLOPs of a step's token over those of reading one.
const FORWARD_SHARE: f64 = 3.0;

/// FLOPs per second of measuring over those of training: documents of unequal length leave a part of each pass unused.
const MEASURING: f64 = 0.8;

impl Default for Calibration {
    /// Two ordinary cores with one run on each.
    fn default() -> Self {
        Calibration { measured: Vec::new(), known: Vec::new(), parallel_runs: 2 }
    }
}

impl Calibration {
    /// The pace of a run of this plan, by runs of its kind or by the size of its steps.
    fn pace(&self, kind: &Plan, flops_per_step: f64) -> f64 {
        let alike = self.known.iter().filter(|known| known.kind == *kind);
        let pace = alike.filter_map(|known| known.flops_per_second).next();
        pace.unwrap_or_else(|| self.flops_per_second(flops_per_step))
    }

    /// Seconds beside the steps of runs of this kind on which that was measured.
    fn other_seconds(&self, kind: &Plan, measure: &MeasureConfig) -> Option<f64> {
        let alike = self.known.iter().filter(|known| known.kind == *kind && known.measure == *measure);
        alike.filter_map(|known| known.other_seconds).next()
    }

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

/// The cost of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// The parameters of the model.
    pub params: ParamCount,
    /// The optimizer steps of the run itself.
    pub steps: u64,
    /// The tokens that are read.
    pub tokens: u64,
    /// The FLOPs of forward and backward, exact counting.
    pub flops: f64,
    /// The estimated peak resident memory, in bytes.
    pub peak_bytes: u64,
    /// The estimated time, in seconds.
    pub seconds: f64,
}

impl Plan {
    /// The cost of the run itself, without the runs that it starts from; the plan must have passed its check.
    ///
    /// # Errors
    /// If a data file that the plan names cannot be read.
    pub fn cost(&self, calibration: &Calibration) -> Result<Cost> {
        self.cost_after(self.first_step()?, calibration)
    }

    /// The cost of the run from a step on.
    ///
    /// # Errors
    /// As [`Plan::cost`].
    pub fn cost_after(&self, first_step: u64, calibration: &Calibration) -> Result<Cost> {
        let steps = self.steps()? - first_step;
        let rows = self.own_training()?.batch as u64;
        let tokens = steps.saturating_mul(rows).saturating_mul(self.row_len()? as u64);
        let flops_per_token = self.flops_per_token()?.exact as f64;
        let flops = tokens as f64 * flops_per_token;
        let kind = self.kind();
        let pace = calibration.pace(&kind, self.flops_per_step()?);
        let other = match calibration.other_seconds(&kind, &self.measure) {
            Some(seconds) => seconds,
            None => START + self.measured_tokens()? * flops_per_token / FORWARD_SHARE / (MEASURING * pace),
        };
        let peak_bytes = self.memory()?.peak_bytes();
        let params = self.num_params()?;
        Ok(Cost { params, steps, tokens, flops, peak_bytes, seconds: flops / pace + other })
    }

    /// FLOPs of a training step, exact counting.
    ///
    /// # Errors
    /// As [`Plan::cost`].
    pub fn flops_per_step(&self) -> Result<f64> {
        let tokens = self.own_training()?.batch as f64 * self.row_len()? as f64;
        Ok(tokens * self.flops_per_token()?.exact as f64)
    }

    /// The plan without what does not change how long a step takes: steps of one kind take as long.
    pub fn kind(&self) -> Plan {
        let TrainingConfig { length, peak_lr, schedule, order, .. } = TrainingConfig::default();
        let training = TrainingConfig { length, peak_lr, schedule, order, ..self.training };
        Plan { training, growth: None, measure: MeasureConfig::default(), seed: 0, ..self.clone() }
    }

    /// Tokens that are read to count the bits of knowledge and to ask questions, padding not counted.
    fn measured_tokens(&self) -> Result<f64> {
        let facts = DataSize::of(&self.data)?.facts.map_or(0.0, |facts| {
            let documents = self.measure.people.of(facts.people) * self.measure.paraphrases;
            let tokens = match (self.measure.context, self.data.packed_row()) {
                (MeasureContext::Packed, Some(row)) => {
                    sequences::tokens_per_document(row, facts.tokens_per_document)
                }
                (MeasureContext::Alone, _) | (_, None) => facts.tokens_per_document,
            };
            documents as f64 * tokens
        });
        Ok(facts + self.exam_tokens()?)
    }

    /// The largest micro-batch with which a step fits into this many bytes; `None` when not even one sequence does.
    ///
    /// # Errors
    /// As [`Plan::cost`].
    pub fn rows_that_fit(&self, bytes: u64) -> Result<Option<usize>> {
        let memory = self.memory()?;
        let fits = |rows: usize| memory.with_rows(rows).peak_bytes() <= bytes;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Bias;
    use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};
    use crate::model::ModelConfig;

    fn model(d_model: usize, n_layers: usize) -> ModelConfig {
        let mut model = ModelConfig { d_model, n_layers, n_heads: 4, ..ModelConfig::default() };
        model.block.feed_forward =
            FeedForwardConfig::Mlp(MlpConfig { bias: Bias::Without, ..MlpConfig::default() });
        model
    }

    #[test]
    fn a_pace_lies_between_its_neighbours_and_never_beyond_the_last() {
        let pace = |flops_per_step, flops_per_second| Pace { flops_per_step, flops_per_second };
        let calibration =
            Calibration { measured: vec![pace(1e6, 1e10), pace(1e8, 4e10)], ..Calibration::default() };
        assert!((calibration.flops_per_second(1e7) - 2e10).abs() < 1.0);
        assert_eq!(calibration.flops_per_second(1.0), 1e10);
        assert_eq!(calibration.flops_per_second(1e8), 4e10);
        assert_eq!(calibration.flops_per_second(1e12), 4e10);
        let small = Calibration { measured: vec![pace(1e6, 1e9)], ..Calibration::default() };
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
}
