//! Models to and from the files of Hugging Face's `transformers`: `config.json` and safetensors.
//!
//! One file per class of `transformers`, of three functions: `write` says a model in the words of the class's config,
//! `read` understands such a config, and a few lines name the tensors. What a class can hold is nowhere listed: a model
//! fits if it comes back from `write` and `read` as it was (`fit`); what does not come back is what has no home there.
//!
//! | class | ours |
//! |---|---|
//! | `gpt2` | learned positions, LayerNorm, plain MLP, biases everywhere |
//! | `gpt_neox` | rotary positions on a share of each head, LayerNorm, plain MLP, halves in parallel or one after another |
//! | `llama` | rotary positions, RMSNorm, gated MLP, grouped heads |
//! | `mistral` | Llama with a window |
//! | `mixtral` | Mistral with experts |
//! | `qwen3` | Llama with queries and keys normalised head by head |
//! | `olmo2` | Llama with queries and keys normalised together, and norms behind the halves |

mod fields;
mod files;
mod fit;
mod gpt2;
mod gpt_neox;
mod layout;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod parts;
mod qwen3;
mod rotary;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::tensor::TensorData;
use serde_json::{Map, Value as Json, json};

use super::Blueprint;
use super::weights::{self, NonFinite, Weights};
use crate::error::{Error, Kind, Problem, Result};
use fields::Fields;
use files::Files;
use table::NameRow;

/// How the file of a config is called.
pub const CONFIG: &str = "config.json";
/// How the file of all weights is called.
pub const WEIGHTS: &str = "model.safetensors";
/// The longest sequence of a model without a table of positions, if nothing else is said: `transformers` names the longest
/// that a model was ever meant for, and tables of angles for those would be larger than the model.
pub const SEQ_LEN: usize = 2048;
/// Problems that are shown at once.
const MAX_PROBLEMS: usize = 8;

/// A class of `transformers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX.
    GptNeox,
    /// Llama.
    Llama,
    /// Mistral.
    Mistral,
    /// Mixtral.
    Mixtral,
    /// Qwen3.
    Qwen3,
    /// OLMo 2.
    Olmo2,
}

/// A model that was read.
#[derive(Debug)]
pub struct Imported {
    /// Of which class it was.
    pub class: Class,
    /// How it is built.
    pub blueprint: Blueprint,
    /// Its weights, by our names.
    pub weights: Weights,
    /// What is wrong with tensors that hold NaN or infinity, where that is allowed.
    pub non_finite: Vec<Problem>,
}

/// A model in the words of a class.
#[derive(Debug)]
pub struct Exported {
    /// Of which class it is.
    pub class: Class,
    /// What `config.json` says.
    pub config: Map<String, Json>,
    /// Its weights, by the class's names.
    pub weights: Weights,
}

impl Class {
    /// All of them; where several could hold a model, the first does.
    pub const ALL: [Class; 7] = [
        Class::Gpt2,
        Class::GptNeox,
        Class::Llama,
        Class::Mistral,
        Class::Mixtral,
        Class::Qwen3,
        Class::Olmo2,
    ];

    /// Its name in `architectures`.
    pub fn architecture(self) -> &'static str {
        match self {
            Class::Gpt2 => "GPT2LMHeadModel",
            Class::GptNeox => "GPTNeoXForCausalLM",
            Class::Llama => "LlamaForCausalLM",
            Class::Mistral => "MistralForCausalLM",
            Class::Mixtral => "MixtralForCausalLM",
            Class::Qwen3 => "Qwen3ForCausalLM",
            Class::Olmo2 => "Olmo2ForCausalLM",
        }
    }

    /// Its name in `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Class::Gpt2 => "gpt2",
            Class::GptNeox => "gpt_neox",
            Class::Llama => "llama",
            Class::Mistral => "mistral",
            Class::Mixtral => "mixtral",
            Class::Qwen3 => "qwen3",
            Class::Olmo2 => "olmo2",
        }
    }

    fn write(self, blueprint: &Blueprint) -> Map<String, Json> {
        match self {
            Class::Gpt2 => gpt2::write(blueprint),
            Class::GptNeox => gpt_neox::write(blueprint),
            Class::Llama => llama::write(blueprint),
            Class::Mistral => mistral::write(blueprint),
            Class::Mixtral => mixtral::write(blueprint),
            Class::Qwen3 => qwen3::write(blueprint),
            Class::Olmo2 => olmo2::write(blueprint),
        }
    }

    fn read(self, fields: &Fields) -> Result<Blueprint> {
        match self {
            Class::Gpt2 => gpt2::read(fields),
            Class::GptNeox => gpt_neox::read(fields),
            Class::Llama => llama::read(fields),
            Class::Mistral => mistral::read(fields),
            Class::Mixtral => mixtral::read(fields),
            Class::Qwen3 => qwen3::read(fields),
            Class::Olmo2 => olmo2::read(fields),
        }
    }

    /// Where each parameter of a model lies in the files of this class.
    fn table(self, blueprint: &Blueprint) -> impl Iterator<Item = NameRow> + use<'_> {
        let rows = match self {
            Class::Gpt2 => gpt2::rows,
            Class::GptNeox => gpt_neox::rows,
            Class::Llama | Class::Mistral => llama::rows,
            Class::Mixtral => mixtral::rows,
            Class::Qwen3 => qwen3::rows,
            Class::Olmo2 => olmo2::rows,
        };
        table::table(blueprint, rows)
    }

    /// What `model.` is in its names; files of the bare model, without a head, leave it out.
    fn prefix(self) -> &'static str {
        match self {
            Class::Gpt2 => "transformer.",
            Class::GptNeox => "gpt_neox.",
            Class::Llama | Class::Mistral | Class::Mixtral | Class::Qwen3 | Class::Olmo2 => "model.",
        }
    }
}

/// Whether a folder holds a model of `transformers` rather than one of ours.
pub fn is_foreign(folder: &Path) -> bool {
    let config = crate::input::read(folder.join(CONFIG)).ok();
    let config: Option<Json> = config.and_then(|text| serde_json::from_slice(&text).ok());
    config.is_some_and(|config| config.get("model_type").is_some())
}

/// Reads a folder of `transformers`; `seq_len` is the longest sequence of a model that has no table of positions.
///
/// # Errors
/// There is no such folder, its config says what no model here does, its weights are not those of its config, or its
/// files are damaged, or pickled, or hold NaN or infinity where that is refused. Nothing larger than the files is allocated on their word.
pub fn import(folder: &Path, seq_len: Option<usize>, choice: NonFinite) -> Result<Imported> {
    let fields = Fields::open(&folder.join(CONFIG))?;
    let class = class_of(&fields)?;
    let mut blueprint = class.read(&fields)?;
    if !blueprint.model.block.mixer.position().has_table() {
        blueprint.seq_len = seq_len.unwrap_or(blueprint.seq_len.min(SEQ_LEN));
    }
    let problems = blueprint.check();
    if !problems.is_empty() {
        return Err(Error { kind: Kind::Data, problems });
    }
    let files = Files::open(folder)?;
    let (weights, non_finite) = read_weights(class, &blueprint, &files)?;
    Ok(Imported { class, blueprint, weights, non_finite: choice.judge(non_finite)? })
}

/// A model in the words of the first class that can hold it.
///
/// # Errors
/// No class can: each choice that has no home in the nearest one.
///
/// # Panics
/// If the weights are not those of the blueprint.
pub fn export(blueprint: &Blueprint, weights: &Weights) -> Result<Exported> {
    let class = fit::class(blueprint)?;
    let mut config = class.write(blueprint);
    config.insert("architectures".to_string(), json!([class.architecture()]));
    config.insert("model_type".to_string(), json!(class.model_type()));
    config.insert("vocab_size".to_string(), json!(blueprint.vocab_size));
    config.insert("torch_dtype".to_string(), json!("float32"));
    let mut theirs = Weights::new();
    for row in class.table(blueprint) {
        let values = weights::floats(&weights[&row.ours]);
        for (j, (name, shape)) in row.theirs().enumerate() {
            theirs.insert(name, TensorData::new(row.unpack(&values, j), shape));
        }
    }
    Ok(Exported { class, config, weights: theirs })
}

fn class_of(fields: &Fields) -> Result<Class> {
    if fields.has("quantization_config") {
        let problem = fields.problem("quantization_config", "weights of few bits");
        return Err(Error::data(problem.help("import the model that they were made from")));
    }
    let model_type = fields.word("model_type", "absent")?;
    Class::ALL.into_iter().find(|class| class.model_type() == model_type).ok_or_else(|| {
        let names = Class::ALL.map(Class::model_type).join(", ");
        Error::data(fields.problem("model_type", model_type).expected(format!("one of {names}")))
    })
}

/// Our tensors, put together from theirs, and what is wrong with theirs that are not finite.
fn read_weights(class: Class, blueprint: &Blueprint, files: &Files) -> Result<(Weights, Vec<Problem>)> {
    check_tensors(class, blueprint, files)?;
    let (mut weights, mut non_finite) = (Weights::new(), Vec::new());
    for row in class.table(blueprint) {
        let mut values = vec![0.0; row.shape.iter().product()];
        for (j, (name, _)) in row.theirs().enumerate() {
            let found = files.find(&name, class.prefix()).expect("names were compared");
            let floats = files.floats(found)?;
            non_finite.extend(weights::non_finite(&files.source, &found.name, &floats));
            row.pack(&floats, j, &mut values);
        }
        weights.insert(row.ours.clone(), TensorData::new(values, row.shape));
    }
    non_finite.truncate(MAX_PROBLEMS);
    Ok((weights, non_finite))
}

/// Every name and shape, before anything is made of them.
fn check_tensors(class: Class, blueprint: &Blueprint, files: &Files) -> Result<()> {
    let mut problems = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (name, shape) in class.table(blueprint).flat_map(|row| row.theirs().collect::<Vec<_>>()) {
        match files.find(&name, class.prefix()) {
            None => problems.push(Problem::new(format!("{} has no tensor {name}", files.source))),
            Some(found) => {
                known.insert(found.name.as_str());
                if found.shape != shape {
                    let found = format!("{}: {name} is {:?}", files.source, found.shape);
                    problems.push(Problem::new(found).expected(format!("{shape:?}, as its config says")));
                }
            }
        }
        if problems.len() == MAX_PROBLEMS {
            break; // a config may name more tensors than there is room to list
        }
    }
    let extra = files.names().filter(|name| !known.contains(*name) && !is_idle(name, blueprint));
    let extra = extra
        .map(|name| Problem::new(format!("{} has a tensor {name} that its config does not", files.source)));
    let absent = files.absent.iter().filter(|(name, _)| !is_idle(name, blueprint));
    let absent =
        absent.map(|(name, file)| Problem::new(format!("{}: {name} is not in {file}", files.source)));
    let left = MAX_PROBLEMS - problems.len();
    problems.extend(absent.chain(extra).take(left));
    if problems.is_empty() { Ok(()) } else { Err(Error { kind: Kind::Data, problems }) }
}

/// Tensors that older files hold and that follow from the config: masks, angles, and the copy of a tied table.
fn is_idle(name: &str, blueprint: &Blueprint) -> bool {
    let buffers = [
        ".attn.bias",
        ".attn.masked_bias",
        ".attention.bias",
        ".attention.masked_bias",
        "rotary_emb.inv_freq",
    ];
    let tied = blueprint.model.embedding.head() == crate::layers::embedding::Head::Tied;
    buffers.iter().any(|buffer| name.ends_with(buffer))
        || tied && ["lm_head.weight", "embed_out.weight"].contains(&name)
}
