//! `zoo export` and `zoo import`: models and metrics to other programs, and models from them.

use std::path::{Path, PathBuf};

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::model::exchange;
use ablation_zoo::run::{Run, Store, export, tables, tensorboard, trained};
use ablation_zoo::{Result, device};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::store::StoreArgs;
use super::{Format, NonFiniteArgs, complete, output, problems};

/// The word for every run.
const ALL: &str = "all";

/// Arguments of `zoo export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zoo export mlp-control-tiny-1e-3-s1 gpt2-of-mine      then, in Python: AutoModelForCausalLM.from_pretrained(\"gpt2-of-mine\")
  zoo export imported/pythia-70m --to hf pythia-again
  zoo export all --to csv tables                        runs.csv and metrics.csv of every run
  zoo export mlp- --to tensorboard events               one folder of events for every run that begins with mlp-

Of a model one finished run is written; of metrics every run whose name begins like RUN, finished or not. Columns: `zoo
schema export-runs`, `zoo schema export-metrics`.")]
pub struct Export {
    /// A run, by its name, the beginning of it, or its folder; the folder of an imported model; or `all` runs
    #[arg(add = complete::runs())]
    run: String,
    /// Format to export to
    #[arg(long, value_enum, default_value_t = Target::Hf)]
    to: Target,
    /// The folder to write, new or empty
    folder: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    non_finite: NonFiniteArgs,
    #[command(flatten)]
    format: Format,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Hugging Face's transformers: the model
    Hf,
    /// TensorBoard: metrics as event files
    Tensorboard,
    /// CSV: runs and metrics
    Csv,
    /// JSON Lines: runs and metrics
    Jsonl,
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
    /// Context length, for models without learned positions [default: the model's own, up to 2048]
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    #[command(flatten)]
    non_finite: NonFiniteArgs,
    #[command(flatten)]
    format: Format,
}

impl Export {
    /// Writes the folder.
    pub fn run(&self) -> Result<()> {
        match self.to {
            Target::Hf => self.model(),
            Target::Tensorboard => self.metrics(|runs| {
                let each = runs.iter().map(|run| tensorboard::write(run, &self.folder.join(run.folder())));
                each.filter_map(Result::transpose).collect()
            }),
            Target::Csv => self.metrics(|runs| tables::write(runs, tables::Format::Csv, &self.folder)),
            Target::Jsonl => {
                self.metrics(|runs| tables::write(runs, tables::Format::JsonLines, &self.folder))
            }
        }
    }

    /// The runs whose names begin like this.
    fn runs(&self) -> Result<Vec<Run>> {
        let path = Path::new(&self.run);
        if self.run.contains(['/', '\\']) && path.is_dir() {
            return Ok(vec![Store::holding(path)?]);
        }
        let mut runs = self.store.open()?.runs()?;
        runs.retain(|run| self.run == ALL || run.folder().starts_with(&self.run));
        if runs.is_empty() {
            let found = format!("no run in {} begins with {:?}", self.store.store.display(), self.run);
            let problem =
                Problem::new(found).key("run").expected(format!("the beginning of a name, or {ALL}"));
            return Err(Error::config(problem.help("`zoo runs` lists them")));
        }
        Ok(runs)
    }

    fn metrics(&self, write: impl FnOnce(&[Run]) -> Result<Vec<PathBuf>>) -> Result<()> {
        let runs = self.runs()?;
        export::make_empty(&self.folder)?;
        let files = write(&runs)?;
        if self.format.json {
            return output::print_json(&json!({"folder": self.folder, "runs": runs.len(), "files": files}));
        }
        let (n, folder) = (output::count(runs.len(), "run"), output::path(&self.folder));
        let how = match self.to {
            Target::Tensorboard => format!("tensorboard --logdir {folder}"),
            Target::Hf | Target::Csv | Target::Jsonl => {
                files.iter().map(|file| output::path(file)).collect::<Vec<_>>().join("\n  ")
            }
        };
        output::print(&format!("{n} in {folder}\n  {how}"))
    }

    fn model(&self) -> Result<()> {
        let device = device::open("cpu")?;
        let (trained, run) = self.store.model(&self.run, &device, self.non_finite.choice())?;
        let class = export::to_transformers(&trained, run.as_ref(), &self.folder)?;
        let folder = output::path(&self.folder);
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
        let imported = exchange::import(&self.folder, self.seq_len, self.non_finite.choice())?;
        problems::warn(&imported.non_finite);
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
        let (out, count) = (output::path(&out), output::thousands(params.total));
        let lines = [
            format!("{class} of {count} parameters in {out}, context length {}", imported.blueprint.seq_len),
            format!("  zoo generate {out} --prompt TEXT"),
            format!("  zoo show {out}/model.toml"),
        ];
        output::print(&lines.join("\n"))
    }

    fn name(&self) -> Result<String> {
        let absolute = std::path::absolute(&self.folder).map_err(|e| Error::io("find", &self.folder, e))?;
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        let unnamed = || Error::config(Problem::new("a folder without a name").key("--out").help("name one"));
        name.ok_or_else(unnamed)
    }
}
