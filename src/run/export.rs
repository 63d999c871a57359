//! A trained model as a folder that `transformers` loads: config, weights, tokenizer, and a card that says what it is.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::folder::Run;
use super::record::RunRecord;
use super::trained::{TOKENIZER, Trained};
use crate::data::Language;
use crate::error::{Error, Problem, Result};
use crate::model::exchange::{self, CONFIG, Class, Exported, WEIGHTS};
use crate::model::weights;
use crate::training::manifest;

/// The name of the model card.
const CARD: &str = "README.md";
/// The model of the run, as a file of models/.
const MODEL_TOML: &str = "zoo/model.toml";
/// Its data, as a file of datasets/.
const DATA_TOML: &str = "zoo/data.toml";

/// Writes `trained` for `transformers`; `run` is where it comes from, if it is a run.
///
/// # Errors
/// No class of `transformers` can hold it, or the folder is not empty or cannot be written.
pub fn to_transformers(trained: &Trained, run: Option<&Run>, folder: &Path) -> Result<Class> {
    let Exported { class, mut config, weights } =
        exchange::export(&trained.blueprint, &weights::of(&trained.model))?;
    let record = run.map(Run::record).transpose()?;
    make_empty(folder)?;
    let language = trained.language.as_ref();
    let tokenizer = language.and_then(|language| Some((language, language.tokenizer_json()?)));
    if let Some(end) = language.and_then(Language::end_of_text) {
        config.insert("bos_token_id".to_string(), json!(end));
        config.insert("eos_token_id".to_string(), json!(end));
    }
    write_json(&folder.join(CONFIG), &Json::Object(config))?;
    weights::write(&folder.join(WEIGHTS), &weights, &[])?;
    if let Some((language, tokenizer)) = &tokenizer {
        write_json(&folder.join(TOKENIZER), tokenizer)?;
        let config = tokenizer_config(language, tokenizer, trained.blueprint.seq_len);
        write_json(&folder.join("tokenizer_config.json"), &config)?;
    }
    let speech = match &tokenizer {
        Some((language, _)) => Speech::of(language, trained.blueprint.seq_len),
        None => Speech::Symbols,
    };
    if let Some(record) = &record {
        fs::create_dir_all(folder.join("zoo")).map_err(|e| Error::io("create", folder, e))?;
        write(&folder.join(MODEL_TOML), &record.plan.to_toml_of("model"))?;
        write(&folder.join(DATA_TOML), &record.plan.to_toml_of("data"))?;
    }
    let card = match (run, &record) {
        (Some(run), Some(record)) => card_of_run(run, record, class, &speech)?,
        _ => card(class, &speech),
    };
    write(&folder.join(CARD), &card)?;
    Ok(class)
}

/// Makes a folder, or takes one that is empty.
///
/// # Errors
/// If it is not empty, or cannot be made.
pub fn make_empty(folder: &Path) -> Result<()> {
    let is_empty = fs::read_dir(folder).map(|mut entries| entries.next().is_none());
    match is_empty {
        Ok(true) => Ok(()),
        Ok(false) => {
            let problem = Problem::new(format!("{} is not empty", folder.display()));
            Err(Error::config(problem.help("name a new folder; nothing is overwritten")))
        }
        Err(_) => fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e)),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    manifest::write_atomically(path, text.as_bytes())
}

fn write_json(path: &Path, value: &Json) -> Result<()> {
    write(path, &format!("{value:#}\n"))
}

/// What `AutoTokenizer` asks for beside the tokenizer itself.
fn tokenizer_config(language: &Language, tokenizer: &Json, seq_len: usize) -> Json {
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": seq_len,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": false,
    });
    // A token that is none of the special ones would become one if it had a role, and be found inside of words.
    let special = |end: u32| move |token: &&Json| token["id"] == end && token["special"] == true;
    let tokens = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let end = language
        .end_of_text()
        .and_then(|id| Some((id, tokens.clone().find(special(id))?["content"].as_str()?)));
    if let Some((id, token)) = end {
        config["bos_token"] = json!(token);
        config["eos_token"] = json!(token);
        // Our own tokenizers read the spelling of end-of-text in a text as text.
        config["split_special_tokens"] = json!(!language.encode(token).is_ok_and(|tokens| tokens == [id]));
    }
    config
}

/// How far the card goes on with a text.
const NEW_TOKENS: usize = 40;

/// What the card can tell of a model's tokens.
enum Speech {
    /// The tokens are of text: how it begins, and how many more tokens fit.
    Text(String, usize),
    /// The tokens have no tokenizer of `transformers`.
    Symbols,
}

impl Speech {
    /// Text that begins with nothing, if that gives a token to go on from, or else with a word.
    fn of(language: &Language, seq_len: usize) -> Self {
        let words = (0..256).map(|token| language.decode(&[token]));
        let texts = [String::new(), "The".to_string()].into_iter().chain(words);
        let mut fit = texts.filter_map(|text| {
            let room = seq_len
                .saturating_sub(language.prompt(&text).ok().filter(|tokens| !tokens.is_empty())?.len());
            (room > 0).then_some(Speech::Text(text, room.min(NEW_TOKENS)))
        });
        fit.next().unwrap_or(Speech::Symbols)
    }
}

/// How the model is used.
fn card(class: Class, speech: &Speech) -> String {
    let (imports, usage) = match speech {
        Speech::Text(beginning, room) => (
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            format!(
                "tokenizer = AutoTokenizer.from_pretrained(\".\")\n\
                tokens = model.generate(**tokenizer({}, return_tensors=\"pt\"), max_new_tokens={room})\n\
                print(tokenizer.decode(tokens[0]))\n",
                json!(beginning)
            ),
        ),
        Speech::Symbols => (
            "import torch\nfrom transformers import AutoModelForCausalLM",
            "print(model(torch.tensor([[0, 1, 2]])).logits)  # its tokens have no tokenizer.json\n"
                .to_string(),
        ),
    };
    format!(
        "# {}\n\nExported by ablation-zoo {}.\n\n```python\n{imports}\n\n\
        model = AutoModelForCausalLM.from_pretrained(\".\")\n{usage}```\n",
        class.architecture(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// What the model was made for, of what, how well it does, and how to make it again.
fn card_of_run(run: &Run, record: &RunRecord, class: Class, speech: &Speech) -> Result<String> {
    let (header, plan) = (run.header()?, &record.plan);
    let training = &record.training;
    let mut rows = vec![
        ("run", header.label),
        ("arm", header.arm),
        ("parameters", record.params.total.to_string()),
        ("data", plan.data.kind().to_string()),
        ("seed", plan.seed.to_string()),
        (
            "training",
            format!("{} steps, {} tokens, {:.3e} FLOPs", training.steps, training.tokens, training.flops),
        ),
        (
            "training loss",
            format!("{:.4} nats per token, mean of the last 5 % of steps", training.final_loss),
        ),
    ];
    if let Some(capacity) = &record.measurements.capacity {
        let (bits, most, error) =
            (capacity.bits_per_param, capacity.max_bits_per_param, capacity.measurement_error);
        rows.push((
            "knowledge",
            format!("{bits:.4} bits per parameter of {most:.4} (+- {error:.4} from measuring)"),
        ));
    }
    if let Some(loss) = &record.measurements.held_out {
        rows.push(("held-out loss", format!("{:.4} nats per token", loss.nats_per_token)));
    }
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let tables = ["training", "prediction", "context", "growth", "adapt", "measure"];
    // A table that is left at its default is not in the plan.
    let sets = tables.map(|table| plan.to_set_of(table)).into_iter().filter(|set| !set.ends_with('='));
    let sets: String = sets.map(|set| format!(" --set '{}'", set.replace('\'', r"'\''"))).collect();
    let repeat = format!("zoo train ./{MODEL_TOML} ./{DATA_TOML} --seed {}{sets}", plan.seed);
    let digits = run.fingerprint();
    Ok(format!(
        "{}\n## What it is\n\n| | |\n|---|---|\n{rows}\n## How to repeat it\n\n```\n{repeat}\n```\n\nin this folder is the run of \
        fingerprint `{digits}`, whose numbers it gives again. Made by version {} on {}.\n",
        card(class, speech),
        record.environment.version,
        record.environment.processor,
    ))
}
