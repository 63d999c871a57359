//! What a trained model says, and what `zoo generate` says when it cannot.

use crate::program::Folder;

const SHORT: [&str; 6] = [
    "--set",
    "data.people=48",
    "--set",
    "training.schedule.warmup_steps=5",
    "--set",
    "training.length.count=8",
];

fn train(folder: &Folder, seed: &str) {
    folder.ask(&[&["train", "gpt2:micro", "biod", "--seed", seed], &SHORT[..]].concat());
}

#[test]
fn a_trained_model_goes_on_with_a_text_whatever_names_it() {
    let folder = Folder::new();
    train(&folder, "1");
    train(&folder, "2");
    let runs = folder.json(&["runs", "--json"]);
    let name = runs[0]["run"].as_str().unwrap().to_string();
    let path = format!("runs/{name}");
    let say = |run: &str| folder.ask(&["generate", run, "--prompt", "n1.3 n2.7", "--tokens", "5"]);
    let text = say(&name);
    assert!(text.starts_with("n1.3 n2.7 ") && text.ends_with('\n'), "{text}");
    assert_eq!(say("gpt2-micro-biod-s1"), text, "the name of the plan");
    assert_eq!(say(&path), text, "the folder");
    let json = folder.json(&["generate", &path, "--prompt", "n1.3 n2.7", "--tokens", "5", "--json"]);
    assert_eq!(format!("n1.3 n2.7 {}", json["text"].as_str().unwrap()), text.trim_end());

    let drawn = |seed: &str, extra: &[&str]| {
        let args = ["generate", &name, "--prompt", "", "--temperature", "3", "--seed", seed];
        folder.ask(&[&args[..], extra].concat())
    };
    assert_eq!(drawn("7", &[]), drawn("7", &[]));
    assert_ne!(drawn("7", &[]), drawn("8", &[]));
    assert_eq!(drawn("7", &["--top-k", "1"]), drawn("8", &["--top-k", "1"]), "one token to choose from");

    let refused = |args: &[&str], code: i32, parts: &[&str]| {
        let said = folder.zoo(&[&["generate"], args].concat());
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{args:?}: {}", said.err);
        for part in parts {
            assert!(said.err.contains(part), "{args:?}: {}", said.err);
        }
    };
    refused(&["gpt2-micro", "--prompt", ""], 2, &["gpt2-micro begins the names of 2 runs", "biod-s1-"]);
    refused(&["nobody", "--prompt", ""], 2, &["no run in runs begins with \"nobody\"", "zoo runs"]);
    refused(&["runs/nobody", "--prompt", ""], 2, &["\"nobody\" is not the name of a run"]);
    refused(&[&name, "--prompt", "n1.3 Ada"], 65, &["--prompt: token \"Ada\"", "symbols s0 to s"]);
    refused(&[&name, "--prompt", "n1.3", "--tokens", "18446744073709551615"], 2, &["at most 16 together"]);
    refused(&[&name, "--prompt", "n1.3", "--temperature", "0"], 2, &["temperature: 0", "choose greedily"]);
    refused(&[&name, "--prompt", "n1.3", "--top-k", "0"], 2, &["top_k: 0"]);
}
