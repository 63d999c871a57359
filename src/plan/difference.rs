//! What differs between two plans, as choices: a choice of another kind is one difference, whatever its settings.

use super::tree::{Entry, KIND, Node, Table, Value, dotted};
use super::{Plan, writer};

/// One choice or setting that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The key of the choice or setting.
    pub key: String,
    /// The value in the first plan; absent if the key is not there.
    pub a: Option<Node>,
    /// The value in the second plan; absent if the key is not there.
    pub b: Option<Node>,
}

impl Difference {
    /// The difference in words: `norm: rms (eps 1e-5) → layer (eps 1e-5, bias with)`; the key without the tables that all have.
    pub fn phrase(&self) -> String {
        let key = self.key.trim_start_matches("model.").trim_start_matches("block.");
        let words = |node: &Option<Node>| node.as_ref().map_or("absent".to_string(), phrase);
        format!("{key}: {} → {}", words(&self.a), words(&self.b))
    }
}

/// The differences between two plans.
pub fn between(a: &Plan, b: &Plan) -> Vec<Difference> {
    between_trees(&writer::write(a), &writer::write(b))
}

/// The differences between two trees.
pub fn between_trees(a: &Node, b: &Node) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(Some(a), Some(b), &mut Vec::new(), &mut found);
    found
}

fn compare<'a>(
    a: Option<&'a Node>,
    b: Option<&'a Node>,
    path: &mut Vec<&'a str>,
    found: &mut Vec<Difference>,
) {
    match (a.and_then(Node::as_table), b.and_then(Node::as_table)) {
        (Some(left), Some(right)) if a.and_then(Node::kind) == b.and_then(Node::kind) => {
            let only_right = right.iter().filter(|entry| left.get(&entry.key).is_none());
            for entry in left.iter().chain(only_right).filter(|entry| entry.key != KIND) {
                path.push(&entry.key);
                compare(left.get(&entry.key), right.get(&entry.key), path, found);
                path.pop();
            }
        }
        _ if a == b => {}
        _ => found.push(Difference { key: dotted(path), a: a.cloned(), b: b.cloned() }),
    }
}

/// A choice in words: `rope (theta 10000, rotary_fraction 0.25)`; settings of a choice that are `none` are left out.
pub fn phrase(node: &Node) -> String {
    let settings = |table: &Table| {
        let is_choice = table.get(KIND).is_some();
        let said = |e: &&Entry| e.key != KIND && !(is_choice && e.node.as_str() == Some("none"));
        let settings = table.iter().filter(said);
        settings.map(|entry| format!("{} {}", entry.key, phrase(&entry.node))).collect::<Vec<_>>().join(", ")
    };
    match (&node.value, node.kind()) {
        (Value::Table(table), Some(kind)) => match settings(table) {
            settings if settings.is_empty() => kind.to_string(),
            settings => format!("{kind} ({settings})"),
        },
        (Value::Table(table), None) => settings(table),
        (Value::String(text), _) => text.clone(),
        (Value::Float(value), _) => short(*value),
        (Value::Array(items), _) => {
            format!("[{}]", items.iter().map(phrase).collect::<Vec<_>>().join("; "))
        }
        (Value::Integer(_) | Value::Boolean(_) | Value::Datetime(_), _) => writer::inline(node),
    }
}

/// A number to four decimals, unless it is far from one.
fn short(value: f64) -> String {
    let plain = value == 0.0 || (1e-3..1e6).contains(&value.abs());
    if plain { format!("{}", (value * 1e4).round() / 1e4) } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::feed_forward::{FeedForwardConfig, MlpConfig};
    use crate::model::LayerOverride;

    #[test]
    fn another_kind_is_one_difference_and_another_setting_names_its_key() {
        let plan = Plan::default();
        let mut none = plan.clone();
        none.model.block.feed_forward = FeedForwardConfig::None;
        none.training.batch = 3;
        let found = between(&plan, &none);
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["model.block.feed_forward", "training.batch"]);
        let phrases = |d: &Difference| [d.a.as_ref().map(phrase), d.b.as_ref().map(phrase)];
        let mlp = "mlp (activation gelu, expansion 4, bias without)".to_string();
        assert_eq!(phrases(&found[0]), [Some(mlp), Some("none".to_string())]);
        let mut wide = plan.clone();
        wide.model.block.feed_forward =
            FeedForwardConfig::Mlp(MlpConfig { expansion: 8.0 / 3.0, ..MlpConfig::default() });
        let found = between(&plan, &wide);
        assert_eq!((found.len(), found[0].key.as_str()), (1, "model.block.feed_forward.expansion"));
        assert_eq!(found[0].b.as_ref().map(phrase).as_deref(), Some("2.6667"));
        assert!(between(&plan, &plan).is_empty());
        let mut bare = plan.clone();
        let feed_forward = Some(FeedForwardConfig::None);
        bare.model.layers = vec![LayerOverride { at: vec![1], feed_forward, ..LayerOverride::default() }];
        assert_eq!(between(&plan, &bare)[0].phrase(), "layers: [] → [at [1], feed_forward none]");
    }
}
