//! Whether growth keeps the function, and what stands in its way.

use super::order::LayerOrder;
use super::recipe::{Direction, Operator};
use super::take::Growth;
use crate::layers::embedding::{EmbeddingConfig, EmbeddingScale, Head};
use crate::layers::norm::NormConfig;
use crate::layers::position::PositionConfig;
use crate::model::ModelConfig;
use crate::model::norm_placement::NormPlacement;

/// Whether the big model starts with the function of the small one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// The operator does not try: the loss jumps.
    NotMade,
    /// The function is kept, up to rounding.
    Kept,
    /// The function would be kept, but for these parts of the model.
    Broken(Vec<String>),
}

impl Promise {
    pub(super) fn of(growth: &Growth) -> Self {
        let (recipe, big) = (growth.recipe(), growth.big());
        let broken = match (recipe.operator, recipe.direction) {
            (Operator::Learn(_), _) | (Operator::Stack(_), Direction::Depth) => return Promise::NotMade,
            (Operator::Stack(config), Direction::Width) if config.noise > 0.0 => return Promise::NotMade,
            (Operator::Stack(_), Direction::Width) => copied_width(big),
            (Operator::Zero | Operator::Random(_), Direction::Depth) => {
                silent_layers(big, growth.sources(), &recipe.order)
            }
            (Operator::Zero | Operator::Random(_), Direction::Width) => silent_units(big),
        };
        if broken.is_empty() { Promise::Kept } else { Promise::Broken(broken) }
    }
}

/// A new layer that adds nothing must be the identity, and old layers must stay in their order.
fn silent_layers(big: &ModelConfig, sources: &[usize], order: &LayerOrder) -> Vec<String> {
    let mut broken = Vec::new();
    if big.block.norm_placement == NormPlacement::Post {
        broken.push("a post-norm layer that adds nothing still normalises".to_string());
    }
    let mut next = 0;
    for &source in sources {
        if source == next {
            next += 1;
        } else if source > next {
            broken.push(format!(
                "order {:?} takes layer {} before layer {}",
                order.to_string(),
                source + 1,
                next + 1
            ));
            break;
        }
    }
    broken
}

fn copied_width(big: &ModelConfig) -> Vec<String> {
    let mut broken = any_width(big);
    if big.embedding.head() == Head::Tied && big.last_norm() == NormConfig::None {
        broken.push("a tied head without a norm before it sums over copies".to_string());
    }
    broken
}

fn silent_units(big: &ModelConfig) -> Vec<String> {
    let mut broken = any_width(big);
    if let NormConfig::Layer(_) = big.norm {
        broken.push("silent units move the mean of LayerNorm; RMSNorm has none".to_string());
    }
    broken
}

/// What depends on the width or on the number of heads by a formula.
fn any_width(big: &ModelConfig) -> Vec<String> {
    let mut broken = Vec::new();
    let EmbeddingConfig::Token(token) = big.embedding;
    if token.scale == EmbeddingScale::RootWidth {
        broken.push("the embedding is multiplied by the root of the width".to_string());
    }
    let positions: Vec<PositionConfig> = big.blocks().iter().map(|block| block.mixer.position()).collect();
    if positions.contains(&PositionConfig::Alibi) {
        broken.push("slopes of ALiBi depend on the number of heads".to_string());
    }
    if big.block.mixer.position() == PositionConfig::Sinusoidal {
        broken.push("sines and cosines of positions depend on the width".to_string());
    }
    broken
}
