//! `zoo export` and `zoo import`: models to and from other programs.

use std::path::PathBuf;

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::model::exchange;
use ablation_zoo::run::{export, trained};
use ablation_zoo::{Result, device};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::store::StoreArgs;
use super::{Format, output};

/// Arguments of `zoo export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zoo export mlp-control-tiny-1e-3-s1 gpt2-of-mine      then, in Python: AutoModelForCausalLM.from_pretrained(\"gpt2-of-mine\")
  zoo export imported/pythia-70m --to hf pythia-again")]
pub struct Export {
    /// A finished run, by its name, the beginning of it, or its folder; or the folder of an imported model
    run: String,
    /// For which program
    #[arg(long, value_enum, default_value_t = Target::Hf)]
    to: Target,
    /// The folder to write, new or empty
    folder: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    format: Format,
}

/// Who is to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Hugging Face's transformers
    Hf,
}

/// Arguments of `zoo import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zoo import ~/models/pythia-70m                       writes imported/pythia-70m
  zoo import ~/models/Llama-3.2-1B --seq-len 4096 --out llama
  zoo generate imported/pythia-70m --prompt 'The capital of France is'

Reads config.json and safetensors of GPT-2, GPT-NeoX, Llama, Mistral, Mixtral, Qwen3 and OLMo 2. Pickled files (.bin,
.pt) are never read.")]
pub struct Import {
    /// A folder of transformers: config.json, model.safetensors, tokenizer.json
    folder: PathBuf,
    /// The folder to write, new or empty [default: imported/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The longest row to read, for models without a table of positions [default: the model's own, up to 2048]
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    #[command(flatten)]
    format: Format,
}

impl Export {
    /// Writes the folder.
    pub fn run(&self) -> Result<()> {
        let device = device::open("cpu")?;
        let (trained, run) = self.store.model(&self.run, &device)?;
        let class = match self.to {
            Target::Hf => export::to_transformers(&trained, run.as_ref(), &self.folder)?,
        };
        let folder = self.folder.display();
        match self.format.json {
            true => output::print_json(&json!({"class": class.architecture(), "folder": self.folder})),
            false => output::print(&format!(
                "{} in {folder}; {folder}/README.md says how to use it",
                class.architecture()
            )),
        }
    }
}

impl Import {
    /// Reads the folder and writes ours.
    pub fn run(&self) -> Result<()> {
        let imported = exchange::import(&self.folder, self.seq_len)?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => PathBuf::from("imported").join(self.name()?),
        };
        trained::keep(&imported, &self.folder, &out)?;
        let (class, params) = (imported.class.architecture(), imported.blueprint.num_params());
        if self.format.json {
            return output::print_json(
                &json!({"class": class, "folder": out, "params": params, "seq_len": imported.blueprint.seq_len}),
            );
        }
        let (out, count) = (out.display(), output::thousands(params.total));
        let lines = [
            format!(
                "{class} of {count} parameters in {out}, for rows of up to {}",
                imported.blueprint.seq_len
            ),
            format!("  zoo generate {out} --prompt TEXT"),
            format!("  zoo show {out}/model.toml"),
        ];
        output::print(&lines.join("\n"))
    }

    fn name(&self) -> Result<String> {
        let absolute = std::path::absolute(&self.folder).map_err(|e| Error::io("find", &self.folder, e))?;
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        let unnamed =
            || Error::config(Problem::new("a folder without a name").key("--out").remedy("name one"));
        name.ok_or_else(unnamed)
    }
}
