//! `zoo show` without a name: what there is, a sentence each.

use ablation_zoo::Result;
use ablation_zoo::plan::{PresetKind, Presets, preset};
use clap::Args;
use serde_json::json;

use super::{Format, output};

/// Arguments of `zoo list`, the older name of `zoo show` without a name.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    format: Format,
}

/// One file of a kind.
struct Item {
    kind: PresetKind,
    name: String,
    note: String,
    file: String,
    /// Whether it is a file of the working folder that is not compiled in like this.
    own: bool,
}

impl List {
    /// Prints names and notes.
    pub fn run(&self) -> Result<()> {
        list(&self.format)
    }
}

/// Prints names and notes.
pub fn list(format: &Format) -> Result<()> {
    let items = items(&Presets::here())?;
    if format.json {
        let items = items.iter().map(
            |item| json!({"kind": item.kind.noun(), "name": item.name, "note": item.note, "file": item.file}),
        );
        return output::print_json(&items.collect());
    }
    let mut text = String::new();
    for kind in PresetKind::ALL {
        let own = |item: &&Item| item.kind == kind;
        let row = |item: &Item| {
            let own = if item.own { " [this folder]" } else { "" };
            [item.name.clone(), format!("{}{own}", item.note)]
        };
        let table = output::table(["", ""], 2, items.iter().filter(own).map(row));
        text.push_str(&format!("{}\n{table}", kind.folder()));
        text.push('\n');
    }
    output::print(&(text + "More: zoo show NAME, zoo plan ABLATION"))
}

fn items(presets: &Presets) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for kind in PresetKind::ALL {
        for name in presets.names(kind) {
            let source = presets.load(kind, &name)?;
            let note = preset::note(&source.text);
            let own = !kind.built_in().contains(&(name.as_str(), source.text.as_str()));
            items.push(Item { kind, name, note, file: source.name.clone(), own });
        }
    }
    Ok(items)
}
