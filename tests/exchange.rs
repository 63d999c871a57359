//! Models to and from Hugging Face's `transformers`, as users meet it. What needs Python runs where `python3`,
//! or that of `ZOO_PYTHON`, has `transformers` and PyTorch: `ZOO_PYTHON=python3 cargo test --test zoo exchange`.

use std::path::{Path, PathBuf};
use std::process::Command;

use ablation_zoo::data::TokenizerConfig;
use ablation_zoo::data::tokenizer::FileConfig;
use ablation_zoo::model::Blueprint;
use ablation_zoo::model::exchange::Class;
use ablation_zoo::model::weights::{self, NonFinite};
use ablation_zoo::plan::{Presets, Request, resolve_single};
use ablation_zoo::run::{Trained, export};
use ablation_zoo::{Error, device};
use burn::tensor::{Int, Tensor, TensorData};
use serde_json::{Value as Json, json};

use crate::program::Folder;

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

/// Biographies of a few people, learned for a second.
const BIOS: [&str; 10] = [
    "--set",
    "data.people=16",
    "--set",
    "data.seq_len=256",
    "--set",
    "training.batch=4",
    "--set",
    "training.schedule.warmup_steps=2",
    "--set",
    "training.length.count=6",
];

#[test]
fn a_run_is_handed_over_with_its_tokenizer_and_the_way_to_make_it_again() {
    let folder = Folder::new();
    folder.ask(&[&["train", "gpt2:micro", "bios", "--seed", "3"], &BIOS[..]].concat());
    let said = folder.ask(&["export", "gpt2-micro", "--to", "hf", "out"]);
    assert!(said.contains("GPTNeoXForCausalLM in out"), "{said}");
    let text = |file: &str| std::fs::read_to_string(folder.path().join("out").join(file)).unwrap();
    assert!(text("config.json").contains("\"use_parallel_residual\": false"));
    let card = text("README.md");
    for part in ["| seed | 3 |", "bits per parameter of", "AutoModelForCausalLM.from_pretrained"] {
        assert!(card.contains(part), "{card}");
    }

    let again = Folder::new();
    for file in ["zoo/model.toml", "zoo/data.toml"] {
        again.write(file, &text(file));
    }
    let command = card.lines().find_map(|line| line.strip_prefix("zoo ")).unwrap();
    let (plain, sets) = command.split_once(" --set '").unwrap();
    let sets = sets.trim_end_matches('\'').split("' --set '").flat_map(|set| ["--set", set]);
    again.ask(&plain.split(' ').chain(sets).collect::<Vec<_>>());
    let fingerprint = |folder: &Folder| {
        let run = folder.json(&["runs", "--json"])[0]["run"].as_str().unwrap().to_string();
        run.rsplit('-').nth(2).unwrap().to_string() // NAME-FINGERPRINT-cpu-f32
    };
    assert_eq!(fingerprint(&again), fingerprint(&folder));
    assert!(card.contains(&format!("fingerprint `{}`", fingerprint(&folder))), "{card}");

    if let Some(python) = python("torch, transformers") {
        let program = card.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
        let said = Command::new(python)
            .args(["-c", program])
            .current_dir(folder.path().join("out"))
            .output()
            .unwrap();
        assert!(said.status.success(), "{program}\n{}", String::from_utf8_lossy(&said.stderr));
    }

    let say = |from: &str| folder.ask(&["generate", from, "--prompt", " Mira", "--tokens", "12"]);
    assert_eq!(say("out"), say("gpt2-micro"), "through transformers' files");
    folder.ask(&["import", "out"]);
    assert_eq!(say("imported/out"), say("gpt2-micro"), "and through ours");
}

#[test]
fn a_model_of_transformers_is_read_shown_and_written_again() {
    let folder = Folder::new();
    let source = reference("hf-llama").display().to_string();
    let said = folder.ask(&["import", &source]);
    assert!(
        said.starts_with("LlamaForCausalLM of 4,368 parameters in imported/hf-llama, context length 8"),
        "{said}"
    );
    let shown = folder.ask(&["show", "imported/hf-llama/model.toml"]);
    assert!(shown.contains("gated-mlp"), "{shown}");
    let again = folder.json(&["export", "imported/hf-llama", "again", "--json"]);
    assert_eq!(again["class"], "LlamaForCausalLM");

    let refused = |args: &[&str], code: i32, part: &str| {
        let said = folder.zoo(args);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{args:?}: {}", said.err);
        assert!(said.err.contains(part), "{args:?}: {}", said.err);
    };
    refused(&["import", &source], 2, "imported/hf-llama is not empty");
    refused(&["export", "imported/hf-llama", "again"], 2, "again is not empty");
    refused(&["generate", "imported/hf-llama", "--prompt", "a"], 65, "has no tokenizer.json");
    refused(&["import", "nowhere"], 74, "nowhere/config.json");
    std::fs::write(folder.path().join("imported/hf-llama/model.safetensors"), b"x").unwrap();
    refused(&["generate", "imported/hf-llama", "--prompt", "a"], 65, "model.safetensors has 1 bytes");
    folder.write("old/config.json", "{\"model_type\": \"falcon\"}");
    refused(&["import", "old"], 65, "model_type: falcon");
    folder.write("old/config.json", &std::fs::read_to_string(reference("hf-gpt2/config.json")).unwrap());
    folder.write("old/pytorch_model.bin", "x");
    refused(&["import", "old"], 65, "pytorch_model.bin is pickled");
}

#[test]
fn a_file_of_tokens_serves_every_dataset_of_text() {
    let folder = Folder::new();
    let tokenizer = TokenizerConfig::Gpt2.open([]).unwrap().to_json().unwrap().to_string();
    folder.write("tokens.json", &tokenizer).write("texts/a.txt", &"It was 1815, and it rained.\n".repeat(99));
    let path = ["--set", "data.path=texts"];
    let file = ["--set", "data.tokenizer={ kind = \"file\", path = \"tokens.json\" }"];
    let described = |name: &str, sets: &[&str]| {
        let mut described = folder.json(&[&["data", name, "--json"], sets].concat());
        described["samples"].take();
        described
    };
    assert_eq!(described("text", &[path, file].concat()), described("text", &path));
    assert_eq!(described("bios", &file), described("bios", &[]), "closed, and read piece by piece");
    let digits = described("text", &[&path[..], &["--set", "data.tokenizer=gpt2-digits"]].concat());
    let tokens = |described: &serde_json::Value| described["tokens_per_document"].as_f64().unwrap();
    assert!(
        tokens(&digits) > tokens(&described("text", &path)) + 100.0,
        "1815 is five tokens and no longer two"
    );

    let absent =
        [&["data", "text", "--set", "data.tokenizer={ kind = \"file\", path = \"no.json\" }"], &path[..]]
            .concat();
    let said = folder.zoo(&absent);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("data.tokenizer.path: no file \"no.json\""), "{}", said.err);
}

/// A tokenizer file of these words, with `<s>` and `</s>`, that puts `processor` around a text.
fn words(processor: Json) -> Json {
    let words = ["<unk>", "<s>", "</s>", "the", "a", "cat", "dog", "."];
    let added = |id: usize| {
        json!({"id": id, "content": words[id], "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true})
    };
    let vocab: serde_json::Map<String, Json> =
        words.iter().zip(0..).map(|(word, id)| (word.to_string(), json!(id))).collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [added(0), added(1), added(2)],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": processor, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}})
}

#[test]
fn an_exported_file_of_tokens_opens_texts_as_training_did() {
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let start = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let puts_start = json!({"type": "TemplateProcessing", "single": [start, text("A"), start],
        "pair": [text("A"), text("B")], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}});
    let many = json!({"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": false,
        "trim_offsets": true, "use_regex": true}, puts_start]});
    for processor in [puts_start, many, Json::Null] {
        let folder = Folder::new();
        folder
            .write("tok.json", &words(processor).to_string())
            .write("txt/a.txt", &"the cat . a dog . ".repeat(99));
        let sets = [
            "data.path=txt",
            "data.seq_len=16",
            "data.tokenizer={kind='file',path='tok.json'}",
            "training.batch=4",
            "training.length={kind='steps',count=2}",
            "training.schedule.warmup_steps=1",
            "model.d_model=16",
            "model.n_layers=1",
            "model.n_heads=2",
        ];
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        folder.ask(&[&["train", "llama", "text", "--quiet"], &sets[..]].concat());
        folder.ask(&["export", "llama", "out"]);
        let file = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
        let exported = tokenizers::Tokenizer::from_bytes(file("tokenizer.json").as_bytes()).unwrap();
        for (text, ids) in [("the cat", &[2, 3, 5][..]), ("", &[2]), ("a </s> bird", &[2, 4, 2, 0])] {
            assert_eq!(exported.encode(text, true).unwrap().get_ids(), ids, "{text:?}");
            let said = folder.json(&["generate", "llama", "--prompt", text, "--tokens", "3", "--json"]);
            assert_eq!(said["prompt_tokens"], json!(ids), "{text:?}");
            let again = folder.json(&["generate", "./out", "--prompt", text, "--tokens", "3", "--json"]);
            assert_eq!(again, said, "{text:?}: the same next tokens from what was exported");
        }
        let config: Json = serde_json::from_str(&file("tokenizer_config.json")).unwrap();
        assert_eq!((&config["eos_token"], &config["split_special_tokens"]), (&json!("</s>"), &json!(false)));
        assert_eq!(config["model_input_names"], json!(["input_ids", "attention_mask"]));
        assert!(file("README.md").contains("tokenizer(\"\", return_tensors=\"pt\"), max_new_tokens=15)"));
    }
}

#[test]
fn a_tokenizer_that_could_cost_more_than_its_texts_is_refused_at_import_and_as_data() {
    let folder = Folder::new();
    export::to_transformers(&preset("llama"), None, &folder.path().join("hf")).unwrap();
    folder.write("txt/a.txt", "aaaa");
    let ten = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(10)});
    let mut bomb = words(Json::Null);
    bomb["normalizer"] = json!({"type": "Sequence", "normalizers": vec![ten; 12]});
    let mut ids = words(Json::Null);
    ids["model"]["vocab"]["last"] = json!(u32::MAX);
    for (tokenizer, code, part) in [
        (bomb.to_string(), 65, "normalizer and pre_tokenizer: rules that can make a text 100 times as long"),
        (ids.to_string(), 65, "ids up to 4294967295 for 9 tokens"),
        ("garbage".to_string(), 65, "expected value at line 1"),
        (" ".repeat((64 << 20) + 1), 74, "it has 67108865 bytes or more"),
    ] {
        folder.write("hf/tokenizer.json", &tokenizer);
        let file = "data.tokenizer={ kind = 'file', path = 'hf/tokenizer.json' }";
        for args in [
            &["import", "hf", "--out", "in"][..],
            &["generate", "./hf", "--prompt", "a"],
            &["data", "text", "--set", "data.path=txt", "--set", file],
        ] {
            let said = folder.zoo(args);
            assert_eq!(said.code, code, "{args:?}: {}", said.err);
            assert!(
                said.err.contains(part) && said.err.contains("hf/tokenizer.json"),
                "{args:?}: {}",
                said.err
            );
        }
        assert!(!folder.path().join("in").exists(), "nothing is left behind");
    }
    std::fs::remove_file(folder.path().join("hf/tokenizer.json")).unwrap();
    folder.ask(&["import", "hf", "--out", "in"]);
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name_or_taken_with_a_warning() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let folder = Folder::new();
        export::to_transformers(&preset("llama"), None, &folder.path().join("hf")).unwrap();
        folder.write("hf/tokenizer.json", &words(Json::Null).to_string());
        let path = folder.path().join("hf/model.safetensors");
        let (mut tensors, _) = weights::read(&path).unwrap();
        let norm = tensors.get_mut("model.norm.weight").unwrap();
        let mut values = weights::floats(norm);
        values[1] = bad;
        *norm = TensorData::new(values, norm.shape());
        weights::write(&path, &tensors, &[]).unwrap();
        let refused = |args: &[&str], name: &str| {
            let said = folder.zoo(args);
            assert_eq!((said.code, said.out.as_str()), (65, ""), "{args:?}: {}", said.err);
            assert!(
                said.err.contains(name) && said.err.contains("--allow-non-finite"),
                "{args:?}: {}",
                said.err
            );
            let said = folder.zoo(&[args, &["--allow-non-finite"]].concat());
            assert_eq!(said.code, 0, "{args:?}: {}", said.err);
            assert!(said.err.starts_with("warning: ") && said.err.contains(name), "{args:?}: {}", said.err);
        };
        refused(&["import", "hf", "--out", "in"], "model.norm.weight: 1 of ");
        refused(&["generate", "./hf", "--prompt", "the", "--tokens", "1"], "model.norm.weight: 1 of ");
        refused(&["generate", "./in", "--prompt", "the", "--tokens", "1"], "norm.gamma: 1 of ");
        refused(&["export", "./in", "out"], "norm.gamma: 1 of ");
    }
}

#[test]
fn an_index_may_name_the_tied_head_that_no_file_has_and_nothing_else() {
    let folder = Folder::new();
    let model = folder.path().join("hf");
    export::to_transformers(&preset("gpt2"), None, &model).unwrap();
    let (tensors, _) = weights::read(&model.join("model.safetensors")).unwrap();
    std::fs::rename(model.join("model.safetensors"), model.join("part.safetensors")).unwrap();
    let index = |more: &str| {
        let names = tensors.keys().map(String::as_str).chain([more]);
        let map: serde_json::Map<String, Json> =
            names.map(|name| (name.to_string(), json!("part.safetensors"))).collect();
        folder.write(
            "hf/model.safetensors.index.json",
            &json!({"metadata": {}, "weight_map": map}).to_string(),
        );
    };
    index("gpt_neox.ghost.weight");
    let said = folder.zoo(&["import", "hf", "--out", "in"]);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("gpt_neox.ghost.weight is not in part.safetensors"), "{}", said.err);
    index("embed_out.weight");
    folder.ask(&["import", "hf", "--out", "in"]);
}

#[test]
fn a_model_that_is_no_run_is_said_to_be_none_where_a_run_is_needed() {
    let folder = Folder::new();
    let source = reference("hf-llama").display().to_string();
    folder.ask(&["import", &source, "--out", "models/mine"]);
    for args in
        [&["grow", "models/mine", "--out", "grown"][..], &["grow", &source], &["measure", "models/mine"]]
    {
        let said = folder.zoo(args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        assert!(said.err.contains("is an imported or grown model"), "{args:?}: {}", said.err);
    }
}

/// The preset `name` with random weights.
fn preset(name: &str) -> Trained {
    let request =
        Request { model: Some(name), size: Some("micro"), dataset: Some("biod"), ..Request::default() };
    let plan = resolve_single(&Presets::at("/nowhere"), &request).unwrap().plan;
    let (vocab_size, seq_len) = (plan.data.vocab_size().unwrap(), plan.data.seq_len());
    let model = plan.model.init(vocab_size, seq_len, 1, &device::open("cpu").unwrap());
    let blueprint = Blueprint { model: plan.model, vocab_size, seq_len };
    Trained { blueprint, model, language: None, non_finite: Vec::new() }
}

const HOMES: [(&str, Class); 9] = [
    ("gpt2", Class::GptNeox),
    ("gpt2-learned", Class::Gpt2),
    ("gpt-neox", Class::GptNeox),
    ("llama", Class::Llama),
    ("llama-3", Class::Llama),
    ("mistral", Class::Llama),
    ("mixtral", Class::Mixtral),
    ("qwen3-like", Class::Qwen3),
    ("olmo-2-like", Class::Olmo2),
];

#[test]
fn every_preset_has_a_home_or_says_why_not() {
    let folder = Folder::new();
    let export = |name: &str| -> Result<Class, Error> {
        export::to_transformers(&preset(name), None, &folder.path().join(name))
    };
    for (name, class) in HOMES {
        assert_eq!(export(name).unwrap(), class, "{name}");
    }
    let message = export("gpt2-none").unwrap_err().to_string();
    assert!(message.contains("model.block.feed_forward: none has no home"), "{message}");
    let message = export("gpt2-moe").unwrap_err().to_string();
    assert!(message.contains("model.block.feed_forward: moe has no home"), "{message}");
    assert!(!folder.path().join("gpt2-moe").exists(), "nothing is left behind");
}

/// A Python that has these modules, if there is one: `ZOO_PYTHON`, or `python3`.
fn python(modules: &str) -> Option<String> {
    let python = std::env::var("ZOO_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let said = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if said.is_ok_and(|said| said.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} has no {modules}; ZOO_PYTHON names another");
    None
}

#[test]
fn transformers_reads_what_is_written_and_gives_the_same_logits() {
    let Some(python) = python("torch, transformers") else { return };
    let (folder, device) = (Folder::new(), device::open("cpu").unwrap());
    let names = ["gpt2", "gpt-neox", "gpt-neox-tied", "llama", "mistral", "mixtral", "qwen3", "olmo2"];
    let imported = names.map(|name| {
        (
            format!("hf-{name}"),
            Trained::of_folder(&reference(&format!("hf-{name}")), &device, NonFinite::Refuse).unwrap(),
        )
    });
    let presets = HOMES.map(|(name, _)| (name.to_string(), preset(name)));
    let mut folders = Vec::new();
    for (name, trained) in imported.into_iter().chain(presets) {
        let out = folder.path().join(name);
        export::to_transformers(&trained, None, &out).unwrap();
        let row: Vec<f32> = (0..14).map(|i| (i * i * 3 % 11) as f32).collect();
        let tokens = TensorData::new(row, [2, 7]);
        let logits =
            trained.model.logits(Tensor::<2, Int>::from_data(tokens.clone().convert::<i32>(), &device));
        let expected = [("tokens".to_string(), tokens), ("logits".to_string(), logits.into_data())];
        weights::write(&out.join("expected.safetensors"), &expected.into_iter().collect(), &[]).unwrap();
        folders.push(out);
    }
    let script = reference("exchange.py");
    let said = Command::new(python).arg(script).arg("check").args(folders).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.matches("\"ok\": true").count() == 17, "{out}\n{err}");
}

#[test]
fn transformers_reads_our_tokenizers() {
    let Some(python) = python("transformers") else { return };
    let text = " Ada Lovelace was born on December 10, 1815.\n\n  It isn't the naïve end: 3x, \"ok\".";
    let folder = Folder::new();
    folder.write("text.txt", text);
    let json = TokenizerConfig::Gpt2.open([]).unwrap().to_json().unwrap();
    let file = |name: &str, edit: &dyn Fn(&mut Json)| {
        let mut json = json.clone();
        edit(&mut json);
        folder.write(name, &json.to_string());
        TokenizerConfig::File(FileConfig { path: folder.path().join(name), end_of_text: None })
    };
    let nothing = file("nothing.json", &|json| json["post_processor"] = Json::Null);
    let wrong =
        file("wrong.json", &|json| json["post_processor"]["single"].as_array_mut().unwrap().swap(0, 1));
    use TokenizerConfig::*;
    for (name, config) in [
        ("gpt2", Gpt2),
        ("gpt2-digits", Gpt2Digits),
        ("words", Words),
        ("bytes", Bytes),
        ("file-nothing", nothing),
        ("file-wrong", wrong),
    ] {
        let tokenizer = match &config {
            File(_) => config.open([]).unwrap(),
            _ => config.closed([text]).unwrap(),
        };
        let mut ids = vec![tokenizer.end_of_text()];
        ids.extend(tokenizer.encode(text).unwrap());
        let language = Some(ablation_zoo::data::Language::Text(tokenizer));
        let out = folder.path().join(name);
        export::to_transformers(&Trained { language, ..preset("llama") }, None, &out).unwrap();
        let script = "import sys; from transformers import AutoTokenizer; t = AutoTokenizer.from_pretrained(sys.argv[1]); \
            s = open(sys.argv[2], newline='').read(); i = t(s).input_ids; print(i, t.decode(i, skip_special_tokens=True) == s, t.eos_token_id)";
        let said = Command::new(&python)
            .args(["-c", script])
            .arg(&out)
            .arg(folder.path().join("text.txt"))
            .output()
            .unwrap();
        let said = (
            String::from_utf8_lossy(&said.stdout).trim().to_string(),
            String::from_utf8_lossy(&said.stderr).to_string(),
        );
        assert_eq!(said.0, format!("{ids:?} True {}", ids[0]), "{name}: {}", said.1);
    }
}
