//! What is known of this machine: its health, its speed, what failed on it.

use crate::program::Folder;

/// Two seeds of one arm, in a second.
const SMALL: &str = r#"
[about]
question = "Does it train?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common.data]
people = 64
[common.training]
length = { kind = "steps", count = 20 }
schedule = { kind = "cosine", warmup_steps = 5 }
[repeat]
seeds = 2
[tune]
"training.peak_lr" = [2e-3]
"#;

#[test]
fn the_doctor_compares_the_kernels_with_their_reference() {
    let folder = Folder::new();
    let said = folder.ask(&["doctor"]);
    assert!(said.contains("self-test") && said.contains("differ by") && !said.contains("WRONG"), "{said}");
    let findings = folder.json(&["doctor", "--json"]);
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{findings}");
    assert_eq!(folder.zoo(&["doctor", "--device", "cuda:7"]).code, 69);
}

#[test]
fn the_doctor_names_a_file_that_was_changed() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    folder.ask(&["run", "small.toml"]);
    let runs = folder.json(&["runs", "--json"]);
    let run = folder.path().join("runs").join(runs[0]["run"].as_str().unwrap());
    let mut bytes = std::fs::read(run.join("model.safetensors")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(run.join("model.safetensors"), bytes).unwrap();
    let said = folder.zoo(&["doctor"]);
    assert_eq!(said.code, 69, "{}", said.out);
    assert!(said.out.contains("WRONG") && said.out.contains("model.safetensors"), "{}", said.out);
}

#[test]
fn a_run_that_diverged_is_left_alone_until_it_is_retried() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let set = ["--set", "model.init={kind=\"normal\", std=1e30}"];
    let with = |command: &'static str| [&[command, "small.toml"], &set[..]].concat();
    assert_eq!(folder.zoo(&with("retry")).code, 74, "there is no store yet");
    assert_eq!(folder.zoo(&with("run")).code, 1);
    let again = folder.zoo(&with("run"));
    assert!(!again.err.contains("started"), "{}", again.err);
    let retried = folder.zoo(&with("retry"));
    assert!(retried.code == 1 && retried.err.matches("started").count() == 2, "{}", retried.err);
    folder.ask(&["run", "small.toml"]);
    assert!(folder.ask(&["retry", "small.toml"]).starts_with("0 runs finished"));
}

#[test]
fn a_plan_is_priced_by_what_this_machine_has_done() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let guessed = folder.ask(&["plan", "small.toml"]);
    assert!(guessed.contains("guessed (nothing has run on this machine yet)"), "{guessed}");
    folder.ask(&[
        "run",
        "small.toml",
        "--jobs",
        "1",
        "--threads-per-run",
        "1",
        "--set",
        "training.length.count=2000",
    ]);
    let priced = folder.ask(&["plan", "small.toml"]);
    assert!(priced.contains("by runs of this machine"), "{priced}");
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = Folder::new();
    folder.ask(&["man", "pages"]);
    let page = std::fs::read_to_string(folder.path().join("pages/zoo-run.1")).unwrap();
    assert!(page.contains(".TH zoo-run") && page.contains("profile"), "{page}");
    assert!(folder.path().join("pages/zoo.1").exists() && !folder.path().join("pages/zoo-help.1").exists());
}
