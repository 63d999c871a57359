//! `zoo diff`: what differs between two models, datasets or arms, as choices.

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::Presets;
use ablation_zoo::plan::tree::{KIND, Node, Table, dotted};
use clap::Args;
use serde_json::json;

use super::subject::Subject;
use super::{Format, Overrides, output};

/// Arguments of `zoo diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo diff gpt2 llama\n  zoo diff gpt2:2-2 gpt2:4-2\n  zoo diff mlp mlp:gated"
)]
pub struct Diff {
    /// A model, dataset or ablation; a size or an arm may follow after a colon
    a: String,
    /// The other one
    b: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    format: Format,
}

/// One choice or setting that differs.
pub struct Difference {
    /// Its key.
    pub key: String,
    /// What it is here; absent if the key is not there.
    pub a: Option<Node>,
    /// What it is there.
    pub b: Option<Node>,
}

impl Diff {
    /// Prints the differences.
    pub fn run(&self) -> Result<()> {
        let presets = Presets::here();
        let a = Subject::find(&presets, &self.a, &self.overrides)?;
        let b = Subject::find(&presets, &self.b, &self.overrides)?;
        if a.shelf != b.shelf {
            let got = format!(
                "{:?} is one of the {}, {:?} of the {}",
                a.name,
                a.shelf.folder(),
                b.name,
                b.shelf.folder()
            );
            return Err(Error::config(Problem::new(got).expected("two of a kind")));
        }
        let differences = differences(&a.tree(), &b.tree());
        if self.format.json {
            let value = |node: &Option<Node>| node.as_ref().map(output::json);
            let rows = differences.iter().map(|d| json!({"key": d.key, "a": value(&d.a), "b": value(&d.b)}));
            return output::print_json(
                &json!({"a": self.a, "b": self.b, "differences": rows.collect::<Vec<_>>()}),
            );
        }
        if differences.is_empty() {
            return output::print(&format!("{} and {} are the same", self.a, self.b));
        }
        output::print(&table(&self.a, &self.b, &differences))
    }
}

/// The differences side by side.
pub fn table(a: &str, b: &str, differences: &[Difference]) -> String {
    let value = |node: &Option<Node>| node.as_ref().map_or("-".to_string(), output::phrase);
    let row = |d: &Difference| [d.key.clone(), value(&d.a), value(&d.b)];
    output::table(["", a, b], 3, differences.iter().map(row))
}

/// What differs between two trees: whole choices where the kinds differ, else key by key.
pub fn differences(a: &Node, b: &Node) -> Vec<Difference> {
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
    let tables = (a.and_then(Node::as_table), b.and_then(Node::as_table));
    match tables {
        (Some(left), Some(right)) if a.and_then(Node::kind) == b.and_then(Node::kind) => {
            let only_right = right.iter().filter(|entry| left.get(&entry.key).is_none());
            for entry in left.iter().chain(only_right).filter(|entry| entry.key != KIND) {
                path.push(&entry.key);
                compare(left.get(&entry.key), right.get(&entry.key), path, found);
                path.pop();
            }
        }
        (None | Some(Table { .. }), _) if a == b => {}
        _ => found.push(Difference { key: dotted(path), a: a.cloned(), b: b.cloned() }),
    }
}
