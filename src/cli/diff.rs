//! `zoo diff`: what differs between two models, datasets or arms, as choices.

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::Presets;
use ablation_zoo::plan::difference::{Difference, between_trees, phrase};
use ablation_zoo::plan::tree::Node;
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

impl Diff {
    /// Prints the differences.
    pub fn run(&self) -> Result<()> {
        let presets = Presets::here();
        let a = Subject::find(&presets, &self.a, &self.overrides)?;
        let b = Subject::find(&presets, &self.b, &self.overrides)?;
        if a.shelf != b.shelf {
            let side =
                |subject: &Subject| format!("{} is one of the {}", subject.name, subject.shelf.folder());
            let got = format!("{}, {}", side(&a), side(&b));
            return Err(Error::config(Problem::new(got).expected("two of one kind")));
        }
        let differences = between_trees(&a.tree(), &b.tree());
        if self.format.json {
            let value = |node: &Option<Node>| node.as_ref().map(output::json);
            let rows = differences.iter().map(|d| json!({"key": d.key, "a": value(&d.a), "b": value(&d.b)}));
            return output::print_json(
                &json!({"a": self.a, "b": self.b, "differences": rows.collect::<Vec<_>>()}),
            );
        }
        match differences.is_empty() {
            true => output::print(&format!("{} and {} are the same", self.a, self.b)),
            false => output::print(&table(&self.a, &self.b, &differences)),
        }
    }
}

/// The differences side by side.
pub fn table(a: &str, b: &str, differences: &[Difference]) -> String {
    let value = |node: &Option<Node>| node.as_ref().map_or("-".to_string(), phrase);
    let row = |d: &Difference| [d.key.clone(), value(&d.a), value(&d.b)];
    output::table(["", a, b], 3, differences.iter().map(row))
}
