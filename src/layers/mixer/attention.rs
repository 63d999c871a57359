//! Attention: `softmax(Q K^T / sqrt(k)) V` over the past, in `h` heads, then a linear layer.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762). With fewer key-value heads than query heads, each key-value head serves a
//! group of query heads (Ainslie et al. 2023, arXiv 2305.13245). Queries, keys and values come from one packed linear.
//! What is plainly causal goes through one fused kernel; the rest through [`scores`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::mask::AttentionMask;
use super::qk_norm::{QkNorm, QkNormConfig};
use super::scores::{self, LogitSoftcap};
use crate::error::Problem;
use crate::kernels::{self, Heads};
use crate::layers::convolution::{Canon, ConvolutionConfig};
use crate::layers::linear::{Linear, LinearConfig};
use crate::layers::position::{Position, PositionConfig};
use crate::layers::start::{Start, checked};
use crate::layers::{Bias, ForwardContext, Widths, within};

/// Settings of attention.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttentionConfig {
    /// Where positions come in.
    pub position: PositionConfig,
    /// Whether the two linear layers have biases.
    pub bias: Bias,
    /// Key-value heads; absent: as many as query heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_kv_heads: Option<usize>,
    /// Width of one head, `k`; absent: `d / h`, so that all heads together are as wide as the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_head: Option<usize>,
    /// Which positions a query reads.
    pub mask: AttentionMask,
    /// Whether queries and keys are normalised.
    pub qk_norm: QkNormConfig,
    /// Whether scores are bounded.
    pub logit_softcap: LogitSoftcap,
    /// A short convolution of queries, keys and values (Canon-B).
    pub convolution: ConvolutionConfig,
}

/// The widest head that is taken for meant.
const MAX_HEAD_WIDTH: usize = 1024;

/// Self-attention.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let widths = Widths::new(64, 4, 128); // d_model, n_heads, seq_len
/// let attention = AttentionConfig { n_kv_heads: Some(2), ..AttentionConfig::default() };
/// assert!(attention.check(&widths).is_empty());
/// let y = attention.init(&widths, &device).forward(Tensor::<3>::ones([2, 10, 64], &device));
/// assert_eq!(y.dims(), [2, 10, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d, (h + 2g) k]`: queries, then keys, then values.
    pub qkv: Linear,
    /// `[h k, d]`.
    pub out: Linear,
    /// Over the packed projection, if any.
    pub convolution: Option<Canon>,
    /// Norms of queries and keys, if any.
    pub qk_norm: Option<QkNorm>,
    position: Option<Position>,
    #[module(skip)]
    mask: AttentionMask,
    #[module(skip)]
    logit_softcap: LogitSoftcap,
    #[module(skip)]
    heads: Heads,
}

impl AttentionConfig {
    /// Key-value heads at these widths.
    pub fn n_kv_heads(&self, widths: &Widths) -> usize {
        self.n_kv_heads.unwrap_or(widths.n_heads)
    }

    /// Width of one head at these widths, `k`.
    pub fn d_head(&self, widths: &Widths) -> usize {
        self.d_head.unwrap_or(widths.d_head())
    }

    /// The widths among the heads: all of them together, `h k`, in place of the model's.
    fn of_heads(&self, widths: &Widths) -> Widths {
        Widths { d_model: widths.n_heads * self.d_head(widths), ..*widths }
    }

    pub(crate) fn qkv(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(widths.d_model, self.heads(widths).d_packed(), self.bias)
    }

    pub(crate) fn out(&self, widths: &Widths) -> LinearConfig {
        LinearConfig::new(self.of_heads(widths).d_model, widths.d_model, self.bias)
    }

    fn heads(&self, widths: &Widths) -> Heads {
        Heads { n_heads: widths.n_heads, n_kv_heads: self.n_kv_heads(widths), d_head: self.d_head(widths) }
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero, gains one.
    ///
    /// # Panics
    /// If [`AttentionConfig::check`] finds a problem.
    pub fn init(&self, widths: &Widths, device: &Device) -> Attention {
        checked(self.check(widths), || self.build(widths, Start::Drawn, device))
    }

    pub(crate) fn build(&self, widths: &Widths, start: Start, device: &Device) -> Attention {
        let heads = self.heads(widths);
        Attention {
            qkv: self.qkv(widths).build(start, device),
            out: self.out(widths).build(start, device),
            convolution: self.convolution.init(heads.d_packed(), device),
            qk_norm: self.qk_norm.init(heads, device),
            position: self.position.init(&self.of_heads(widths), device),
            mask: self.mask,
            logit_softcap: self.logit_softcap,
            heads,
        }
    }

    /// What is impossible about it at these widths.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        if let Some(width) = self.d_head.filter(|width| !(1..=MAX_HEAD_WIDTH).contains(width)) {
            let problem = Problem::new(width.to_string()).key("d_head");
            return vec![problem.expected(format!("1 to {MAX_HEAD_WIDTH}"))];
        }
        if let Some(problem) = self.check_heads(widths) {
            return vec![problem];
        }
        let mut problems = within("position", self.position.check(&self.of_heads(widths)));
        problems.extend(within("mask", self.mask.check()));
        problems.extend(within("qk_norm", self.qk_norm.check()));
        problems.extend(within("logit_softcap", self.logit_softcap.check()));
        problems.extend(within("convolution", self.convolution.check()));
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

    /// The heads that cannot be cut from this width.
    fn check_heads(&self, widths: &Widths) -> Option<Problem> {
        let (d, h) = (widths.d_model, widths.n_heads);
        if d == 0 {
            return Some(Problem::new("0").key("d_model").expected("at least 1"));
        }
        let divides = h > 0 && (self.d_head.is_some() || d.is_multiple_of(h));
        let problem =
            || Problem::new(h.to_string()).key("n_heads").expected(format!("a divisor of d_model = {d}"));
        (!divides).then(problem)
    }

    /// Parameters of both projections, of the convolution, and of the norms of queries and keys.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        let (heads, linears) =
            (self.heads(widths), self.qkv(widths).num_params() + self.out(widths).num_params());
        linears + self.convolution.num_params(heads.d_packed()) + self.qk_norm.num_params(heads)
    }

    /// Forward FLOPs per token: the linear layers, the convolution, scores and values.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        let linears = self.qkv(widths).flops_per_token() + self.out(widths).flops_per_token();
        let convolution = self.convolution.flops_per_token(self.heads(widths).d_packed());
        linears + convolution + self.score_flops(widths)
    }

    /// Of these, scores and values: as many keys as a query really reads.
    pub fn score_flops(&self, widths: &Widths) -> u64 {
        self.mask.flops_per_token(self.of_heads(widths).d_model, widths.seq_len)
    }

    /// What stands for these in Chinchilla's counting: the full matrix of scores, and its softmax.
    pub fn full_score_flops(&self, widths: &Widths) -> u64 {
        (widths.seq_len * (4 * self.of_heads(widths).d_model + 3 * widths.n_heads)) as u64
    }
}

impl Attention {
    /// Each position reads those within its mask.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new())
    }

    /// The same inside a model, or step by step with [`ForwardContext::with_kv_cache`] and, after each call over `t`
    /// positions through all layers, [`ForwardContext::advance`].
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let [_, t, _] = x.dims();
        let qkv = self.qkv.forward_with(x, ctx); // [b, t, (h + 2g) k]
        let qkv = Canon::forward_if(&self.convolution, qkv, ctx);
        let qkv = match &self.qk_norm {
            Some(norm) => norm.forward(qkv, self.heads),
            None => qkv,
        };
        let rope = self.position.as_ref().and_then(|position| position.rope(ctx.start(), t));
        let mixed = match self.is_fused(t, ctx) {
            true => kernels::causal_attention(qkv, rope.as_ref(), self.heads),
            false => self.attend(qkv, rope.as_ref(), ctx),
        }; // [b, t, h k]
        self.out.forward_to_residual(mixed, ctx) // [b, t, d]
    }

    /// Whether the fused kernel computes it.
    fn is_fused(&self, t: usize, ctx: &ForwardContext) -> bool {
        let plain_scores = self.logit_softcap == LogitSoftcap::None
            && !self.position.as_ref().is_some_and(Position::biases_scores);
        let plain_rows = !ctx.has_kv_cache() && ctx.padding().is_none();
        plain_scores && plain_rows && self.mask.is_causal_within(t)
    }

    fn attend(&self, qkv: Tensor<3>, rope: Option<&kernels::Rope>, ctx: &mut ForwardContext) -> Tensor<3> {
        let device = qkv.device();
        let [queries, keys, values] = scores::split(qkv, rope, self.heads);
        let (keys, values) = (ctx.append_to_kv_cache(keys), ctx.append_to_kv_cache(values)); // [b, g, s, k]
        let (t, s) = (queries.dims()[2], keys.dims()[2]);
        let bias = self.position.as_ref().and_then(|position| position.score_bias(t, s)); // [h, t, s]
        let hidden = ctx.mask(self.mask, [t, s], || self.mask.hidden([t, s], &device)); // [t, s]
        let hidden = scores::hidden(hidden, ctx.padding());
        scores::attend([queries, keys, values], self.logit_softcap, bias, hidden) // [b, t, h k]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogitSoftcap, TanhSoftcapConfig, WindowConfig};
    use super::*;
    use crate::layers::position::RopeConfig;
    use crate::model::init::{self, NormalInit};
    use crate::model::{InitConfig, ModelConfig};
    use burn::tensor::Distribution;

    const WIDTHS: Widths = Widths { d_model: 24, n_heads: 4, seq_len: 7 };
    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-5;

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    fn attention(change: impl FnOnce(&mut AttentionConfig)) -> Attention {
        let mut config = AttentionConfig { n_kv_heads: Some(2), ..AttentionConfig::default() };
        change(&mut config);
        let scheme = InitConfig::Normal(NormalInit { std: 0.4 }).scheme(&ModelConfig::default());
        init::fill(config.init(&WIDTHS, &device()), &scheme, 1)
    }

    fn input() -> Tensor<3> {
        Tensor::random([2, 7, 24], Distribution::Uniform(-1.0, 1.0), &device())
    }

    fn difference(x: Tensor<3>, y: Tensor<3>) -> f32 {
        (x - y).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn the_general_path_is_the_fused_kernel() {
        let x = input();
        for position in [PositionConfig::default(), PositionConfig::None] {
            let attention = attention(|a| a.position = position);
            let fused = attention.forward(x.clone());
            let general = attention.forward_with(x.clone(), &mut ForwardContext::with_kv_cache());
            assert!(difference(fused, general) < ROUNDING, "{position:?}");
        }
    }

    #[test]
    fn by_itself_it_draws_values_and_refuses_heads_that_cannot_be_cut() {
        let attention = AttentionConfig::default().init(&WIDTHS, &device());
        let y = attention.forward(input());
        let size = y.square().mean().into_scalar::<f32>();
        assert!((0.01..10.0).contains(&size), "outputs of the order of inputs, {size}");
        let keys = |d_model, n_heads| {
            let problems = AttentionConfig::default().check(&Widths::new(d_model, n_heads, 7));
            problems.into_iter().filter_map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(30, 4), ["n_heads"]);
        assert_eq!(keys(30, 0), ["n_heads"]);
        assert_eq!(keys(0, 4), ["d_model"]);
    }

    #[test]
    fn heads_may_be_wider_than_the_model_together() {
        let (narrow, wide) = (AttentionConfig::default(), |width| AttentionConfig {
            d_head: Some(width),
            ..AttentionConfig::default()
        });
        assert_eq!(wide(6).num_params(&WIDTHS), narrow.num_params(&WIDTHS), "24 / 4 is 6");
        assert_eq!(wide(6).flops_per_token(&WIDTHS), narrow.flops_per_token(&WIDTHS));
        assert_eq!(wide(10).num_params(&WIDTHS), 4 * 24 * 40);
        assert_eq!(wide(10).score_flops(&WIDTHS) * 6, narrow.score_flops(&WIDTHS) * 10);
        let (attention, x) = (attention(|a| a.d_head = Some(10)), input());
        let fused = attention.forward(x.clone());
        assert_eq!(fused.dims(), [2, 7, 24]);
        assert!(
            difference(fused, attention.forward_with(x, &mut ForwardContext::with_kv_cache())) < ROUNDING
        );
        assert_eq!(wide(0).check(&WIDTHS)[0].key.as_deref(), Some("d_head"));
    }

    #[test]
    fn what_has_no_effect_changes_nothing() {
        let x = input();
        let plain = attention(|_| {}).forward(x.clone());
        let long = attention(|a| a.mask = AttentionMask::SlidingWindow(WindowConfig { size: 7 }));
        assert_eq!(long.forward(x.clone()).into_data(), plain.clone().into_data());
        let high = attention(|a| a.logit_softcap = LogitSoftcap::Tanh(TanhSoftcapConfig { max: 1e4 }));
        assert!(difference(high.forward(x), plain) < ROUNDING);
    }

    #[test]
    fn a_query_reads_its_reach_and_nothing_else() {
        let x = input();
        let reads = |mask: AttentionMask, far: usize| {
            let attention = attention(|a| a.mask = mask);
            let other =
                x.clone().slice_assign([0..2, far..far + 1, 0..24], Tensor::zeros([2, 1, 24], &device()));
            let fourth = |x: Tensor<3>| attention.forward(x).narrow(1, 4, 1);
            difference(fourth(x.clone()), fourth(other)) > 0.0
        };
        let read = |mask: AttentionMask| -> String {
            (0..7).map(|far| if reads(mask, far) { 'x' } else { '.' }).collect()
        };
        assert_eq!(read(AttentionMask::Causal), "xxxxx..");
        assert_eq!(read(AttentionMask::SlidingWindow(WindowConfig { size: 3 })), "..xxx..");
        assert_eq!(read(AttentionMask::Bidirectional), "xxxxxxx");
    }

    #[test]
    fn without_positions_both_directions_know_no_order() {
        let x = input();
        let flipped = |position: PositionConfig| {
            let attention = attention(|a| (a.mask, a.position) = (AttentionMask::Bidirectional, position));
            let there = attention.forward(x.clone());
            let back = attention.forward(x.clone().flip([1])).flip([1]);
            difference(there, back)
        };
        assert!(flipped(PositionConfig::None) < ROUNDING);
        assert!(flipped(PositionConfig::Alibi) < ROUNDING, "distance has no direction");
        assert!(flipped(PositionConfig::Rope(RopeConfig::default())) > 1e-2, "an angle has");
    }

    #[test]
    fn normalised_queries_and_keys_do_not_feel_the_size_of_their_map() {
        let x = input();
        for qk_norm in [QkNormConfig::PerHead(Default::default()), QkNormConfig::Joint(Default::default())] {
            let attention = attention(|a| a.qk_norm = qk_norm);
            let norm = attention.qk_norm.as_ref().unwrap();
            let qkv = attention.qkv.forward(x.clone()); // [b, t, (h + 2g) k]
            let (qk, values) = (qkv.clone().narrow(2, 0, 36), qkv.clone().narrow(2, 36, 12));
            let larger = Tensor::cat(vec![qk * 30.0, values.clone()], 2);
            let (normed, again) = (norm.forward(qkv, attention.heads), norm.forward(larger, attention.heads));
            assert!(difference(normed.clone(), again) < 1e-2, "eps alone tells them apart");
            assert_eq!(normed.narrow(2, 36, 12).into_data(), values.into_data(), "values pass");
        }
    }
}
