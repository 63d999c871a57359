//! Canon layer: `x_t + sum over i < width of w_i * x_(t-i)`, channel by channel, along the sequence and only backwards.
//!
//! Allen-Zhu 2025, "Physics of Language Models: Part 4.1" (arXiv 2512.17351): a way from token to token that costs
//! almost nothing, before the mixer (Canon-A), on queries, keys and values (B), before the feed-forward (C). The
//! kernel starts at zero, so that a model with it starts as the model without.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::ForwardContext;
use crate::error::Problem;
use crate::kernels::upcast;

/// Whether there is a short convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvolutionConfig {
    /// There is none.
    #[default]
    None,
    /// Each channel by itself, added to its input.
    Canon(CanonConfig),
}

/// Settings of a Canon layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CanonConfig {
    /// Positions that are read, the own one included.
    pub width: usize,
}

impl Default for CanonConfig {
    fn default() -> Self {
        CanonConfig { width: 4 }
    }
}

/// A Canon layer.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let canon = ConvolutionConfig::Canon(CanonConfig { width: 4 }).init(64, &device).expect("it is there");
/// let x = Tensor::<3>::ones([2, 10, 64], &device);
/// assert_eq!(canon.forward(x.clone()).into_data(), x.into_data(), "it adds nothing at first");
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Canon {
    /// `[width, d]`, own position first; zero at the start.
    pub kernel: Param<Tensor<2>>,
}

/// The largest width that is taken for meant.
const MAX_WIDTH: usize = 64;

impl ConvolutionConfig {
    /// A convolution whose kernel is zero, so that it adds nothing at first, or nothing.
    pub fn init(&self, channels: usize, device: &Device) -> Option<Canon> {
        match self {
            ConvolutionConfig::None => None,
            ConvolutionConfig::Canon(config) => {
                let kernel = Tensor::zeros([config.width, channels], device);
                Some(Canon { kernel: Param::from_tensor(kernel) })
            }
        }
    }

    /// What is impossible about it; keys are relative to the slot.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            ConvolutionConfig::Canon(CanonConfig { width }) if !(1..=MAX_WIDTH).contains(width) => {
                vec![Problem::new(width.to_string()).key("width").expected(format!("1 to {MAX_WIDTH}"))]
            }
            ConvolutionConfig::None | ConvolutionConfig::Canon(_) => Vec::new(),
        }
    }

    /// `width d`.
    pub fn num_params(&self, channels: usize) -> u64 {
        match self {
            ConvolutionConfig::None => 0,
            ConvolutionConfig::Canon(config) => config.width as u64 * channels as u64,
        }
    }

    /// Forward FLOPs per token: a multiply and an add for each weight.
    pub fn flops_per_token(&self, channels: usize) -> u64 {
        2 * self.num_params(channels)
    }
}

impl Canon {
    /// Adds the weighted past.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new())
    }

    /// The same inside a model, or step by step.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let [width, _] = self.kernel.val().dims();
        let (dtype, x) = (x.dtype(), upcast(x));
        let seen = ctx.append_to_kv_cache(x.clone().unsqueeze_dim::<4>(1)).squeeze_dim::<3>(1); // [b, s, d]
        let before = Tensor::zeros([b, width - 1, d], &x.device());
        let seen = Tensor::cat(vec![before, seen], 1); // [b, width - 1 + s, d]
        let now = seen.dims()[1] - t;
        let taps = (0..width).map(|i| {
            let weight = self.kernel.val().narrow(0, i, 1).unsqueeze::<3>(); // [1, 1, d]
            seen.clone().narrow(1, now - i, t) * weight // [b, t, d]
        });
        taps.fold(x, |sum, tap| sum + tap).cast(dtype)
    }

    /// Adds the weighted past, if there is a convolution.
    pub(crate) fn forward_if(canon: &Option<Canon>, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3> {
        match canon {
            Some(canon) => canon.forward_with(x, ctx),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_adds_the_weighted_past_and_no_future() {
        let device = crate::device::open("cpu").unwrap();
        let kernel = Tensor::from_floats([[1.0, 0.0], [10.0, 0.0], [100.0, 1.0]], &device);
        let canon = Canon { kernel: Param::from_tensor(kernel) };
        let x = Tensor::<3>::from_floats([[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]], &device);
        let y: Vec<f32> = canon.forward(x).into_data().iter::<f32>().collect();
        assert_eq!(y, [2.0, 5.0, 14.0, 6.0, 126.0, 12.0, 238.0, 14.0]);
    }

    #[test]
    fn what_was_read_before_is_remembered() {
        let device = crate::device::open("cpu").unwrap();
        let kernel = Tensor::from_floats([[1.0], [10.0], [100.0]], &device);
        let canon = Canon { kernel: Param::from_tensor(kernel) };
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0], &device).reshape([1, 5, 1]);
        let whole = canon.forward(x.clone());
        let mut ctx = ForwardContext::with_kv_cache();
        for (start, t) in [(0, 1), (1, 1), (2, 2), (4, 1)] {
            let part = canon.forward_with(x.clone().narrow(1, start, t), &mut ctx);
            ctx.advance(t);
            assert_eq!(part.into_data(), whole.clone().narrow(1, start, t).into_data(), "from {start}");
        }
    }
}
