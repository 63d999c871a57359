//! Cross-attention: `x + W_out softmax(Q K^T / sqrt(k)) V`, queries from the decoder, keys and values from a context.
//!
//! Yen, Gao and Chen 2024 (arXiv 2402.16617). The context is a set of encoded tokens: there are no positions, no order
//! among its chunks and no causal mask, so that it may be longer than any that was trained on. Keys and values are
//! projected from the encoder's width. There is no gate: without a context, or where all of it is hidden, `x` passes
//! unchanged to the bit. It has its own norm and adds to the residual stream itself, whatever the block's norm_placement.

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};

use super::linear::{Linear, LinearConfig};
use super::mixer::{LogitSoftcap, scores};
use super::norm::{Norm, NormConfig};
use super::start::{Start, checked};
use super::{Bias, EncoderStates, ForwardContext, Mode, Widths};
use crate::error::Problem;
use crate::kernels::Heads;

/// Scores that exist at once where nothing is learned from them, about: 16 MiB.
const SCORES: usize = 1 << 22;

/// Shape of a cross-attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossAttentionConfig {
    /// Width of the states that are read.
    pub d_context: usize,
    /// Key-value heads.
    pub n_kv_heads: usize,
    /// Which norm its queries come through.
    pub norm: NormConfig,
}

/// Cross-attention.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let config = CrossAttentionConfig { d_context: 32, n_kv_heads: 4, norm: NormConfig::default() };
/// let cross_attention = config.init(&Widths::new(64, 4, 128), &device);
/// let states = EncoderStates {
///     states: Tensor::ones([2, 7, 32], &device),
///     hidden: Tensor::<2>::zeros([2, 7], &device).bool(), // nothing of it is padding
/// };
/// let y = cross_attention.forward(Tensor::<3>::ones([2, 10, 64], &device), states);
/// assert_eq!(y.dims(), [2, 10, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// Before the queries.
    pub norm: Option<Norm>,
    /// `[d, h k]`.
    pub queries: Linear,
    /// `[d_context, 2 g k]`: keys, then values.
    pub keys_values: Linear,
    /// `[h k, d]`.
    pub out: Linear,
    #[module(skip)]
    heads: Heads,
}

impl CrossAttentionConfig {
    fn heads(&self, widths: &Widths) -> Heads {
        Heads { n_heads: widths.n_heads, n_kv_heads: self.n_kv_heads, d_head: widths.d_head() }
    }

    /// Queries, keys with values, output.
    fn linears(&self, widths: &Widths) -> [LinearConfig; 3] {
        let d_kv = 2 * self.n_kv_heads * widths.d_head();
        [(widths.d_model, widths.d_model), (self.d_context, d_kv), (widths.d_model, widths.d_model)]
            .map(|(d_in, d_out)| LinearConfig::new(d_in, d_out, Bias::Without))
    }

    /// Draws the weights from N(0, 1 / fan_in); biases are zero, gains one.
    ///
    /// # Panics
    /// If [`CrossAttentionConfig::check`] finds a problem.
    pub fn init(&self, widths: &Widths, device: &Device) -> CrossAttention {
        checked(self.check(widths), || self.build(widths, Start::Drawn, device))
    }

    /// What is impossible about it at these widths.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        let (d, h, g) = (widths.d_model, widths.n_heads, self.n_kv_heads);
        let mut problems = self.norm.check();
        if d == 0 || h == 0 || !d.is_multiple_of(h) {
            let problem = Problem::new(h.to_string()).key("n_heads");
            problems.push(problem.expected(format!("a divisor of d_model = {d}")));
        } else if g == 0 || !h.is_multiple_of(g) {
            let problem = Problem::new(g.to_string()).key("n_kv_heads");
            problems.push(problem.expected(format!("a divisor of n_heads = {h}")));
        }
        if self.d_context == 0 {
            problems.push(Problem::new("0").key("d_context").expected("at least 1"));
        }
        problems
    }

    pub(crate) fn build(&self, widths: &Widths, start: Start, device: &Device) -> CrossAttention {
        let [queries, keys_values, out] = self.linears(widths).map(|linear| linear.build(start, device));
        let norm = self.norm.init(widths.d_model, device);
        CrossAttention { norm, queries, keys_values, out, heads: self.heads(widths) }
    }

    /// Parameters of the three linear layers and the norm.
    pub fn num_params(&self, widths: &Widths) -> u64 {
        let linears = self.linears(widths).iter().map(LinearConfig::num_params).sum::<u64>();
        linears + self.norm.num_params(widths.d_model)
    }

    /// Forward FLOPs per token of the decoder that reads `s` tokens of context: queries, output, scores and values.
    pub fn flops_per_token(&self, widths: &Widths, s: usize) -> u64 {
        let [queries, _, out] = self.linears(widths);
        queries.flops_per_token() + out.flops_per_token() + 4 * widths.d_model as u64 * s as u64
    }

    /// Forward FLOPs per token of the context, however many tokens read it: its keys and values.
    pub fn flops_per_context_token(&self, widths: &Widths) -> u64 {
        self.linears(widths)[1].flops_per_token()
    }
}

impl CrossAttention {
    /// Adds to each position what it reads in `states`.
    ///
    /// # Shapes
    /// `[b, t, d]` with states `[b, s, d_context]` `-> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, states: EncoderStates) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new().with_encoder_states(Some(states)))
    }

    /// The same inside a model: what it reads are the encoder's states of the context; nothing if there are none.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let Some(EncoderStates { states, hidden }) = ctx.encoder_states() else { return x };
        let queries = self.queries.forward_with(Norm::forward_if(&self.norm, x.clone()), ctx); // [b, t, h k]
        let keys_values = self.keys_values.forward_with(states, ctx); // [b, s, 2 g k]
        let Heads { n_heads: h, n_kv_heads: g, .. } = self.heads;
        let [queries] = self.part(queries, [h]);
        let [keys, values] = self.part(keys_values, [g, g]);
        let nothing = hidden.clone().all_dim(1).unsqueeze_dim::<3>(2); // [b, 1, 1]
        let hidden = scores::keys_hidden(hidden); // [b, 1, 1, s]
        let at_once = match ctx.mode() {
            Mode::Train => usize::MAX,
            Mode::Eval => SCORES,
        };
        let read = attend([queries, keys, values], hidden, at_once); // [b, t, h k]
        let shape = read.dims();
        let read = read.mask_fill(nothing.expand(shape), 0.0);
        ctx.set_fused_residual(x);
        self.out.forward_to_residual(read, ctx) // [b, t, d]
    }

    /// Parts of so many heads each: `[b, t, n k] -> [b, n, t, k]`.
    fn part<const N: usize>(&self, x: Tensor<3>, parts: [usize; N]) -> [Tensor<4>; N] {
        let ([b, t, _], k) = (x.dims(), self.heads.d_head);
        let mut from = 0;
        parts.map(|n| {
            from += n * k;
            x.clone().narrow(2, from - n * k, n * k).reshape([b, t, n, k]).swap_dims(1, 2)
        })
    }
}

/// What queries read of all keys, so few queries at a time that about `at_once` scores exist together.
///
/// # Shapes
/// `[b, h, t, k]`, `[b, g, s, k]` twice, `[b, 1, 1, s] -> [b, t, h k]`
fn attend([queries, keys, values]: [Tensor<4>; 3], hidden: Tensor<4, Bool>, at_once: usize) -> Tensor<3> {
    let ([b, h, t, _], s) = (queries.dims(), keys.dims()[2]);
    let rows = (at_once / (b * h * s).max(1)).clamp(1, t);
    let part = |from: usize| {
        let few = queries.clone().narrow(2, from, rows.min(t - from));
        let inputs = [few, keys.clone(), values.clone()];
        scores::attend(inputs, LogitSoftcap::None, None, Some(hidden.clone()))
    };
    match rows == t {
        true => part(0),
        false => Tensor::cat((0..t).step_by(rows).map(part).collect(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn a_few_queries_at_a_time_read_what_all_of_them_read() {
        let device = crate::device::open("cpu").unwrap();
        let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Default, &device);
        let inputs = [random([2, 4, 7, 3]), random([2, 2, 5, 3]), random([2, 2, 5, 3])];
        let hidden = random([2, 1, 1, 5]).greater_elem(0.7);
        let read = |at_once| attend(inputs.clone(), hidden.clone(), at_once);
        let whole = read(usize::MAX);
        assert_eq!(whole.dims(), [2, 7, 12]);
        for at_once in [0, 2 * 4 * 5, 3 * 2 * 4 * 5] {
            let apart = (read(at_once) - whole.clone()).abs().max().into_scalar::<f32>();
            assert!(apart < 1e-6, "{at_once} scores: {apart}");
        }
    }
}
