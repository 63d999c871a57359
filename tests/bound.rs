//! What a folder holds is bound to what it says it is: plans, data files, records, checkpoints and curves that were
//! exchanged or changed are named, and never give an answer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Folder, Said};

const TRAIN: [&str; 10] = [
    "train",
    "gpt2:micro",
    "biod",
    "--set",
    "data.people=16",
    "--set",
    "training.schedule.warmup_steps=2",
    "--set",
    "training.length={kind=\"steps\",count=40}",
    "--quiet",
];

const TWO: &str = r#"
[about]
question = "Does half the width matter?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common]
data.people = 16
training.length = { kind = "steps", count = 4 }
training.schedule = { kind = "constant", warmup_steps = 0 }
[arms.half]
holds = "nothing"
model.block.feed_forward.expansion = 2.0
[repeat]
seeds = 1
"#;

fn train(folder: &Folder, more: &[&str]) -> Said {
    folder.zoo(&[&TRAIN[..], more].concat())
}

/// The one run whose folder begins like this.
fn run(folder: &Folder, store: &str, name: &str) -> PathBuf {
    let mut runs = fs::read_dir(folder.path().join(store)).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
    runs.find(is_it).unwrap()
}

/// Finished, and then as if it had been stopped before it was measured.
fn unseal(run: &Path) {
    for name in ["manifest.json", "measurements.json", "model.safetensors", "config.json"] {
        fs::remove_file(run.join(name)).unwrap();
    }
}

fn edit(path: &Path, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text, "{}", path.display());
    fs::write(path, changed).unwrap();
}

#[test]
fn a_plan_that_was_changed_is_neither_gone_on_with_nor_taken_for_what_it_was() {
    let folder = Folder::new();
    assert_eq!(train(&folder, &[]).code, 0);
    let run = run(&folder, "runs", "gpt2");
    unseal(&run);
    let (plan, whole) = (run.join("plan.toml"), fs::read_to_string(run.join("plan.toml")).unwrap());
    let worker = ["worker", "--run", run.file_name().unwrap().to_str().unwrap()];
    for (from, to) in [
        ("peak_lr = 0.001", "peak_lr = 0.005"),
        ("people = 16", "people = 17"),
        ("seed = 1", "seed = 3"),
        ("paraphrases = 4", "paraphrases = 5"),
        (whole.as_str(), ""),
    ] {
        edit(&plan, |text| text.replacen(from, to, 1));
        let said = train(&folder, &[]);
        assert_eq!(said.code, 65, "{to}: {}", said.err);
        assert!(
            said.err.contains("plan.toml was changed") && said.err.contains("put plan.toml back"),
            "{}",
            said.err
        );
        let said = folder.zoo(&worker);
        assert_eq!(said.code, 65, "{to}: {}", said.err);
        assert!(!run.join("manifest.json").exists());
        fs::write(&plan, &whole).unwrap();
    }
    edit(&plan, |text| text.replacen("peak_lr = 0.001", "peak_lr = 0.005", 1));
    let said = train(&folder, &[]);
    assert!(said.err.contains("peak_lr: 0.001 → 0.005"), "the key is named: {}", said.err);
    fs::write(&plan, &whole).unwrap();
    assert_eq!(train(&folder, &[]).code, 0, "put back, it goes on");
}

#[test]
fn a_data_file_that_was_replaced_ends_what_read_the_other_one() {
    let folder = Folder::new();
    let text = "the cat sees the old red house and the dog hears the river. ".repeat(200);
    folder.write("text/a.txt", &text);
    let args = [
        "train",
        "gpt2:micro",
        "text",
        "--set",
        "data={kind=\"text\",path=\"text\",tokenizer=\"bytes\",seq_len=64}",
        "--set",
        "training.length={kind=\"steps\",count=4}",
        "--set",
        "training.schedule.warmup_steps=1",
        "--set",
        "training.batch=4",
        "--quiet",
    ];
    let said = folder.zoo(&args);
    assert_eq!(said.code, 0, "{}", said.err);
    let run = run(&folder, "runs", "gpt2");
    unseal(&run);
    folder.write("text/a.txt", &"zebra ".repeat(2000));
    let name = run.file_name().unwrap().to_str().unwrap();
    let said = folder.zoo(&["worker", "--run", name]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("a.txt was changed"), "{}", said.err);
    folder.write("text/a.txt", &text);
    assert_eq!(folder.zoo(&["worker", "--run", name]).code, 0, "put back, it goes on");
    folder.write("text/a.txt", &"zebra ".repeat(2000));
    let said = folder.zoo(&["measure", name]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("a.txt was changed"), "{}", said.err);
}

#[test]
fn the_folder_of_one_run_with_the_content_of_another_is_named_by_all_who_read_it() {
    let folder = Folder::new();
    folder.write("two.toml", TWO);
    folder.ask(&["run", "two.toml", "--quiet"]);
    let (control, half) = (run(&folder, "runs", "two-control"), run(&folder, "runs", "two-half"));
    for file in fs::read_dir(&half).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        fs::remove_file(file).unwrap();
    }
    for file in
        fs::read_dir(&control).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        fs::copy(&file, half.join(file.file_name().unwrap())).unwrap();
    }
    let name = half.file_name().unwrap().to_str().unwrap();
    let commands: [&[&str]; 7] = [
        &["report", "two.toml"],
        &["run", "two.toml", "--quiet"],
        &["status", "two.toml"],
        &["retry", "two.toml", "--quiet"],
        &["runs"],
        &["runs", "--verify"],
        &["measure", name],
    ];
    for args in commands {
        let said = folder.zoo(args);
        assert_eq!(said.code, 65, "zoo {args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(name), "zoo {args:?}: {}", said.err);
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_one_without_a_name_is_taken_with_a_word() {
    let folder = Folder::new();
    assert_eq!(train(&folder, &[]).code, 0);
    assert_eq!(train(&folder, &["--seed", "2"]).code, 0);
    let (one, two) = (run(&folder, "runs", "gpt2-micro-biod-s1"), run(&folder, "runs", "gpt2-micro-biod-s2"));
    let weights = fs::read(two.join("model.safetensors")).unwrap();
    unseal(&two);
    let own = folder.path().join("own");
    fs::rename(two.join("checkpoints"), &own).unwrap();
    copy(&one.join("checkpoints"), &two.join("checkpoints"));
    let said = train(&folder, &["--seed", "2"]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(
        said.err.contains("is of the run") && said.err.contains("move that checkpoint away"),
        "{}",
        said.err
    );
    // What is no checkpoint of ours is neither read nor removed.
    fs::remove_dir_all(two.join("checkpoints")).unwrap();
    copy(&own, &two.join("checkpoints"));
    let foreign = two.join("checkpoints/step-by-step");
    fs::create_dir(&foreign).unwrap();
    for state in walk(&two.join("checkpoints")).into_iter().filter(|path| path.ends_with("state.json")) {
        let mut named: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
        named.as_object_mut().unwrap().remove("run").expect("a checkpoint names its run");
        fs::write(&state, named.to_string()).unwrap();
        let step = state.parent().unwrap();
        fs::remove_file(step.join("manifest.json")).unwrap();
        ablation_zoo::training::manifest::seal(step).unwrap();
    }
    let said = train(&folder, &["--seed", "2"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("does not say of which run it is"), "{}", said.err);
    assert_eq!(fs::read(two.join("model.safetensors")).unwrap(), weights);
    assert!(foreign.exists());
}

#[test]
fn curves_that_were_changed_after_sealing_are_not_drawn_without_a_word() {
    let folder = Folder::new();
    folder.write("two.toml", TWO);
    folder.ask(&["run", "two.toml", "--quiet"]);
    let half = run(&folder, "runs", "two-half");
    edit(&half.join("metrics.jsonl"), |text| text.replace("\"loss\":", "\"loss\":0.5,\"was\":"));
    let said = folder.zoo(&["report", "two.toml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let report = fs::read_to_string(
        walk(&folder.path().join("reports")).into_iter().find(|path| path.ends_with("report.json")).unwrap(),
    )
    .unwrap();
    assert!(report.contains("metrics.jsonl has ") && report.contains("not drawn"), "{report}");
}

#[test]
fn what_is_minimised_beside_the_cross_entropy_is_logged_apart() {
    let folder = Folder::new();
    // One expert of a softmax router is the dense model; balance adds 0.1 per layer to what is minimised.
    folder.write(
        "twin.toml",
        r#"
[about]
question = "The same function twice: is the loss the same?"
[control]
model = "llama"
dataset = "corpus"
size = "micro"
[common]
data.documents = 32
training.length = { kind = "steps", count = 12 }
training.schedule.warmup_steps = 2
[arms.twin]
holds = "nothing"
model.block.feed_forward = { kind = "moe", n_experts = 1, top_k = 1, gate = "score", balance = 0.1, expert = { kind = "gated-mlp" } }
[repeat]
seeds = 1
"#,
    );
    folder.ask(&["run", "twin.toml", "--quiet"]);
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(run(&folder, "runs", name).join("metrics.jsonl")).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (dense, twin) = (lines("twin-control"), lines("twin-twin"));
    let loss = |lines: &[serde_json::Value]| lines.last().unwrap()["loss"].as_f64().unwrap();
    assert!((loss(&dense) - loss(&twin)).abs() < 0.05, "{} {}", loss(&dense), loss(&twin));
    assert!(dense.iter().all(|line| line["auxiliary"].is_null()));
    let auxiliary = twin.last().unwrap()["auxiliary"].as_f64().unwrap();
    assert!((auxiliary - 0.2).abs() < 1e-4, "{auxiliary}: 0.1 for each of two layers");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in walk(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
}
