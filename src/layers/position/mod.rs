//! Slot: how the model knows the order of tokens.
//!
//! One key for all of them, `model.block.mixer.position`. Most act inside attention, on queries and keys or on
//! scores. The absolute ones, `learned` and `sinusoidal`, are a table that the decoder adds to its embedding; they are
//! still chosen here, because they are an answer to the same question. Where layers differ, it is the choice of
//! `[model.block]` that decides the table, and a table in `[[model.layers]]` is refused.

pub mod alibi;
pub mod learned;
pub mod rope;
pub mod rope_scaling;
pub mod sinusoidal;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Widths;
use super::start::Start;
use crate::error::Problem;
use crate::kernels;
pub use alibi::Alibi;
pub use learned::LearnedPositions;
pub use rope::{RopeConfig, RopeTable};
pub use rope_scaling::RopeScaling;
pub use sinusoidal::SinusoidalPositions;

/// Where positions come in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionConfig {
    /// Rotary: queries and keys are turned by an angle proportional to their position.
    Rope(RopeConfig),
    /// Scores fall linearly with distance, at a slope of each head's own.
    Alibi,
    /// A learned vector per position, added at the embedding.
    Learned,
    /// Sines and cosines of the position, added at the embedding.
    Sinusoidal,
    /// No positions at all; the causal mask alone tells the order (NoPE).
    None,
}

/// What attention does about positions.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // Burn has no modules in boxes, and a model has few of these
pub enum Position {
    /// Rotary.
    Rope(RopeTable),
    /// Linear in the distance.
    Alibi(Alibi),
}

/// What the embedding does about positions.
#[derive(Module, Debug)]
pub enum PositionTable {
    /// Learned.
    Learned(LearnedPositions),
    /// Sines and cosines.
    Sinusoidal(SinusoidalPositions),
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
            PositionConfig::Rope(config) => config.check(widths.d_head()),
            PositionConfig::Alibi
            | PositionConfig::Learned
            | PositionConfig::Sinusoidal
            | PositionConfig::None => Vec::new(),
        }
    }

    /// The part inside attention.
    pub(crate) fn init(&self, widths: &Widths, device: &Device) -> Option<Position> {
        match self {
            PositionConfig::Rope(config) => {
                Some(Position::Rope(config.init(widths.d_head(), widths.seq_len, device)))
            }
            PositionConfig::Alibi => Some(Position::Alibi(Alibi::new(widths.n_heads, device))),
            PositionConfig::Learned | PositionConfig::Sinusoidal | PositionConfig::None => None,
        }
    }

    /// The part at the embedding.
    pub(crate) fn init_table(&self, widths: &Widths, start: Start, device: &Device) -> Option<PositionTable> {
        match self {
            PositionConfig::Learned => {
                Some(PositionTable::Learned(LearnedPositions::build(widths, start, device)))
            }
            PositionConfig::Sinusoidal => {
                Some(PositionTable::Sinusoidal(SinusoidalPositions::new(widths, device)))
            }
            PositionConfig::Rope(_) | PositionConfig::Alibi | PositionConfig::None => None,
        }
    }

    /// Whether there is a part at the embedding.
    pub fn has_table(&self) -> bool {
        match self {
            PositionConfig::Learned | PositionConfig::Sinusoidal => true,
            PositionConfig::Rope(_) | PositionConfig::Alibi | PositionConfig::None => false,
        }
    }

    /// Parameters of the table, one row per position of the longest sequence; all other positions have none.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        match self {
            PositionConfig::Learned => widths.seq_len as u64 * widths.d_model as u64,
            PositionConfig::Rope(_)
            | PositionConfig::Alibi
            | PositionConfig::Sinusoidal
            | PositionConfig::None => 0,
        }
    }
}

impl Position {
    /// The angles of `t` positions from `start` on, if queries and keys are turned.
    pub fn rope(&self, start: usize, t: usize) -> Option<kernels::Rope> {
        match self {
            Position::Rope(table) => Some(table.rows(start, t)),
            Position::Alibi(_) => None,
        }
    }

    /// Whether something is added to the scores.
    pub fn biases_scores(&self) -> bool {
        match self {
            Position::Rope(_) => false,
            Position::Alibi(_) => true,
        }
    }

    /// What is added to the scores of the last `t` of `s` positions, `[h, t, s]`, if anything.
    pub fn score_bias(&self, t: usize, s: usize) -> Option<Tensor<3>> {
        match self {
            Position::Rope(_) => None,
            Position::Alibi(alibi) => Some(alibi.bias(t, s)),
        }
    }
}

impl PositionTable {
    /// Adds the rows of the positions from `start` on.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, start: usize) -> Tensor<3> {
        let [_, t, _] = x.dims();
        let table = match self {
            PositionTable::Learned(positions) => positions.weight.val(),
            PositionTable::Sinusoidal(positions) => positions.table(),
        };
        x + table.narrow(0, start, t).unsqueeze::<3>() // [b, t, d]
    }
}
