//! Learned positions: `x = E[token] + P[position]`, as in GPT-2.
//!
//! The table has one row per position of the longest row, and counts as parameters.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::layers::Widths;

/// The table of learned positions.
#[derive(Module, Debug)]
pub struct LearnedPositions {
    /// `[t, d]`.
    pub weight: Param<Tensor<2>>,
}

impl LearnedPositions {
    /// Zeros of the right shape; values come from [`crate::model::init`].
    pub fn new(widths: &Widths, device: &Device) -> Self {
        let shape = [widths.seq_len, widths.d_model];
        LearnedPositions { weight: Param::from_tensor(Tensor::zeros(shape, device)) }
    }
}
