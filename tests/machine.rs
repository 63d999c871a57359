//! What is known of this machine: its health, its speed, what failed on it.

use std::path::Path;

use ablation_zoo::plan::Calibration;
use ablation_zoo::run::store::Store;

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
    assert_eq!(said.code, 65, "{}", said.out);
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
    assert_eq!(again.code, 1, "a report without its numbers is no success, the second time as the first");
    assert!(again.err.contains("control micro 2e-3 seed 1 diverged"), "{}", again.err);
    let retried = folder.zoo(&with("retry"));
    assert!(retried.code == 1 && retried.err.matches("started").count() == 2, "{}", retried.err);
    folder.ask(&["run", "small.toml"]);
    assert!(folder.ask(&["retry", "small.toml"]).starts_with("0 runs finished"));
    assert_eq!(folder.zoo(&["run", "small.toml", "--retry-diverged"]).code, 2, "that is what retry does");

    let steps = ["--set", "data.people=64", "--set", "training.length.count=20"];
    let train = ["train", "gpt2:micro", "biod", "--set", "training.schedule.warmup_steps=5"];
    let train = [&train[..], &steps[..], &set[..]].concat();
    for (more, started) in [(&[][..], true), (&[][..], false), (&["--retry-diverged"][..], true)] {
        let said = folder.zoo(&[&train[..], more].concat());
        assert_eq!((said.code, said.err.contains("started")), (1, started), "{more:?}: {}", said.err);
    }
}

#[test]
fn a_damaged_run_hides_no_other_and_an_unreadable_status_stops_nothing() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    folder.ask(&["run", "small.toml"]);
    let runs = folder.json(&["runs", "--json"]);
    let path = |i: usize| format!("runs/{}", runs[i]["run"].as_str().unwrap());
    std::fs::remove_file(folder.path().join(path(0)).join("manifest.json")).unwrap();
    folder.write(&format!("{}/status.json", path(0)), "{");
    let said = folder.zoo(&["runs"]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.out.contains(runs[1]["id"].as_str().unwrap()), "{}", said.out);
    assert!(said.err.contains("status.json"), "{}", said.err);
    folder.ask(&["gc"]);
    assert!(folder.ask(&["status", "small.toml"]).contains("1 finished, 1 stopped"));
    assert!(folder.ask(&["run", "small.toml"]).starts_with("1 run finished"));
    assert_eq!(folder.json(&["runs", "--json"]).as_array().unwrap().len(), 2);
    for of_a_list in [&["--json"][..], &["--state", "failed"], &["--name", "x"], &["--arm", "x"]] {
        assert_eq!(folder.zoo(&[&["runs", "--verify"], of_a_list].concat()).code, 2, "{of_a_list:?}");
    }
    assert_eq!(folder.zoo(&["report", "small.toml", "--json", "--out", "x"]).code, 2);
}

#[test]
fn a_folder_that_only_has_the_name_of_a_store_stops_no_plan() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL).write("runs/events/file", "of another program");
    assert!(folder.ask(&["plan", "small.toml"]).contains("power: none"));
    folder.ask(&["laws"]);
    folder.write("ablations/broken.toml", "[about");
    let said = folder.zoo(&["laws"]);
    assert!(said.code == 0 && said.err.contains("left out: broken"), "{}", said.err);
}

#[test]
fn what_does_not_fit_the_memory_is_refused_and_what_takes_too_long_is_given_up() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let large = ["--set", "model.d_model=65536", "--set", "model.n_layers=64"];
    let plan = folder.ask(&[&["plan", "small.toml"], &large[..]].concat());
    assert!(plan.contains("warning: the largest run needs"), "{plan}");
    let refused = folder.zoo(&[&["run", "small.toml"], &large[..]].concat());
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("needs about") && refused.err.contains("--force"), "{}", refused.err);

    let wide = ["--set", "training.batch=1000000"];
    let refused = folder.zoo(&[&["run", "small.toml"], &wide[..]].concat());
    assert_eq!(refused.code, 2, "{}", refused.err);
    let rows = refused.err.split("training.micro_batch = ").nth(1).and_then(|rest| rest.split(';').next());
    let fits = format!("training.micro_batch={}", rows.expect("what would fit is named"));
    let plan = folder.ask(&[&["plan", "small.toml", "--set", &fits], &wide[..]].concat());
    assert!(!plan.contains("warning: the largest run needs"), "{plan}");

    let long = ["--set", "training.length.count=4000000", "--timeout", "1s"];
    let late = folder.zoo(&[&["run", "small.toml"], &long[..]].concat());
    assert_eq!(late.code, 1, "{}", late.err);
    assert!(late.err.contains("took longer than 1s in one call"), "{}", late.err);
    let states = folder.json(&["runs", "--state", "failed", "--json"]);
    assert!(states[0]["cause"].as_str().unwrap().starts_with("took longer"), "{states}");
    assert_eq!(folder.zoo(&["run", "small.toml", "--timeout", "soon"]).code, 2);
}

#[test]
fn a_run_in_bf16_or_in_parts_is_another_run_of_the_same_question() {
    let folder = Folder::new();
    let train = |options: &[&str]| {
        let common = ["train", "gpt2:micro", "biod", "--set", "data.people=48", "--json"];
        let steps = ["--set", "training.length.count=8", "--set", "training.schedule.warmup_steps=5"];
        let json = folder.json(&[&common[..], &steps[..], options].concat());
        let loss = json["record"]["training"]["final_loss"].as_f64().unwrap();
        (json["run"].as_str().unwrap().to_string(), loss)
    };
    let (run, loss) = train(&[]);
    assert_eq!(train(&["--dtype", "f32"]), (run.clone(), loss), "the default, said");
    let (low, low_loss) = train(&["--dtype", "bf16"]);
    assert_ne!(low, run);
    assert!(low_loss != loss && (low_loss / loss - 1.0).abs() < 0.05, "{low_loss} is not near {loss}");
    assert_eq!(train(&["--set", "training.precision=bf16"]), (low, low_loss), "the same key");
    let (parts, parts_loss) = train(&["--set", "training.micro_batch=5"]);
    assert_ne!(parts, run);
    assert!((parts_loss / loss - 1.0).abs() < 1e-4, "{parts_loss} is not {loss}");
    let other = folder.zoo(&["train", "gpt2:micro", "biod", "--dtype", "tf32"]);
    assert_eq!(other.code, 2);
    assert!(other.err.contains("[possible values: f32, bf16]"), "{}", other.err);
    let many = folder.zoo(&["train", "gpt2:micro", "biod", "--set", "training.micro_batch=1000"]);
    assert_eq!(many.code, 2);
    assert!(many.err.contains("the batch size"), "{}", many.err);
}

#[test]
fn completions_know_presets_and_runs() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL).write("ablations/mine.toml", SMALL);
    folder.ask(&["run", "small.toml"]);
    let complete = |words: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("zoo").unwrap();
        command.current_dir(folder.path()).env("ZOO_COMPLETE", "fish").args(["--", "zoo"]).args(words);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let plans = complete(&["plan", "m"]);
    assert!(plans.contains("mlp\t") && plans.contains("mine\t") && !plans.contains("gate"), "{plans}");
    assert!(complete(&["measure", "small-control"]).contains("-cpu-f32"));
    assert!(complete(&["show", "lla"]).contains("llama-3"));
    assert!(complete(&["plan", "mlp", "--on", "h"]).contains("h200"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(folder.ask(&["completions", shell]).contains("ZOO_COMPLETE"), "{shell}");
    }
}

#[test]
fn a_plan_is_priced_by_what_this_machine_has_done() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let estimated = folder.ask(&["plan", "small.toml"]);
    assert!(estimated.contains("estimated (nothing has run on this machine yet;"), "{estimated}");
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
    assert!(priced.contains("as measured on this machine"), "{priced}");
}

#[test]
fn arms_are_timed_kept_and_compared() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL);
    let first = folder.json(&["bench", "small.toml", "--seconds", "0.05", "--json"]);
    for row in first["arms"].as_array().unwrap() {
        assert!(row["tokens_per_second"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["tokens_per_second_all_cores"].as_f64() >= row["tokens_per_second"].as_f64(), "{row}");
    }
    assert!(folder.ask(&["plan", "small.toml"]).contains("as measured on this machine"));
    folder.write("before.json", &first.to_string());
    let again = folder.ask(&["bench", "small.toml", "--seconds", "0.05", "--baseline", "before.json"]);
    assert!(again.contains("to baseline") && !again.contains("—"), "{again}");
    // Its decoder is timed beside its encoder; other ways of reading train nothing.
    let cepe = folder.ask(&["bench", "cepe", "--seconds", "0.02"]);
    let line = |name: &str| cepe.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(!line("control").contains("—") && !line("warm-up of control").contains("—"), "{cepe}");
    assert!(line("window").contains("—") && cepe.contains("takes no steps"), "{cepe}");
}

#[test]
fn what_cannot_be_timed_or_compared_is_named() {
    let folder = Folder::new();
    folder.write("small.toml", SMALL).write("other.json", "{\"x\": 1}");
    for (code, args, word) in [
        (2, &["bench", "nothing"][..], "unknown ablation"),
        (2, &["bench", "gpt2:micro", "nothing"], "nothing"),
        (2, &["bench", "gpt2:micro", "biod", "--profile", "smoke"], "--profile"),
        (
            2,
            &["bench", "small.toml", "--set", "training.batch=1000000", "--set", "model.n_layers=100"],
            "of memory",
        ),
        (2, &["bench", "--set", "training.batch=2"], "shapes are fixed"),
        (2, &["bench", "--shape", "Q", "--rows", "0"], "--rows"),
        (2, &["bench", "--shape", "Q", "--rows", "100000000"], "need at least"),
        (2, &["bench", "--shape", "X"], "one of Q, S, P, M, L, G, H"),
        (2, &["bench", "small.toml", "--rows", "2"], "--rows"),
        (2, &["bench", "small.toml", "--shape", "Q"], "--shape"),
        (65, &["bench", "small.toml", "--baseline", "other.json"], "other.json"),
        (74, &["bench", "small.toml", "--baseline", "gone.json"], "gone.json"),
        (69, &["bench", "small.toml", "--device", "cuda:7"], "cuda"),
    ] {
        let said = folder.zoo(args);
        assert!(said.code == code && said.err.contains(word), "{args:?}: {} {}", said.code, said.err);
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = Folder::new();
    folder.ask(&["man", "pages"]);
    let page = std::fs::read_to_string(folder.path().join("pages/zoo-run.1")).unwrap();
    assert!(page.contains(".TH zoo-run") && page.contains("profile"), "{page}");
    assert!(folder.path().join("pages/zoo-fit-race.1").exists());
    assert!(folder.path().join("pages/zoo.1").exists() && !folder.path().join("pages/zoo-help.1").exists());
}

/// Runs that need memory in different ways: wide, deep and gated, scores that are not fused, English, many rows.
const SMALL_RUNS: [&[&str]; 6] = [
    &["gpt2:micro", "biod"],
    &["llama:tiny", "biod", "--set", "training.batch=128"],
    &["gpt2:tiny", "biod", "--set", "training.batch=64", "--set", "model.n_layers=8"],
    &["gpt2:micro", "biod", "--set", "model.block.mixer.position=\"alibi\""],
    &["gpt2:micro", "bios", "--set", "data.seq_len=128"],
    &["gpt2:2-2", "biod", "--set", "training.batch=128"],
];
/// How far a prediction may be off here. Pages of 2 MiB, which the system gives when it has them, are a tenth of a small
/// run.
const NEAR: f64 = 0.3;

/// The memory that the plans of all finished CPU runs of a store say, over what was measured, by name of the run.
fn memory_ratios(store: &Path) -> Vec<(String, f64)> {
    let finished = Store::open(store).unwrap().finished().unwrap().records;
    let on_cpu = finished.into_iter().filter(|(_, record)| record.environment.device == "cpu");
    on_cpu
        .map(|(run, record)| {
            let predicted = record.plan.cost(&Calibration::default()).unwrap().peak_bytes;
            (run.name().to_string(), predicted as f64 / record.training.peak_bytes as f64)
        })
        .collect()
}

/// With `ZOO_MEMORY_STORE`, the runs of that store are compared instead, and a table is printed.
#[test]
fn the_memory_of_a_run_is_near_what_its_plan_says() {
    if let Ok(store) = std::env::var("ZOO_MEMORY_STORE") {
        let mut ratios = memory_ratios(Path::new(&store));
        ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
        ratios.iter().for_each(|(run, ratio)| println!("{ratio:.2} {run}"));
        let within = |share: f64| ratios.iter().filter(|(_, ratio)| (ratio - 1.0).abs() < share).count();
        let [n, near, far] = [ratios.len(), within(0.15), within(0.3)];
        println!("{n} runs: median {:.2}, {near} within 15 %, {far} within 30 %", ratios[n / 2].1);
        return;
    }
    let folder = Folder::new();
    for run in SMALL_RUNS {
        let few = ["--set", "data.people=600", "--set", "training.length={kind=\"steps\",count=4}"];
        let quiet = ["--set", "training.schedule.warmup_steps=2", "--threads-per-run", "1"];
        folder.ask(&[&["train"], run, &few, &quiet].concat());
    }
    let ratios = memory_ratios(&folder.path().join("runs"));
    assert_eq!(ratios.len(), SMALL_RUNS.len());
    for (run, ratio) in ratios {
        assert!((ratio - 1.0).abs() < NEAR, "{run}: {ratio} of the memory that was measured is predicted");
    }
}
