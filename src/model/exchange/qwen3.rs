//! `Qwen3ForCausalLM`: Llama whose queries and keys are normalised head by head.

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::llama::{self, Absent};
use super::parts;
use super::table::{ParameterPlace, Rows};
use crate::error::{Error, Result};
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::QkNormConfig;
use crate::layers::norm::RmsNormConfig;
use crate::model::Blueprint;

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    llama::write_base(blueprint, parts::gated_mlp(&blueprint.model))
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    fields.only("use_sliding_window", false)?;
    let is_full = |layer: &Json| layer == "full_attention";
    if let Some(layers) = fields.get("layer_types")
        && !layers.as_array().is_some_and(|layers| layers.iter().all(is_full))
    {
        return Err(Error::data(
            fields.problem("layer_types", layers).expected("full_attention in all layers"),
        ));
    }
    let absent = Absent { head_dim: Some(128), ..Absent::default() };
    let eps = fields.number("rms_norm_eps", absent.eps)?;
    let mlp = FeedForwardConfig::GatedMlp(llama::gated_mlp(fields)?);
    let blueprint = llama::read_base(fields, mlp, absent)?;
    Ok(llama::with_attention(blueprint, |attention| {
        attention.qk_norm = QkNormConfig::PerHead(RmsNormConfig { eps })
    }))
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    llama::rows(rows, place);
}
