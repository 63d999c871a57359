//! Single layers that differ from the rest: a window in every second one, experts in the last.

use serde::{Deserialize, Serialize};

use super::block::BlockConfig;
use super::decoder::ModelConfig;
use crate::error::Problem;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::MixerConfig;
use crate::layers::{Widths, within};

/// Another mixer or feed-forward in some layers; of two overrides of one slot the later wins.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerOverride {
    /// The layers that differ, from 0.
    pub at: Vec<usize>,
    /// Their mixer, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixer: Option<MixerConfig>,
    /// Their feed-forward, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_forward: Option<FeedForwardConfig>,
}

impl LayerOverride {
    /// Puts its choices into its layers.
    pub fn apply(&self, blocks: &mut [BlockConfig]) {
        for &at in &self.at {
            blocks[at].mixer = self.mixer.unwrap_or(blocks[at].mixer);
            blocks[at].feed_forward = self.feed_forward.unwrap_or(blocks[at].feed_forward);
        }
    }

    /// What is impossible about it in `model`; keys are relative to the override.
    pub fn check(&self, model: &ModelConfig, widths: &Widths) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(at) = self.at.iter().find(|at| **at >= model.n_layers) {
            let problem = Problem::new(at.to_string()).key("at");
            problems.push(problem.expected(format!("layers from 0 to {}", model.n_layers - 1)));
        }
        if self.at.is_empty() || self.mixer.is_none() && self.feed_forward.is_none() {
            let problem = Problem::new("changes nothing").key("at");
            problems.push(problem.help("name at least one layer, and its mixer or its feed_forward"));
        }
        if let Some(mixer) = &self.mixer {
            problems.extend(within("mixer", mixer.check(widths)));
            if mixer.position().has_table() && mixer.position() != model.block.mixer.position() {
                let found = "a table of positions is added once, at the embedding, not in single layers";
                let problem = Problem::new(found).key("mixer.position");
                problems.push(problem.help("choose it in model.block.mixer.position"));
            }
        }
        if let Some(feed_forward) = &self.feed_forward {
            problems.extend(within("feed_forward", feed_forward.check(widths.d_model)));
        }
        problems
    }
}

/// What a mixer cannot do in a model that predicts the next token.
pub(super) fn check_causal(mixer: &MixerConfig) -> Vec<Problem> {
    match mixer.reads_ahead() {
        false => Vec::new(),
        true => vec![
            Problem::new("a decoder that reads ahead would see the token that it has to predict")
                .key("mask")
                .help("say mask = \"causal\"; \"both\" is for encoders"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::mixer::{AttentionConfig, AttentionMask};
    use crate::layers::position::PositionConfig;
    use crate::model::variants::base as config;

    #[test]
    fn what_a_decoder_cannot_do_is_refused_with_its_key() {
        let keys = |change: &dyn Fn(&mut ModelConfig)| -> Vec<String> {
            let mut model = config();
            change(&mut model);
            model.check(5).into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
        };
        let both = MixerConfig::Attention(AttentionConfig {
            mask: AttentionMask::Bidirectional,
            ..AttentionConfig::default()
        });
        let learned = AttentionConfig { position: PositionConfig::Learned, ..AttentionConfig::default() };
        let layer = |at: &[usize], mixer: Option<MixerConfig>| {
            vec![LayerOverride { at: at.to_vec(), mixer, feed_forward: None }]
        };
        assert_eq!(keys(&|m| m.block.mixer = both), ["block.mixer.mask"]);
        assert_eq!(keys(&|m| m.layers = layer(&[1], Some(both))), ["layers.0.mixer.mask"]);
        assert_eq!(keys(&|m| m.layers = layer(&[2], Some(MixerConfig::default()))), ["layers.0.at"]);
        assert_eq!(keys(&|m| m.layers = layer(&[1], None)), ["layers.0.at"]);
        assert_eq!(keys(&|m| m.layers = layer(&[], Some(MixerConfig::default()))), ["layers.0.at"]);
        let table = layer(&[1], Some(MixerConfig::Attention(learned)));
        assert_eq!(keys(&|m| m.layers = table.clone()), ["layers.0.mixer.position"]);
    }

    #[test]
    fn an_override_changes_its_layers_and_no_other() {
        let mut model = ModelConfig { n_layers: 4, ..config() };
        let mixer =
            MixerConfig::Attention(AttentionConfig { n_kv_heads: Some(1), ..AttentionConfig::default() });
        model.layers = vec![
            LayerOverride { at: vec![1, 3], feed_forward: Some(FeedForwardConfig::None), mixer: None },
            LayerOverride { at: vec![3], mixer: Some(mixer), feed_forward: None },
        ];
        let blocks = model.blocks();
        assert_eq!([blocks[0], blocks[2]], [model.block; 2]);
        assert_eq!(blocks[1], BlockConfig { feed_forward: FeedForwardConfig::None, ..model.block });
        assert_eq!(blocks[3], BlockConfig { mixer, ..blocks[1] });
    }
}
