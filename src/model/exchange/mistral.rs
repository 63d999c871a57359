//! `MistralForCausalLM`: Llama with a window, and no biases anywhere.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::llama::{self, Absent};
use super::parts;
use crate::error::Result;
use crate::layers::Bias;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::{AttentionMask, WindowConfig};
use crate::model::Blueprint;

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    let mut config = llama::write_base(blueprint, parts::gated_mlp(&blueprint.model));
    config.remove("attention_bias");
    config.insert("sliding_window".to_string(), json!(parts::window(&blueprint.model)));
    config
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    windowed(fields, FeedForwardConfig::GatedMlp(llama::gated_mlp(fields)?), Absent::default())
}

/// What Mistral and Mixtral read alike; a null window is none, an absent one is none too, as all their configs say it.
pub(super) fn windowed(
    fields: &Fields,
    feed_forward: FeedForwardConfig,
    absent: Absent,
) -> Result<Blueprint> {
    let window = fields.size_if("sliding_window")?;
    Ok(llama::with_attention(llama::read_base(fields, feed_forward, absent)?, |attention| {
        attention.bias = Bias::Without;
        if let Some(size) = window {
            attention.mask = AttentionMask::SlidingWindow(WindowConfig { size });
        }
    }))
}
