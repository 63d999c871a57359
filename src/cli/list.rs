//! `zoo list`: what there is, one line each.

use ablation_zoo::plan::{PresetKind, Presets, preset};
use ablation_zoo::{Result, visible};
use clap::Args;
use serde_json::json;

use super::{Format, output};

/// Arguments of `zoo list`.
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
        let items = items(&Presets::here())?;
        if self.format.json {
            let items = items.iter().map(
                |item| json!({"kind": item.kind.noun(), "name": item.name, "note": item.note, "file": item.file}),
            );
            return output::print_json(&items.collect());
        }
        let width = items.iter().map(|item| visible::line(&item.name).chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for kind in PresetKind::ALL {
            text.push_str(&format!("{}\n", kind.folder()));
            for item in items.iter().filter(|item| item.kind == kind) {
                let own = if item.own { "  [this folder]" } else { "" };
                text.push_str(&format!(
                    "  {:<width$}  {}{own}\n",
                    visible::line(&item.name),
                    visible::line(&item.note)
                ));
            }
            text.push('\n');
        }
        output::print(&(text + "More: zoo show NAME, zoo plan ABLATION"))
    }
}

fn items(presets: &Presets) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for kind in PresetKind::ALL {
        for name in presets.names(kind) {
            let source = presets.load(kind, &name)?;
            let note = preset::note(&source.text).to_string();
            let own = !kind.built_in().contains(&(name.as_str(), source.text.as_str()));
            items.push(Item { kind, name, note, file: source.name.clone(), own });
        }
    }
    Ok(items)
}
