//! TOML to a merged, checked, typed [`Plan`]: one run, with everything that can change its numbers.

pub mod reader;
pub mod tree;
pub mod writer;

use serde::{Deserialize, Serialize};

use crate::data::DataConfig;
use crate::measure::MeasureConfig;
use crate::model::ModelConfig;
use crate::training::TrainingConfig;

/// One run: a model, what it learns, how, and from which seed. Its fingerprint names the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// What is built.
    pub model: ModelConfig,
    /// What it learns.
    pub data: DataConfig,
    /// How it learns.
    pub training: TrainingConfig,
    /// What is measured afterwards.
    pub measure: MeasureConfig,
    /// Decides the people, their order and the starting weights.
    pub seed: u64,
}
