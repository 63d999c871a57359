//! A trained model, ready to speak: a finished run, a folder of ours, or a folder of `transformers`.
//!
//! A folder of ours is what `zoo import` writes: `config.json` and `model.safetensors` as a run has them,
//! `tokenizer.json` if there was one, `model.toml` for `zoo show` and `zoo train`, and a manifest.

use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::folder::{CONFIG, MODEL, Run};
use crate::data::{FileVocabulary, Language};
use crate::error::{Error, Problem, Result};
use crate::input;
use crate::model::exchange::{self, Imported};
use crate::model::weights::{self, NonFinite, Weights};
use crate::model::{Blueprint, Decoder};
use crate::plan::{Plan, renamed};
use crate::training::manifest::{self, MANIFEST};
use crate::training::{ContextConfig, Prediction};

/// The file of a tokenizer in the form of Hugging Face.
pub const TOKENIZER: &str = "tokenizer.json";
/// The model as a file of models/.
const MODEL_TOML: &str = "model.toml";
/// Version of the format of `config.json`.
const FORMAT: u32 = 2;

/// A trained model and its tokenizer.
#[derive(Debug)]
pub struct Trained {
    /// The config that the model is built from.
    pub blueprint: Blueprint,
    /// The model with its trained weights.
    pub model: Decoder,
    /// The tokenizer; a folder may have none.
    pub language: Option<Language>,
    /// What is wrong with tensors that hold NaN or infinity, where that is allowed.
    pub non_finite: Vec<Problem>,
}

#[derive(Serialize, Deserialize)]
struct Config {
    format: u32,
    #[serde(flatten, deserialize_with = "renamed::json::of_json")]
    blueprint: Blueprint,
}

impl Trained {
    /// The model of a finished run.
    ///
    /// # Errors
    /// The run is not finished or damaged, is or has an encoder, its data cannot be read, or its weights are not finite
    /// where that is refused.
    pub fn of_run(run: &Run, device: &Device, choice: NonFinite) -> Result<Self> {
        run.verify()?;
        let plan = run.plan()?;
        speaks(run, &plan)?;
        let (vocab_size, seq_len) = (plan.data.vocab_size()?, plan.data.seq_len());
        let blueprint = Blueprint { model: plan.model, vocab_size, seq_len };
        let path = run.file(MODEL);
        let (weights, non_finite) = weights::read_judged(&path, choice)?;
        let model = blueprint.build(weights, &path.display().to_string(), device)?;
        Ok(Trained { blueprint, model, language: Some(plan.data.language()?), non_finite })
    }

    /// The model of a folder, of ours or of `transformers`.
    ///
    /// # Errors
    /// It holds no model, or one that is damaged or cannot be built here, or is not finite where that is refused.
    pub fn of_folder(folder: &Path, device: &Device, choice: NonFinite) -> Result<Self> {
        let (blueprint, weights, non_finite) = match exchange::is_foreign(folder) {
            true => {
                let Imported { blueprint, weights, non_finite, .. } = exchange::import(folder, None, choice)?;
                (blueprint, weights, non_finite)
            }
            false => read(folder, choice)?,
        };
        let model = blueprint.build(weights, &folder.display().to_string(), device)?;
        let language = vocabulary(folder)?.map(Language::File);
        Ok(Trained { blueprint, model, language, non_finite })
    }

    /// The tokenizer of the model.
    ///
    /// # Errors
    /// If the folder of the model has no tokenizer.
    pub fn language(&self) -> Result<&Language> {
        self.language.as_ref().ok_or_else(|| {
            let problem = Problem::new(format!("the folder of this model has no {TOKENIZER}"));
            Error::data(problem.help("put there the one that the model was trained with"))
        })
    }
}

/// Whether the run's model is a decoder and nothing else.
fn speaks(run: &Run, plan: &Plan) -> Result<()> {
    let found = match (&plan.context, &plan.prediction) {
        (ContextConfig::Encoder(_), _) => "reads through an encoder",
        (_, Prediction::Masked(_)) => "is an encoder, which continues no text",
        (_, Prediction::NextToken) => return Ok(()),
    };
    let problem =
        Problem::new(format!("{} {found}", run.folder())).key("run").expected("a decoder by itself");
    Err(Error::config(
        problem.help("`zoo runs` lists the run of its decoder; `zoo measure` asks it questions"),
    ))
}

/// The tokenizer of a folder, if it has one.
fn vocabulary(folder: &Path) -> Result<Option<FileVocabulary>> {
    let path = folder.join(TOKENIZER);
    path.exists().then(|| FileVocabulary::read(&path, None)).transpose()
}

fn read(folder: &Path, choice: NonFinite) -> Result<(Blueprint, Weights, Vec<Problem>)> {
    if folder.join(MANIFEST).exists() {
        manifest::verify(folder)?;
    }
    let config: Config = manifest::read_json(&folder.join(CONFIG), FORMAT)?;
    let (weights, non_finite) = weights::read_judged(&folder.join(MODEL), choice)?;
    Ok((config.blueprint, weights, non_finite))
}

/// Writes a model of `transformers`, and the tokenizer of its folder, as a folder of ours.
///
/// # Errors
/// The folder is there and not empty, or cannot be written, or the tokenizer cannot be read.
pub fn keep(imported: &Imported, source: &Path, folder: &Path) -> Result<()> {
    vocabulary(source)
        .map_err(|error| error.remedied("without a tokenizer.json the model is imported without one"))?;
    super::export::make_empty(folder)?;
    let Imported { blueprint, weights, class, .. } = imported;
    manifest::write_json(&folder.join(CONFIG), &Config { format: FORMAT, blueprint: blueprint.clone() })?;
    weights::write(&folder.join(MODEL), weights, &[])?;
    let tokenizer = source.join(TOKENIZER);
    if tokenizer.exists() {
        input::refuse_special(&tokenizer).map_err(|e| Error::io("copy", &tokenizer, e))?;
        std::fs::copy(&tokenizer, folder.join(TOKENIZER)).map_err(|e| Error::io("copy", &tokenizer, e))?;
    }
    let plan = Plan { model: blueprint.model.clone(), ..Plan::default() };
    let note = format!("# Imported from {} ({}).\n", source.display(), class.architecture());
    let toml = note + &plan.to_toml_of("model");
    manifest::write_atomically(&folder.join(MODEL_TOML), toml.as_bytes())?;
    manifest::seal(folder)
}
