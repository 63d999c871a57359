//! A block: `x + mixer(norm(x))`, then `x + feed_forward(norm(x))`.
//!
//! Pre-norm (Xiong et al. 2020, arXiv 2002.04745): the residual stream itself is never normalised. Without a
//! feed-forward the second half, its norm included, is absent.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::layers::feed_forward::{FeedForward, FeedForwardConfig};
use crate::layers::mixer::{Mixer, MixerConfig};
use crate::layers::norm::{Norm, NormConfig};
use crate::layers::{Pass, Widths};

/// The slots of a block.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockConfig {
    /// How tokens exchange information.
    pub mixer: MixerConfig,
    /// What happens to each token by itself.
    pub feed_forward: FeedForwardConfig,
}

/// One block.
#[derive(Module, Debug)]
pub struct Block {
    /// Before the mixer.
    pub mixer_norm: Norm,
    /// Along time.
    pub mixer: Mixer,
    /// Before the feed-forward.
    pub feed_forward_norm: Option<Norm>,
    /// Each token by itself.
    pub feed_forward: Option<FeedForward>,
}

impl BlockConfig {
    /// Zeros of the right shapes.
    pub fn init(&self, widths: &Widths, norm: &NormConfig, device: &Device) -> Block {
        let feed_forward = self.feed_forward.init(widths, device);
        Block {
            mixer_norm: norm.init(widths.d_model, device),
            mixer: self.mixer.init(widths, device),
            feed_forward_norm: feed_forward.as_ref().map(|_| norm.init(widths.d_model, device)),
            feed_forward,
        }
    }

    /// What is impossible about it at these widths; keys are relative to the block.
    pub fn check(&self, widths: &Widths) -> Vec<Problem> {
        let within = |slot: &str, problems: Vec<Problem>| -> Vec<Problem> {
            let prefix = |p: Problem| {
                let key = p.key.as_ref().map_or(slot.to_string(), |key| format!("{slot}.{key}"));
                p.key(key)
            };
            problems.into_iter().map(prefix).collect()
        };
        let mut problems = within("mixer", self.mixer.check(widths));
        problems.extend(within("feed_forward", self.feed_forward.check(widths)));
        problems
    }

    /// Parameters, norms included.
    pub fn num_params(&self, widths: &Widths, norm: &NormConfig) -> u64 {
        let n_norms = if self.feed_forward == FeedForwardConfig::None { 1 } else { 2 };
        n_norms * norm.num_params(widths.d_model)
            + self.mixer.num_params(widths)
            + self.feed_forward.num_params(widths)
    }

    /// Forward FLOPs per token.
    pub fn flops_per_token(&self, widths: &Widths) -> u64 {
        self.mixer.flops_per_token(widths) + self.feed_forward.flops_per_token(widths)
    }
}

impl Block {
    /// One step along the residual stream.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let x = residual(x, pass, |x, pass| self.mixer.forward(self.mixer_norm.forward(x), pass));
        match (&self.feed_forward_norm, &self.feed_forward) {
            (Some(norm), Some(feed_forward)) => {
                residual(x, pass, |x, pass| feed_forward.forward(norm.forward(x), pass))
            }
            _ => x,
        }
    }
}

/// `x + sublayer(x)`; the sublayer may already have added `x` in its last kernel.
fn residual(
    x: Tensor<3>,
    pass: &mut Pass,
    sublayer: impl FnOnce(Tensor<3>, &mut Pass) -> Tensor<3>,
) -> Tensor<3> {
    pass.offer_residual(x.clone());
    let y = sublayer(x, pass);
    match pass.take_residual() {
        Some(x) => x + y,
        None => y,
    }
}
