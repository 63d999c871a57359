//! Where the norms of a block are.
//!
//! With `f` either of its two halves:
//!
//! | norm_placement | | |
//! |---|---|---|
//! | `pre-norm` | `x + f(norm(x))` | GPT-2; Xiong et al. 2020, arXiv 2002.04745 |
//! | `post-norm` | `norm(x + f(x))` | Vaswani et al. 2017, arXiv 1706.03762; no norm after the last block |
//! | `output-norm` | `x + norm(f(x))` | OLMo 2, arXiv 2501.00656 |
//! | `sandwich` | `x + norm'(f(norm(x)))` | Ding et al. 2021, arXiv 2105.13290; Gemma 2 |
//! | `parallel` | `x + mixer(norm(x)) + feed_forward(norm(x))` | GPT-J; two norms: GPT-NeoX |

use serde::{Deserialize, Serialize};

/// Where the norms of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlacement {
    /// Before each half.
    #[default]
    Pre,
    /// After each addition.
    Post,
    /// After each half, before the addition.
    Output,
    /// Before each half and after it.
    Sandwich,
    /// Before both halves, which read the same input.
    Parallel(ParallelConfig),
}

/// Settings of the parallel norm_placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ParallelConfig {
    /// Whether both halves share one norm.
    pub norms: ParallelNorms,
}

/// Whether the halves of a parallel block share one norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParallelNorms {
    /// Both halves share one norm (GPT-J).
    #[default]
    Shared,
    /// Each has its own (GPT-NeoX).
    Own,
}

/// Which norms a half of a block has: on its input (or its sum), and on its output.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfNorms {
    pub main: bool,
    pub out: bool,
}

impl HalfNorms {
    /// None.
    pub const NONE: HalfNorms = HalfNorms { main: false, out: false };
}

impl NormPlacement {
    /// The norms of the half with the mixer.
    pub(super) fn mixer_norms(self) -> HalfNorms {
        match self {
            NormPlacement::Pre | NormPlacement::Post | NormPlacement::Parallel(_) => {
                HalfNorms { main: true, out: false }
            }
            NormPlacement::Output => HalfNorms { main: false, out: true },
            NormPlacement::Sandwich => HalfNorms { main: true, out: true },
        }
    }

    /// The norms of the half with the feed-forward.
    pub(super) fn feed_forward_norms(self) -> HalfNorms {
        match self {
            NormPlacement::Parallel(ParallelConfig { norms: ParallelNorms::Shared }) => HalfNorms::NONE,
            NormPlacement::Parallel(ParallelConfig { norms: ParallelNorms::Own })
            | NormPlacement::Pre
            | NormPlacement::Post
            | NormPlacement::Output
            | NormPlacement::Sandwich => self.mixer_norms(),
        }
    }

    /// Whether the residual stream leaves a block normalised, so that the last block needs no norm behind it.
    pub fn normalises_the_stream(self) -> bool {
        self == NormPlacement::Post
    }
}
