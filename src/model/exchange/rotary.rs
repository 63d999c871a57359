//! RoPE in the words of a config: `rope_parameters` since version 5, `rope_theta` and `rope_scaling` before.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::parts;
use crate::error::{Error, Result};
use crate::layers::position::rope_scaling::{StretchConfig, YarnConfig};
use crate::layers::position::{RopeConfig, RopeScaling};
use crate::model::{Blueprint, ModelConfig};

/// Writes angles in both ways.
pub(super) fn write(config: &mut Map<String, Json>, blueprint: &Blueprint) {
    let rope = plain(parts::rope(&blueprint.model), &blueprint.model);
    let mut parameters = Map::from_iter([("rope_theta".to_string(), json!(rope.theta))]);
    let scaling = match rope.scaling {
        RopeScaling::None | RopeScaling::Ntk(_) => json!({"rope_type": "default"}),
        RopeScaling::Linear(stretch) => json!({"rope_type": "linear", "factor": stretch.factor}),
        RopeScaling::Yarn(yarn) => json!({
            "rope_type": "yarn",
            "factor": yarn.factor,
            "original_max_position_embeddings": yarn.original_max_position,
            "beta_fast": yarn.beta_fast,
            "beta_slow": yarn.beta_slow,
        }),
    };
    parameters.extend(scaling.as_object().expect("just made").clone());
    if parameters["rope_type"] != "default" {
        config.insert("rope_scaling".to_string(), Json::Object(parameters.clone()));
    }
    config.insert("rope_theta".to_string(), json!(rope.theta));
    config.insert("rope_parameters".to_string(), Json::Object(parameters));
}

/// Reads angles; `theta` and `share` are what stands for absent keys.
pub(super) fn read(fields: &Fields, [theta, share]: [f64; 2]) -> Result<RopeConfig> {
    let parameters = fields.table("rope_parameters").or_else(|| fields.table("rope_scaling"));
    let theta = fields.number("rope_theta", theta)?;
    let Some(parameters) = parameters else {
        return Ok(RopeConfig { theta, rotary_fraction: share, scaling: RopeScaling::None });
    };
    let (theta, share) =
        (parameters.number("rope_theta", theta)?, parameters.number("partial_rotary_factor", share)?);
    Ok(RopeConfig { theta, rotary_fraction: share, scaling: scaling(&parameters, fields)? })
}

fn scaling(parameters: &Fields, fields: &Fields) -> Result<RopeScaling> {
    let factor = || parameters.number("factor", 1.0);
    let old = parameters.word("type", "default")?;
    match parameters.word("rope_type", old)? {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear(StretchConfig { factor: factor()? })),
        "yarn" => {
            for key in ["attention_factor", "mscale", "mscale_all_dim"] {
                parameters.only(key, Json::Null)?;
            }
            parameters.only("truncate", true)?;
            let original_max_position = match parameters.size_if("original_max_position_embeddings")? {
                Some(length) => length,
                None => fields.size("max_position_embeddings")?,
            };
            Ok(RopeScaling::Yarn(YarnConfig {
                factor: factor()?,
                original_max_position,
                beta_fast: parameters.number("beta_fast", 32.0)?,
                beta_slow: parameters.number("beta_slow", 1.0)?,
            }))
        }
        other => {
            let problem = parameters.problem("rope_type", other);
            Err(Error::data(problem.expected("one of default, linear, yarn")))
        }
    }
}

/// The same angles without stretching where that is possible: NTK is another base.
pub(super) fn plain(rope: RopeConfig, model: &ModelConfig) -> RopeConfig {
    let d_head = parts::attention(model).d_head(&model.widths(1));
    let rotated = rope.rotated(d_head);
    let half = rotated as f64 / 2.0;
    let rope = RopeConfig { rotary_fraction: share(rotated, d_head), ..rope };
    match rope.scaling {
        RopeScaling::Ntk(stretch) if half > 1.0 => {
            let theta = rope.theta * stretch.factor.powf(half / (half - 1.0));
            RopeConfig { theta, scaling: RopeScaling::None, ..rope }
        }
        RopeScaling::Ntk(_) => RopeConfig { scaling: RopeScaling::None, ..rope },
        RopeScaling::None | RopeScaling::Linear(_) | RopeScaling::Yarn(_) => rope,
    }
}

/// The share of `rotated` of `d_head` channels, such that rounding down gives them back.
fn share(rotated: usize, d_head: usize) -> f64 {
    let share = rotated as f64 / d_head as f64;
    match (share * d_head as f64) as usize == rotated {
        true => share,
        false => share.next_up(),
    }
}
