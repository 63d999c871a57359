//! How a model is trained: the `[training]` table of a plan.

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// Everything about training that can change its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingConfig {
    /// How long.
    pub length: Length,
    /// Rows in a step.
    pub batch: usize,
    /// The highest learning rate.
    pub peak_lr: f64,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
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
}

/// A number of exposures, steps or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// How many.
    pub count: u64,
}

/// The learning rate over time, in shares of the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// Linear warm-up, then half a cosine down to the floor.
    Cosine(CosineConfig),
    /// Linear warm-up, then constant.
    Constant(ConstantConfig),
}

/// Settings of the cosine schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineConfig {
    /// Steps from zero to the peak.
    pub warmup_steps: u64,
    /// Where it ends, as a share of the peak.
    pub floor: f64,
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
    /// Tables and linear maps; not offsets and norm scales.
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

impl Default for CosineConfig {
    fn default() -> Self {
        CosineConfig { warmup_steps: 1000, floor: 0.1 }
    }
}

impl Default for ConstantConfig {
    fn default() -> Self {
        ConstantConfig { warmup_steps: 1000 }
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
            peak_lr: 1e-3,
            schedule: ScheduleConfig::Cosine(CosineConfig::default()),
            optimizer: OptimizerConfig::Adamw(AdamwConfig::default()),
            clip: Clip::GlobalNorm(GlobalNormConfig::default()),
        }
    }
}

/// The longest run that is taken for meant, in steps.
const MAX_STEPS: u64 = 1 << 40;

impl TrainingConfig {
    /// Optimizer steps: a function of the plan alone, the same for every seed.
    ///
    /// `tokens_per_exposure` is the expected number of tokens in which each document appears once.
    pub fn steps(&self, seq_len: usize, tokens_per_exposure: f64) -> u64 {
        let tokens_per_step = (self.batch * seq_len) as f64;
        let steps = match self.length {
            Length::Steps(Count { count }) => count as f64,
            Length::Tokens(Count { count }) => count as f64 / tokens_per_step,
            Length::Exposures(Count { count }) => count as f64 * tokens_per_exposure / tokens_per_step,
        };
        (steps.round() as u64).max(1)
    }

    /// How often each document is seen: what the stream of documents is shuffled over.
    pub fn exposures(&self, seq_len: usize, tokens_per_exposure: f64) -> u64 {
        match self.length {
            Length::Exposures(Count { count }) => count,
            Length::Steps(_) | Length::Tokens(_) => {
                let tokens = self.steps(seq_len, tokens_per_exposure) as f64 * (self.batch * seq_len) as f64;
                (tokens / tokens_per_exposure).ceil().max(1.0) as u64
            }
        }
    }

    /// What is impossible about it; keys are relative to `[training]`.
    pub fn check(&self, seq_len: usize, tokens_per_exposure: f64) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut demand = |possible: bool, key: &str, got: String, expected: &str| {
            if !possible {
                problems.push(Problem::new(got).key(key).expected(expected));
            }
        };
        demand((1..=1 << 20).contains(&self.batch), "batch", self.batch.to_string(), "1 to 1048576 rows");
        let (Length::Exposures(length) | Length::Steps(length) | Length::Tokens(length)) = self.length;
        demand(length.count > 0, "length.count", length.count.to_string(), "at least 1");
        let lr_ok = self.peak_lr > 0.0 && self.peak_lr <= 10.0;
        demand(lr_ok, "peak_lr", self.peak_lr.to_string(), "a rate above 0 and at most 10");
        if let ScheduleConfig::Cosine(cosine) = self.schedule {
            let floor_ok = (0.0..=1.0).contains(&cosine.floor);
            demand(floor_ok, "schedule.floor", cosine.floor.to_string(), "a share from 0 to 1");
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
            problems.extend(self.check_steps(self.steps(seq_len, tokens_per_exposure)));
        }
        problems
    }

    fn check_steps(&self, steps: u64) -> Option<Problem> {
        let warmup = match self.schedule {
            ScheduleConfig::Cosine(config) => config.warmup_steps,
            ScheduleConfig::Constant(config) => config.warmup_steps,
        };
        if steps > MAX_STEPS {
            return Some(Problem::new(format!("{steps} steps")).key("length").expected("at most 2^40 steps"));
        }
        (warmup > steps).then(|| {
            Problem::new(format!("{warmup} steps of warm-up in a run of {steps}"))
                .key("schedule.warmup_steps")
                .expected(format!("at most {steps}"))
        })
    }
}
