//! The loop, optimizer, schedule, checkpoints, meters and observers.

pub mod adapt;
mod prefetch;
pub mod answering;
pub mod checkpoint;
pub mod config;
pub mod context;
pub mod distill;
pub mod fit;
pub mod growth;
pub mod manifest;
pub mod masked;
pub mod meters;
pub mod objective;
pub mod observer;
pub mod optimizer;
pub mod reading;
pub mod schedule;
mod deferred;

pub use adapt::{AdaptConfig, Asking, QuestionsAdapt};
pub use answering::{Answering, AnsweringAdapt};
pub use config::{
    Clip, Count, Decay, DocumentOrder, Length, LengthUnits, OptimizerConfig, ScheduleConfig, TrainingConfig,
};
pub use context::{ContextConfig, EncoderContext};
pub use fit::{InitialState, Job, Outcome, Trained, fit, fit_from, loss};
pub use growth::{Growing, Grown, Resume, Timing};
pub use masked::{Masked, MaskedConfig, Prediction};
pub use meters::{Meters, Metrics};
pub use objective::{Objective, StepLoss};
pub use observer::{Control, NoopObserver, Observer, Progress};
pub use optimizer::Optimizer;
pub use reading::Reading;

pub(crate) use crate::model::weights;
pub(crate) use deferred::DeferredMetrics;
