//! Doing the plan: store, lease, resume, executors.

pub mod ablation;
mod adapt;
pub mod calibration;
mod children;
mod context;
pub mod difference;
pub mod environment;
pub mod executor;
pub mod export;
pub mod folder;
pub mod gc;
pub mod grow;
pub mod job;
pub mod lease;
pub mod metrics;
pub mod progress;
pub mod record;
pub mod stages;
pub mod stop;
pub mod store;
pub mod tables;
pub mod tensorboard;
pub mod trained;
pub mod submit;
pub mod worker;

pub use crate::plan::Role;
pub use ablation::{Answers, Outlook, Pace, Standing};
pub use executor::{Executor, Summary};
pub use folder::{Run, Site, State};
pub use lease::{Lease, LeaseClaim};
pub use record::{Environment, RunRecord, TrainingSummary};
pub use stop::Stop;
pub use store::{Store, WantedRun};
pub use trained::Trained;
pub use worker::work;
