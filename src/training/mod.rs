//! The loop, optimizer, schedule, checkpoints, meters and observers.

pub mod config;
pub mod manifest;

pub use config::{Clip, Decay, Length, OptimizerConfig, ScheduleConfig, TrainingConfig};
