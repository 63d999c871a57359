//! What is fuzzed: every reader of files that strangers may have made. An error is an answer; a panic is not.

use std::path::{Path, PathBuf};

use ablation_zoo::laws::curves::{Records, Rows};
use ablation_zoo::model::weights;
use ablation_zoo::plan::{Ablation, Plan, Presets, check};
use ablation_zoo::report::fit::Columns;
use ablation_zoo::run::metrics;
use ablation_zoo::training::manifest;

/// A target: what it reads, and a few files to begin from.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads the bytes.
    pub read: fn(&[u8]),
    /// Where mutations begin.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: [Target; 4] = [
    Target { name: "config", read: config, seeds: of_config },
    Target { name: "weights", read: weights_and_manifest, seeds: of_weights },
    Target { name: "metrics", read: metrics_lines, seeds: of_metrics },
    Target { name: "curves", read: curves, seeds: of_curves },
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
    let _ = Columns::parse("fuzz.csv", &text);
}

/// A file with these bytes, in a folder of this process.
fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ablation-zoo-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    path
}

fn of_config() -> Vec<Vec<u8>> {
    let small = "[control]\nmodel = \"gpt2\"\ndataset = \"biod\"\nsize = \"micro\"\n[arms.a]\nholds = \"nothing\"\n\
        model.norm = \"rms\"\n[tune]\n\"training.peak_lr\" = [1e-3, 2e-3]\n[repeat]\nseeds = 2\n";
    vec![Plan::default().to_toml().into_bytes(), small.as_bytes().to_vec()]
}

fn of_weights() -> Vec<Vec<u8>> {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend([0; 12]);
    let manifest = r#"{"format":1,"files":[{"name":"fuzz.safetensors","bytes":3,"blake3":"00"}]}"#;
    vec![file, manifest.as_bytes().to_vec()]
}

fn of_metrics() -> Vec<Vec<u8>> {
    let line = r#"{"step":1,"tokens":7,"flops":1.5,"seconds":0.25,"lr":0.001,"loss":2.5,"grad_norm":1.0}"#;
    vec![format!("{{\"format\":1}}\n{line}\n{line}\n").into_bytes()]
}

fn of_curves() -> Vec<Vec<u8>> {
    let curve = "tokens\tloss\tstage\n1e6\t3.5\traw\n2e6\t3.1\traw\n4e6\t2.9\tannealed\n8e6\t2.7\traw\n";
    vec![curve.as_bytes().to_vec(), b"share_a,share_b,loss_a,loss_b\n0.5,0.5,1.0,2.0\n1,0,0.9,3\n".to_vec()]
}
