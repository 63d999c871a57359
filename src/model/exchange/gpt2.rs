//! `GPT2LMHeadModel`: learned positions, LayerNorm, plain MLP, biases everywhere; linear layers are `[in, out]`.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::layout::Layout;
use super::parts;
use super::table::{ParameterPlace, Rows};
use crate::error::Result;
use crate::layers::Bias;
use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};
use crate::layers::mixer::{AttentionConfig, MixerConfig};
use crate::layers::norm::{LayerNormConfig, NormConfig};
use crate::layers::position::PositionConfig;
use crate::model::{BlockConfig, Blueprint, ModelConfig};

pub(super) fn write(blueprint: &Blueprint) -> Map<String, Json> {
    let model = &blueprint.model;
    let mlp = parts::mlp(model);
    let config = json!({
        "vocab_size": blueprint.vocab_size,
        "n_positions": blueprint.seq_len,
        "n_embd": model.d_model,
        "n_layer": model.n_layers,
        "n_head": model.n_heads,
        "n_inner": mlp.d_ff(model.d_model),
        "activation_function": parts::function_name(mlp.activation),
        "layer_norm_epsilon": parts::eps(model),
        "tie_word_embeddings": parts::is_tied(model),
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    });
    config.as_object().expect("just made").clone()
}

pub(super) fn read(fields: &Fields) -> Result<Blueprint> {
    fields.only("scale_attn_weights", true)?;
    fields.only("scale_attn_by_inverse_layer_idx", false)?;
    fields.only("add_cross_attention", false)?;
    let d_model = fields.size("n_embd")?;
    let d_ff = fields.size_if("n_inner")?.unwrap_or(d_model.saturating_mul(4));
    let attention =
        AttentionConfig { position: PositionConfig::Learned, bias: Bias::With, ..AttentionConfig::default() };
    let mlp = MlpConfig {
        activation: fields.function("activation_function", "gelu_new")?,
        expansion: d_ff as f64 / d_model as f64,
        bias: Bias::With,
    };
    let model = ModelConfig {
        d_model,
        n_layers: fields.size("n_layer")?,
        n_heads: fields.size("n_head")?,
        embedding: parts::embedding(fields.flag("tie_word_embeddings", true)?),
        norm: NormConfig::Layer(LayerNormConfig {
            eps: fields.number("layer_norm_epsilon", 1e-5)?,
            bias: Bias::With,
        }),
        block: BlockConfig {
            mixer: MixerConfig::Attention(AttentionConfig {
                n_kv_heads: fields.size_if("n_head")?,
                ..attention
            }),
            feed_forward: FeedForwardConfig::Mlp(mlp),
            ..BlockConfig::default()
        },
        ..ModelConfig::default()
    };
    Ok(Blueprint { model, vocab_size: fields.size("vocab_size")?, seq_len: fields.size("n_positions")? })
}

pub(super) fn rows(rows: &mut Rows, place: ParameterPlace) {
    match place {
        ParameterPlace::Start => rows.embedding("transformer.wte.weight", "transformer.wpe.weight"),
        ParameterPlace::Block(i) => block(rows, &format!("blocks.{i}"), &format!("transformer.h.{i}")),
        ParameterPlace::End => {
            rows.norm("norm", "transformer.ln_f");
            rows.head("lm_head.weight");
        }
    }
}

fn block(rows: &mut Rows, ours: &str, theirs: &str) {
    let d = rows.widths.d_model;
    let f = parts::mlp(&rows.blueprint.model).d_ff(rows.widths.d_model);
    let mut linear = |name: &str, there: &str, shape| {
        rows.linear(
            &format!("{ours}.{name}"),
            &[format!("{theirs}.{there}")],
            Layout::Same,
            shape,
            Bias::With,
        );
    };
    linear("mixer.qkv", "attn.c_attn", [d, 3 * d]);
    linear("mixer.out", "attn.c_proj", [d, d]);
    linear("feed_forward.up", "mlp.c_fc", [d, f]);
    linear("feed_forward.down", "mlp.c_proj", [f, d]);
    rows.norm(&format!("{ours}.mixer_norm"), &format!("{theirs}.ln_1"));
    rows.norm(&format!("{ours}.feed_forward_norm"), &format!("{theirs}.ln_2"));
}
