//! `Olmo2ForCausalLM`: Llama whose queries and keys are normalised over all heads together, with the norms of a block
//! behind its halves.

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::llama::{self, Absent};
use super::parts;
use super::table::{ParameterPlace, Rows};
use crate::error::Result;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::QkNormConfig;
use crate::layers::norm::RmsNormConfig;
use crate::model::Blueprint;
use crate::model::norm_placement::NormPlacement;

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    llama::write_base(blueprint, parts::gated_mlp(&blueprint.model))
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    let absent = Absent { eps: 1e-5, ..Absent::default() };
    let eps = fields.number("rms_norm_eps", absent.eps)?;
    let mlp = FeedForwardConfig::GatedMlp(llama::gated_mlp(fields)?);
    let mut blueprint = llama::read_base(fields, mlp, absent)?;
    blueprint.model.block.norm_placement = NormPlacement::Output;
    Ok(llama::with_attention(blueprint, |attention| {
        attention.qk_norm = QkNormConfig::Joint(RmsNormConfig { eps })
    }))
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    llama::ends(rows, place);
    if let ParameterPlace::Block(i) = place {
        let (ours, theirs) = llama::names(i);
        llama::attention(rows, &ours, &theirs);
        llama::mlp(rows, &ours, &theirs);
        rows.norm(&format!("{ours}.mixer_out_norm"), &format!("{theirs}.post_attention_layernorm"));
        rows.norm(&format!("{ours}.feed_forward_out_norm"), &format!("{theirs}.post_feedforward_layernorm"));
    }
}
