//! The objective of a run: a model, data, and the loss that a step minimises. The loop knows no more of a run.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::TrainingConfig;
use super::optimizer::Optimizer;
use crate::error::Result;

/// What a run teaches. Everything here is a function of the objective and the step.
pub trait Objective: Sync {
    /// The module that is trained.
    type Model: Module;
    /// The data that it is trained on.
    type Data: Sync;
    /// What a step reads, on the host.
    type Batch: Send;

    /// How it is trained.
    fn training(&self) -> &TrainingConfig;

    /// Optimizer steps of the whole run.
    ///
    /// # Errors
    /// The data's files cannot be read.
    fn steps(&self) -> Result<u64>;

    /// The data.
    ///
    /// # Errors
    /// The data's files cannot be read.
    fn open_data(&self) -> Result<Self::Data>;

    /// The model before its first step.
    ///
    /// # Errors
    /// What it begins from cannot be read or does not fit.
    fn start(&self, device: &Device) -> Result<Self::Model>;

    /// The optimizer before its first step; all parameters learn at one rate unless the objective knows better.
    fn optimizer(&self) -> Optimizer {
        let training = self.training();
        Optimizer::new(&training.optimizer, &training.clip)
    }

    /// The learning rate of `step` of `steps`, as a share of the peak.
    fn share(&self, step: u64, steps: u64) -> f64 {
        self.training().schedule.share(step, steps)
    }

    /// How often the optimizer's moments were updated before `step`, for their bias correction.
    fn updates(&self, step: u64) -> u64 {
        step
    }

    /// What step number `step` reads.
    fn batch(&self, data: &Self::Data, step: u64) -> Self::Batch;

    /// What the sequences `part` of the batch of step number `step` add to its loss.
    fn loss(
        &self,
        model: &Self::Model,
        batch: &Self::Batch,
        step: u64,
        part: Range<usize>,
        device: &Device,
    ) -> StepLoss;
}

/// What a part of a step adds to the loss that the step minimises, and what it costs.
#[derive(Debug)]
pub struct StepLoss {
    /// The loss `[1]` in nats per token. The parts of a step add up to the mean over its tokens.
    pub loss: Tensor<1>,
    /// The small losses `[1]` that sublayers add of their own: minimised beside it, logged apart. Each part of a step
    /// makes its own from its own tokens, as the balance of experts within them.
    pub auxiliary: Option<Tensor<1>>,
    /// Tokens that are read.
    pub tokens: u64,
    /// FLOPs of forward and backward, exact counting.
    pub flops: f64,
}

impl StepLoss {
    /// The losses of a part, as its `share` of those of the step; it costs nothing yet.
    pub fn new(loss: Tensor<1>, auxiliary: Option<Tensor<1>>, share: f64) -> Self {
        // The whole is left as it is.
        let scaled = |loss: Tensor<1>| if share == 1.0 { loss } else { loss * share };
        StepLoss { loss: scaled(loss), auxiliary: auxiliary.map(scaled), tokens: 0, flops: 0.0 }
    }

    /// Adds the tokens and FLOPs of the part.
    pub fn costing(self, tokens: u64, flops: f64) -> Self {
        StepLoss { tokens, flops, ..self }
    }
}
