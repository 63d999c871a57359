//! Decoders that read more than their window, as users meet them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::Folder;

/// A decoder with an encoder and one without, in a second.
const READERS: &str = r#"
[about]
question = "Does it read?"
[control]
model = "llama"
dataset = "reading"
size = "micro"
[common.data]
attributes = 2
biographies = 2
questions = 2
[common.training]
length = { kind = "steps", count = 6 }
schedule = { kind = "cosine", warmup_steps = 2 }
[common.measure]
exam = { questions = 4, most_chunks = 2, judged_by = 2 }
[common.context]
kind = "encoder"
pretraining = "masked"
warm_up = "copy"
chunks = 2
[repeat]
seeds = 1
[arms.window]
match_on = "nothing"
context = "window"
"#;

/// A folder in which all of it was run.
fn read() -> Folder {
    let folder = Folder::new();
    folder.write("readers.toml", READERS);
    folder.ask(&["run", "readers.toml"]);
    folder
}

/// The folder of the run that has this name up to its fingerprint.
fn run(folder: &Folder, name: &str) -> PathBuf {
    let runs = folder.json(&["runs", "--json"]);
    let names = runs.as_array().unwrap().iter().map(|run: &Value| run["run"].as_str().unwrap());
    let found = names.filter(|run| run.starts_with(&format!("{name}-readers-"))).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{name} in {runs}");
    folder.path().join("runs").join(found[0])
}

fn control(folder: &Folder) -> PathBuf {
    reported(folder, "readers-control")
}

fn reported(folder: &Folder, start: &str) -> PathBuf {
    let inside = fs::read_dir(folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = inside.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(start));
    found.next().unwrap_or_else(|| panic!("no run {start}"))
}

#[test]
fn contexts_that_cannot_be_are_refused_before_anything_runs() {
    let folder = Folder::new();
    let encoder = "context={kind=\"encoder\", pretraining=\"masked\"}";
    for (dataset, sets, said) in [
        ("biod", vec![encoder], "data.kind: \"bio-d\" has no chunks beside its sequences"),
        ("reading", vec!["context={kind=\"encoder\", chunks=100000}"], "the names that are kept"),
        (
            "reading",
            vec!["context={kind=\"encoder\", chunks=20, distill=\"teacher\"}"],
            "context.chunks: 20 chunks for a teacher",
        ),
        (
            "reading",
            vec!["context={kind=\"encoder\", chunks=1, distill={kind=\"teacher\", weight=-1.0}}"],
            "context.distill.weight: -1",
        ),
        ("reading", vec!["context={kind=\"encoder\", encoder={width=0.0}}"], "context.encoder.width: 0"),
        ("reading", vec!["context={kind=\"encoder\", encoder={window=8}}"], "expected one of width, depth"),
        (
            "reading",
            vec!["context={kind=\"encoder\", pretraining={kind=\"masked\", data=\"bios\"}}"],
            "expected one of masked, training",
        ),
        ("biod", vec!["adapt=\"answering\""], "data.kind: \"bio-d\" asks nothing that is read"),
        (
            "reading",
            vec!["adapt=\"answering\"", "data.questions=1"],
            "data.questions: 1 questions in a sequence",
        ),
        (
            "reading",
            vec!["adapt={kind=\"answering\", form=\"song\"}"],
            "expected one of value, ended, sentence",
        ),
        (
            "reading",
            vec!["adapt={kind=\"answering\", training={length=0.0}}", "context=\"window\""],
            "adapt.training.length: 0",
        ),
        ("reading", vec![encoder, "data.attributes=2000"], "expected 1 to 1024"),
        ("reading", vec!["context=\"stretched\"", "model.block.mixer.position=\"none\""], "context.scaling"),
        (
            "reading",
            vec!["context=\"window\"", "measure.qa_test.most_chunks=100000"],
            "measure.qa_test.most_chunks",
        ),
    ] {
        let mut args =
            vec!["train", "llama:micro", dataset, "--set", "training.length={kind=\"steps\", count=6}"];
        args.extend(["--set", "training.schedule.warmup_steps=2"]);
        sets.iter().for_each(|set| args.extend(["--set", set]));
        let answer = folder.zoo(&args);
        assert_eq!(answer.code, 2, "{sets:?}: {}", answer.err);
        assert!(answer.err.contains(said), "{sets:?}: {}", answer.err);
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_decoder_that_is_missing_is_trained_again_and_everything_ends_with_the_same_bits() {
    let folder = read();
    let weights = |folder: &Folder| fs::read(control(folder).join("model.safetensors")).unwrap();
    let before = weights(&folder);
    let decoder = run(&folder, "decoder-warm-up");
    for gone in [decoder.clone(), run(&folder, "warm-up")] {
        fs::remove_dir_all(gone).unwrap();
    }
    fs::remove_file(control(&folder).join("manifest.json")).unwrap();
    let name = control(&folder).file_name().unwrap().to_string_lossy().into_owned();
    let alone = folder.zoo(&["worker", "--store", "runs", "--run", &name, "--device", "cpu"]);
    assert_eq!(alone.code, 65, "{}", alone.err);
    assert!(alone.err.contains("begins from a run that is not finished"), "{}", alone.err);
    fs::remove_dir_all(control(&folder)).unwrap();
    folder.ask(&["run", "readers.toml"]);
    assert!(decoder.is_dir());
    assert!(weights(&folder) == before, "other bits");
}

#[test]
fn a_stage_with_other_weights_than_it_ended_with_is_not_begun_from() {
    for (part, child) in [("decoder-warm-up", "readers-window"), ("encoder-warm-up", "readers-control")] {
        let folder = read();
        let (damaged, child) = (run(&folder, part), reported(&folder, child));
        let other = if part.starts_with("decoder") { "encoder-warm-up" } else { "decoder-warm-up" };
        fs::copy(run(&folder, other).join("model.safetensors"), damaged.join("model.safetensors")).unwrap();
        fs::remove_dir_all(child).unwrap();
        if part.starts_with("encoder") {
            fs::remove_dir_all(run(&folder, "warm-up")).unwrap();
        }
        let said = folder.zoo(&["run", "readers.toml"]);
        assert_eq!(said.code, 1, "{}", said.err);
        let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
        assert!(said.err.contains(&name) && said.err.contains("model.safetensors"), "{}", said.err);
    }
}

#[test]
fn a_decoder_that_was_tuned_to_a_form_is_asked_for_it_however_it_reads() {
    let folder = Folder::new();
    folder.write(
        "readers.toml",
        &READERS.replace(
            "[common.context]",
            "[common.adapt]\nkind = \"answering\"\nform = \"sentence\"\n[common.context]",
        ),
    );
    folder.ask(&["run", "readers.toml"]);
    assert!(run(&folder, "base-decoder-warm-up").is_dir(), "what was tuned");
    let value = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    for run in [control(&folder), reported(&folder, "readers-window"), run(&folder, "decoder-warm-up")] {
        let kept = value(run.join("measurements.json"));
        assert!(kept["plan"]["adapt"]["answering"]["form"] == "sentence", "{kept}");
        let asked = folder.json(&["measure", &run.display().to_string(), "--json"]);
        let found = |of: &Value, point: &str, number: &str| of["answers"][point][1][number].clone();
        for (point, number) in [("points", "nats"), ("points", "format"), ("documents", "nats_per_token")] {
            let again = found(&asked, point, number);
            assert_eq!(again, found(&kept["measurements"], point, number), "{point} {number}");
            assert!(again.is_number(), "{point} {number}");
        }
        // An untrained decoder hardly guesses a word of five, which a value by itself would be.
        assert!(found(&asked, "points", "nats").as_f64().unwrap() > 9.0, "{asked}");
    }
}

#[test]
fn a_model_with_an_encoder_is_measured_and_continues_no_text() {
    let folder = read();
    let control = control(&folder).display().to_string();
    let measured = folder.ask(&["measure", &control]);
    assert!(measured.contains("answers") && measured.contains("are right with 2 chunks"), "{measured}");
    for command in [&["generate", &control, "--prompt", "?"][..], &["export", &control, "out"]] {
        let said = folder.zoo(command);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains("reads through an encoder"), "{}", said.err);
    }
    let encoder = run(&folder, "encoder-warm-up").display().to_string();
    let said = folder.zoo(&["generate", &encoder, "--prompt", "?"]);
    assert!(said.code == 2 && said.err.contains("is an encoder"), "{}", said.err);
}
