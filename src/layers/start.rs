//! What parameters hold when a layer is built, and the check before.

use burn::module::Param;
use burn::tensor::{Device, Distribution, Tensor};

use crate::error::Problem;

/// What parameters hold when a layer is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Zeros, to be overwritten at once: whole models start from [a seed and a name](crate::model::init).
    Zeros,
    /// Draws from N(0, 1 / fan_in) (LeCun et al. 1998), by the generator of the device, so that outputs are as large as
    /// inputs; `device.seed` makes them repeatable.
    Drawn,
}

impl Start {
    /// A weight whose outputs are sums of `fan_in` products.
    pub(crate) fn weight(self, shape: [usize; 2], fan_in: usize, device: &Device) -> Param<Tensor<2>> {
        Param::from_tensor(match self {
            Start::Zeros => Tensor::zeros(shape, device),
            Start::Drawn => {
                Tensor::random(shape, Distribution::Normal(0.0, 1.0 / (fan_in as f64).sqrt()), device)
            }
        })
    }
}

/// Builds what has no problem.
///
/// # Panics
/// With the first problem.
pub(crate) fn checked<M>(problems: Vec<Problem>, build: impl FnOnce() -> M) -> M {
    if let Some(problem) = problems.first() {
        panic!("{problem} (`check` of the config lists all that is impossible about it)");
    }
    build()
}

/// Applies a function of tokens `[b, t, d]` to a tensor of any rank whose last axis is the channels.
pub(crate) fn over_tokens<const D: usize>(x: Tensor<D>, f: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<D> {
    let mut shape = x.dims();
    let channels = shape[D - 1];
    let tokens = shape.iter().product::<usize>() / channels.max(1);
    let y = f(x.reshape([1, tokens, channels])); // [1, n, d]
    shape[D - 1] = y.dims()[2];
    y.reshape(shape)
}
