//! Doing the plan: store, lease, resume, executors.

pub mod lease;
pub mod record;

pub use lease::{Claim, Lease};
pub use record::{Environment, Role, RunRecord, TrainingSummary};
