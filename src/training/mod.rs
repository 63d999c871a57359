//! The loop, optimizer, schedule, checkpoints, meters and observers.

pub mod config;

pub use config::{Clip, Decay, Length, OptimizerConfig, ScheduleConfig, TrainingConfig};
