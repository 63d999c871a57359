//! Slot: how attention knows the order of tokens.

pub mod rope;

use serde::{Deserialize, Serialize};

use super::Widths;
use crate::error::Problem;
pub use rope::{RopeConfig, RopeTable};

/// Where positions come in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionConfig {
    /// Rotary: queries and keys are turned by an angle proportional to their position.
    Rope(RopeConfig),
    /// No positions at all; the causal mask alone tells the order (NoPE).
    None,
}

impl Default for PositionConfig {
    fn default() -> Self {
        PositionConfig::Rope(RopeConfig::default())
    }
}

impl PositionConfig {
    /// What is impossible about it at these widths; keys are relative to the slot.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        match self {
            PositionConfig::Rope(config) => config.check(widths),
            PositionConfig::None => Vec::new(),
        }
    }
}
