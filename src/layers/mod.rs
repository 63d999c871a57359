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
//! | `e` | experts | `c` | places of an expert |
//!
//! Every sublayer has one signature, `forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3>`, and every config
//! answers three questions without building anything: is it possible ([`Widths`] given), how many parameters, how
//! many FLOPs.

pub mod convolution;
pub mod cross_attention;
pub mod embedding;
pub mod feed_forward;
pub mod linear;
pub mod mixer;
pub mod norm;
mod pass;
pub mod position;

pub use pass::{Context, Heard, Pass, Purpose};

use serde::{Deserialize, Serialize};

use crate::error::Problem;

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
    /// Independent copies of each linear map: one, but `e` inside a mixture of experts.
    pub copies: usize,
}

impl Widths {
    /// The widths of an ordinary sublayer.
    pub fn new(d_model: usize, n_heads: usize, seq_len: usize) -> Self {
        Widths { d_model, n_heads, seq_len, copies: 1 }
    }

    /// The same for a sublayer that is there `copies` times.
    pub fn with_copies(self, copies: usize) -> Self {
        Widths { copies, ..self }
    }

    /// Width of one head, `k = d / h`.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
    }
}

/// Puts the name of a slot before the keys of what is wrong inside it.
pub(crate) fn within(slot: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let prefix = |problem: Problem| {
        let key = problem.key.as_ref().map_or(slot.to_string(), |key| format!("{slot}.{key}"));
        problem.key(key)
    };
    problems.into_iter().map(prefix).collect()
}
