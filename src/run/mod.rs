//! Doing the plan: store, lease, resume, executors.

pub mod record;

pub use record::{Environment, Role, RunRecord, TrainingSummary};
