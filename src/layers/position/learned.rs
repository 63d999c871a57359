//! Learned positions: `x = E[token] + P[position]`, as in GPT-2.
//!
//! The table has one row per position of the longest sequence, and counts as parameters.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::layers::Widths;
use crate::layers::start::Start;

/// The table of learned positions.
#[derive(Module, Debug)]
pub struct LearnedPositions {
    /// `[t, d]`.
    pub weight: Param<Tensor<2>>,
}

impl LearnedPositions {
    /// One row for each of `widths.seq_len` positions, drawn from N(0, 1 / d).
    pub fn new(widths: &Widths, device: &Device) -> Self {
        LearnedPositions::build(widths, Start::Drawn, device)
    }

    pub(crate) fn build(widths: &Widths, start: Start, device: &Device) -> Self {
        let (t, d) = (widths.seq_len, widths.d_model);
        LearnedPositions { weight: start.weight([t, d], d, device) }
    }
}
