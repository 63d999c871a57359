//! `zoo list`: what there is, one line each.

use ablation_zoo::plan::{Presets, Shelf, preset};
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

/// One file of a shelf.
struct Item {
    shelf: Shelf,
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
                |item| json!({"kind": item.shelf.noun(), "name": item.name, "note": item.note, "file": item.file}),
            );
            return output::print_json(&items.collect());
        }
        let width = items.iter().map(|item| visible::line(&item.name).chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for shelf in Shelf::ALL {
            text.push_str(&format!("{}\n", shelf.folder()));
            for item in items.iter().filter(|item| item.shelf == shelf) {
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
    for shelf in Shelf::ALL {
        for name in presets.names(shelf) {
            let source = presets.load(shelf, &name)?;
            let note = preset::note(&source.text).to_string();
            let own = !shelf.built_in().contains(&(name.as_str(), source.text.as_str()));
            items.push(Item { shelf, name, note, file: source.name.clone(), own });
        }
    }
    Ok(items)
}
