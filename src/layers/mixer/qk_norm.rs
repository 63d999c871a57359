//! QK-norm: queries and keys are normalised before they meet, so that scores cannot grow without bound.
//!
//! Henry et al. 2020 (arXiv 2010.04245), Dehghani et al. 2023 (arXiv 2302.05442). RMSNorm with a learned scale, over
//! each head by itself (Qwen3) or over all heads together (OLMo 2).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::kernels::Heads;
use crate::layers::norm::{RmsNorm, RmsNormConfig};

/// Whether queries and keys are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QkNormConfig {
    /// Queries and keys are used as they are.
    #[default]
    None,
    /// Each head over its own `k` channels; all heads share one scale.
    PerHead(RmsNormConfig),
    /// All heads together.
    Joint(RmsNormConfig),
}

/// The two norms.
#[derive(Module, Debug)]
pub struct QkNorm {
    /// Scale `[k]`, or `[h k]` when joint.
    pub queries: RmsNorm,
    /// Scale `[k]`, or `[g k]` when joint.
    pub keys: RmsNorm,
}

impl QkNormConfig {
    /// What is impossible about it; keys are relative to `qk_norm`.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            QkNormConfig::None => Vec::new(),
            QkNormConfig::PerHead(norm) | QkNormConfig::Joint(norm) => norm.check(),
        }
    }

    fn widths(&self, heads: Heads) -> Option<(RmsNormConfig, [usize; 2])> {
        match *self {
            QkNormConfig::None => None,
            QkNormConfig::PerHead(norm) => Some((norm, [heads.d_head; 2])),
            QkNormConfig::Joint(norm) => Some((norm, [heads.d_queries(), heads.n_kv_heads * heads.d_head])),
        }
    }

    /// Norms whose gains are one, or nothing.
    pub fn init(&self, heads: Heads, device: &Device) -> Option<QkNorm> {
        let (norm, [queries, keys]) = self.widths(heads)?;
        Some(QkNorm { queries: norm.init(queries, device), keys: norm.init(keys, device) })
    }

    /// Both scales.
    pub fn num_params(&self, heads: Heads) -> u64 {
        self.widths(heads).map_or(0, |(_, widths)| widths.iter().sum::<usize>() as u64)
    }
}

impl QkNorm {
    /// Normalises queries and keys inside the packed projection; values pass.
    ///
    /// # Shapes
    /// `[b, t, (h + 2g) k] -> [b, t, (h + 2g) k]`
    pub fn forward(&self, qkv: Tensor<3>, heads: Heads) -> Tensor<3> {
        let (d_queries, d_keys) = (heads.d_queries(), heads.n_kv_heads * heads.d_head);
        let queries = normalise(&self.queries, qkv.clone().narrow(2, 0, d_queries)); // [b, t, h k]
        let keys = normalise(&self.keys, qkv.clone().narrow(2, d_queries, d_keys)); // [b, t, g k]
        let values = qkv.narrow(2, d_queries + d_keys, d_keys); // [b, t, g k]
        Tensor::cat(vec![queries, keys, values], 2) // [b, t, (h + 2g) k]
    }
}

/// Normalises groups of as many channels as the norm has scales.
fn normalise(norm: &RmsNorm, x: Tensor<3>) -> Tensor<3> {
    let [b, t, width] = x.dims();
    let group = norm.gamma.val().dims()[0];
    norm.of_tokens(x.reshape([b, t * width / group, group])).reshape([b, t, width])
}
