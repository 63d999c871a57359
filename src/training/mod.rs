//! The loop, optimizer, schedule, checkpoints, meters and observers.

pub mod config;
pub mod schedule;
pub mod optimizer;
pub mod weights;
pub mod manifest;
pub mod checkpoint;
pub mod meters;
pub mod observer;
pub mod fit;

pub use config::{Clip, Count, Decay, Length, OptimizerConfig, ScheduleConfig, TrainingConfig};
pub use fit::{Job, Outcome, fit, loss};
pub use meters::{Meters, Metrics};
pub use observer::{Control, Observer, Progress, Silent};
pub use optimizer::Optimizer;
