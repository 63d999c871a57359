//! Tensor to tensor: a folder is a slot of the block, a file is a variant of that slot.
//!
//! Shape legend, used in every file:
//!
//! | letter | meaning | letter | meaning |
//! |---|---|---|---|
//! | `b` | batch (rows) | `h` | attention heads |
//! | `t` | time (positions in a row) | `g` | key-value heads |
//! | `s` | key time | `k` | width of a head |
//! | `d` | model width | `f` | feed-forward width |
//! | `v` | vocabulary | `n` | `b * t`, rows and time flattened |
//!
//! Every sublayer has one signature, `forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3>`, and every config
//! answers three questions without building anything: is it possible ([`Widths`] given), how many parameters, how
//! many FLOPs.

pub mod embedding;
pub mod feed_forward;
pub mod linear;
pub mod mixer;
pub mod norm;
mod pass;
pub mod position;

pub use pass::Pass;

use serde::{Deserialize, Serialize};

/// Whether a linear or a norm adds a learned offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// A learned offset, zero at the start.
    With,
    /// No offset.
    #[default]
    Without,
}

impl Bias {
    /// Parameters of an offset of `width`.
    pub fn num_params(self, width: usize) -> u64 {
        match self {
            Bias::With => width as u64,
            Bias::Without => 0,
        }
    }
}

/// The widths that a parent passes down to its sublayers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Width of the residual stream, `d`.
    pub d_model: usize,
    /// Query heads, `h`.
    pub n_heads: usize,
    /// The longest row, `t`.
    pub seq_len: usize,
}

impl Widths {
    /// Width of one head, `k = d / h`.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
    }
}
