//! What is known of a finished run: plan + environment + training + measurements.

use serde::{Deserialize, Serialize};

use crate::measure::Measurements;
use crate::model::ParamCount;
use crate::plan::{Plan, renamed};

/// A finished run, as `measurements.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this file's format.
    pub format: u32,
    /// Hash of the plan (hex).
    pub fingerprint: String,
    /// The plan, fully resolved.
    #[serde(deserialize_with = "renamed::json::of_json")]
    pub plan: Plan,
    /// The environment that the run ran in.
    pub environment: Environment,
    /// The parameter counts of the model.
    pub params: ParamCount,
    /// The cost of training and the final loss.
    pub training: TrainingSummary,
    /// The measurements of the trained model.
    pub measurements: Measurements,
}

/// The environment that a run ran in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of this program.
    pub version: String,
    /// The commit that the program was built from, if known.
    pub commit: Option<String>,
    /// Kind of device: `cpu`, `cuda`, ...
    pub device: String,
    /// Kernel level on a CPU: `avx512`, `avx2`, `portable`, `reference`.
    pub kernels: String,
    /// Processor or GPU by its own name.
    pub processor: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Threads of the run.
    pub threads: usize,
    /// When the run ended, UTC, RFC 3339.
    pub finished: String,
    /// The folder of the run that was trained, where its weights were read again and nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_of: Option<String>,
}

/// The cost of training and the final loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The number of optimizer steps.
    pub steps: u64,
    /// The number of tokens that were read.
    pub tokens: u64,
    /// FLOPs of forward and backward, exact counting.
    pub flops: f64,
    /// Seconds of training, without start-up, measurement and pauses.
    pub seconds: f64,
    /// Mean training loss of the last 5 % of steps, in nats per token.
    pub final_loss: f64,
    /// Seconds of everything, from the claim of the run to its results, where one process did all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<f64>,
    /// Largest resident memory of the process while it did this run, in bytes.
    pub peak_bytes: u64,
}
