//! Runs that begin from other runs, as users meet them.

use serde_json::Value;

use crate::program::Folder;
use crate::schema::assert_fits;

/// Two budgets of one schedule with a cooldown, on one trunk.
const COOLDOWNS: &str = r#"
[about]
question = "Does a longer trunk help?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common.data]
people = 64
[common.training]
length = { kind = "steps", count = 40 }
order = "epochs"
schedule = { kind = "wsd", warmup_steps = 5, cooldown = 0.25 }
[arms.long]
match_on = "nothing"
training.length.count = 80
[repeat]
seeds = 2
[tune]
"training.peak_lr" = [2e-3]
"#;

fn runs(folder: &Folder, store: &str) -> Vec<Value> {
    folder.json(&["runs", "--json", "--store", store]).as_array().unwrap().clone()
}

fn weights(folder: &Folder, store: &str, arm: &str) -> Vec<Vec<u8>> {
    let of_arm = |run: &&Value| run["arm"] == arm && run["role"] == "report";
    let path = |run: &Value| folder.path().join(store).join(run["run"].as_str().unwrap());
    let mut runs: Vec<_> = runs(folder, store).iter().filter(of_arm).map(path).collect();
    runs.sort();
    runs.iter().map(|run| std::fs::read(run.join("model.safetensors")).unwrap()).collect()
}

#[test]
fn cooldowns_share_their_trunk_and_end_as_if_each_had_trained_alone() {
    let folder = Folder::new();
    folder.write("cooldowns.toml", COOLDOWNS);
    let plan = folder.ask(&["plan", "cooldowns.toml"]);
    assert!(plan.contains("4 runs that others begin from (trunk)"), "{plan}");
    folder.ask(&["run", "cooldowns.toml"]);

    let all = runs(&folder, "runs");
    let steps = |run: &Value| {
        let path = folder.path().join("runs").join(run["run"].as_str().unwrap()).join("measurements.json");
        let record: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        record["training"]["steps"].as_u64().unwrap()
    };
    let mut trunks: Vec<u64> = all.iter().filter(|run| run["role"] == "stage").map(steps).collect();
    trunks.sort_unstable();
    assert_eq!(trunks, [30, 30, 60, 60], "one trunk per budget and seed, the longer from the shorter");
    let longer: Vec<&str> = all
        .iter()
        .filter(|run| run["role"] == "stage" && steps(run) == 60)
        .map(|run| run["run"].as_str().unwrap())
        .collect();
    for run in longer {
        let folder = folder.path().join("runs").join(run);
        let names = std::fs::read_to_string(folder.join("run.toml")).unwrap();
        assert!(names.contains("trunk = "), "{names}");
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        assert!(metrics.lines().nth(1).unwrap().contains("\"step\":1,"), "the whole curve: {metrics}");
    }

    let alone = |steps: &str| {
        let mut args = vec!["run", "cooldowns.toml", "--store", "alone", "--set", "repeat.seeds=1"];
        args.extend(["--set", steps]);
        folder.ask(&args);
    };
    alone("training.length.count=80");
    assert_eq!(weights(&folder, "alone", "control")[0], weights(&folder, "runs", "long")[0]);
    let again = folder.ask(&["run", "cooldowns.toml"]);
    assert!(again.lines().next().unwrap().ends_with(" runs were finished before"), "{again}");
}

#[test]
fn without_its_trunk_a_cooldown_does_all_the_work_and_ends_with_the_same_bits() {
    let folder = Folder::new();
    folder.write("cooldowns.toml", COOLDOWNS);
    folder.ask(&["run", "cooldowns.toml"]);
    let whole = weights(&folder, "runs", "long");
    assert!(folder.ask(&["gc", "--delete"]).contains("cooldowns-long"));
    let listed = folder.ask(&["gc", "--stages"]);
    assert!(listed.contains("trunk-"), "{listed}");
    folder.ask(&["gc", "--stages", "--delete"]);
    for run in runs(&folder, "runs").iter().filter(|run| run["arm"] == "long" && run["role"] == "report") {
        std::fs::remove_dir_all(folder.path().join("runs").join(run["run"].as_str().unwrap())).unwrap();
    }
    folder.ask(&["run", "cooldowns.toml"]);
    assert_eq!(weights(&folder, "runs", "long"), whole);
}

#[test]
fn a_trunk_that_diverges_takes_its_cooldowns_with_it() {
    let folder = Folder::new();
    folder.write("cooldowns.toml", COOLDOWNS);
    let said = folder.zoo(&["run", "cooldowns.toml", "--set", "model.init={kind=\"normal\", std=1e30}"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("what it begins from diverged"), "{}", said.err);
    let diverged = runs(&folder, "runs").iter().filter(|run| run["state"] == "diverged").count();
    assert_eq!(diverged, 8, "four trunks and four cooldowns");
}

#[test]
fn a_cooldown_needs_an_order_that_does_not_depend_on_its_length() {
    let folder = Folder::new();
    folder.write("cooldowns.toml", &COOLDOWNS.replace("order = \"epochs\"\n", ""));
    let said = folder.zoo(&["plan", "cooldowns.toml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("training.order") && said.err.contains("epochs"), "{}", said.err);
}

#[test]
fn a_model_that_is_asked_is_trained_once_and_keeps_what_it_has_stored() {
    let folder = Folder::new();
    let text = folder.ask(&["plan", "extraction", "--profile", "smoke"]);
    assert!(text.contains("runs that others begin from (base)"), "{text}");
    folder.ask(&["run", "extraction", "--profile", "smoke"]);
    let all = runs(&folder, "runs");
    let record = |run: &Value| -> Value {
        let path = folder.path().join("runs").join(run["run"].as_str().unwrap()).join("measurements.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let of = |role: &str, arm: &str| -> Vec<Value> {
        all.iter().filter(|run| run["role"] == role && run["arm"] == arm).map(record).collect()
    };
    for arm in ["control", "fixed"] {
        let (bases, asked) = (of("stage", arm), of("report", arm));
        assert_eq!((bases.len(), asked.len()), (3, 3));
        let stored = |records: &[Value]| {
            let mut bits: Vec<f64> =
                records.iter().map(|one| one["measurements"]["capacity"]["bits"].as_f64().unwrap()).collect();
            bits.sort_by(f64::total_cmp);
            bits
        };
        assert_eq!(stored(&bases), stored(&asked));
        for one in asked {
            let extraction = &one["measurements"]["extraction"];
            assert_eq!(
                (&extraction["people"], extraction["attributes"].as_array().unwrap().len()),
                (&16.into(), 4)
            );
            assert_eq!(one["training"]["steps"], 10);
        }
    }
    let json = folder.json(&["report", "extraction", "--profile", "smoke", "--json"]);
    assert_fits(&folder, "report", &json);
    assert!(json["arms"][0]["extraction"][0]["accuracy"]["mean"].is_number(), "{json}");
    let asked = all.iter().find(|run| run["role"] == "report").unwrap();
    assert_fits(&folder, "measurements.json", &record(asked));
    let report = folder.ask(&["report", "extraction", "--profile", "smoke"]);
    assert!(report.contains("right answers"), "{report}");
    let name = all.iter().find(|run| run["role"] == "report").unwrap()["run"].as_str().unwrap().to_string();
    let again = folder.zoo(&["measure", &name]);
    assert_eq!(again.code, 65, "{}", again.err);
    assert!(folder.ask(&["generate", &name, "--prompt", "a1 n1.3 n2.4 n3.5"]).contains("n3.5"));
}

/// A record, and the folder of its run.
fn trained(folder: &Folder, sets: &[&str]) -> (Value, std::path::PathBuf) {
    let small = ["data.people=48", "training.schedule.warmup_steps=5", "training.length.count=8"];
    let sets = small.iter().chain(sets).flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "gpt2:micro", "biod", "--json"].into_iter().chain(sets).collect();
    let said = folder.json(&args);
    (said["record"].clone(), folder.path().join("runs").join(said["run"].as_str().unwrap()))
}

#[test]
fn a_run_that_differs_only_in_what_is_measured_is_read_again_and_never_trained_again() {
    let folder = Folder::new();
    let (first, trained_in) = trained(&folder, &[]);
    assert_eq!(first["environment"]["weights_of"], Value::Null);
    let same = |record: &Value, path: &std::path::Path, of: &std::path::Path| {
        for key in ["steps", "tokens", "flops", "seconds", "final_loss"] {
            assert_eq!(record["training"][key], first["training"][key], "{key}");
        }
        assert_eq!(record["environment"]["weights_of"], of.file_name().unwrap().to_str().unwrap());
        assert_eq!(record["training"]["elapsed"], Value::Null);
        for name in ["model.safetensors", "metrics.jsonl", "config.json"] {
            let read = |path: &std::path::Path| std::fs::read(path.join(name)).unwrap();
            assert_eq!(read(path), read(&trained_in), "{name}");
        }
        assert!(!path.join("checkpoints").exists() && path != trained_in);
    };
    let (more, of_more) = trained(&folder, &["measure.paraphrases=7"]);
    same(&more, &of_more, &trained_in);
    assert_eq!(more["measurements"]["capacity"]["renderings"], 7);
    let (rounded, of_rounded) = trained(&folder, &["measure.quantize={ kind = \"rtn\", bits = 2 }"]);
    same(&rounded, &of_rounded, &trained_in);
    assert_ne!(rounded["measurements"]["capacity"]["bits"], first["measurements"]["capacity"]["bits"]);
    let (other, _) = trained(&folder, &["measure.paraphrases=7", "training.peak_lr=3e-3"]);
    assert_eq!(other["environment"]["weights_of"], Value::Null);
    let name = of_more.file_name().unwrap().to_str().unwrap();
    assert_eq!(folder.json(&["measure", name, "--json"])["capacity"], more["measurements"]["capacity"]);

    let backup = folder.path().join("kept");
    std::fs::rename(&trained_in, &backup).unwrap();
    std::fs::remove_dir_all(&of_rounded).unwrap();
    let (again, path) = trained(&folder, &["measure.paraphrases=9"]);
    std::fs::rename(&backup, &trained_in).unwrap();
    same(&again, &path, &of_more);
}

#[test]
fn what_is_named_in_run_toml_for_its_weights_must_differ_in_nothing_else() {
    let folder = Folder::new();
    let (_, first) = trained(&folder, &[]);
    let (_, second) = trained(&folder, &["training.peak_lr=3e-3"]);
    let header = |path: &std::path::Path| std::fs::read_to_string(path.join("run.toml")).unwrap();
    let of_first = header(&first);
    let fingerprint = of_first.lines().find(|line| line.starts_with("fingerprint")).unwrap();
    let names = header(&second) + &fingerprint.replace("fingerprint", "weights") + "\n";
    for name in ["manifest.json", "measurements.json", "model.safetensors"] {
        std::fs::remove_file(second.join(name)).unwrap();
    }
    std::fs::write(second.join("run.toml"), names).unwrap();
    let said = folder.zoo(&["worker", "--run", second.file_name().unwrap().to_str().unwrap()]);
    assert!(
        said.code == 65 && said.out.contains("differs only in what is measured"),
        "{} {}",
        said.code,
        said.out
    );
}

#[test]
fn trunks_that_are_read_again_lend_their_checkpoints() {
    let folder = Folder::new();
    folder.write("cooldowns.toml", COOLDOWNS);
    let run = |store: &str, sets: &[&str]| {
        let sets = ["repeat.seeds=1"].iter().chain(sets).flat_map(|set| ["--set", set]);
        folder.ask(&["run", "cooldowns.toml", "--store", store].into_iter().chain(sets).collect::<Vec<_>>());
    };
    let stages = |weights_of: bool| {
        let all = runs(&folder, "runs");
        let is_read_again = |run: &&Value| {
            let path =
                folder.path().join("runs").join(run["run"].as_str().unwrap()).join("measurements.json");
            std::fs::read_to_string(path).unwrap().contains("weights_of") == weights_of
        };
        all.iter().filter(|run| run["role"] == "stage").filter(is_read_again).count()
    };
    let few = "measure.paraphrases=2";
    let linear = "training.schedule.shape=\"linear\"";
    run("runs", &[]);
    run("runs", &[few]);
    assert_eq!((stages(false), stages(true)), (2, 0), "what is read again needs no trunk");
    run("runs", &[few, linear]);
    assert_eq!((stages(false), stages(true)), (2, 2));
    run("alone", &[linear]);
    let alone = weights(&folder, "alone", "long");
    assert!(weights(&folder, "runs", "long").contains(&alone[0]), "the bits of one that trained alone");
}
