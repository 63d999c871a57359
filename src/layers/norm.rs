//! Normalisation of the residual stream: `gamma (x - mean) / sqrt(var + eps) + beta`, or without the mean.
//!
//! It keeps the input of every sublayer at one scale, whatever the depth. LayerNorm: Ba et al. 2016
//! (arXiv 1607.06450); RMSNorm drops the mean and the bias: Zhang and Sennrich 2019 (arXiv 1910.07467).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Bias;
use super::start::{checked, over_tokens};
use crate::error::Problem;
use crate::kernels;

/// Which normalisation, everywhere in the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormConfig {
    /// LayerNorm.
    Layer(LayerNormConfig),
    /// RMSNorm.
    Rms(RmsNormConfig),
    /// No normalisation anywhere.
    None,
}

/// Settings of LayerNorm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerNormConfig {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a bias is learned.
    pub bias: Bias,
}

/// Settings of RMSNorm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RmsNormConfig {
    /// Added to the mean square.
    pub eps: f64,
}

impl Default for LayerNormConfig {
    fn default() -> Self {
        LayerNormConfig { eps: 1e-5, bias: Bias::With }
    }
}

impl Default for RmsNormConfig {
    fn default() -> Self {
        RmsNormConfig { eps: 1e-5 }
    }
}

impl Default for NormConfig {
    fn default() -> Self {
        NormConfig::Layer(LayerNormConfig::default())
    }
}

/// A normalisation with its learned scale.
#[derive(Module, Debug)]
pub enum Norm {
    /// LayerNorm.
    Layer(LayerNorm),
    /// RMSNorm.
    Rms(RmsNorm),
}

/// LayerNorm.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let norm = LayerNormConfig::default().init(8, &device);
/// let y = norm.forward(Tensor::<3>::random([2, 3, 8], burn::tensor::Distribution::Default, &device));
/// assert!(y.mean().into_scalar::<f32>().abs() < 1e-5);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale `[d]`, one at the start.
    pub gamma: Param<Tensor<1>>,
    /// Bias `[d]`, zero at the start.
    pub beta: Option<Param<Tensor<1>>>,
    eps: f64,
}

/// RMSNorm.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let norm = RmsNormConfig::default().init(8, &device);
/// let y = norm.forward(Tensor::<2>::full([3, 8], 5.0, &device));
/// assert!((y.mean().into_scalar::<f32>() - 1.0).abs() < 1e-5);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// Scale `[d]`, one at the start.
    pub gamma: Param<Tensor<1>>,
    eps: f64,
}

fn ones(width: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::ones([width], device))
}

/// What is impossible about what is added under the root.
fn check_eps(eps: f64) -> Vec<Problem> {
    match eps.is_finite() && eps >= 0.0 {
        true => Vec::new(),
        false => vec![Problem::new(eps.to_string()).key("eps").expected("a number from 0 up")],
    }
}

impl NormConfig {
    /// What is impossible about it; keys are relative to the slot.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            NormConfig::Layer(config) => config.check(),
            NormConfig::Rms(config) => config.check(),
            NormConfig::None => Vec::new(),
        }
    }

    /// A normalisation over `width` channels, or nothing.
    ///
    /// # Panics
    /// If [`NormConfig::check`] finds a problem.
    pub fn init(&self, width: usize, device: &Device) -> Option<Norm> {
        match self {
            NormConfig::Layer(config) => Some(Norm::Layer(config.init(width, device))),
            NormConfig::Rms(config) => Some(Norm::Rms(config.init(width, device))),
            NormConfig::None => None,
        }
    }

    /// Scale, and bias if there is one.
    pub fn num_params(&self, width: usize) -> u64 {
        match self {
            NormConfig::Layer(config) => width as u64 + config.bias.num_params(width),
            NormConfig::Rms(_) => width as u64,
            NormConfig::None => 0,
        }
    }
}

impl LayerNormConfig {
    /// All that is impossible about the norm.
    pub fn check(&self) -> Vec<Problem> {
        check_eps(self.eps)
    }

    /// A norm over `width` channels: the gain is one, the bias zero.
    ///
    /// # Panics
    /// If [`LayerNormConfig::check`] finds a problem.
    pub fn init(&self, width: usize, device: &Device) -> LayerNorm {
        checked(self.check(), || {
            let beta = || Param::from_tensor(Tensor::zeros([width], device));
            LayerNorm {
                gamma: ones(width, device),
                beta: (self.bias == Bias::With).then(beta),
                eps: self.eps,
            }
        })
    }
}

impl RmsNormConfig {
    /// All that is impossible about the norm.
    pub fn check(&self) -> Vec<Problem> {
        check_eps(self.eps)
    }

    /// A norm over `width` channels: the gain is one.
    ///
    /// # Panics
    /// If [`RmsNormConfig::check`] finds a problem.
    pub fn init(&self, width: usize, device: &Device) -> RmsNorm {
        checked(self.check(), || RmsNorm { gamma: ones(width, device), eps: self.eps })
    }
}

impl Norm {
    /// Normalises the last axis, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.of_tokens(x))
    }

    pub(crate) fn of_tokens(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Norm::Layer(norm) => norm.of_tokens(x),
            Norm::Rms(norm) => norm.of_tokens(x),
        }
    }

    /// Normalises the last axis, if there is a norm.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub(crate) fn forward_if(norm: &Option<Norm>, x: Tensor<3>) -> Tensor<3> {
        match norm {
            Some(norm) => norm.of_tokens(x),
            None => x,
        }
    }
}

impl LayerNorm {
    /// Normalises the last axis, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.of_tokens(x))
    }

    fn of_tokens(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::layer_norm(x, self.gamma.val(), self.beta.as_ref().map(Param::val), self.eps)
    }
}

impl RmsNorm {
    /// Normalises the last axis, whatever the rank.
    ///
    /// # Shapes
    /// `[.., d] -> [.., d]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        over_tokens(x, |x| self.of_tokens(x))
    }

    pub(crate) fn of_tokens(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::rms_norm(x, self.gamma.val(), self.eps)
    }
}
