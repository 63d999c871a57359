//! What a newcomer meets at a terminal: widths, totals, events, short names, older names of commands.

use assert_cmd::Command;
use serde_json::Value;

use crate::program::Folder;

/// Three arms that are trained within a second.
const SMOKE: [&str; 3] = ["mlp", "--profile", "smoke"];

/// What the program prints on a terminal of so many columns.
fn at_width(folder: &Folder, columns: &str, args: &[&str]) -> String {
    let mut zoo = Command::cargo_bin("zoo").unwrap();
    let output = zoo.current_dir(folder.path()).env("COLUMNS", columns).args(args).output().unwrap();
    assert!(output.status.success(), "zoo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nothing_is_wider_than_the_terminal_and_no_word_is_broken() {
    let folder = Folder::new();
    folder.ask(&[&["run"], &SMOKE[..], &["--quiet"]].concat());
    let commands: [&[&str]; 13] = [
        &["--help"],
        &["show"],
        &["plan", "mlp"],
        &["plan", "race"],
        &["plan", "mlp", "--profile", "smoke"],
        &["run", "mlp", "--profile", "smoke"],
        &["report", "mlp", "--profile", "smoke"],
        &["status", "mlp", "--profile", "smoke"],
        &["status", "mlp", "--profile", "smoke", "--watch"],
        &["runs"],
        &["gc"],
        &["diff", "gpt2", "llama"],
        &["laws"],
    ];
    for args in commands {
        let wide: String = at_width(&folder, "400", args).split_whitespace().collect();
        for columns in [40, 80, 100] {
            let text = at_width(&folder, &columns.to_string(), args);
            // A word that is too long by itself, such as a path, stays whole.
            let is_word = |line: &str| !line.trim().contains(' ');
            let too_wide = |line: &&str| line.chars().count() > columns && !is_word(line);
            // The overview's examples are commands, which clap breaks; all else is ours.
            if args != ["--help"] {
                assert_eq!(text.lines().find(too_wide), None, "zoo {args:?} at {columns} columns:\n{text}");
            }
            let words = text.split_whitespace().filter(|word| word.len() > 3);
            // What stands apart here and there stands together in both.
            words.for_each(|word| {
                let known = wide.contains(word.trim_matches([',', '(', ')', ':']));
                let added = ["all:", "page:", "on"].contains(&word);
                assert!(known || added, "zoo {args:?} at {columns} columns: {word}\n{text}");
            });
        }
    }
}

#[test]
fn at_80_columns_plans_runs_and_answers_are_tables() {
    let folder = Folder::new();
    folder.ask(&[&["run"], &SMOKE[..], &["--quiet"]].concat());
    let is_table = |args: &[&str], row: &str| {
        let text = at_width(&folder, "80", args);
        let found = text.lines().any(|line| line.trim_start().starts_with(row) && line.contains("  "));
        assert!(found, "zoo {args:?}:\n{text}");
    };
    is_table(&["plan", "mlp"], "gated");
    is_table(&["plan", "mlp", "--profile", "smoke"], "gated");
    is_table(&["report", "mlp", "--profile", "smoke"], "no MLP");
    let runs = at_width(&folder, "80", &["runs"]);
    assert!(runs.lines().next().unwrap().starts_with("  id    run "), "{runs}");
}

#[test]
fn a_second_call_says_that_all_was_done_and_the_older_names_of_commands_stay() {
    let folder = Folder::new();
    let first = folder.ask(&[&["run"], &SMOKE[..]].concat());
    let count = first.split(' ').next().unwrap();
    assert!(first.starts_with(&format!("{count} runs finished\n")), "{first}");
    let again = folder.ask(&[&["run"], &SMOKE[..]].concat());
    assert!(again.starts_with(&format!("all {count} runs were finished before\n")), "{again}");
    for retry in [["retry"].as_slice(), &["run", "--failed"]] {
        assert!(folder.ask(&[retry, &SMOKE[..]].concat()).starts_with("0 runs finished"));
    }
    assert_eq!(folder.ask(&["list"]), folder.ask(&["show"]));
    let status = folder.ask(&[&["status"], &SMOKE[..], &["--watch"]].concat());
    assert!(status.starts_with(&format!("mlp: {count} finished\n")) && status.contains("no MLP"), "{status}");
}

#[test]
fn a_model_without_a_size_has_its_sizes_named() {
    let said = Folder::new().refuses(&["train", "gpt2", "biod"], 2);
    assert!(said.contains("gpt2:micro, gpt2:mini") && said.matches("error").count() == 1, "{said}");
    let other = Folder::new().refuses(&["train", "gpt2", "biod", "--set", "training.batch=0"], 2);
    assert!(other.contains("training.batch"), "{other}");
}

#[test]
fn events_are_json_lines_and_the_answer_is_among_them() {
    let folder = Folder::new();
    let text = folder.ask(&[&["run"], &SMOKE[..], &["--json"]].concat());
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let ended = of("ended");
    assert!(!ended.is_empty() && ended.iter().all(|event| event["how"] == "finished"));
    assert_eq!(of("started").len(), ended.len());
    assert!(of("progress").iter().all(|event| event["run"].is_string() && event["step"].is_u64()));
    assert_eq!(of("done")[0]["finished"].as_u64().unwrap(), ended.len() as u64);
    let answer = events.last().unwrap();
    assert_eq!((answer["event"].as_str(), answer["report"]["name"].as_str()), (Some("answer"), Some("mlp")));
}

#[test]
fn a_run_goes_by_its_id_and_by_the_arm_whose_report_stands_on_it() {
    let folder = Folder::new();
    folder.ask(&[&["run"], &SMOKE[..], &["--quiet"]].concat());
    let runs = folder.json(&["runs", "--json"]);
    let all = runs.as_array().unwrap();
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), all.len());
    let two = [0, 1].map(|place: usize| all[place]["id"].as_str().unwrap());
    let differ = folder.json(&["diff", two[0], two[1], "--json"]);
    assert!(differ["a"].as_str().unwrap().ends_with(all[0]["run"].as_str().unwrap()), "{differ}");
    let report = folder.json(&[&["report"], &SMOKE[..], &["--json"]].concat());
    let arms = report["arms"].as_array().unwrap();
    let none = arms.iter().find(|arm| arm["arm"] == "none" && arm["basis"] == "primary").unwrap();
    let first = &none["runs"].as_array().unwrap()[0];
    assert_eq!(first["seed"], 1);
    let id = &first["fingerprint"].as_str().unwrap()[..12];
    let measured = ["mlp:none", id].map(|run| folder.json(&["measure", run, "--json"]));
    assert_eq!(measured[0], measured[1]);
    let wrong = folder.refuses(&["measure", "mlp:nune"], 2);
    assert!(wrong.contains("none"), "{wrong}");
    let unrun = folder.refuses(&["measure", "gate:silu"], 2);
    assert!(unrun.contains("zoo run gate"), "{unrun}");
    assert!(folder.refuses(&["measure", "0"], 2).contains("no run in"));
}

#[test]
fn an_ablation_that_asks_for_a_law_ends_with_it() {
    let folder = Folder::new();
    let text = folder.ask(&["run", "race", "--profile", "smoke", "--set", "arms=[]"]);
    assert!(text.contains("Do small models overtake again?"), "{text}");
    assert!(folder.path().join("reports").read_dir().unwrap().count() > 0);
    let wrong = folder.refuses(&["plan", "race", "--set", "then.fit=\"rase\""], 2);
    assert!(wrong.contains("race"), "{wrong}");
}
