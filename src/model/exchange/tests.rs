//! Against `transformers`: tiny models of each class and their logits, made by `tests/reference/exchange.py`.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::*;
use crate::layers::Bias;
use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig};
use crate::layers::mixer::{MixerConfig, QkNormConfig};
use crate::layers::norm::{NormConfig, RmsNormConfig};
use crate::model::{ModelConfig, variants};

const FOLDERS: [(&str, Class); 8] = [
    ("hf-gpt2", Class::Gpt2),
    ("hf-gpt-neox", Class::GptNeox),
    ("hf-gpt-neox-tied", Class::GptNeox),
    ("hf-llama", Class::Llama),
    ("hf-mistral", Class::Mistral),
    ("hf-mixtral", Class::Mixtral),
    ("hf-qwen3", Class::Qwen3),
    ("hf-olmo2", Class::Olmo2),
];
/// What two implementations in f32 may differ by in a logit of a few units; seen are 1e-6.
const ROUNDING: f32 = 1e-4;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn device() -> Device {
    crate::device::open("cpu").unwrap()
}

fn logits(blueprint: &Blueprint, weights: Weights, tokens: &TensorData) -> Tensor<3> {
    let tokens = Tensor::<2, Int>::from_data(tokens.clone().convert::<i32>(), &device());
    blueprint.build(weights, "the test", &device()).unwrap().logits(tokens)
}

fn difference(x: Tensor<3>, y: Tensor<3>) -> f32 {
    (x - y).abs().max().into_scalar::<f32>()
}

/// Writes a folder as `transformers` would.
fn write(folder: &Path, exported: &Exported) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(CONFIG), serde_json::to_string(&exported.config).unwrap()).unwrap();
    weights::write(&folder.join(WEIGHTS), &exported.weights, &[]).unwrap();
}

#[test]
fn logits_are_those_of_transformers() {
    for (name, class) in FOLDERS {
        let imported = import(&folder(name), None, NonFinite::Refuse).unwrap();
        assert_eq!(imported.class, class);
        let (expected, _) = weights::read(&folder(name).join("expected.safetensors")).unwrap();
        let theirs = Tensor::from_data(expected["logits"].clone(), &device());
        let ours = logits(&imported.blueprint, imported.weights, &expected["tokens"]);
        let off = difference(ours, theirs);
        assert!(off < ROUNDING, "{name} is off by {off}");
    }
}

#[test]
fn what_was_read_is_written_back_to_the_bit() {
    for (name, class) in FOLDERS {
        let imported = import(&folder(name), None, NonFinite::Refuse).unwrap();
        let exported = export(&imported.blueprint, &imported.weights).unwrap();
        assert_eq!(exported.class, class, "{name}");
        let files = Files::open(&folder(name)).unwrap();
        assert!(exported.weights.keys().map(String::as_str).eq(files.names()), "{name}");
        for (tensor, data) in &exported.weights {
            let theirs = files.find(tensor, "").unwrap();
            assert_eq!(data.shape().to_vec(), theirs.shape, "{name} {tensor}");
            assert_eq!(weights::floats(data), files.floats(theirs).unwrap(), "{name} {tensor}");
        }
        let copy = tempfile::tempdir().unwrap();
        write(copy.path(), &exported);
        assert_eq!(
            import(copy.path(), None, NonFinite::Refuse).unwrap().blueprint,
            imported.blueprint,
            "{name}"
        );
    }
}

/// Every model of the tests with the biases of GPT-NeoX, and again with the norms and the MLP of Llama.
fn models() -> Vec<(String, ModelConfig)> {
    let mut models = Vec::new();
    for (name, model) in variants::all() {
        let mut neox = model.clone();
        if let MixerConfig::Attention(attention) = &mut neox.block.mixer {
            attention.bias = Bias::With;
        }
        if let FeedForwardConfig::Mlp(mlp) = &mut neox.block.feed_forward {
            mlp.bias = Bias::With;
        }
        let mut llama = model;
        llama.norm = NormConfig::Rms(RmsNormConfig::default());
        if let FeedForwardConfig::Mlp(_) = &mut llama.block.feed_forward {
            llama.block.feed_forward = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        }
        models.extend([(format!("neox, {name}"), neox), (format!("llama, {name}"), llama)]);
    }
    let (_, wide) = models.iter().find(|(name, _)| name == "llama, wide heads").expect("it is a choice");
    let (mut normed, mut written) = (wide.clone(), wide.clone());
    for (model, width, qk_norm) in [
        (&mut normed, 8, QkNormConfig::PerHead(RmsNormConfig::default())),
        (&mut written, 6, QkNormConfig::None), // 24 / 4 is 6
    ] {
        let MixerConfig::Attention(attention) = &mut model.block.mixer else { panic!("it has attention") };
        (attention.d_head, attention.qk_norm) = (Some(width), qk_norm);
    }
    models.extend([("qwen3, wide heads".into(), normed), ("llama, width written out".into(), written)]);
    models
}

#[test]
fn a_model_comes_back_as_it_went_or_does_not_go() {
    let (mut gone, mut stayed) = (Vec::new(), Vec::new());
    for (name, model) in models() {
        let blueprint = Blueprint { model, vocab_size: variants::V, seq_len: variants::T };
        let built = blueprint.model.init(blueprint.vocab_size, blueprint.seq_len, 3, &device());
        let exported = match export(&blueprint, &weights::of(&built)) {
            Ok(exported) => exported,
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                assert!(
                    error
                        .problems
                        .iter()
                        .all(|p| p.key.as_deref().is_some_and(|key| key.starts_with("model."))),
                    "{name}: {error}"
                );
                stayed.push(name);
                continue;
            }
        };
        let copy = tempfile::tempdir().unwrap();
        write(copy.path(), &exported);
        let back = import(copy.path(), None, NonFinite::Refuse).unwrap();
        let tokens = variants::tokens(&device());
        let ours = built.logits(tokens.clone());
        let off = difference(
            ours,
            back.blueprint.build(back.weights, "the copy", &device()).unwrap().logits(tokens),
        );
        assert!(off < 1e-6, "{name} comes back off by {off}");
        gone.push(name);
    }
    for name in [
        "neox, rope ntk",
        "neox, parallel, two norms",
        "llama, window",
        "llama, rope yarn",
        "llama, grouped heads",
        "llama, wide heads",
        "qwen3, wide heads",
        "llama, width written out",
    ] {
        assert!(gone.contains(&name.to_string()), "{gone:?}");
    }
    for name in ["neox, alibi", "llama, canon", "llama, sandwich", "neox, layers", "llama, switch"] {
        assert!(stayed.contains(&name.to_string()), "{stayed:?}");
    }
}

#[test]
fn a_key_that_is_absent_stands_for_what_its_class_takes() {
    let read = |name: &str, class: Class| {
        let text = fs::read(folder(name).join(CONFIG)).unwrap();
        let mut keys: Map<String, Json> = serde_json::from_slice(&text).unwrap();
        keys.retain(|key, _| key != "rms_norm_eps" && key != "head_dim" && !key.starts_with("rope_"));
        let model = class.read(&Fields::of(keys)).unwrap().model;
        (parts::eps(&model), parts::rope(&model).theta, parts::attention(&model).d_head)
    };
    assert_eq!(read("hf-llama", Class::Llama), (1e-6, 1e4, None));
    assert_eq!(read("hf-mixtral", Class::Mixtral), (1e-5, 1e6, None));
    assert_eq!(read("hf-olmo2", Class::Olmo2), (1e-5, 1e4, None));
    assert_eq!(read("hf-qwen3", Class::Qwen3), (1e-6, 1e4, Some(128)));
}

#[test]
fn a_model_without_home_is_refused_with_the_choice_that_has_none() {
    let refused = |change: fn(&mut ModelConfig)| {
        let mut model = import(&folder("hf-llama"), None, NonFinite::Refuse).unwrap().blueprint.model;
        change(&mut model);
        let blueprint = Blueprint { model, vocab_size: 11, seq_len: 8 };
        fit::class(&blueprint).unwrap_err().to_string()
    };
    let message = refused(|model| model.block.feed_forward = FeedForwardConfig::None);
    assert!(message.starts_with("model.block.feed_forward: none has no home"), "{message}");
    assert!(message.contains("LlamaForCausalLM"), "{message}");
    let message = refused(|model| model.block.residual_scale = 0.5);
    assert!(message.starts_with("model.block.residual_scale: 0.5 has no home"), "{message}");
}

/// A copy of the reference Mistral with other bytes in place of its files.
fn spoilt(config: impl FnOnce(&mut Map<String, Json>), bytes: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Error {
    let (source, copy) = (folder("hf-mistral"), tempfile::tempdir().unwrap());
    let mut keys: Map<String, Json> =
        serde_json::from_slice(&fs::read(source.join(CONFIG)).unwrap()).unwrap();
    config(&mut keys);
    fs::write(copy.path().join(CONFIG), serde_json::to_string(&keys).unwrap()).unwrap();
    fs::write(copy.path().join(WEIGHTS), bytes(fs::read(source.join(WEIGHTS)).unwrap())).unwrap();
    import(copy.path(), None, NonFinite::Refuse).map(|_| ()).unwrap_err()
}

fn header(json: &str, data: usize) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn a_config_that_no_model_here_has_is_refused_with_its_key() {
    let refused = |key: &str, value: Json, expected: &str| {
        let error = spoilt(|keys| drop(keys.insert(key.to_string(), value)), |bytes| bytes);
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused("model_type", json!("falcon"), "model_type: falcon, expected one of gpt2, gpt_neox, llama");
    refused("model_type", Json::Null, "model_type: absent");
    refused("hidden_act", json!("mish"), "hidden_act: \"mish\", expected one of gelu");
    refused("hidden_size", json!("wide"), "hidden_size: \"wide\", expected a whole number");
    refused("num_attention_heads", json!(0), "n_heads: 0");
    refused("num_attention_heads", json!(3), "n_heads: 3, expected a divisor of d_model = 16");
    refused("rms_norm_eps", json!(-1e-6), "norm.eps: -0.000001, expected a number from 0 up");
    refused("vocab_size", json!(1u64 << 60), "vocab_size: 1152921504606846976");
    refused("intermediate_size", json!(0), "expansion: 0");
    refused("num_hidden_layers", Json::Null, "num_hidden_layers: absent");
    refused("rope_parameters", json!({"rope_type": "llama3"}), "rope_type: llama3, expected one of default");
    refused("quantization_config", json!({"bits": 4}), "quantization_config: weights of few bits");
}

#[test]
fn tensors_that_are_not_those_of_the_config_are_named_with_both_shapes() {
    let shape = |key: &'static str, value: usize, expected: &str| {
        let error = spoilt(|keys| drop(keys.insert(key.to_string(), json!(value))), |bytes| bytes);
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.problems.len() <= 8, "not a page");
    };
    shape("head_dim", 8, "model.layers.0.self_attn.q_proj.weight is [16, 16], expected [32, 16]");
    shape("vocab_size", 12, "model.embed_tokens.weight is [11, 16], expected [12, 16]");
    shape("num_key_value_heads", 4, "model.layers.0.self_attn.k_proj.weight is [8, 16], expected [16, 16]");
    shape("num_hidden_layers", 3, "has no tensor model.layers.2.self_attn.q_proj.weight");
    shape(
        "num_hidden_layers",
        1,
        "has a tensor model.layers.1.input_layernorm.weight that its config does not",
    );
    shape("num_hidden_layers", 10_000, "has no tensor model.layers.2.self_attn.q_proj.weight");
    shape("intermediate_size", 16 << 10, "gate_proj.weight is [24, 16], expected [16384, 16]");
}

#[test]
fn hostile_files_are_refused() {
    let refused = |bytes: Vec<u8>, expected: &str| {
        let error = spoilt(|_| {}, |_| bytes);
        assert_eq!(error.exit_code(), 65, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let whole = fs::read(folder("hf-mistral").join(WEIGHTS)).unwrap();
    for end in [0, 7, 8, 100, whole.len() - 1] {
        refused(whole[..end].to_vec(), WEIGHTS);
    }
    refused(
        [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat(),
        "a header of 9223372036854775808 bytes in a file of 10",
    );
    let tensor =
        |shape: &str, offsets: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#);
    let (a, b) = (tensor("[2]", "[0,8]"), tensor("[2]", "[4,12]"));
    refused(header(&format!(r#"{{"x":{a},"y":{b}}}"#), 12), "model.safetensors: ");
    refused(header(&format!(r#"{{"x":{a},"x":{a}}}"#), 8), "two tensors of the name x");
    refused(
        header(&format!(r#"{{"x":{}}}"#, tensor("[4194305,4194305,4194305]", "[0,8]")), 8),
        "model.safetensors: ",
    );
    refused(header(&format!(r#"{{"x":{}}}"#, tensor("[2]", "[8,0]")), 8), "model.safetensors: ");
    refused(header("[1]", 0), "damaged header");
    refused(header(r#"{"x":1}"#, 0), "model.safetensors: ");
}

#[test]
fn pickled_and_absent_weights_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(self::folder("hf-gpt2").join(CONFIG), folder.path().join(CONFIG)).unwrap();
    let message = || import(folder.path(), None, NonFinite::Refuse).map(|_| ()).unwrap_err().to_string();
    assert!(message().contains("no weights in"), "{}", message());
    fs::write(folder.path().join("pytorch_model.bin"), b"\x80\x02").unwrap();
    assert!(
        message().contains("pytorch_model.bin is pickled") && message().contains("safe_serialization"),
        "{}",
        message()
    );
    let index = r#"{"weight_map": {"x": "../model.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    assert!(message().contains("not a plain file name"), "{}", message());
}
