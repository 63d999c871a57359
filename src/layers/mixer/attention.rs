//! Attention: `softmax(Q K^T / sqrt(k)) V` over the past, in `h` heads, then a linear map.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762). With fewer key-value heads than query heads, each key-value head serves a
//! group of query heads (Ainslie et al. 2023, arXiv 2305.13245). Queries, keys and values come from one packed linear.
//! What is plainly causal goes through one fused kernel; the rest through [`scores`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::qk_norm::{QkNorm, QkNormConfig};
use super::reach::Reach;
use super::scores::{self, ScoreCap};
use crate::error::Problem;
use crate::kernels::{self, Heads};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::position::{Position, PositionConfig};
use crate::layers::{Bias, Pass, Widths, within};

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
    /// Which positions a query reads.
    pub reach: Reach,
    /// Whether queries and keys are normalised.
    pub qk_norm: QkNormConfig,
    /// Whether scores are bounded.
    pub score_cap: ScoreCap,
}

/// Self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d, (h + 2g) k]`: queries, then keys, then values.
    pub qkv: Linear,
    /// `[h k, d]`.
    pub out: Linear,
    /// Norms of queries and keys, if any.
    pub qk_norm: Option<QkNorm>,
    position: Option<Position>,
    #[module(skip)]
    reach: Reach,
    #[module(skip)]
    score_cap: ScoreCap,
    #[module(skip)]
    heads: Heads,
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

    fn heads(&self, widths: &Widths) -> Heads {
        Heads { n_heads: widths.n_heads, n_kv_heads: self.n_kv_heads(widths), d_head: widths.d_head() }
    }

    /// Zeros of the right shapes.
    pub fn init(&self, widths: &Widths, device: &Device) -> Attention {
        let heads = self.heads(widths);
        Attention {
            qkv: self.qkv(widths).init(device),
            out: self.out(widths).init(device),
            qk_norm: self.qk_norm.init(heads, device),
            position: self.position.init(widths, device),
            reach: self.reach,
            score_cap: self.score_cap,
            heads,
        }
    }

    /// What is impossible about it at these widths.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        let mut problems = within("position", self.position.check(widths));
        problems.extend(within("reach", self.reach.check()));
        problems.extend(within("score_cap", self.score_cap.check()));
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

    /// Parameters of both linear maps, and of the norms of queries and keys.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        let linears = self.qkv(widths).num_params() + self.out(widths).num_params();
        linears + self.qk_norm.num_params(self.heads(widths))
    }

    /// Forward FLOPs per token: the linear maps, scores and values.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        self.qkv(widths).flops_per_token() + self.out(widths).flops_per_token() + self.score_flops(widths)
    }

    /// Of these, scores and values: as many keys as a query really reads.
    pub fn score_flops(&self, widths: &Widths) -> u64 {
        self.reach.flops_per_token(widths.d_model, widths.seq_len)
    }
}

impl Attention {
    /// Each position reads those within its reach.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let [_, t, _] = x.dims();
        let qkv = self.qkv.forward(x); // [b, t, (h + 2g) k]
        let qkv = match &self.qk_norm {
            Some(norm) => norm.forward(qkv, self.heads),
            None => qkv,
        };
        let rope = self.position.as_ref().and_then(|position| position.rope(pass.start(), t));
        let mixed = match self.is_fused(t, pass) {
            true => kernels::causal_attention(qkv, rope.as_ref(), self.heads),
            false => self.attend(qkv, rope.as_ref(), pass),
        }; // [b, t, h k]
        self.out.forward_to_residual(mixed, pass) // [b, t, d]
    }

    /// Whether the fused kernel computes it.
    fn is_fused(&self, t: usize, pass: &Pass) -> bool {
        let plain_scores =
            self.score_cap == ScoreCap::None && !self.position.as_ref().is_some_and(Position::biases_scores);
        plain_scores && self.reach.is_causal_within(t) && !pass.remembers()
    }

    fn attend(&self, qkv: Tensor<3>, rope: Option<&kernels::Rope>, pass: &mut Pass) -> Tensor<3> {
        let device = qkv.device();
        let [queries, keys, values] = scores::split(qkv, rope, self.heads);
        let (keys, values) = (pass.remember(keys), pass.remember(values)); // [b, g, s, k]
        let (t, s) = (queries.dims()[2], keys.dims()[2]);
        let bias = self.position.as_ref().and_then(|position| position.score_bias(t, s)); // [h, t, s]
        let hidden = pass.mask(self.reach, [t, s], || self.reach.hidden([t, s], &device)); // [t, s]
        scores::attend([queries, keys, values], self.score_cap, bias, hidden) // [b, t, h k]
    }
}
