//! What is fuzzed: every reader of files that strangers may have made. An error is an answer; a panic is not.

use std::path::{Path, PathBuf};

use ablation_zoo::laws::curves::{Records, Rows};
use ablation_zoo::laws::table::{self, Demand, Table};
use ablation_zoo::model::weights;
use ablation_zoo::plan::{Ablation, Plan, Presets, check};
use ablation_zoo::run::metrics;
use ablation_zoo::training::manifest;

/// A target: what it reads. Files to begin from are in `seeds/` beside this one, in a folder of its name.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads the bytes.
    pub read: fn(&[u8]),
}

/// All of them.
pub const ALL: [Target; 4] = [
    Target { name: "config", read: config },
    Target { name: "weights", read: weights_and_manifest },
    Target { name: "metrics", read: metrics_lines },
    Target { name: "curves", read: curves },
];

/// Plans and ablations in TOML.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(plan) = Plan::from_toml("fuzz.toml", &text) {
        let _ = check(&plan).len();
    }
    let path = scratch("fuzz.toml", bytes);
    let _ = Ablation::load(&Presets::at("/nowhere"), &path.display().to_string(), None, &[]);
}

/// Headers of safetensors, as checkpoints and models have them, and manifests.
pub fn weights_and_manifest(bytes: &[u8]) {
    let _ = weights::read(&scratch("fuzz.safetensors", bytes));
    let path = scratch(manifest::MANIFEST, bytes);
    let folder = path.parent().unwrap_or(Path::new("."));
    let _ = manifest::read(folder);
    let _ = manifest::verify(folder);
}

/// `metrics.jsonl`.
pub fn metrics_lines(bytes: &[u8]) {
    let _ = metrics::read(&scratch("metrics.jsonl", bytes));
}

/// Tables of loss curves and of points.
pub fn curves(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Records::parse("fuzz.tsv", &text, Rows::InOrder);
    let _ = Records::parse("fuzz.tsv", &text, Rows::AnyOrder);
    let _ = table::text("fuzz.csv", bytes.to_vec());
    if let Ok(table) = Table::parse("fuzz.csv", &text) {
        let columns: Vec<_> = (0..table.names().len()).map(|column| (column, Demand::Finite)).collect();
        let _ = table.numbers(&columns);
        let _ = table.split(0);
    }
}

/// A file with these bytes, in a folder of this process.
fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ablation-zoo-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    path
}
