//! What an expert of a mixture can be: any feed-forward that is there for every token.
//!
//! All experts of a mixture are one module whose linear layers hold `e` matrices ([`crate::layers::linear`]).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{FeedForwardConfig, GatedMlp, GatedMlpConfig, Mlp, MlpConfig};
use crate::layers::ForwardContext;
use crate::layers::start::Start;

/// Which feed-forward an expert is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpertConfig {
    /// Plain.
    Mlp(MlpConfig),
    /// Gated.
    GatedMlp(GatedMlpConfig),
}

/// All experts of a mixture.
#[derive(Module, Debug)]
pub enum Experts {
    /// Plain.
    Mlp(Mlp),
    /// Gated.
    GatedMlp(GatedMlp),
}

impl Default for ExpertConfig {
    fn default() -> Self {
        ExpertConfig::Mlp(MlpConfig::default())
    }
}

impl From<ExpertConfig> for FeedForwardConfig {
    fn from(expert: ExpertConfig) -> Self {
        match expert {
            ExpertConfig::Mlp(config) => FeedForwardConfig::Mlp(config),
            ExpertConfig::GatedMlp(config) => FeedForwardConfig::GatedMlp(config),
        }
    }
}

impl ExpertConfig {
    /// `n_experts` experts.
    pub(crate) fn build(&self, d_model: usize, n_experts: usize, start: Start, device: &Device) -> Experts {
        match self {
            ExpertConfig::Mlp(config) => Experts::Mlp(config.build(d_model, n_experts, start, device)),
            ExpertConfig::GatedMlp(config) => {
                Experts::GatedMlp(config.build(d_model, n_experts, start, device))
            }
        }
    }
}

impl Experts {
    /// Expert `i` maps row `i`.
    ///
    /// # Shapes
    /// `[e, c, d] -> [e, c, d]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, &mut ForwardContext::new())
    }

    /// The same with a context [`apart`](ForwardContext::apart), as the residual stream belongs to the mixture.
    ///
    /// # Shapes
    /// `[e, c, d] -> [e, c, d]`
    pub fn forward_with(&self, x: Tensor<3>, apart: &mut ForwardContext) -> Tensor<3> {
        match self {
            Experts::Mlp(mlp) => mlp.forward_with(x, apart),
            Experts::GatedMlp(mlp) => mlp.forward_with(x, apart),
        }
    }
}
