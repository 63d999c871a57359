//! Normalisation of the residual stream: `gamma (x - mean) / sqrt(var + eps) + beta`, or without the mean.
//!
//! It keeps the input of every sublayer at one scale, whatever the depth. LayerNorm: Ba et al. 2016
//! (arXiv 1607.06450); RMSNorm drops the mean and the offset: Zhang and Sennrich 2019 (arXiv 1910.07467).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Bias;
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
    /// Whether an offset is learned.
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
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale `[d]`, one at the start.
    pub gamma: Param<Tensor<1>>,
    /// Offset `[d]`, zero at the start.
    pub beta: Option<Param<Tensor<1>>>,
    eps: f64,
}

/// RMSNorm.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// Scale `[d]`, one at the start.
    pub gamma: Param<Tensor<1>>,
    eps: f64,
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
            NormConfig::Layer(config) => check_eps(config.eps),
            NormConfig::Rms(config) => config.check(),
            NormConfig::None => Vec::new(),
        }
    }

    /// A normalisation over `width` channels, or nothing.
    pub fn init(&self, width: usize, device: &Device) -> Option<Norm> {
        match self {
            NormConfig::Layer(config) => Some(Norm::Layer(config.init(width, device))),
            NormConfig::Rms(config) => Some(Norm::Rms(config.init(width, device))),
            NormConfig::None => None,
        }
    }

    /// Scale, and offset if there is one.
    pub fn num_params(&self, width: usize) -> u64 {
        match self {
            NormConfig::Layer(config) => width as u64 + config.bias.num_params(width),
            NormConfig::Rms(_) => width as u64,
            NormConfig::None => 0,
        }
    }
}

impl LayerNormConfig {
    /// Zeros of the right shapes.
    pub fn init(&self, width: usize, device: &Device) -> LayerNorm {
        let zeros = || Param::from_tensor(Tensor::zeros([width], device));
        let beta = match self.bias {
            Bias::With => Some(zeros()),
            Bias::Without => None,
        };
        LayerNorm { gamma: zeros(), beta, eps: self.eps }
    }
}

impl RmsNormConfig {
    /// What is impossible about it.
    pub fn check(&self) -> Vec<Problem> {
        check_eps(self.eps)
    }

    /// Zeros of the right shape.
    pub fn init(&self, width: usize, device: &Device) -> RmsNorm {
        RmsNorm { gamma: Param::from_tensor(Tensor::zeros([width], device)), eps: self.eps }
    }
}

impl Norm {
    /// Normalises the last axis.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Norm::Layer(norm) => norm.forward(x),
            Norm::Rms(norm) => norm.forward(x),
        }
    }

    /// Normalises the last axis, if there is a norm.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward_if(norm: &Option<Norm>, x: Tensor<3>) -> Tensor<3> {
        match norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

impl LayerNorm {
    /// Normalises the last axis.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::layer_norm(x, self.gamma.val(), self.beta.as_ref().map(Param::val), self.eps)
    }
}

impl RmsNorm {
    /// Normalises the last axis.
    ///
    /// # Shapes
    /// `[b, t, d] -> [b, t, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::rms_norm(x, self.gamma.val(), self.eps)
    }
}
