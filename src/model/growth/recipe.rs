//! How a model is grown, and what one model has to be for the other: the big config from the small, the small from
//! the big.

use serde::{Deserialize, Serialize};

use super::learn::LearnConfig;
use super::order::LayerOrder;
use super::random::RampConfig;
use super::stack::StackConfig;
use crate::error::{Error, Problem, Result};
use crate::layers::mixer::{MixerConfig, QkNormConfig};
use crate::layers::norm::NormConfig;
use crate::model::ModelConfig;

/// What new layers and units start from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// They are copies: Gstack in depth, Net2Net in width; the paper's G_direct.
    Stack(StackConfig),
    /// They are there, but add nothing until the first update; G_zero.
    Zero,
    /// They are random, and come in along a ramp; G_random.
    Random(RampConfig),
    /// They are mixtures of old ones whose weights are trained; G_learn.
    Learn(LearnConfig),
}

/// The direction of growth: depth or width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More layers.
    #[default]
    Depth,
    /// Wider layers, with more heads of the same size.
    Width,
}

/// How a model is grown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// What new layers and units start from.
    pub operator: Operator,
    /// The direction of growth: depth or width.
    pub direction: Direction,
    /// How many times the layers, or the width; absent: 4, or what the order says.
    pub factor: Option<usize>,
    /// In depth: which layer comes from which.
    pub order: LayerOrder,
}

/// How many times the width, when nothing is said.
const DEFAULT_WIDTH_FACTOR: usize = 2;

impl Default for Operator {
    fn default() -> Self {
        Operator::Stack(StackConfig::default())
    }
}

impl Operator {
    /// The name of the operator, as in TOML.
    pub fn name(&self) -> &'static str {
        match self {
            Operator::Stack(_) => "stack",
            Operator::Zero => "zero",
            Operator::Random(_) => "random",
            Operator::Learn(_) => "learn",
        }
    }

    /// Whether mean squares over the width shrink, because new units are silent: epsilons must shrink with them.
    fn dilutes(&self) -> bool {
        match self {
            Operator::Zero | Operator::Random(_) => true,
            Operator::Stack(_) | Operator::Learn(_) => false,
        }
    }
}

impl Recipe {
    /// What is impossible about it whatever the model; keys are relative to `[growth]`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = match &self.operator {
            Operator::Stack(config) => config.check(),
            Operator::Random(config) => config.check(),
            Operator::Learn(config) => config.check(),
            Operator::Zero => Vec::new(),
        };
        if self.direction == Direction::Width && self.order != LayerOrder::Stack {
            let problem = Problem::new(format!("{:?} in width", self.order.to_string())).key("order");
            problems.push(problem.help("leave it out: only layers have an order"));
        }
        problems
    }

    /// What of `model`, small or big, it cannot grow; keys are relative to `[growth]`.
    pub fn check_model(&self, model: &ModelConfig) -> Vec<Problem> {
        match &self.operator {
            Operator::Learn(config) => config.check_model(model, self.direction),
            Operator::Stack(_) | Operator::Zero | Operator::Random(_) => Vec::new(),
        }
    }

    /// The big model that `small` becomes.
    ///
    /// # Errors
    /// What does not fit; keys are relative to `[growth]`.
    pub fn big(&self, small: &ModelConfig) -> Result<ModelConfig> {
        match self.direction {
            Direction::Depth => {
                let sources = self.order.layers(small.n_layers, self.factor)?;
                let mut big = ModelConfig { n_layers: sources.len(), ..small.clone() };
                for layer in &mut big.layers {
                    let old = std::mem::take(&mut layer.at);
                    layer.at = (0..sources.len()).filter(|i| old.contains(&sources[*i])).collect();
                }
                Ok(big)
            }
            Direction::Width => self.scaled(small, Scaling::Up),
        }
    }

    /// The small model that becomes `big`.
    ///
    /// # Errors
    /// What does not fit; keys are relative to `[growth]`.
    pub fn small(&self, big: &ModelConfig) -> Result<ModelConfig> {
        match self.direction {
            Direction::Depth => self.shallow(big),
            Direction::Width => self.scaled(big, Scaling::Down),
        }
    }

    /// The layer of the small model that each layer of the big one comes from.
    ///
    /// # Errors
    /// The order does not fit.
    pub fn sources(&self, small: &ModelConfig) -> Result<Vec<usize>> {
        match self.direction {
            Direction::Depth => self.order.layers(small.n_layers, self.factor),
            Direction::Width => Ok((0..small.n_layers).collect()),
        }
    }

    fn shallow(&self, big: &ModelConfig) -> Result<ModelConfig> {
        let n_layers = self.order.small_layers(big.n_layers, self.factor)?;
        let sources = self.order.layers(n_layers, self.factor)?;
        let mut small = ModelConfig { n_layers, ..big.clone() };
        for layer in &mut small.layers {
            let mut at: Vec<usize> = layer.at.iter().map(|i| sources[*i]).collect();
            at.sort_unstable();
            at.dedup();
            layer.at = at;
        }
        let (small_blocks, big_blocks) = (small.blocks(), big.blocks());
        match sources.iter().zip(&big_blocks).position(|(source, block)| small_blocks[*source] != *block) {
            None => Ok(small),
            Some(i) => {
                let twin = sources.iter().position(|source| *source == sources[i]).unwrap_or(i);
                let found = format!("layers {twin} and {i} of the model come from one layer and differ");
                let problem = Problem::new(found).key("order");
                Err(Error::config(problem.help("let model.layers repeat as the order does")))
            }
        }
    }

    fn scaled(&self, model: &ModelConfig, scaling: Scaling) -> Result<ModelConfig> {
        let factor = self.factor.unwrap_or(DEFAULT_WIDTH_FACTOR);
        let scale = |what: &str, value: usize| scaling.apply(what, value, factor);
        let mut scaled = model.clone();
        scaled.d_model = scale("d_model", model.d_model)?;
        scaled.n_heads = scale("n_heads", model.n_heads)?;
        let overridden = scaled.layers.iter_mut().filter_map(|layer| layer.mixer.as_mut());
        for mixer in std::iter::once(&mut scaled.block.mixer).chain(overridden) {
            if let MixerConfig::Attention(attention) = mixer {
                attention.n_kv_heads =
                    attention.n_kv_heads.map(|heads| scale("n_kv_heads", heads)).transpose()?;
                if let QkNormConfig::Joint(norm) = &mut attention.qk_norm {
                    norm.eps = self.eps(norm.eps, factor, scaling);
                }
            }
        }
        if let NormConfig::Rms(norm) = &mut scaled.norm {
            norm.eps = self.eps(norm.eps, factor, scaling);
        }
        Ok(scaled)
    }

    fn eps(&self, eps: f64, factor: usize, scaling: Scaling) -> f64 {
        match (self.operator.dilutes(), scaling) {
            (false, _) => eps,
            (true, Scaling::Up) => eps / factor as f64,
            (true, Scaling::Down) => eps * factor as f64,
        }
    }
}

/// From small to big, or back.
#[derive(Clone, Copy)]
enum Scaling {
    Up,
    Down,
}

impl Scaling {
    fn apply(self, what: &str, value: usize, factor: usize) -> Result<usize> {
        let scaled = match self {
            Scaling::Up => value.checked_mul(factor),
            Scaling::Down => value.is_multiple_of(factor).then(|| value / factor.max(1)),
        };
        scaled.filter(|scaled| *scaled > 0 && factor > 0).ok_or_else(|| {
            let problem = Problem::new(factor.to_string()).key("factor");
            Error::config(match self {
                Scaling::Up => problem.expected("at least 1"),
                Scaling::Down => problem.expected(format!(
                    "a divisor of {what} = {value}: heads keep their size, so that width and heads grow together"
                )),
            })
        })
    }
}
