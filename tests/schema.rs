//! What `zoo schema` says is what commands print and runs leave: no key is missing, none is unknown.

use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::program::Folder;

/// Two arms and a tuned rate, in a second.
pub const SMALL: &str = r#"
[about]
question = "Does it train?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[arms.silu]
match_on = "parameters"
model.block.feed_forward.activation = "silu"
[common.data]
people = 64
[common.training]
length = { kind = "steps", count = 20 }
schedule = { kind = "cosine", warmup_steps = 5 }
[repeat]
seeds = 1
[tune]
"training.peak_lr" = [1e-3, 2e-3]
[profiles.smoke]
"#;

/// What is wrong with `value` by `schema`, keys that the schema does not name among it.
fn wrong(schema: &Json, value: &Json, at: &str) -> Vec<String> {
    if let Some(shapes) = schema["anyOf"].as_array() {
        let each: Vec<Vec<String>> = shapes.iter().map(|shape| wrong(shape, value, at)).collect();
        // The closest shape tells most.
        return each.into_iter().min_by_key(Vec::len).unwrap_or_default();
    }
    if let Some(words) = schema["enum"].as_array() {
        let known = words.contains(value);
        return if known { Vec::new() } else { vec![format!("{at}: {value} is none of {words:?}")] };
    }
    match (schema["type"].as_str(), value) {
        (None, _) | (Some("string"), Json::String(_)) | (Some("boolean"), Json::Bool(_)) => Vec::new(),
        (Some("null"), Json::Null) | (Some("number"), Json::Number(_)) => Vec::new(),
        (Some("integer"), Json::Number(number)) if number.is_u64() => Vec::new(),
        (Some("array"), Json::Array(items)) => items
            .iter()
            .enumerate()
            .flat_map(|(i, item)| {
                let fixed = schema["prefixItems"].get(i);
                wrong(fixed.unwrap_or(&schema["items"]), item, &format!("{at}.{i}"))
            })
            .collect(),
        (Some("object"), Json::Object(table)) => wrong_keys(schema, table, at),
        (Some(kind), _) => vec![format!("{at}: {value} is no {kind}")],
    }
}

fn wrong_keys(schema: &Json, table: &Map<String, Json>, at: &str) -> Vec<String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let missing =
        required.filter(|key| !table.contains_key(*key)).map(|key| format!("{at}.{key} is missing"));
    let mut found: Vec<String> = missing.collect();
    for (key, value) in table {
        let place = format!("{at}.{key}");
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(shape), _) | (None, Some(shape)) => found.extend(wrong(shape, value, &place)),
            (None, None) => found.push(format!("{place} is not in the schema")),
        }
    }
    found
}

pub fn assert_fits(folder: &Folder, name: &str, value: &Json) {
    let found = wrong(&folder.json(&["schema", name]), value, name);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_command_prints_what_its_schema_says() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let told = folder.ask(&[
        "train",
        "gpt2:micro",
        "biod",
        "--set",
        "data.people=64",
        "--set",
        "training.schedule.warmup_steps=5",
        "--json",
        "--quiet",
    ]);
    assert_fits(&folder, "train", &serde_json::from_str(&told).unwrap());
    folder.ask(&["run", "small.toml", "--profile", "smoke", "--quiet"]);
    let runs = folder.json(&["runs", "--json"]);
    let run = |i: usize| runs[i]["run"].as_str().unwrap().to_string();
    let (first, second) = (run(0), run(1));
    let commands: &[(&str, &[&str])] = &[
        ("list", &["list"]),
        ("show", &["show", "llama"]),
        ("show", &["show", "mlp:gated"]),
        ("diff", &["diff", "gpt2", "llama"]),
        ("diff-runs", &["diff", &first, &second]),
        ("plan", &["plan", "small.toml", "--on", "h200"]),
        ("plan", &["plan", "race"]),
        ("status", &["status", "small.toml"]),
        ("report", &["report", "small.toml", "--profile", "smoke"]),
        ("laws", &["laws"]),
        ("runs", &["runs"]),
        ("gc", &["gc"]),
        ("measure", &["measure", &first]),
        ("measure", &["measure", &first, "--quantize", "int8"]),
        ("generate", &["generate", &first, "--prompt", ""]),
        ("grow", &["grow", &first, "--out", "grown"]),
        ("export", &["export", &first, "hf"]),
        ("export", &["import", "hf", "--out", "imported"]),
        ("export", &["export", "all", "--to", "jsonl", "tables"]),
        ("data", &["data", "bios"]),
        ("data", &["data", "mixture"]),
        ("devices", &["devices"]),
        ("doctor", &["doctor"]),
        ("bench", &["bench", "--shape", "Q", "--seconds", "0.05"]),
        ("bench", &["bench", "--shape", "Q", "--rows", "2", "--dtype", "bf16", "--seconds", "0.05"]),
        ("bench", &["bench", "mlp", "--profile", "smoke", "--seconds", "0.02"]),
        ("bench", &["bench", "--context", "1024", "--seconds", "0.01"]),
    ];
    for (name, args) in commands {
        assert_fits(&folder, name, &folder.json(&[args, &["--json"][..]].concat()));
    }
    for (name, file) in [("export-runs", "runs.jsonl"), ("export-metrics", "metrics.jsonl")] {
        let text = std::fs::read_to_string(folder.path().join("tables").join(file)).unwrap();
        assert!(text.lines().count() > 1);
        text.lines().for_each(|line| assert_fits(&folder, name, &serde_json::from_str(line).unwrap()));
    }
}

#[test]
fn every_file_of_a_run_is_what_its_schema_says() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    folder.ask(&["run", "small.toml", "--profile", "smoke", "--quiet"]);
    let name = folder.json(&["runs", "--json"])[0]["run"].as_str().unwrap().to_string();
    let store = folder.path().join("runs");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_fits(&folder, "store.json", &serde_json::from_str(&read(&store.join("store.json"))).unwrap());
    folder.ask(&["bench", "gpt2:micro", "biod", "--seconds", "0.02"]);
    let timed = serde_json::from_str(&read(&store.join("calibration.json"))).unwrap();
    assert_fits(&folder, "calibration.json", &timed);
    for file in ["status.json", "measurements.json", "config.json", "manifest.json"] {
        assert_fits(&folder, file, &serde_json::from_str(&read(&store.join(&name).join(file))).unwrap());
    }
    for file in ["run.toml", "plan.toml", "environment.toml"] {
        assert_fits(&folder, file, &toml::from_str(&read(&store.join(&name).join(file))).unwrap());
    }
    let metrics = read(&store.join(&name).join("metrics.jsonl"));
    for line in metrics.lines().skip(1) {
        assert_fits(&folder, "metrics.jsonl", &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn every_schema_is_on_its_page_and_an_unknown_one_is_named() {
    let folder = Folder::new();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema.md")).unwrap();
    let names = folder.ask(&["schema"]);
    for name in names.lines().skip(1).filter_map(|line| line.split_whitespace().next()) {
        assert!(page.contains(&format!("`{name}`")), "docs/schema.md misses {name}");
        assert_eq!(folder.json(&["schema", name])["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    let said = folder.zoo(&["schema", "plam"]);
    assert!(said.code == 2 && said.err.contains("plan"), "{}", said.err);
}
