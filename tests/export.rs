//! Runs compared and written for other programs: differences, TensorBoard, tables, the index of reports, old stores.

use std::path::Path;
use std::process::Command;

use crate::program::Folder;
use crate::schema::SMALL;

fn done() -> Folder {
    let folder = Folder::new();
    folder.write("small.toml", SMALL).write("ablations/mine.toml", SMALL);
    folder.ask(&["run", "small.toml", "--profile", "smoke", "--quiet"]);
    folder
}

fn names(folder: &Folder) -> Vec<String> {
    let runs = folder.json(&["runs", "--json"]);
    runs.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_run_and_its_repetition_are_equal_and_two_arms_are_not() {
    let folder = done();
    folder.ask(&["run", "small.toml", "--profile", "smoke", "--quiet", "--store", "again", "--jobs", "1"]);
    let names = names(&folder);
    let (here, there) = (format!("runs/{}", names[0]), format!("again/{}", names[0]));
    let same = folder.ask(&["diff", &here, &there, "--assert-equal"]);
    assert!(same.contains("are the same") && same.contains("bit for bit"), "{same}");
    assert_eq!(folder.json(&["diff", &here, &there, "--json"])["equal"], true);

    let other = names.iter().find(|name| name.contains("-silu-")).unwrap();
    let said = folder.zoo(&["diff", &names[0], other, "--assert-equal"]);
    assert_eq!(said.code, 1, "{}", said.err);
    for must in [
        "model.block.feed_forward.activation",
        "training.final_loss",
        "differ from step 1 on",
        "weights: differ",
    ] {
        assert!(said.out.contains(must), "{must} in {}", said.out);
    }
    assert_eq!(folder.zoo(&["diff", &names[0], other]).code, 0);
    assert_eq!(folder.zoo(&["diff", "gpt2", "llama", "--assert-equal"]).code, 1);
    let said = folder.zoo(&["diff", &names[0], "small-nobody"]);
    assert!(said.code == 2 && said.err.contains("no run in runs begins with"), "{}", said.err);
    assert!(folder.zoo(&["diff", "gpt2", "lama"]).err.contains("did you mean"));
}

#[test]
fn metrics_are_written_for_other_programs() {
    let folder = done();
    let n = names(&folder).len();
    folder.ask(&["export", "all", "--to", "tensorboard", "events"]);
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("events")).unwrap().collect();
    assert_eq!(runs.len(), n);
    let file = std::fs::read_dir(runs[0].as_ref().unwrap().path()).unwrap().next().unwrap().unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(has(b"brain.Event:2") && has(b"grad_norm") && has(b"measured/bits_per_param"));

    folder.ask(&["export", "small-control", "--to", "csv", "tables"]);
    let text = std::fs::read_to_string(folder.path().join("tables/runs.csv")).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let schema = folder.json(&["schema", "export-runs"]);
    let mut required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    required.sort();
    let mut sorted = header.clone();
    sorted.sort();
    assert_eq!(sorted, required);
    folder.ask(&["export", "all", "--to", "csv", "all"]);
    // A few steps of a few runs are too little for a law, but nothing of the tables is.
    for (fit, table) in [("capacity", "runs"), ("scaling", "runs"), ("race", "metrics")] {
        let said = folder.zoo(&["fit", fit, &format!("all/{table}.csv"), "--replicates", "20"]);
        assert!(said.code == 0 || said.code == 65, "{fit}: {}", said.err);
        assert!(
            !said.err.contains("no column") && !said.err.contains("finite number"),
            "{fit}: {}",
            said.err
        );
    }
    let said = folder.zoo(&["export", "all", "--to", "csv", "tables"]);
    assert!(said.code == 2 && said.err.contains("is not empty"), "{}", said.err);
    assert_eq!(folder.zoo(&["export", "nobody", "--to", "jsonl", "x"]).code, 2);
}

#[test]
fn the_index_leads_to_the_report_of_every_ablation_with_runs() {
    let folder = done();
    folder.write("ablations/broken.toml", "[about");
    let said = folder.zoo(&["report", "--all", "--out", "site"]);
    assert!(said.code == 0 && said.out.starts_with("1 report"), "{}{}", said.out, said.err);
    assert!(said.err.contains("left out: broken"), "{}", said.err);
    let page = std::fs::read_to_string(folder.path().join("site/index.html")).unwrap();
    assert!(page.contains("href=\"mine-smoke/report.html\"") && page.contains("Does it train?"), "{page}");
    assert!(folder.path().join("site/mine-smoke/report.html").is_file());
    assert_eq!(folder.zoo(&["report"]).code, 2);
    assert_eq!(folder.zoo(&["report", "mlp", "--all"]).code, 2);
}

/// The real packages read what is written, where Python and they are there: `ZOO_PYTHON`, or `python3`.
#[test]
fn python_reads_events_tables_and_the_notebook() {
    let python = std::env::var("ZOO_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let there = Command::new(&python).args(["-c", "import tensorboard, pandas, duckdb, matplotlib"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no tensorboard, pandas, duckdb and matplotlib");
        return;
    }
    let folder = done();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(&python)
        .arg(root.join("tests/reference/readers.py"))
        .arg(assert_cmd::cargo::cargo_bin("zoo"))
        .arg(root.join("examples/notebook.ipynb"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_store_of_the_first_format_is_read_and_a_newer_one_is_refused() {
    let folder = Folder::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-1");
    let copied = Command::new("cp").arg("-r").arg(&fixture).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let store = ["--store", "store-1"];
    let ask = |args: &[&str]| folder.ask(&[args, &store[..]].concat());
    let runs: serde_json::Value = serde_json::from_str(&ask(&["runs", "--json"])).unwrap();
    assert_eq!((runs[0]["arm"].as_str(), runs[0]["state"].as_str()), (Some("control"), Some("finished")));
    let bits = runs[0]["bits_per_param"].as_f64().unwrap();
    assert!(ask(&["runs", "--verify"]).contains("as it was written"));
    let name = runs[0]["run"].as_str().unwrap();
    let measured: serde_json::Value = serde_json::from_str(&ask(&["measure", name, "--json"])).unwrap();
    let again = measured["capacity"]["bits_per_param"].as_f64().unwrap();
    assert!((again - bits).abs() < 1e-6 * bits.abs().max(1.0), "{again} is not {bits}");
    ask(&["export", name, "--to", "csv", "tables"]);

    // The report finds the run as long as its plan has the same fingerprint, that is until NUMERICS is raised.
    let plan = folder.json(&["plan", "store-1/old.toml", "--json"]);
    let fingerprint = plan["runs"][0]["fingerprint"].as_str().unwrap();
    if name.contains(&fingerprint[..16]) {
        let report: serde_json::Value =
            serde_json::from_str(&ask(&["report", "store-1/old.toml", "--json"])).unwrap();
        assert_eq!(report["arms"][0]["bits_per_param"]["mean"].as_f64(), Some(bits));
    }

    for file in ["store.json", &format!("{name}/run.toml")] {
        let path = folder.path().join("store-1").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            &path,
            text.replace("\"format\": 1", "\"format\": 9").replace("format = 1", "format = 9"),
        )
        .unwrap();
        let said = folder.zoo(&[&["runs"][..], &store].concat());
        assert!(said.code == 65 && said.err.contains("newer version"), "{file}: {}", said.err);
        std::fs::write(&path, text).unwrap();
    }
}
