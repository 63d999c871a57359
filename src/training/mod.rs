//! The loop, optimizer, schedule, checkpoints, meters and observers.

pub mod adapt;
mod ahead;
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
mod unread;

pub use adapt::{AdaptConfig, Asking, QuestionsAdapt};
pub use answering::{Answering, AnsweringAdapt};
pub use config::{
    Clip, Count, Decay, Length, OptimizerConfig, Order, ScheduleConfig, TrainingConfig, Yardstick,
};
pub use context::{ContextConfig, EncoderContext};
pub use fit::{Beginning, Job, Outcome, Trained, fit, fit_from, loss};
pub use growth::{Growing, Grown, Resume, Timing};
pub use masked::{Masked, MaskedConfig, Prediction};
pub use meters::{Meters, Metrics};
pub use objective::{Objective, StepLoss};
pub use observer::{Control, Observer, Progress, Silent};
pub use optimizer::Optimizer;
pub use reading::Reading;

pub(crate) use crate::model::weights;
pub(crate) use unread::Unread;
