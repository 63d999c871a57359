//! How a model is trained: the `[training]` table of a plan.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::kernels::Precision;

/// Everything about training that can change its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingConfig {
    /// How long.
    pub length: Length,
    /// The batch size: sequences in a step.
    pub batch: usize,
    /// Sequences that are in memory at once, for steps that do not fit: gradients are summed over the parts of a step. Absent:
    /// all. It changes the numbers by rounding, and those of experts with a capacity, which is then of the part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// What matrix products compute in; weights, sums and the loss are f32 in any case.
    #[serde(skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
    /// Whether activations that are cheap to compute, sums and products element by element, are computed again in the
    /// backward pass instead of kept (Chen et al. 2016, arXiv 1604.06174): less memory, more time, the same numbers. The
    /// fused kernels of the CPU keep what they need in any case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
    /// The highest learning rate.
    pub peak_lr: f64,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// In which order documents come.
    pub order: DocumentOrder,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// What happens to large gradients.
    pub clip: Clip,
}

/// How long a model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Each document is seen so many times.
    Exposures(Count),
    /// So many optimizer steps.
    Steps(Count),
    /// So many tokens, rounded to whole steps.
    Tokens(Count),
    /// So many FLOPs of forward and backward, exact counting, rounded to whole steps: equal compute for unequal models.
    Flops(FlopsConfig),
}

impl Length {
    /// How often each document is seen, if that is what the length says.
    pub fn exposures(&self) -> Option<u64> {
        match self {
            Length::Exposures(length) => Some(length.count),
            Length::Steps(_) | Length::Tokens(_) | Length::Flops(_) => None,
        }
    }
}

/// A number of exposures, steps or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// How many.
    pub count: u64,
}

/// In which order documents come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentOrder {
    /// All exposures of the whole run are shuffled together (arXiv 2404.05405): the order depends on the run's length.
    #[default]
    Global,
    /// One exposure after the other, each shuffled by itself: a longer run begins like a shorter one.
    Epochs,
}

/// A budget of FLOPs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlopsConfig {
    /// How many.
    pub count: u64,
    /// The share of them that this run takes: arms state shares, profiles the budget.
    pub share: f64,
}

/// The learning rate over time, in shares of the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// Linear warm-up, then half a cosine down to the floor.
    Cosine(CosineConfig),
    /// Linear warm-up, then constant.
    Constant(ConstantConfig),
    /// Warm-up, stable, decay: linear warm-up, constant, and a cooldown at the end (arXiv 2404.06395, 2405.18392).
    Wsd(WsdConfig),
}

/// Settings of the cosine schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineConfig {
    /// Steps from zero to the peak.
    pub warmup_steps: u64,
    /// Where it ends, as a share of the peak.
    pub floor: f64,
    /// Steps of the cosine over steps of the run: above 1 the run ends before the cosine does, below 1 it goes on at the
    /// floor (arXiv 2203.15556, Figure A1).
    pub stretch: f64,
}

/// Settings of warm-up, stable, decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WsdConfig {
    /// Steps from zero to the peak.
    pub warmup_steps: u64,
    /// Share of the run's steps in which the rate falls.
    pub cooldown: f64,
    /// How it falls.
    pub shape: Cooldown,
    /// Where it ends, as a share of the peak.
    pub floor: f64,
}

/// How the rate falls in a cooldown; `p` goes from 0 to 1 over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cooldown {
    /// `1 - sqrt(p)` (arXiv 2405.18392, the best of those tried there).
    #[default]
    OneMinusSqrt,
    /// `1 - p`.
    Linear,
}

/// Settings of the constant schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConstantConfig {
    /// Steps from zero to the peak.
    pub warmup_steps: u64,
}

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerConfig {
    /// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
    Adamw(AdamwConfig),
}

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamwConfig {
    /// Memory of the mean.
    pub beta1: f64,
    /// Memory of the mean square.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of the weight that is taken away per step, times the learning rate.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decay: Decay,
}

/// Which parameters decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Embeddings and linear layers; not biases and norm scales.
    #[default]
    Matrices,
    /// All.
    All,
}

/// What happens to large gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// All gradients are scaled so that their joint norm is at most `max`.
    GlobalNorm(GlobalNormConfig),
    /// Nothing.
    None,
}

/// Settings of clipping by the global norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GlobalNormConfig {
    /// The largest joint norm.
    pub max: f64,
}

impl Default for Count {
    fn default() -> Self {
        Count { count: 100 }
    }
}

impl Default for FlopsConfig {
    fn default() -> Self {
        FlopsConfig { count: 1_000_000_000_000, share: 1.0 }
    }
}

impl Default for CosineConfig {
    fn default() -> Self {
        CosineConfig { warmup_steps: 1000, floor: 0.1, stretch: 1.0 }
    }
}

impl Default for ConstantConfig {
    fn default() -> Self {
        ConstantConfig { warmup_steps: 1000 }
    }
}

impl Default for WsdConfig {
    fn default() -> Self {
        WsdConfig { warmup_steps: 1000, cooldown: 0.2, shape: Cooldown::default(), floor: 0.0 }
    }
}

impl Default for AdamwConfig {
    fn default() -> Self {
        AdamwConfig { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, decay: Decay::Matrices }
    }
}

impl Default for GlobalNormConfig {
    fn default() -> Self {
        GlobalNormConfig { max: 1.0 }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        TrainingConfig {
            length: Length::Exposures(Count::default()),
            batch: 16,
            micro_batch: None,
            precision: Precision::F32,
            gradient_checkpointing: false,
            peak_lr: 1e-3,
            schedule: ScheduleConfig::Cosine(CosineConfig::default()),
            order: DocumentOrder::default(),
            optimizer: OptimizerConfig::Adamw(AdamwConfig::default()),
            clip: Clip::GlobalNorm(GlobalNormConfig::default()),
        }
    }
}

/// The loss that a run is credited with is the mean of its last twentieth.
pub(super) const TAIL: u64 = 20;

/// The longest run that is taken for meant, in steps.
const MAX_STEPS: u64 = 1 << 40;

/// What turns exposures, tokens and FLOPs into steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthUnits {
    /// Positions in a sequence of a batch.
    pub seq_len: usize,
    /// The expected number of tokens in which each document appears once.
    pub tokens_per_exposure: f64,
    /// FLOPs of a training step per token, exact counting.
    pub flops_per_token: f64,
}

impl TrainingConfig {
    /// Optimizer steps: a function of the plan alone, the same for every seed.
    pub fn steps(&self, length_units: &LengthUnits) -> u64 {
        let tokens_per_step = (self.batch * length_units.seq_len) as f64;
        let steps = match self.length {
            Length::Steps(Count { count }) => count as f64,
            Length::Tokens(Count { count }) => count as f64 / tokens_per_step,
            Length::Exposures(Count { count }) => {
                count as f64 * length_units.tokens_per_exposure / tokens_per_step
            }
            Length::Flops(FlopsConfig { count, share }) => {
                count as f64 * share / length_units.flops_per_token / tokens_per_step
            }
        };
        (steps.round() as u64).max(1)
    }

    /// Sequences that are in memory at once.
    pub fn rows_at_once(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch)
    }

    /// The parts of a step whose gradients are summed, as ranges of sequences.
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, at_once) = (self.batch, self.rows_at_once());
        (0..rows).step_by(at_once).map(move |first| first..(first + at_once).min(rows))
    }

    /// How many exposures are shuffled together.
    pub fn exposures(&self, length_units: &LengthUnits) -> u64 {
        match (self.order, self.length) {
            (DocumentOrder::Epochs, _) => 1,
            (DocumentOrder::Global, Length::Exposures(Count { count })) => count,
            (DocumentOrder::Global, Length::Steps(_) | Length::Tokens(_) | Length::Flops(_)) => {
                let tokens = self.steps(length_units) as f64 * (self.batch * length_units.seq_len) as f64;
                (tokens / length_units.tokens_per_exposure).ceil().max(1.0) as u64
            }
        }
    }

    /// What is impossible about it; keys are relative to `[training]`.
    pub fn check(&self, length_units: &LengthUnits) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut demand = |possible: bool, key: &str, found: String, expected: &str| {
            if !possible {
                problems.push(Problem::new(found).key(key).expected(expected));
            }
        };
        demand((1..=1 << 20).contains(&self.batch), "batch", self.batch.to_string(), "1 to 1048576 rows");
        if let Some(rows) = self.micro_batch {
            let expected = format!("1 to {}, the batch size", self.batch);
            demand((1..=self.batch).contains(&rows), "micro_batch", rows.to_string(), &expected);
        }
        let count = match self.length {
            Length::Exposures(length) | Length::Steps(length) | Length::Tokens(length) => length.count,
            Length::Flops(length) => {
                let possible = length.share > 0.0 && length.share <= 1000.0;
                demand(possible, "length.share", length.share.to_string(), "a share above 0");
                length.count
            }
        };
        demand(count > 0, "length.count", count.to_string(), "at least 1");
        let lr_ok = self.peak_lr > 0.0 && self.peak_lr <= 10.0;
        demand(lr_ok, "peak_lr", self.peak_lr.to_string(), "a rate above 0 and at most 10");
        let mut floor = |floor: f64| {
            demand((0.0..=1.0).contains(&floor), "schedule.floor", floor.to_string(), "a share from 0 to 1");
        };
        match self.schedule {
            ScheduleConfig::Cosine(cosine) => {
                floor(cosine.floor);
                let stretch = cosine.stretch;
                let possible = (0.01..=1000.0).contains(&stretch);
                demand(possible, "schedule.stretch", stretch.to_string(), "0.01 to 1000");
            }
            ScheduleConfig::Wsd(wsd) => {
                floor(wsd.floor);
                let cooldown = wsd.cooldown;
                let possible = (1.0 / TAIL as f64..1.0).contains(&cooldown);
                let expected =
                    "a share from 0.05 (the final loss is the mean over the last twentieth) to below 1";
                demand(possible, "schedule.cooldown", cooldown.to_string(), expected);
            }
            ScheduleConfig::Constant(_) => {}
        }
        let OptimizerConfig::Adamw(adamw) = self.optimizer;
        for (key, beta) in [("optimizer.beta1", adamw.beta1), ("optimizer.beta2", adamw.beta2)] {
            demand((0.0..1.0).contains(&beta), key, beta.to_string(), "a memory from 0 to below 1");
        }
        demand(adamw.eps > 0.0, "optimizer.eps", adamw.eps.to_string(), "a number above 0");
        let decay = adamw.weight_decay;
        demand((0.0..=1.0).contains(&decay), "optimizer.weight_decay", decay.to_string(), "0 to 1");
        if let Clip::GlobalNorm(clip) = self.clip {
            demand(clip.max > 0.0, "clip.max", clip.max.to_string(), "a norm above 0");
        }
        if problems.is_empty() {
            problems.extend(self.check_steps(self.steps(length_units)));
        }
        problems
    }

    fn check_steps(&self, steps: u64) -> Option<Problem> {
        let warmup = self.schedule.warmup_steps();
        if steps > MAX_STEPS {
            return Some(Problem::new(format!("{steps} steps")).key("length").expected("at most 2^40 steps"));
        }
        if let Some(trunk) = self.schedule.trunk_steps(steps) {
            if self.order == DocumentOrder::Global {
                return Some(
                    Problem::new("global")
                        .key("order")
                        .expected("epochs, with the schedule wsd")
                        .help("cooldowns of different lengths share their trunk only if its order does not depend on them"),
                );
            }
            if trunk == 0 || trunk == steps {
                return Some(
                    Problem::new(format!("a cooldown of {} steps in a run of {steps}", steps - trunk))
                        .key("schedule.cooldown")
                        .expected("at least one step before it and one in it"),
                );
            }
        }
        (warmup > steps).then(|| {
            Problem::new(format!("{warmup} steps of warm-up in a run of {steps}"))
                .key("schedule.warmup_steps")
                .expected(format!("at most {steps}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_cut_into_parts_of_at_most_so_many_rows() {
        let parts = |batch, micro_batch| {
            TrainingConfig { batch, micro_batch, ..TrainingConfig::default() }.parts().collect::<Vec<_>>()
        };
        assert_eq!(parts(5, None), vec![0..5]);
        assert_eq!(parts(5, Some(5)), vec![0..5]);
        assert_eq!(parts(5, Some(2)), [0..2, 2..4, 4..5]);
        let length_units = LengthUnits { seq_len: 5, tokens_per_exposure: 7.0, flops_per_token: 1.0 };
        for rows in [0, 17] {
            let training = TrainingConfig { micro_batch: Some(rows), ..TrainingConfig::default() };
            let refused = format!("micro_batch: {rows}, expected 1 to 16, the batch size");
            assert_eq!(training.check(&length_units)[0].to_string(), refused);
        }
    }

    #[test]
    fn a_budget_of_flops_gives_a_costly_model_fewer_steps_and_a_share_of_it_fewer_still() {
        let steps = |flops_per_token: f64, share: f64| {
            let length = Length::Flops(FlopsConfig { count: 1_000_000, share });
            let training = TrainingConfig { length, batch: 2, ..TrainingConfig::default() };
            training.steps(&LengthUnits { seq_len: 5, tokens_per_exposure: 7.0, flops_per_token })
        };
        assert_eq!([steps(100.0, 1.0), steps(1000.0, 1.0), steps(100.0, 0.25)], [1000, 100, 250]);
        let config = FlopsConfig { share: 0.0, ..FlopsConfig::default() };
        let training = TrainingConfig { length: Length::Flops(config), ..TrainingConfig::default() };
        let length_units = LengthUnits { seq_len: 5, tokens_per_exposure: 7.0, flops_per_token: 1.0 };
        assert_eq!(training.check(&length_units)[0].to_string(), "length.share: 0, expected a share above 0");
    }
}
