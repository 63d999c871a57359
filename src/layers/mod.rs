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
//! Every sublayer has one signature, `forward(&self, x: Tensor<3>, pass: &mut ForwardContext) -> Tensor<3>`, and every config
//! answers three questions without building anything: is it possible ([`Widths`] given), how many parameters, how
//! many FLOPs.

pub mod convolution;
pub mod cross_attention;
pub mod embedding;
pub mod feed_forward;
pub mod linear;
pub mod mixer;
pub mod norm;
mod forward_context;
pub mod position;

pub use forward_context::{CapturedInput, EncoderStates, ForwardContext, Mode};

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
    /// Independent n_experts of each linear map: one, but `e` inside a mixture of experts.
    pub n_experts: usize,
}

impl Widths {
    /// The widths of an ordinary sublayer.
    pub fn new(d_model: usize, n_heads: usize, seq_len: usize) -> Self {
        Widths { d_model, n_heads, seq_len, n_experts: 1 }
    }

    /// The same for a sublayer that is there `n_experts` times.
    pub fn with_experts(self, n_experts: usize) -> Self {
        Widths { n_experts, ..self }
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
