//! Who watches a run: the loop tells, the observer shows, writes, and says whether to go on.

use super::meters::Metrics;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Decoder;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Loss of the last step, in nats per token.
    pub loss: f64,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Another step.
    Continue,
    /// A checkpoint, then another step.
    Checkpoint,
    /// A checkpoint, then an end that can be resumed.
    Stop,
}

/// Watches a run of a model on its data. Every method has a default that does nothing.
pub trait Observer<M = Decoder, D = Dataset> {
    /// Training starts at `step`, after a checkpoint if it is not 0: whatever was kept of later steps is void.
    fn starts(&mut self, _step: u64, _steps: u64) -> Result<()> {
        Ok(())
    }

    /// A step is done.
    fn stepped(&mut self, _progress: &Progress) -> Result<Control> {
        Ok(Control::Continue)
    }

    /// A stretch of steps is done (about 200 in a run).
    fn metrics(&mut self, _metrics: &Metrics) -> Result<()> {
        Ok(())
    }

    /// About twenty times in a run: the model as it is, with autodiff, and its data. What it returns is kept in the
    /// line of metrics; the time spent here is not counted as training.
    fn looks(&mut self, _model: &M, _data: &D) -> Result<Option<f64>> {
        Ok(None)
    }

    /// A checkpoint is about to become visible: the last chance to refuse.
    fn commits(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }

    /// Something is wrong that does not end the run, for instance a damaged checkpoint that was skipped.
    fn warns(&mut self, _error: &Error) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopObserver;

impl<M, D> Observer<M, D> for NoopObserver {}
