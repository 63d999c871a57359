//! A block: a mixer and a feed-forward on the residual stream, with norms by its [`NormPlacement`].
//!
//! Without a feed-forward its half, norms and convolution included, is absent.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::norm_placement::{HalfNorms, NormPlacement};
use crate::error::Problem;
use crate::kernels::upcast;
use crate::layers::convolution::{Canon, ConvolutionConfig};
use crate::layers::cross_attention::CrossAttention;
use crate::layers::feed_forward::{FeedForward, FeedForwardConfig};
use crate::layers::mixer::{Mixer, MixerConfig};
use crate::layers::norm::{Norm, NormConfig};
use crate::layers::start::{Start, checked};
use crate::layers::{ForwardContext, Widths, within};

/// The slots of a block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockConfig {
    /// How tokens exchange information.
    pub mixer: MixerConfig,
    /// What happens to each token by itself.
    pub feed_forward: FeedForwardConfig,
    /// Where the norms are.
    pub norm_placement: NormPlacement,
    /// What mixer and feed-forward are multiplied by before they are added to the residual stream.
    pub residual_scale: f64,
    /// A short convolution of what the mixer reads (Canon-A).
    pub mixer_convolution: ConvolutionConfig,
    /// A short convolution of what the feed-forward reads (Canon-C).
    pub feed_forward_convolution: ConvolutionConfig,
}

impl Default for BlockConfig {
    fn default() -> Self {
        BlockConfig {
            mixer: MixerConfig::default(),
            feed_forward: FeedForwardConfig::default(),
            norm_placement: NormPlacement::default(),
            residual_scale: 1.0,
            mixer_convolution: ConvolutionConfig::None,
            feed_forward_convolution: ConvolutionConfig::None,
        }
    }
}

/// One block.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let block = BlockConfig { norm_placement: NormPlacement::Sandwich, ..BlockConfig::default() };
/// let block = block.init(&Widths::new(64, 4, 128), &NormConfig::default(), &device);
/// assert_eq!(block.forward(Tensor::<3>::ones([2, 10, 64], &device)).dims(), [2, 10, 64]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Block {
    /// Before the mixer; in a post-norm block after its addition.
    pub mixer_norm: Option<Norm>,
    /// Over what the mixer reads.
    pub mixer_convolution: Option<Canon>,
    /// Along time.
    pub mixer: Mixer,
    /// After the mixer, before the addition.
    pub mixer_out_norm: Option<Norm>,
    /// Between mixer and feed-forward, in a decoder that reads a context.
    pub cross_attention: Option<CrossAttention>,
    /// Before the feed-forward; in a post-norm block after its addition.
    pub feed_forward_norm: Option<Norm>,
    /// Over what the feed-forward reads.
    pub feed_forward_convolution: Option<Canon>,
    /// Each token by itself.
    pub feed_forward: Option<FeedForward>,
    /// After the feed-forward, before the addition.
    pub feed_forward_out_norm: Option<Norm>,
    #[module(skip)]
    norm_placement: NormPlacement,
    residual_scale: f64,
}

impl BlockConfig {
    /// Draws the weights from N(0, 1 / fan_in); biases are zero, gains one.
    ///
    /// # Panics
    /// If [`BlockConfig::check`] finds a problem.
    pub fn init(&self, widths: &Widths, norm: &NormConfig, device: &Device) -> Block {
        let problems = self.check(widths).into_iter().chain(norm.check()).collect();
        checked(problems, || self.build(widths, norm, Start::Drawn, device))
    }

    pub(crate) fn build(&self, widths: &Widths, norm: &NormConfig, start: Start, device: &Device) -> Block {
        let feed_forward = self.feed_forward.build(widths.d_model, start, device);
        let norm_if = |present: bool| present.then(|| norm.init(widths.d_model, device)).flatten();
        let mixer_norms = self.norm_placement.mixer_norms();
        let norms = self.feed_forward_norms();
        let [mixer_convolution, feed_forward_convolution] =
            self.convolutions().map(|convolution| convolution.init(widths.d_model, device));
        Block {
            mixer_norm: norm_if(mixer_norms.main),
            mixer_convolution,
            mixer: self.mixer.build(widths, start, device),
            mixer_out_norm: norm_if(mixer_norms.out),
            cross_attention: None,
            feed_forward_norm: norm_if(norms.main),
            feed_forward_convolution,
            feed_forward,
            feed_forward_out_norm: norm_if(norms.out),
            norm_placement: self.norm_placement,
            residual_scale: self.residual_scale,
        }
    }

    fn feed_forward_norms(&self) -> HalfNorms {
        match self.feed_forward == FeedForwardConfig::None {
            true => HalfNorms::NONE,
            false => self.norm_placement.feed_forward_norms(),
        }
    }

    /// What is impossible about it at these widths; keys are relative to the block.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        let mut problems = within("mixer", self.mixer.check(widths));
        problems.extend(within("feed_forward", self.feed_forward.check(widths.d_model)));
        problems.extend(within("mixer_convolution", self.mixer_convolution.check()));
        problems.extend(within("feed_forward_convolution", self.feed_forward_convolution.check()));
        let idle = self.feed_forward_convolution != ConvolutionConfig::None;
        if self.feed_forward == FeedForwardConfig::None && idle {
            let problem = Problem::new("there is no feed-forward to read it").key("feed_forward_convolution");
            problems.push(problem.help("say \"none\""));
        }
        if !self.residual_scale.is_normal() {
            let problem = Problem::new(self.residual_scale.to_string()).key("residual_scale");
            problems.push(problem.expected("a finite number other than 0"));
        }
        problems
    }

    /// Parameters, norms and convolutions included.
    pub fn num_params(&self, widths: &Widths, norm: &NormConfig) -> u64 {
        let halves = [self.norm_placement.mixer_norms(), self.feed_forward_norms()];
        let n_norms: u64 = halves.iter().map(|half| half.main as u64 + half.out as u64).sum();
        let convolutions = self.convolutions().map(|convolution| convolution.num_params(widths.d_model));
        n_norms * norm.num_params(widths.d_model)
            + convolutions.iter().sum::<u64>()
            + self.mixer.num_params(widths)
            + self.feed_forward.num_params(widths.d_model)
    }

    /// That of the mixer, and that of the feed-forward where there is one.
    fn convolutions(&self) -> [ConvolutionConfig; 2] {
        let beside = match self.feed_forward == FeedForwardConfig::None {
            true => ConvolutionConfig::None,
            false => self.feed_forward_convolution,
        };
        [self.mixer_convolution, beside]
    }

    /// Parameters that do nothing for any one token: those of experts that were not chosen.
    pub fn idle_params(&self, widths: &Widths) -> u64 {
        self.feed_forward.num_params(widths.d_model) - self.feed_forward.active_params(widths.d_model)
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        let convolutions = self.convolutions().map(|convolution| convolution.flops_per_token(widths.d_model));
        convolutions.iter().sum::<u64>()
            + self.mixer.flops_per_token(widths)
            + self.feed_forward.flops_per_token(widths.d_model)
    }
}

impl Block {
    /// One step along the residual stream.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new())
    }

    /// The same inside a model.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        if let NormPlacement::Parallel(_) = self.norm_placement {
            return self.forward_parallel(x, ctx);
        }
        let norms = [&self.mixer_norm, &self.mixer_out_norm];
        let x = self.half(x, ctx, norms, |x, ctx| self.mix(x, ctx));
        let x = self.read_context(x, ctx);
        match &self.feed_forward {
            Some(feed_forward) => {
                let norms = [&self.feed_forward_norm, &self.feed_forward_out_norm];
                self.half(x, ctx, norms, |x, ctx| self.feed(feed_forward, x, ctx))
            }
            None => x,
        }
    }

    fn forward_parallel(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let normed = Norm::forward_if(&self.mixer_norm, x.clone()); // [b, t, d]
        let Some(feed_forward) = &self.feed_forward else {
            let x = self.add(x, ctx, &None, |ctx| self.mix(normed, ctx));
            return self.read_context(x, ctx);
        };
        let beside = match &self.feed_forward_norm {
            Some(norm) => norm.of_tokens(x.clone()),
            None => normed.clone(),
        };
        let x = self.add(x, ctx, &None, |ctx| self.mix(normed, ctx));
        let x = self.read_context(x, ctx);
        self.add(x, ctx, &None, |ctx| self.feed(feed_forward, beside, ctx))
    }

    fn mix(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let x = Canon::forward_if(&self.mixer_convolution, x, ctx);
        self.mixer.forward_with(x, ctx)
    }

    fn read_context(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        match &self.cross_attention {
            Some(cross_attention) => cross_attention.forward_with(x, ctx),
            None => x,
        }
    }

    fn feed(&self, feed_forward: &FeedForward, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let x = Canon::forward_if(&self.feed_forward_convolution, x, ctx);
        feed_forward.forward_with(x, ctx)
    }

    /// One sublayer with the norms of its half.
    fn half(
        &self,
        x: Tensor<3>,
        ctx: &mut ForwardContext,
        [norm, out_norm]: [&Option<Norm>; 2],
        sublayer: impl FnOnce(Tensor<3>, &mut ForwardContext) -> Tensor<3>,
    ) -> Tensor<3> {
        if self.norm_placement.normalises_the_stream() {
            let sum = self.add(x.clone(), ctx, out_norm, |ctx| sublayer(x, ctx));
            return Norm::forward_if(norm, sum);
        }
        let normed = Norm::forward_if(norm, x.clone());
        self.add(x, ctx, out_norm, |ctx| sublayer(normed, ctx))
    }

    /// `x + scale norm(sublayer)`; with nothing between, the sublayer may add `x` in its last kernel.
    fn add(
        &self,
        x: Tensor<3>,
        ctx: &mut ForwardContext,
        out_norm: &Option<Norm>,
        sublayer: impl FnOnce(&mut ForwardContext) -> Tensor<3>,
    ) -> Tensor<3> {
        if out_norm.is_none() && self.residual_scale == 1.0 {
            ctx.set_fused_residual(x);
            let y = sublayer(ctx);
            return match ctx.take_fused_residual() {
                Some(x) => x + upcast(y),
                None => y,
            };
        }
        let y = Norm::forward_if(out_norm, upcast(sublayer(ctx)));
        match self.residual_scale == 1.0 {
            true => x + y,
            false => x + y * self.residual_scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::norm_placement::{ParallelConfig, ParallelNorms};
    use burn::tensor::Distribution;

    const WIDTHS: Widths = Widths { d_model: 24, n_heads: 4, seq_len: 5 };
    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f32 = 1e-5;

    /// Compares a block with the formula of its norm_placement, written with its own parts.
    fn check(config: BlockConfig, formula: impl Fn(&Block, Tensor<3>) -> Tensor<3>) {
        let device = crate::device::open("cpu").unwrap();
        let norm = NormConfig::default();
        let block = config.init(&WIDTHS, &norm, &device);
        let x = Tensor::random([2, 5, 24], Distribution::Uniform(-1.0, 1.0), &device);
        let difference = block.forward(x.clone()) - formula(&block, x);
        let difference = difference.abs().max().into_scalar::<f32>();
        assert!(difference < ROUNDING, "{:?} is off by {difference}", config.norm_placement);
    }

    fn arranged(norm_placement: NormPlacement) -> BlockConfig {
        BlockConfig { norm_placement, ..BlockConfig::default() }
    }

    fn mixed(block: &Block, x: Tensor<3>) -> Tensor<3> {
        block.mixer.forward(x)
    }

    fn fed(block: &Block, x: Tensor<3>) -> Tensor<3> {
        block.feed_forward.as_ref().unwrap().forward(x)
    }

    fn norm(norm: &Option<Norm>, x: Tensor<3>) -> Tensor<3> {
        norm.as_ref().unwrap().forward(x)
    }

    #[test]
    fn arrangements_are_their_formulas() {
        check(arranged(NormPlacement::Pre), |block, x| {
            let x = x.clone() + mixed(block, norm(&block.mixer_norm, x));
            x.clone() + fed(block, norm(&block.feed_forward_norm, x))
        });
        check(arranged(NormPlacement::Post), |block, x| {
            let x = norm(&block.mixer_norm, x.clone() + mixed(block, x));
            norm(&block.feed_forward_norm, x.clone() + fed(block, x))
        });
        check(arranged(NormPlacement::Output), |block, x| {
            let x = x.clone() + norm(&block.mixer_out_norm, mixed(block, x));
            x.clone() + norm(&block.feed_forward_out_norm, fed(block, x))
        });
        check(arranged(NormPlacement::Sandwich), |block, x| {
            let x = x.clone() + norm(&block.mixer_out_norm, mixed(block, norm(&block.mixer_norm, x)));
            let y = fed(block, norm(&block.feed_forward_norm, x.clone()));
            x + norm(&block.feed_forward_out_norm, y)
        });
    }

    #[test]
    fn parallel_halves_read_the_same_input() {
        let parallel = |norms| arranged(NormPlacement::Parallel(ParallelConfig { norms }));
        check(parallel(ParallelNorms::Shared), |block, x| {
            let normed = norm(&block.mixer_norm, x.clone());
            x + mixed(block, normed.clone()) + fed(block, normed)
        });
        check(parallel(ParallelNorms::Own), |block, x| {
            let beside = norm(&block.feed_forward_norm, x.clone());
            x.clone() + mixed(block, norm(&block.mixer_norm, x)) + fed(block, beside)
        });
    }

    #[test]
    fn the_residual_scale_multiplies_what_is_added() {
        check(BlockConfig { residual_scale: 0.25, ..BlockConfig::default() }, |block, x| {
            let x = x.clone() + mixed(block, norm(&block.mixer_norm, x)) * 0.25;
            x.clone() + fed(block, norm(&block.feed_forward_norm, x)) * 0.25
        });
    }
}
