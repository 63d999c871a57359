//! `LlamaForCausalLM`: rotary positions, RMSNorm, gated MLP, grouped heads. Most classes after it are Llama and one
//! thing more, and use what is here.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::layout::Layout;
use super::table::{ParameterPlace, Rows};
use super::{parts, rotary};
use crate::error::Result;
use crate::layers::Bias;
use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig};
use crate::layers::mixer::{AttentionConfig, MixerConfig};
use crate::layers::norm::{NormConfig, RmsNormConfig};
use crate::layers::position::PositionConfig;
use crate::model::{BlockConfig, Blueprint, ModelConfig};

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    let mut config = write_base(blueprint, parts::gated_mlp(&blueprint.model));
    config.insert("mlp_bias".to_string(), json!(parts::gated_mlp(&blueprint.model).bias == Bias::With));
    config
}

/// What stands for keys that are absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absent {
    /// For `rms_norm_eps`.
    pub eps: f64,
    /// For `rope_theta`.
    pub theta: f64,
    /// For `head_dim`; none: the width over the number of heads.
    pub head_dim: Option<usize>,
}

impl Default for Absent {
    fn default() -> Self {
        Absent { eps: 1e-6, theta: 10_000.0, head_dim: None }
    }
}

/// What all of the family write, with this gated MLP.
pub(super) fn write_base(blueprint: &Blueprint, mlp: GatedMlpConfig) -> Map<String, Json> {
    let (model, widths) = (&blueprint.model, blueprint.model.widths(blueprint.seq_len));
    let attention = parts::attention(model);
    let config = json!({
        "vocab_size": blueprint.vocab_size,
        "max_position_embeddings": blueprint.seq_len,
        "hidden_size": model.d_model,
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "num_key_value_heads": attention.n_kv_heads(&widths),
        "head_dim": attention.d_head(&widths),
        "intermediate_size": mlp.d_ff(widths.d_model),
        "hidden_act": parts::function_name(mlp.activation),
        "rms_norm_eps": parts::eps(model),
        "attention_bias": attention.bias == Bias::With,
        "tie_word_embeddings": parts::is_tied(model),
    });
    let mut config = config.as_object().expect("just made").clone();
    rotary::write(&mut config, blueprint);
    config
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    let mlp = GatedMlpConfig { bias: fields.bias("mlp_bias", false)?, ..gated_mlp(fields)? };
    read_base(fields, FeedForwardConfig::GatedMlp(mlp), Absent::default())
}

/// The gated MLP of a config, without biases.
pub(super) fn gated_mlp(fields: &Fields) -> Result<GatedMlpConfig> {
    Ok(GatedMlpConfig {
        activation: fields.function("hidden_act", "silu")?,
        expansion: fields.size("intermediate_size")? as f64 / fields.size("hidden_size")? as f64,
        multiple_of: 1,
        bias: Bias::Without,
    })
}

/// What all of the family read, with this feed-forward.
pub(super) fn read_base(
    fields: &Fields,
    feed_forward: FeedForwardConfig,
    absent: Absent,
) -> Result<Blueprint> {
    let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let d_head = fields.size_if("head_dim")?.or(absent.head_dim);
    let attention = AttentionConfig {
        position: PositionConfig::Rope(rotary::read(fields, [absent.theta, 1.0])?),
        bias: fields.bias("attention_bias", false)?,
        n_kv_heads: fields.size_if("num_key_value_heads")?.or(Some(n_heads)),
        d_head: d_head.filter(|k| d_model.checked_div(n_heads) != Some(*k)),
        ..AttentionConfig::default()
    };
    let model = ModelConfig {
        d_model,
        n_layers: fields.size("num_hidden_layers")?,
        n_heads,
        embedding: parts::embedding(fields.flag("tie_word_embeddings", false)?),
        norm: NormConfig::Rms(RmsNormConfig { eps: fields.number("rms_norm_eps", absent.eps)? }),
        block: BlockConfig {
            mixer: MixerConfig::Attention(attention),
            feed_forward,
            ..BlockConfig::default()
        },
        ..ModelConfig::default()
    };
    let (vocab_size, seq_len) = (fields.size("vocab_size")?, fields.size("max_position_embeddings")?);
    Ok(Blueprint { model, vocab_size, seq_len })
}

/// Changes the attention of what was read.
pub(super) fn with_attention(
    mut blueprint: Blueprint,
    change: impl FnOnce(&mut AttentionConfig),
) -> Blueprint {
    if let MixerConfig::Attention(attention) = &mut blueprint.model.block.mixer {
        change(attention);
    }
    blueprint
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    ends(rows, place);
    if let ParameterPlace::Block(i) = place {
        let (ours, theirs) = names(i);
        attention(rows, &ours, &theirs);
        mlp(rows, &ours, &theirs);
        rows.norm(&format!("{ours}.mixer_norm"), &format!("{theirs}.input_layernorm"));
        rows.norm(&format!("{ours}.feed_forward_norm"), &format!("{theirs}.post_attention_layernorm"));
    }
}

/// A block, here and there.
pub(super) fn names(i: usize) -> (String, String) {
    (format!("blocks.{i}"), format!("model.layers.{i}"))
}

/// What is around the blocks.
pub(super) fn ends(rows: &mut Rows, place: ParameterPlace) {
    match place {
        ParameterPlace::Start => rows.embedding("model.embed_tokens.weight", ""),
        ParameterPlace::Block(_) => {}
        ParameterPlace::End => {
            rows.norm("norm", "model.norm");
            rows.head("lm_head.weight");
        }
    }
}

/// Queries, keys, values and output.
pub(super) fn attention(rows: &mut Rows, ours: &str, theirs: &str) {
    let config = parts::attention(&rows.blueprint.model);
    let (d, k) = (rows.widths.d_model, config.d_head(&rows.widths));
    let (d_queries, d_kv) = (rows.widths.n_heads * k, config.n_kv_heads(&rows.widths) * k);
    let names = ["q_proj", "k_proj", "v_proj"].map(|name| format!("{theirs}.self_attn.{name}"));
    let beside = Layout::Beside(vec![d_queries, d_kv, d_kv]);
    rows.linear(&format!("{ours}.mixer.qkv"), &names, beside, [d, d_queries + 2 * d_kv], config.bias);
    let out = [format!("{theirs}.self_attn.o_proj")];
    rows.linear(&format!("{ours}.mixer.out"), &out, Layout::Transposed, [d_queries, d], config.bias);
    rows.qk_norm(&format!("{ours}.mixer.qk_norm"), &format!("{theirs}.self_attn"), &config);
}

/// The gated MLP.
pub(super) fn mlp(rows: &mut Rows, ours: &str, theirs: &str) {
    let config = parts::gated_mlp(&rows.blueprint.model);
    let (d, f) = (rows.widths.d_model, config.d_ff(rows.widths.d_model));
    for (name, shape) in [("gate", [d, f]), ("up", [d, f]), ("down", [f, d])] {
        let theirs = [format!("{theirs}.mlp.{name}_proj")];
        rows.linear(&format!("{ours}.feed_forward.{name}"), &theirs, Layout::Transposed, shape, config.bias);
    }
}
