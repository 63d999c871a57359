//! `MixtralForCausalLM`: Mistral with a mixture of gated experts, whose scores are a softmax renormalised over those
//! that were chosen.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::layout::Layout;
use super::llama::{self, Absent};
use super::table::{ParameterPlace, Rows};
use super::{mistral, parts};
use crate::error::Result;
use crate::layers::Bias;
use crate::layers::feed_forward::{ExpertConfig, FeedForwardConfig, MoeConfig};
use crate::model::Blueprint;

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    let (model, moe) = (&blueprint.model, parts::moe(&blueprint.model));
    let mut config = llama::write_base(blueprint, parts::expert(model));
    config.remove("attention_bias");
    config.insert("sliding_window".to_string(), json!(parts::window(model)));
    config.insert("num_local_experts".to_string(), json!(moe.n_experts));
    config.insert("num_experts_per_tok".to_string(), json!(moe.top_k));
    config.insert("router_aux_loss_coef".to_string(), json!(moe.load_balance_coef));
    config
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    let n_experts = match fields.size_if("num_local_experts")? {
        Some(n) => n,
        None => fields.size("num_experts")?,
    };
    let moe = MoeConfig {
        expert: ExpertConfig::GatedMlp(llama::gated_mlp(fields)?),
        n_experts,
        top_k: fields.size("num_experts_per_tok")?,
        norm_topk_prob: true,
        load_balance_coef: 0.0,
        ..MoeConfig::default()
    };
    let absent = Absent { eps: 1e-5, theta: 1e6, ..Absent::default() };
    mistral::windowed(fields, FeedForwardConfig::Moe(moe), absent)
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    llama::ends(rows, place);
    if let ParameterPlace::Block(i) = place {
        let (ours, theirs) = llama::names(i);
        llama::attention(rows, &ours, &theirs);
        experts(rows, &ours, &format!("{theirs}.block_sparse_moe"));
        rows.norm(&format!("{ours}.mixer_norm"), &format!("{theirs}.input_layernorm"));
        rows.norm(&format!("{ours}.feed_forward_norm"), &format!("{theirs}.post_attention_layernorm"));
    }
}

fn experts(rows: &mut Rows, ours: &str, theirs: &str) {
    let e = parts::moe(&rows.blueprint.model).n_experts;
    let (d, f) = (rows.widths.d_model, parts::expert(&rows.blueprint.model).d_ff(rows.widths.d_model));
    let router = [format!("{theirs}.gate")];
    rows.linear(&format!("{ours}.feed_forward.router"), &router, Layout::Transposed, [d, e], Bias::Without);
    for (name, there, [d_in, d_out]) in [("gate", "w1", [d, f]), ("up", "w3", [d, f]), ("down", "w2", [f, d])]
    {
        let names: Vec<String> = (0..e).map(|i| format!("{theirs}.experts.{i}.{there}")).collect();
        let ours = format!("{ours}.feed_forward.experts.{name}");
        rows.linear(&ours, &names, Layout::Below(e), [e * d_in, d_out], Bias::Without);
    }
}
