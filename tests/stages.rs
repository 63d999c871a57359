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
    assert_eq!(folder.zoo(&["run", "cooldowns.toml"]).out.lines().next().unwrap(), "0 runs finished");
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
