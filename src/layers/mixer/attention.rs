//! Attention: `softmax(Q K^T / sqrt(k)) V` over the past, in `h` heads, then a linear map.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762). With fewer key-value heads than query heads, each key-value head serves a
//! group of query heads (Ainslie et al. 2023, arXiv 2305.13245). Queries, keys and values come from one packed linear.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::kernels::{self, Heads};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::position::{PositionConfig, RopeTable};
use crate::layers::{Bias, Pass, Widths};

/// Settings of attention.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttentionConfig {
    /// Where positions come in.
    pub position: PositionConfig,
    /// Whether the two linear maps have offsets.
    pub bias: Bias,
    /// Key-value heads; absent: as many as query heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_kv_heads: Option<usize>,
}

/// Causal self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d, (h + 2g) k]`: queries, then keys, then values.
    pub qkv: Linear,
    /// `[h k, d]`.
    pub out: Linear,
    rope: Option<RopeTable>,
    n_heads: usize,
    n_kv_heads: usize,
    d_head: usize,
}

impl AttentionConfig {
    /// Key-value heads at these widths.
    pub fn n_kv_heads(&self, widths: &Widths) -> usize {
        self.n_kv_heads.unwrap_or(widths.n_heads)
    }

    fn qkv(&self, widths: &Widths) -> LinearConfig {
        let d_out = (widths.n_heads + 2 * self.n_kv_heads(widths)) * widths.d_head();
        LinearConfig::new(widths.d_model, d_out, self.bias)
    }

    fn out(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(widths.d_model, widths.d_model, self.bias)
    }

    /// Zeros of the right shapes.
    pub fn init(&self, widths: &Widths, device: &Device) -> Attention {
        Attention {
            qkv: self.qkv(widths).init(device),
            out: self.out(widths).init(device),
            rope: match self.position {
                PositionConfig::Rope(config) => Some(config.init(widths, device)),
                PositionConfig::None => None,
            },
            n_heads: widths.n_heads,
            n_kv_heads: self.n_kv_heads(widths),
            d_head: widths.d_head(),
        }
    }

    /// What is impossible about it at these widths.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        let mut problems = self.position.check(widths);
        problems.iter_mut().for_each(|p| p.key = p.key.take().map(|key| format!("position.{key}")));
        let g = self.n_kv_heads(widths);
        if g == 0 || !widths.n_heads.is_multiple_of(g) {
            problems.push(
                Problem::new(g.to_string())
                    .key("n_kv_heads")
                    .expected(format!("a divisor of n_heads = {}", widths.n_heads)),
            );
        }
        problems
    }

    /// Parameters of both linear maps.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        self.qkv(widths).num_params() + self.out(widths).num_params()
    }

    /// Forward FLOPs per token: the linear maps, and the causal half of scores and values.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        let causal_half = 2 * widths.d_model as u64 * widths.seq_len as u64;
        self.qkv(widths).flops_per_token() + self.out(widths).flops_per_token() + causal_half
    }
}

impl Attention {
    /// Each position reads those before it.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let [_, t, _] = x.dims();
        let heads = Heads { n_heads: self.n_heads, n_kv_heads: self.n_kv_heads, d_head: self.d_head };
        let qkv = self.qkv.forward(x); // [b, t, (h + 2g) k]
        let rope = self.rope.as_ref().map(|table| table.rows(t));
        let mixed = kernels::causal_attention(qkv, rope.as_ref(), heads); // [b, t, h k]
        self.out.forward_to_residual(mixed, pass) // [b, t, d]
    }
}
