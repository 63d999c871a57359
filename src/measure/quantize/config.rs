//! Which weights are rounded, how finely, and how: the `[measure.quantize]` table of a plan.

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// Whether weights are rounded before a model is measured, and how.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuantizeConfig {
    /// They are not.
    #[default]
    None,
    /// Round to nearest.
    Rtn(RtnConfig),
    /// GPTQ (Frantar et al. 2022, arXiv 2210.17323).
    Gptq(GptqConfig),
}

/// Settings of round to nearest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RtnConfig {
    /// Bits of a weight.
    pub bits: u32,
    /// Which weights share a scale.
    pub scale: Scale,
    /// Which weights are rounded.
    pub weights: Scope,
}

/// Settings of GPTQ. Embeddings of tokens and positions, which no input multiplies, are rounded to nearest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GptqConfig {
    /// Bits of a weight.
    pub bits: u32,
    /// Which weights share a scale.
    pub scale: Scale,
    /// Which weights are rounded.
    pub weights: Scope,
    /// Tokens of the training data that are read to see which inputs matter; the paper reads 1000 biographies.
    pub tokens: u64,
    /// Added to the diagonal of the Hessian, as a share of its mean.
    pub damping: f64,
    /// In which order inputs are rounded.
    pub order: ColumnOrder,
}

/// Which weights share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// All of a matrix.
    Tensor,
    /// Those of one output of a linear layer, or of one token.
    #[default]
    Channel,
    /// Consecutive inputs of one output.
    Group(GroupConfig),
}

/// Settings of a scale for a few weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupConfig {
    /// How many; the last group of an output may have fewer.
    pub size: usize,
}

/// Which weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Those of linear layers.
    #[default]
    Linear,
    /// All matrices, the tables of tokens and positions too; vectors stay in float.
    All,
}

/// In which order GPTQ rounds inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnOrder {
    /// As they are stored.
    #[default]
    Stored,
    /// The largest inputs first ("act-order").
    Activation,
}

/// What both ways have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounding {
    /// Bits of a weight.
    pub bits: u32,
    /// Which weights share a scale.
    pub scale: Scale,
    /// Which weights are rounded.
    pub scope: Scope,
}

/// Fewer leave nothing to choose from, more are no rounding.
pub const BITS: std::ops::RangeInclusive<u32> = 2..=8;
/// The largest group that is taken for meant.
const MAX_GROUP: usize = 1 << 20;
/// The most tokens of calibration that are taken for meant.
const MAX_TOKENS: u64 = 1 << 30;

impl Default for RtnConfig {
    fn default() -> Self {
        RtnConfig { bits: 8, scale: Scale::default(), weights: Scope::default() }
    }
}

impl Default for GptqConfig {
    fn default() -> Self {
        GptqConfig {
            bits: 8,
            scale: Scale::default(),
            weights: Scope::default(),
            tokens: 65_536,
            damping: 0.01,
            order: ColumnOrder::default(),
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig { size: 64 }
    }
}

impl QuantizeConfig {
    /// Whether nothing is rounded.
    pub fn is_none(&self) -> bool {
        self.rounding().is_none()
    }

    /// How finely which weights are rounded, if any are.
    pub fn rounding(&self) -> Option<Rounding> {
        match *self {
            QuantizeConfig::None => None,
            QuantizeConfig::Rtn(RtnConfig { bits, scale, weights: scope })
            | QuantizeConfig::Gptq(GptqConfig { bits, scale, weights: scope, .. }) => {
                Some(Rounding { bits, scale, scope })
            }
        }
    }

    /// What is impossible about it; keys are relative to `quantize`.
    pub fn check(&self) -> Vec<Problem> {
        let Some(rounding) = self.rounding() else { return Vec::new() };
        let mut problems = Vec::new();
        let mut refuse = |possible: bool, found: String, key: &str, expected: String| {
            if !possible {
                problems.push(Problem::new(found).key(key).expected(expected));
            }
        };
        let bits = format!("{} to {}", BITS.start(), BITS.end());
        refuse(BITS.contains(&rounding.bits), rounding.bits.to_string(), "bits", bits);
        if let Scale::Group(GroupConfig { size }) = rounding.scale {
            let possible = (2..=MAX_GROUP).contains(&size);
            refuse(possible, size.to_string(), "scale.size", format!("2 to {MAX_GROUP} weights"));
        }
        if let QuantizeConfig::Gptq(GptqConfig { tokens, damping, .. }) = *self {
            let (few, many) = ((1..=MAX_TOKENS).contains(&tokens), format!("1 to {MAX_TOKENS}"));
            refuse(few, tokens.to_string(), "tokens", many);
            let possible = damping.is_finite() && damping > 0.0;
            refuse(possible, damping.to_string(), "damping", "a number above 0".to_string());
        }
        problems
    }
}
