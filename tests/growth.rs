//! Growth as its users meet it: a run that grows its model, and a finished run's model grown.

use crate::program::Folder;

const ABLATION: &str = r#"
[about]
question = "Does growth help?"
[control]
model = "gpt2"
dataset = "biod"
[common]
model = { d_model = 16, n_layers = 4, n_heads = 2 }
data.people = 48
[common.training]
length = { kind = "steps", count = 80 }
order = "epochs"
batch = 4
peak_lr = 2e-3
schedule = { kind = "constant", warmup_steps = 5 }
[arms.stack]
match_on = "parameters"
growth = { operator = "stack", factor = 2, at = { kind = "flops-share", share = 0.25 } }
[arms.zero]
match_on = "parameters"
growth = { operator = "zero", order = "interleave", factor = 2, at = { kind = "flops-share", share = 0.25 } }
[arms.random]
match_on = "parameters"
growth = { operator = { kind = "random", ramp_steps = 20 }, factor = 2, at = { kind = "flops-share", share = 0.25 } }
[arms.learn]
match_on = "parameters"
growth = { operator = { kind = "learn", steps = 5, lr = 1e-3 }, factor = 2, at = { kind = "flops-share", share = 0.25 } }
[repeat]
seeds = 1
"#;

#[test]
fn arms_grow_from_one_small_run_and_cost_the_same() {
    let folder = Folder::new();
    folder.write("ablations/grow.toml", ABLATION);
    folder.ask(&["run", "grow"]);
    let runs = folder.json(&["runs", "--json"]);
    let runs = runs.as_array().unwrap();
    let role = |role: &str| runs.iter().filter(|run| run["role"] == role).count();
    assert_eq!((role("report"), role("stage")), (5, 1), "five arms, one small run");
    let report = folder.json(&["report", "grow", "--json"]);
    let flops = |arm: &serde_json::Value| arm["flops"].as_f64().unwrap();
    let arms = report["arms"].as_array().unwrap();
    for arm in arms {
        let ratio = flops(arm) / flops(&arms[0]);
        assert!((ratio - 1.0).abs() < 0.03, "{} costs {ratio} of the control", arm["arm"]);
    }

    let path = |run: Option<&serde_json::Value>| {
        folder.path().join("runs").join(run.unwrap()["run"].as_str().unwrap())
    };
    let zero = path(runs.iter().find(|run| run["role"] == "report" && run["arm"] == "zero"));
    folder.ask(&["export", zero.file_name().unwrap().to_str().unwrap(), "hf"]);
    let card = std::fs::read_to_string(folder.path().join("hf/README.md")).unwrap();
    assert!(card.contains("--set 'growth={") && !card.contains("--set 'context="), "{card}");

    let small = path(runs.iter().find(|run| run["role"] == "stage"));
    folder.ask(&["gc", "--stages", "--delete"]);
    assert!(!zero.join("checkpoints").exists());
    std::fs::remove_dir_all(&zero).unwrap();
    folder.ask(&["run", "grow"]);

    std::fs::remove_dir_all(small.join("checkpoints")).unwrap();
    std::fs::remove_dir_all(&zero).unwrap();
    let said = folder.zoo(&["run", "grow"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("no checkpoint in") && said.err.contains("; delete "), "{}", said.err);
    std::fs::remove_dir_all(&small).unwrap();
    folder.ask(&["run", "grow"]);
}

#[test]
fn a_finished_model_is_grown_into_a_folder() {
    let folder = Folder::new();
    let sets = ["--set", "data.people=48", "--set", "training.schedule.warmup_steps=5"];
    folder.ask(&[&["train", "gpt2:micro", "biod", "--set", "training.length.count=8"], &sets[..]].concat());
    let run = folder.json(&["runs", "--json"])[0]["run"].as_str().unwrap().to_string();
    let grow = |args: &[&str]| folder.json(&[&["grow", run.as_str(), "--json"], args].concat());
    let number = |grown: &serde_json::Value, key: &str| grown["growth"][key].as_f64().unwrap();

    let stacked = grow(&["--operator", "stack", "--factor", "3", "--out", "stacked"]);
    assert!(number(&stacked, "function_gap") > 1e-3);
    let zero = grow(&["--operator", "zero", "--out", "zero"]);
    assert_eq!(number(&zero, "function_gap"), 0.0);
    let total = |grown: &serde_json::Value, when: &str| grown["growth"][when]["total"].as_u64().unwrap();
    assert!(total(&stacked, "after") > total(&stacked, "before"));
    for file in ["model.safetensors", "config.json", "growth.json"] {
        assert!(folder.path().join("stacked").join(file).is_file(), "{file}");
    }
    let wide = grow(&["--direction", "width", "--out", "wide"]);
    assert!(number(&wide, "function_gap") < 1e-4, "copies of units keep the function");
    let text = folder.ask(&["grow", &run, "--operator", "random"]);
    assert!(text.contains("connections") && text.contains("the operator keeps the function"), "{text}");

    for name in ["gpt2-micro", &format!("runs/{run}")] {
        let said = folder.json(&["grow", name, "--out", &name.replace('/', "-grown-"), "--json"]);
        assert_eq!(said["growth"]["run"], run.as_str());
    }

    let refused = |args: &[&str], words: &[&str]| {
        let said = folder.zoo(&[&["grow", run.as_str()], args].concat());
        assert_eq!(said.code, 2, "{}", said.err);
        words.iter().for_each(|word| assert!(said.err.contains(word), "{word}: {}", said.err));
    };
    refused(&["--out", "stacked"], &["stacked is not empty", "name a new folder"]);
    refused(&["--order", "pile"], &["--order", "12-345*7-6"]);
    refused(&["--order", "12-345*7-6", "--out", "x"], &["--order", "the last layer of the small model"]);
    refused(&["--factor", "0", "--out", "x"], &["--factor", "at least 1"]);
    refused(&["--direction", "width", "--order", "interleave", "--out", "x"], &["--order", "only layers"]);
}

#[test]
fn growth_that_does_not_fit_is_shown_with_its_line() {
    let folder = Folder::new();
    let late = ABLATION.replace("factor = 2, at", "factor = 3, at");
    folder.write("ablations/grow.toml", &late);
    let said = folder.zoo(&["plan", "grow"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("growth.factor: 3") && said.err.contains("ablations/grow.toml:21"),
        "{}",
        said.err
    );
    assert!(said.err.contains("a divisor of the 4 layers of the model"), "{}", said.err);
    folder.write("ablations/grow.toml", &ABLATION.replace("share = 0.25", "share = 1.25"));
    let said = folder.zoo(&["plan", "grow"]);
    assert!(said.code == 2 && said.err.contains("growth.at.share: 1.25"), "{}", said.err);
}
