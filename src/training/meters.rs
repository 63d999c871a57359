//! What a run has cost so far, and the loss averaged over a stretch of steps.

use serde::{Deserialize, Serialize};

/// What a run has cost and where its loss is; saved with every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Meters {
    /// Tokens read.
    pub tokens: u64,
    /// FLOPs of forward and backward, exact counting.
    pub flops: f64,
    /// Seconds of training, without start-up, evaluation and pauses.
    pub seconds: f64,
    /// The stretch since the last line of metrics.
    pub stretch: Mean,
    /// What sublayers added to the loss of their own in that stretch; none if nobody had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary: Option<Mean>,
    /// The last 5 % of steps.
    pub tail: Mean,
}

/// A running mean.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean so far; not a number when empty.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps done.
    pub step: u64,
    /// Tokens read.
    pub tokens: u64,
    /// FLOPs so far, exact counting.
    pub flops: f64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Training loss in nats per token (the cross-entropy), mean since the last line.
    pub loss: f64,
    /// What sublayers added to what was minimised, mean since the last line: the balance and z losses of mixtures of
    /// experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary: Option<f64>,
    /// Norm of the gradients of the last step, before clipping.
    pub grad_norm: f64,
    /// What a look at the model found, for instance bits per parameter on a few people; at every tenth line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<f64>,
}
