//! Intervals over seeds and what may be said from them, in plain `f64`.
//!
//! | file | idea |
//! |---|---|
//! | [`estimate`] | a mean with its Student t interval; arms set against a control seed by seed |
//! | [`design`] | how many seeds, when they are looked at, and how the error is spent over looks and arms |
//! | [`mod@decide`] | several arms against one control: interval, p and finding from one statistic |
//!
//! `cargo bench --bench decisions` shows how often the intervals hold the truth.

pub mod decide;
pub mod design;
pub mod estimate;

pub use decide::{Compared, Finding, compare, compare_at, compare_cells, decide, decide_at};
pub use design::Design;
pub use estimate::{
    CONFIDENCE, Contrast, Effect, Estimate, MIN_SEEDS, Power, ScatterShape, holm, median, root_mean_square,
};
