//! The main job as its users meet it: run an ablation, read the answer, ask again.

use ablation_zoo::model::weights;
use ablation_zoo::plan::{Presets, Request, resolve_single};
use ablation_zoo::training::{Job, NoopObserver, Outcome, fit};

use crate::program::Folder;

/// Every step of the job, in seconds.
const JOB: [&str; 4] = ["run", "mlp", "--profile", "smoke"];

#[test]
fn an_ablation_runs_answers_and_is_never_done_twice() {
    let folder = Folder::new();
    let said = folder.ask(&JOB);
    assert!(said.contains("What does the MLP do for knowledge?") && said.contains("page: "), "{said}");

    let report = folder.json(&["report", "mlp", "--profile", "smoke", "--json"]);
    let arms = report["arms"].as_array().unwrap();
    let names: Vec<&str> = arms.iter().map(|arm| arm["arm"].as_str().unwrap()).collect();
    for arm in ["control", "gated", "quarter", "none"] {
        assert!(names.contains(&arm), "{names:?}");
    }
    for arm in arms {
        assert_eq!(arm["n_runs"], 3, "{arm}");
        let bits = &arm["bits_per_param"];
        let number = |key: &str| bits[key].as_f64().unwrap();
        assert!(number("low") <= number("mean") && number("mean") <= number("high"), "{bits}");
        assert!(number("mean") <= arm["max_bits_per_param"]["mean"].as_f64().unwrap_or(f64::INFINITY));
    }

    let runs = folder.json(&["runs", "--json"]);
    let runs = runs.as_array().unwrap();
    assert!(runs.len() >= 4 * (3 + 3), "{}", runs.len());
    let tuned_on = |run: &&serde_json::Value| run["role"] == "tune";
    assert!(runs.iter().filter(tuned_on).count() >= 4 * 3, "every arm has its trials");

    let page = std::fs::read_to_string(folder.path().join("reports/mlp-smoke/report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("src=\"http") && !page.contains("href=\"http"));

    let again = folder.zoo(&JOB);
    assert_eq!(again.code, 0);
    assert!(again.out.starts_with("all ") && !again.err.contains("started"), "{}", again.out);
    let second = folder.json(&["report", "mlp", "--profile", "smoke", "--json"]);
    assert_eq!(report, second);
}

#[test]
fn a_walk_runs_and_shows_what_each_step_does() {
    let folder = Folder::new();
    let said = folder.ask(&["run", "llama-to-gpt2", "--profile", "smoke"]);
    assert!(said.contains("from “llama” to “gpt2”"), "{said}");
    let report = folder.json(&["report", "llama-to-gpt2", "--profile", "smoke", "--json"]);
    assert_eq!(report["arms"].as_array().unwrap().len(), 12);
    let steps = report["walk"]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["embedding-head", "norm", "position-rotary-fraction", "mixer-bias", "feed-forward"]);
    for step in steps {
        for end in ["added", "removed"] {
            assert_eq!(step[end]["n"], 3, "{step}");
            assert!(step[end]["low"].as_f64().unwrap() <= step[end]["high"].as_f64().unwrap(), "{step}");
        }
    }
    let drawn = folder.path().join("reports/llama-to-gpt2-smoke/figures/walk.svg");
    assert!(std::fs::read_to_string(drawn).unwrap().contains("in gpt2, against without it"));
}

#[test]
fn a_finished_model_is_measured_again_with_the_same_result() {
    let folder = Folder::new();
    let sets = ["--set", "data.people=48", "--set", "training.schedule.warmup_steps=5"];
    let length = ["--set", "training.length.count=8"];
    folder.ask(&[&["train", "gpt2:micro", "biod"], &sets[..], &length[..]].concat());
    let runs = folder.json(&["runs", "--json"]);
    let name = runs[0]["run"].as_str().unwrap();
    let kept =
        std::fs::read_to_string(folder.path().join("runs").join(name).join("measurements.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let again = folder.json(&["measure", name, "--json"]);
    assert_eq!(kept["measurements"]["capacity"], again["capacity"]);
    for n in ["0", "10001"] {
        let said = folder.zoo(&["measure", name, "--paraphrases", n]);
        assert!(said.code == 2 && said.err.contains("--paraphrases"), "{n}: {}", said.err);
    }
}

#[test]
fn a_finished_model_is_measured_with_rounded_weights() {
    let folder = Folder::new();
    let length = ["--set", "training.length.count=8", "--set", "training.schedule.warmup_steps=5"];
    folder.ask(&[&["train", "gpt2:micro", "biod", "--set", "data.people=48"], &length[..]].concat());
    let runs = folder.json(&["runs", "--json"]);
    let name = runs[0]["run"].as_str().unwrap();
    for method in ["rtn", "gptq"] {
        let said = folder.json(&["measure", name, "--quantize", "int8,int2", "--method", method, "--json"]);
        let rounded = said["rounded"].as_array().unwrap();
        assert_eq!(rounded.len(), 4, "two widths of linear maps, then of all weights");
        let bits = |of: &serde_json::Value| of["capacity"]["bits"].as_f64().unwrap();
        let change = |i: usize| (bits(&rounded[i]) - bits(&said)).abs();
        assert!(change(0) < change(1) && change(2) < change(3), "{method}");
        let stored = |i: usize| rounded[i]["quantized"]["bits_per_param"].as_f64().unwrap();
        assert!(stored(3) < stored(2) && stored(2) < stored(0) && stored(0) < 32.0, "{method}");
    }
    let table = folder.ask(&["measure", name, "--quantize", "int4", "--scale", "group:16"]);
    assert!(table.contains("int4") && table.contains("left in float: blocks.*"), "{table}");
}

#[test]
fn an_answer_without_runs_says_how_to_get_them() {
    let said = Folder::new().zoo(&["report", "mlp"]);
    assert_eq!(said.code, 74);
    assert!(said.err.contains("zoo run NAME"), "{}", said.err);
}

#[test]
fn a_device_that_is_not_there_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let said = folder.zoo(&["run", "mlp", "--profile", "smoke", "--device", "cuda:0"]);
    assert_eq!(said.code, 69, "{}", said.err);
    assert!(!folder.path().join("runs").exists());
}

/// The program looks at the model on the way (its probe), saves it and says things; none of it is in the weights.
#[test]
fn what_the_program_trains_the_library_trains_bit_for_bit() {
    let sets = ["data.people=64", "training.schedule.warmup_steps=5"].map(str::to_string);
    let folder = Folder::new();
    let mut args = vec!["train", "gpt2:micro", "biod", "--seed", "3", "--json", "--quiet"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    let run = folder.json(&args)["run"].as_str().unwrap().to_string();
    let run = folder.path().join("runs").join(run);
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(
        metrics.contains("\"probe\":-") || metrics.contains("\"probe\":0"),
        "it was looked at: {metrics}"
    );

    let request = Request {
        model: Some("gpt2"),
        size: Some("micro"),
        dataset: Some("biod"),
        sets: &sets,
        seed: 3,
        ..Request::default()
    };
    let plan = resolve_single(&Presets::at("/nowhere"), &request).unwrap().plan;
    let job = Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: plan.seed };
    let checkpoints = tempfile::tempdir().unwrap();
    let device = ablation_zoo::device::open("cpu").unwrap();
    let Outcome::Finished(trained) = fit(&job, &device, checkpoints.path(), &mut NoopObserver).unwrap()
    else {
        panic!("nobody asked it to stop")
    };
    let (saved, _) = weights::read(&run.join("model.safetensors")).unwrap();
    assert_eq!(weights::of(&trained.model), saved);
}

#[test]
fn a_model_of_packed_biographies_is_read_as_it_was_trained_unless_one_says_else() {
    let folder = Folder::new();
    let sets =
        ["data.people=30", "data.seq_len=128", "training.schedule.warmup_steps=2", "training.length.count=3"];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    folder.ask(&["train", "gpt2:micro", "bios"].into_iter().chain(sets).collect::<Vec<_>>());
    let runs = folder.json(&["runs", "--json"]);
    let name = runs[0]["run"].as_str().unwrap();
    let bits = |context: &[&str]| {
        let measured = folder.json(&[&["measure", name, "--json"], context].concat());
        (measured["capacity"]["context"].clone(), measured["capacity"]["bits"].as_f64().unwrap())
    };
    let (as_trained, packed, alone) =
        (bits(&[]), bits(&["--context", "packed"]), bits(&["--context", "alone"]));
    assert_eq!((&as_trained, as_trained.0.as_str(), alone.0.as_str()), (&packed, Some("packed"), None));
    assert_ne!(packed.1, alone.1);
    let said = folder.ask(&["measure", name]);
    assert!(said.contains("behind biographies of others, as in training"), "{said}");
    assert!(!folder.ask(&["measure", name, "--context", "alone"]).contains("behind"));
}

#[test]
fn nobodys_biography_is_read_behind_others() {
    let folder = Folder::new();
    let said = folder.zoo(&["train", "gpt2:micro", "corpus", "--set", "measure.context=packed"]);
    let expected = "error: measure.context: \"packed\" with data without people, \"corpus\"";
    assert!(said.code == 2 && said.err.contains(expected), "{} {}", said.code, said.err);
    assert!(said.err.contains("leave it out, or take bio-s, bio-d or bio-r"), "{}", said.err);
    let small = [
        "data.documents=8",
        "data.length=32",
        "data.seq_len=32",
        "data.held_out=1",
        "training.length.count=2",
    ];
    let sets = small.iter().chain(&["training.schedule.warmup_steps=1"]).flat_map(|set| ["--set", set]);
    folder.ask(&["train", "gpt2:micro", "corpus"].into_iter().chain(sets).collect::<Vec<_>>());
    let runs = folder.json(&["runs", "--json"]);
    let said = folder.zoo(&["measure", runs[0]["run"].as_str().unwrap(), "--context", "packed"]);
    assert!(said.code == 2 && said.err.contains("--context"), "{} {}", said.code, said.err);
}

/// A question about a few thousand bytes of text, answered in seconds.
fn of_text(lines: &str) -> Folder {
    let folder = Folder::new();
    let verse =
        |n: usize| format!("{n} bottles of {} on the wall, take {} down and pass it around\n", n * n, n % 7);
    folder.write("text/song.txt", &(1..120).map(verse).collect::<String>());
    let head = "[control]\nmodel = \"gpt2\"\ndataset = \"text\"\nsize = \"micro\"\n[common.data]\npath = \"text\"\ntokenizer = \
                \"bytes\"\nseq_len = 32\n[common.training]\nlength = { kind = \"steps\", count = 30 }\nbatch = 4\npeak_lr = \
                4e-3\nschedule = { kind = \"cosine\", warmup_steps = 4 }\n[arms.decay]\nmatch_on = \"nothing\"\nlabel = \
                \"a little weight decay\"\ntraining.optimizer = { kind = \"adamw\", weight_decay = 0.02 }\n";
    folder.write("ablations/mine.toml", &format!("{head}{lines}\n"));
    folder
}

fn seeds(folder: &Folder) -> Vec<u64> {
    let runs = folder.json(&["runs", "--json"]);
    // Names end with the seed and digits of the fingerprint.
    let seed = |run: &serde_json::Value| {
        let name = run["run"].as_str().unwrap();
        name.rsplit("-s").next().unwrap().split('-').next().unwrap().parse().unwrap()
    };
    let mut seeds: Vec<u64> = runs.as_array().unwrap().iter().map(seed).collect();
    seeds.sort_unstable();
    seeds
}

#[test]
fn all_arms_go_on_to_more_seeds_until_each_is_settled_and_no_seed_is_trained_twice() {
    let folder =
        of_text("[repeat]\nseeds = { at_least = 3, at_most = 6, within = 0.5 }\n[compare]\nmargin = 1.25");
    let said = folder.ask(&["run", "mine"]);
    assert_eq!(seeds(&folder), [1, 1, 2, 2, 3, 3], "the first look bounds it: {said}");
    assert!(said.contains("a little weight decay: no difference of 0.223 nats or more"), "{said}");
    // The same design, asked more precisely than six seeds can tell.
    let finer = ["run", "mine", "--set", "repeat.seeds.within=1e-9", "--set", "compare.margin=1.000001"];
    let said = folder.ask(&finer);
    assert_eq!(seeds(&folder), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6], "{said}");
    assert!(said.contains("6 runs finished"), "{said}");
    assert!(said.contains("over 6 seeds per arm"), "{said}");
    let again = folder.ask(&finer);
    assert!(again.starts_with("all 12 runs were finished before"), "{again}");
    // What the store holds beyond its look changes nothing of the first answer.
    let report = folder.json(&["report", "mine", "--json"]);
    assert_eq!(report["arms"][1]["n_runs"], 3);
    assert_eq!(report["arms"][1]["compared"]["finding"], "equivalent");
    assert_eq!(report["design"]["looks"], serde_json::json!([3, 4, 6]));
    let status = folder.ask(&["status", "mine"]);
    assert!(status.contains("6 finished"), "{status}");
}

#[test]
fn a_challenge_asks_again_under_changed_settings_and_says_what_stands() {
    let folder = of_text("[repeat]\nseeds = 3");
    folder.ask(&["run", "mine"]);
    let challenge = ["challenge", "mine", "--seeds", "3"];
    let said = folder.ask(&challenge);
    // Rate, warm-up and batch, halved and doubled; the answer itself was there.
    assert!(said.contains("36 runs finished"), "{said}");
    assert!(said.contains("a little weight decay: no effect shown"), "{said}");
    for file in ["challenge.svg", "challenge.json", "table.md"] {
        assert!(folder.path().join("reports/mine-default-challenge").join(file).is_file(), "{file}");
    }
    let json = folder.json(&[&challenge[..], &["--json"]].concat());
    let cases = json["arms"][0]["cases"].as_array().unwrap();
    let changed: Vec<(&str, f64)> = cases
        .iter()
        .map(|case| (case["nuisance"].as_str().unwrap(), case["factor"].as_f64().unwrap()))
        .collect();
    let both = |name| [(name, 0.5), (name, 2.0)];
    assert_eq!(changed, [both("learning rate"), both("warm-up"), both("batch")].concat());
    assert!(cases.iter().all(|case| case["compared"]["n"] == 3 && case["outcome"] != "no-answer"), "{json}");
    let few = folder.refuses(&["challenge", "mine", "--seeds", "2"], 2);
    assert!(few.contains("3..=64"), "{few}");
}

#[test]
fn a_factorial_runs_and_tells_main_effects_from_interactions() {
    let folder = of_text("");
    let file = folder.path().join("ablations/mine.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("[arms.decay]").unwrap();
    let factors = "[factors]\nactivation = [\"gelu\", \"relu\"]\nposition = [{ kind = \"rope\", theta = 10000.0, rotary_fraction = 0.25 }, \"none\"]\n";
    std::fs::write(&file, format!("{head}{factors}")).unwrap();
    let said = folder.ask(&["run", "mine"]);
    assert!(said.contains("12 runs finished"), "{said}");
    let report = folder.json(&["report", "mine", "--json"]);
    let effects = report["factorial"]["effects"].as_array().unwrap();
    let parts: Vec<usize> = effects.iter().map(|effect| effect["parts"].as_array().unwrap().len()).collect();
    assert_eq!(parts, [1, 1, 2]);
    assert!(folder.path().join("reports/mine-default/figures/factors.svg").is_file());
    let holes = folder.json(&["report", "mine", "--set", "arms=[\"relu+rope\", \"gelu+none\"]", "--json"]);
    assert_eq!(holes["factorial"]["effects"].as_array().unwrap().len(), 0, "{holes}");
}
