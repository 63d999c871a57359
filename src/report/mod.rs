//! Comparing arms: statistics, tables, figures, one HTML page.
//!
//! The caller gathers [`Evidence`] from plan and store. [`compare()`] makes a [`Comparison`] of it, [`summary`] writes
//! that for a terminal, [`json`] for programs, and [`write()`] puts the whole report into a folder.

pub mod answer;
pub mod board;
pub mod caution;
pub mod challenge;
pub mod compare;
pub mod comparison;
pub mod crossing;
pub mod evidence;
#[cfg(test)]
mod fake;
pub mod factors;
pub mod figure;
pub mod files;
pub mod fit;
pub mod gate;
mod gather;
pub mod number;
pub mod page;
pub mod parts;
mod power;
pub mod speedup;
pub mod table;
pub mod terminal;
pub mod walk;

pub use crate::statistics::Power;
pub use compare::compare;
pub use comparison::{ArmResult, Comparison, Measure, Verdict};
pub use evidence::{
    ArmEvidence, Basis, Claim, CurvePoint, Evidence, MissingRun, Published, RunEvidence, TuningTrial,
};
pub use files::{Written, index_of, json, write, write_index};
pub use gather::gather;
pub use page::index::Linked;
pub use power::power;
pub use table::{markdown, summary};
pub use terminal::{Look, Style};
pub use walk::{StepResult, WalkResult};
