//! `GPTNeoXForCausalLM`: rotary positions on a share of each head, LayerNorm, plain MLP.
//!
//! Its halves are parallel with two norms, or one after another (`use_parallel_residual = false`): the latter, with a
//! tied head, is a GPT-2 with rotary positions.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::layout::Layout;
use super::table::{ParameterPlace, Rows};
use super::{parts, rotary};
use crate::error::Result;
use crate::kernels::Heads;
use crate::layers::Bias;
use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};
use crate::layers::mixer::{AttentionConfig, MixerConfig};
use crate::layers::norm::{LayerNormConfig, NormConfig};
use crate::layers::position::PositionConfig;
use crate::model::norm_placement::{NormPlacement, ParallelConfig, ParallelNorms};
use crate::model::{BlockConfig, Blueprint, ModelConfig};

const PARALLEL: NormPlacement = NormPlacement::Parallel(ParallelConfig { norms: ParallelNorms::Own });

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    let model = &blueprint.model;
    let mlp = parts::mlp(model);
    let rope = rotary::plain(parts::rope(model), model);
    let config = json!({
        "vocab_size": blueprint.vocab_size,
        "max_position_embeddings": blueprint.seq_len,
        "hidden_size": model.d_model,
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "intermediate_size": mlp.d_ff(model.d_model),
        "hidden_act": parts::function_name(mlp.activation),
        "layer_norm_eps": parts::eps(model),
        "rotary_pct": rope.rotary_fraction,
        "rotary_emb_base": rope.theta,
        "use_parallel_residual": model.block.norm_placement == PARALLEL,
        "attention_bias": parts::attention(model).bias == Bias::With,
        "tie_word_embeddings": parts::is_tied(model),
    });
    let mut config = config.as_object().expect("just made").clone();
    rotary::write(&mut config, blueprint);
    for table in ["rope_parameters", "rope_scaling"] {
        if let Some(Json::Object(table)) = config.get_mut(table) {
            table.insert("partial_rotary_factor".to_string(), json!(rope.rotary_fraction));
        }
    }
    config
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    let d_model = fields.size("hidden_size")?;
    let old = [fields.number("rotary_emb_base", 10_000.0)?, fields.number("rotary_pct", 0.25)?];
    let attention = AttentionConfig {
        position: PositionConfig::Rope(rotary::read(fields, old)?),
        bias: fields.bias("attention_bias", true)?,
        n_kv_heads: fields.size_if("num_attention_heads")?,
        ..AttentionConfig::default()
    };
    let mlp = MlpConfig {
        activation: fields.function("hidden_act", "gelu")?,
        expansion: fields.size("intermediate_size")? as f64 / d_model as f64,
        bias: Bias::With,
    };
    let parallel = fields.flag("use_parallel_residual", true)?;
    let model = ModelConfig {
        d_model,
        n_layers: fields.size("num_hidden_layers")?,
        n_heads: fields.size("num_attention_heads")?,
        embedding: parts::embedding(fields.flag("tie_word_embeddings", false)?),
        norm: NormConfig::Layer(LayerNormConfig {
            eps: fields.number("layer_norm_eps", 1e-5)?,
            bias: Bias::With,
        }),
        block: BlockConfig {
            mixer: MixerConfig::Attention(attention),
            feed_forward: FeedForwardConfig::Mlp(mlp),
            norm_placement: if parallel { PARALLEL } else { NormPlacement::Pre },
            ..BlockConfig::default()
        },
        ..ModelConfig::default()
    };
    let (vocab_size, seq_len) = (fields.size("vocab_size")?, fields.size("max_position_embeddings")?);
    Ok(Blueprint { model, vocab_size, seq_len })
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    match place {
        ParameterPlace::Start => rows.embedding("gpt_neox.embed_in.weight", ""),
        ParameterPlace::Block(i) => block(rows, &format!("blocks.{i}"), &format!("gpt_neox.layers.{i}")),
        ParameterPlace::End => {
            rows.norm("norm", "gpt_neox.final_layer_norm");
            rows.head("embed_out.weight");
        }
    }
}

fn block(rows: &mut Rows, ours: &str, theirs: &str) {
    let (d, h, k) = (rows.widths.d_model, rows.widths.n_heads, rows.widths.d_head());
    let f = parts::mlp(&rows.blueprint.model).d_ff(rows.widths.d_model);
    let by_head = Layout::ByHead(Heads { n_heads: h, n_kv_heads: h, d_head: k });
    let bias = parts::attention(&rows.blueprint.model).bias;
    let mut linear = |name: &str, there: &str, layout, shape, bias| {
        rows.linear(&format!("{ours}.{name}"), &[format!("{theirs}.{there}")], layout, shape, bias);
    };
    linear("mixer.qkv", "attention.query_key_value", by_head, [d, 3 * d], bias);
    linear("mixer.out", "attention.dense", Layout::Transposed, [d, d], bias);
    linear("feed_forward.up", "mlp.dense_h_to_4h", Layout::Transposed, [d, f], Bias::With);
    linear("feed_forward.down", "mlp.dense_4h_to_h", Layout::Transposed, [f, d], Bias::With);
    rows.norm(&format!("{ours}.mixer_norm"), &format!("{theirs}.input_layernorm"));
    rows.norm(&format!("{ours}.feed_forward_norm"), &format!("{theirs}.post_attention_layernorm"));
}
