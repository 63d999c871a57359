//! Which class can hold a model: the one from whose config the model comes back as it was.

use serde_json::Value as Json;

use super::{Class, Fields, rotary};
use crate::error::{Error, Kind, Problem, Result};
use crate::layers::Widths;
use crate::layers::feed_forward::{Capacity, ExpertConfig, FeedForwardConfig};
use crate::layers::mixer::MixerConfig;
use crate::layers::position::PositionConfig;
use crate::model::{Blueprint, InitConfig, ModelConfig};

/// The first class that can hold `blueprint`.
pub(super) fn class(blueprint: &Blueprint) -> Result<Class> {
    let homeless = |class: Class| -> Vec<Problem> {
        let back = match class.read(&Fields::of(class.write(blueprint))) {
            Ok(back) => back,
            Err(error) => return error.problems,
        };
        differences(&computed(blueprint), &computed(&back), class)
    };
    let mut nearest: Option<(Class, Vec<Problem>)> = None;
    for class in Class::ALL {
        let problems = homeless(class);
        if problems.is_empty() {
            return Ok(class);
        }
        if nearest.as_ref().is_none_or(|(_, fewest)| problems.len() < fewest.len()) {
            nearest = Some((class, problems));
        }
    }
    let (_, problems) = nearest.expect("there are classes");
    Err(Error { kind: Kind::Config, problems })
}

fn differences(ours: &ModelConfig, theirs: &ModelConfig, class: Class) -> Vec<Problem> {
    let json = |model: &ModelConfig| serde_json::to_value(model).expect("a config is numbers and names");
    let mut problems = Vec::new();
    compare("model", &json(ours), &json(theirs), &mut |key, ours, theirs| {
        let problem =
            Problem::new(format!("{} has no home in any class of transformers", said(ours))).key(key);
        let nearest = class.architecture();
        problems.push(problem.expected(format!("{}, as the nearest class, {nearest}, has it", said(theirs))));
    });
    problems
}

/// Calls `found` with every key that differs; the name of a choice is no part of the key.
fn compare(key: &str, ours: &Json, theirs: &Json, found: &mut impl FnMut(&str, &Json, &Json)) {
    let (Some(left), Some(right)) = (ours.as_object(), theirs.as_object()) else {
        if ours != theirs {
            found(key, ours, theirs);
        }
        return;
    };
    let is_choice = left.len() == 1 && left.values().all(Json::is_object);
    if is_choice && !left.keys().eq(right.keys()) {
        return found(key, ours, theirs);
    }
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for name in names {
        let value = |side: &serde_json::Map<String, Json>| side.get(name).cloned().unwrap_or(Json::Null);
        let inner = if is_choice { key.to_string() } else { format!("{key}.{name}") };
        compare(&inner, &value(left), &value(right), found);
    }
}

/// A choice by its name, a value as it is.
fn said(value: &Json) -> String {
    match value {
        Json::Object(choice) if choice.len() == 1 => choice.keys().next().expect("there is one").clone(),
        Json::String(name) => name.clone(),
        Json::Array(items) if items.is_empty() => "the same in all layers".to_string(),
        Json::Array(_) => "a difference between layers".to_string(),
        other => other.to_string(),
    }
}

/// What decides the logits: widths instead of ratios, and nothing that only training reads.
fn computed(blueprint: &Blueprint) -> ModelConfig {
    let mut model = ModelConfig { init: InitConfig::default(), ..blueprint.model.clone() };
    let widths = model.widths(blueprint.seq_len);
    if let MixerConfig::Attention(attention) = &mut model.block.mixer {
        attention.n_kv_heads = Some(attention.n_kv_heads(&widths));
        attention.d_head = attention.d_head.filter(|k| *k != widths.d_head());
        if let PositionConfig::Rope(rope) = &mut attention.position {
            *rope = rotary::plain(*rope, &blueprint.model);
        }
    }
    model.block.feed_forward = feed_forward(model.block.feed_forward, &widths);
    model
}

fn feed_forward(config: FeedForwardConfig, widths: &Widths) -> FeedForwardConfig {
    let ratio = |d_ff: usize| d_ff as f64 / widths.d_model as f64;
    match config {
        FeedForwardConfig::Mlp(mut mlp) => {
            mlp.expansion = ratio(mlp.d_ff(widths.d_model));
            FeedForwardConfig::Mlp(mlp)
        }
        FeedForwardConfig::GatedMlp(mut mlp) => {
            (mlp.expansion, mlp.multiple_of) = (ratio(mlp.d_ff(widths.d_model)), 1);
            FeedForwardConfig::GatedMlp(mlp)
        }
        FeedForwardConfig::Moe(mut moe) => {
            (moe.capacity, moe.load_balance_coef, moe.z_loss) = (Capacity::Unlimited, 0.0, 0.0);
            moe.expert = match feed_forward(moe.expert.into(), widths) {
                FeedForwardConfig::GatedMlp(config) => ExpertConfig::GatedMlp(config),
                FeedForwardConfig::Mlp(config) => ExpertConfig::Mlp(config),
                FeedForwardConfig::Moe(_) | FeedForwardConfig::None => moe.expert,
            };
            FeedForwardConfig::Moe(moe)
        }
        FeedForwardConfig::None => FeedForwardConfig::None,
    }
}
