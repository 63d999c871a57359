//! `zoo gc`: lists or deletes reclaimable files of the store.

use std::collections::BTreeMap;

use ablation_zoo::Result;
use ablation_zoo::run::Store;
use ablation_zoo::run::gc::{self, Garbage, Stages};
use clap::Args;
use serde_json::json;

use super::store::{StoreArgs, size};
use super::{Format, output};

/// Arguments of `zoo gc`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo gc\n  zoo gc --delete")]
pub struct Gc {
    #[command(flatten)]
    store: StoreArgs,
    /// Delete what is listed
    #[arg(long)]
    delete: bool,
    /// Also checkpoints of finished runs that others may start from, such as trunks; never those that models are grown from
    #[arg(long)]
    stages: bool,
    #[command(flatten)]
    format: Format,
}

impl Gc {
    /// Lists, and deletes if asked to.
    pub fn run(&self) -> Result<()> {
        let stages = if self.stages { Stages::Delete } else { Stages::Keep };
        let store = self.store.open()?;
        let garbage = gc::find(&store, stages)?;
        let deleted = self.delete.then(|| gc::delete(&store, &garbage)).transpose()?;
        if self.format.json {
            let pieces = garbage
                .iter()
                .map(|piece| json!({"path": piece.path, "bytes": piece.bytes, "why": piece.why.text()}));
            return output::print_json(
                &json!({"garbage": pieces.collect::<Vec<_>>(), "deleted_bytes": deleted}),
            );
        }
        output::print(&text(&store, &garbage, deleted))
    }
}

fn text(store: &Store, garbage: &[Garbage], deleted: Option<u64>) -> String {
    if garbage.is_empty() {
        return "nothing to delete".to_string();
    }
    let mut of_folders: BTreeMap<(String, &str), (usize, u64)> = BTreeMap::new();
    for piece in garbage {
        let folder = piece.path.strip_prefix(store.path()).unwrap_or(&piece.path).iter().next();
        let folder = folder.unwrap_or_default().to_string_lossy().into_owned();
        let (n, bytes) = of_folders.entry((folder, piece.why.text())).or_default();
        (*n, *bytes) = (*n + 1, *bytes + piece.bytes);
    }
    let rows = of_folders
        .into_iter()
        .map(|((folder, why), (n, bytes))| [folder, why.to_string(), n.to_string(), size(bytes)]);
    let table = output::table(["run", "why", "files", "size"], 2, rows);
    match deleted {
        Some(bytes) => format!("{table}\n  deleted {}", size(bytes)),
        None => {
            let bytes = garbage.iter().map(|piece| piece.bytes).sum();
            format!("{table}\n  in all: {}; `zoo gc --delete` deletes it", size(bytes))
        }
    }
}
