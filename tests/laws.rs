//! The board of published results.

use std::path::Path;

use crate::program::Folder;

/// The report of the main job that the repository keeps.
fn kept() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results/mlp-quick/report.json");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn an_empty_folder_has_all_results_on_its_board_and_none_measured() {
    let board = Folder::new().json(&["laws", "--json"]);
    let entries = board.as_array().unwrap();
    let mut results: Vec<u64> = entries.iter().map(|entry| entry["result"].as_u64().unwrap()).collect();
    results.dedup();
    assert_eq!(results, (1..=12).collect::<Vec<u64>>());
    assert!(entries.iter().all(|entry| entry["measured"].as_array().unwrap().is_empty()));
}

#[test]
fn a_report_that_was_kept_stands_beside_its_claim() {
    let folder = Folder::new();
    folder.write("docs/results/mlp-quick/report.json", &kept());
    let board = folder.json(&["laws", "--json"]);
    let entries = board.as_array().unwrap();
    let none = entries.iter().find(|entry| entry["ablation"] == "mlp" && entry["arm"] == "none").unwrap();
    let measured = &none["measured"][0];
    assert_eq!((measured["profile"].as_str(), measured["estimate"]["n"].as_u64()), (Some("quick"), Some(8)));
    assert_eq!(measured["runs"].as_array().unwrap().len(), 8);
    assert!(measured["verdict"]["not-comparable"].is_string(), "{measured}");
    let text = folder.ask(&["laws"]);
    assert!(text.contains("scale too small") && text.contains("not run"), "{text}");
}

#[test]
fn a_damaged_report_is_named() {
    let folder = Folder::new();
    folder.write("docs/results/x/report.json", "{}");
    let said = folder.zoo(&["laws"]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("docs/results/x/report.json is not a report"), "{}", said.err);
}

#[test]
fn a_plan_says_what_its_seeds_can_see_once_some_have_run() {
    let folder = Folder::new();
    // Long enough for every arm to know something: a ratio needs values above zero.
    let long =
        ["mlp", "--profile", "smoke", "--set", "training.length.count=90", "--set", "arms=[\"gated\"]"];
    assert!(folder.ask(&[&["plan"], &long[..]].concat()).contains("power: unknown"));
    folder.ask(&[&["run"], &long[..]].concat());
    let plan = folder.json(&[&["plan"], &long[..], &["--json"]].concat());
    assert_eq!(plan["power"]["pairs"], 3);
    assert!(plan["power"]["detectable"].as_f64().unwrap() > 1.0);
    let two = folder.ask(&[&["plan"], &long[..], &["--set", "repeat.seeds=2"]].concat());
    assert!(two.contains("power: none"), "{two}");

    // As after an interruption: arms that have runs, and a control that has none yet.
    for run in std::fs::read_dir(folder.path().join("runs")).unwrap().map(|run| run.unwrap().path()) {
        if run.file_name().unwrap().to_string_lossy().starts_with("mlp-control-") {
            std::fs::remove_dir_all(run).unwrap();
        }
    }
    assert!(folder.ask(&[&["plan"], &long[..]].concat()).contains("power: unknown"));
    assert_eq!(folder.ask(&["laws"]), Folder::new().ask(&["laws"]));
}
