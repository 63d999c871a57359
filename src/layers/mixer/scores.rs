//! Attention in plain tensor code, for what the fused kernel does not know: windows, both directions, capped or biased
//! scores, and keys that were kept from earlier calls.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::kernels::{self, Heads, upcast};

/// Whether scores are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitSoftcap {
    /// Scores are used as they are.
    #[default]
    None,
    /// `max tanh(score / max)` (Bello et al. 2016, arXiv 1611.09940; Gemma 2 with 50).
    Tanh(TanhSoftcapConfig),
}

/// The score of a pair that is hidden: its share is exactly zero beside any other, and a query from which everything is
/// hidden stays a finite number.
const HIDDEN: f32 = -1e30;

/// Settings of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TanhSoftcapConfig {
    /// The largest score.
    pub max: f64,
}

impl Default for TanhSoftcapConfig {
    fn default() -> Self {
        TanhSoftcapConfig { max: 50.0 }
    }
}

impl LogitSoftcap {
    /// What is impossible about it; keys are relative to `logit_softcap`.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            LogitSoftcap::Tanh(TanhSoftcapConfig { max }) if !(max.is_finite() && *max > 0.0) => {
                vec![Problem::new(max.to_string()).key("max").expected("a number above 0")]
            }
            LogitSoftcap::None | LogitSoftcap::Tanh(_) => Vec::new(),
        }
    }

    fn apply(&self, scores: Tensor<4>) -> Tensor<4> {
        match self {
            LogitSoftcap::None => scores,
            LogitSoftcap::Tanh(cap) => (scores / cap.max).tanh() * cap.max,
        }
    }
}

/// Queries, keys and values of the packed projection, queries and keys turned by `rope`.
///
/// # Shapes
/// `[b, t, (h + 2g) k] -> [b, h, t, k], [b, g, t, k], [b, g, t, k]`
pub fn split(qkv: Tensor<3>, rope: Option<&kernels::Rope>, heads: Heads) -> [Tensor<4>; 3] {
    let [b, t, _] = qkv.dims();
    let Heads { n_heads: h, n_kv_heads: g, d_head: k } = heads;
    let part = |from: usize, n: usize| {
        qkv.clone().narrow(2, from * k, n * k).reshape([b, t, n, k]).swap_dims(1, 2) // [b, n, t, k]
    };
    let turned = |x: Tensor<4>| match rope {
        Some(rope) => kernels::rope(x, rope),
        None => x,
    };
    [turned(part(0, h)), turned(part(h, g)), part(h + g, g)]
}

/// The pairs hidden from all rows, `[t, s]`, and the keys that single rows lack, `[b, s]`, as one mask.
pub fn hidden(pairs: Option<Tensor<2, Bool>>, padding: Option<Tensor<2, Bool>>) -> Option<Tensor<4, Bool>> {
    let pairs = pairs.map(Tensor::unsqueeze::<4>); // [1, 1, t, s]
    let padding = padding.map(keys_hidden); // [b, 1, 1, s]
    match (pairs, padding) {
        (Some(pairs), Some(padding)) => {
            let shape = [padding.dims()[0], 1, pairs.dims()[2], pairs.dims()[3]];
            Some(pairs.expand(shape).bool_or(padding.expand(shape))) // [b, 1, t, s]
        }
        (pairs, padding) => pairs.or(padding),
    }
}

/// Keys that single rows lack, `[b, s]`, as a mask of pairs `[b, 1, 1, s]`.
pub fn keys_hidden(padding: Tensor<2, Bool>) -> Tensor<4, Bool> {
    padding.unsqueeze_dims::<4>(&[1, 2])
}

/// Softmax attention: `softmax(cap(Q K^T / sqrt(k)) + bias) V`, without the pairs that are hidden.
///
/// # Shapes
/// `queries [b, h, t, k]`, `keys` and `values [b, g, s, k]`, `bias [h, t, s]`, `hidden` of a shape that spreads over
/// `[b, h, t, s]`, to `[b, t, h k]`.
pub fn attend(
    [queries, keys, values]: [Tensor<4>; 3],
    cap: LogitSoftcap,
    bias: Option<Tensor<3>>,
    hidden: Option<Tensor<4, Bool>>,
) -> Tensor<3> {
    let [b, h, t, k] = queries.dims();
    let [_, g, s, _] = keys.dims();
    let share = |x: Tensor<4>| match g == h {
        true => x,
        false => x.unsqueeze_dim::<5>(2).expand([b, g, h / g, s, k]).reshape([b, h, s, k]), // [b, h, s, k]
    };
    let scores = upcast(queries.matmul(share(keys).swap_dims(2, 3))) / (k as f64).sqrt();
    let mut scores = cap.apply(scores); // [b, h, t, s]
    if let Some(bias) = bias {
        scores = scores + bias.unsqueeze::<4>();
    }
    if let Some(hidden) = hidden {
        scores = scores.mask_fill(hidden.expand([b, h, t, s]), HIDDEN);
    }
    let values = share(values);
    softmax(scores, 3).cast(values.dtype()).matmul(values).swap_dims(1, 2).reshape([b, t, h * k]) // [b, t, h k]
}
