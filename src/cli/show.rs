//! `zoo show`: a picture, counts, and every setting with the file it comes from.

use ablation_zoo::model::{FlopCount, ParamCount};
use ablation_zoo::plan::difference;
use ablation_zoo::plan::{
    Ablation, Plan, PresetKind, Presets, ablation, preset, resolve, resolve_dataset, resolve_model,
};
use ablation_zoo::{Result, visible};
use clap::Args;
use serde_json::json;

use super::list::list;
use super::subject::Subject;
use super::{Format, Overrides, complete, diff, output, picture};

/// Arguments of `zoo show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo show\n  zoo show llama\n  zoo show llama:4-4 --json\n  zoo show mlp:gated --profile gpu"
)]
pub struct Show {
    /// A model, dataset or ablation, by name or path; a size or an arm may follow after a colon [default: list them]
    #[arg(add = complete::subjects())]
    name: Option<String>,
    /// The dataset whose vocabulary and context length a model's counts are for
    #[arg(long, value_name = "NAME", default_value = "bios")]
    dataset: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    format: Format,
}

/// What a model has at one size.
struct Count {
    size: String,
    plan: Plan,
    params: ParamCount,
    flops: FlopCount,
}

impl Show {
    /// Prints it.
    pub fn run(&self) -> Result<()> {
        let Some(name) = &self.name else { return list(&self.format) };
        let presets = Presets::here();
        let subject = Subject::find(&presets, name, &self.overrides)?;
        if self.format.json {
            return self.print_json(&presets, &subject);
        }
        let mut text = format!("{}\n", visible::line(&format!("# {name} · {}", subject.file)));
        let note = presets.load(subject.kind, &subject.name)?;
        text.push_str(&format!("# {}\n", preset::note(&note.text)));
        for other in presets.elsewhere(subject.kind, &subject.name) {
            let (own, noun, name) = (subject.kind.noun(), other.noun(), &subject.name);
            text.push_str(&format!(
                "# this is the {own}; of the {noun} of that name: zoo show {noun}/{name}\n"
            ));
        }
        if subject.kind == PresetKind::Models {
            text.push_str(&commented(&picture::draw(&subject.resolved.plan.model)));
            text.push_str(&commented(&self.sizes(&presets, &subject)?));
        }
        text.push('\n');
        let settings = subject.resolved.annotated(subject.tables());
        let is_left_to_sizes = |line: &&str| line.contains(" = 0 ") && line.ends_with("# default");
        let sized = subject.kind != PresetKind::Models || subject.part.is_some();
        settings.lines().filter(|line| sized || !is_left_to_sizes(line)).for_each(|line| {
            text.push_str(&format!("{line}\n"));
        });
        if subject.kind == PresetKind::Ablations && subject.part.is_none() {
            text.push_str(&commented(&self.arms(&presets, &subject)?));
        }
        output::print_exact(&text)
    }

    fn print_json(&self, presets: &Presets, subject: &Subject) -> Result<()> {
        let mut value = json!({
            "kind": subject.kind.noun(),
            "name": subject.name,
            "part": subject.part,
            "file": subject.file,
            "plan": output::json(&subject.tree()),
        });
        if subject.kind == PresetKind::Models {
            let counts = self.counts(presets, subject)?;
            value["sizes"] = counts.iter().map(Count::json).collect();
        }
        output::print_json(&value)
    }

    /// The sizes of a model, or the one that is asked for.
    fn counts(&self, presets: &Presets, subject: &Subject) -> Result<Vec<Count>> {
        let data = resolve_dataset(presets, &self.dataset)?.plan.data;
        let sizes = match &subject.part {
            Some(size) => vec![size.clone()],
            None => resolve::sizes(presets, &subject.name)?,
        };
        let count = |size: String| {
            let model = resolve_model(presets, &subject.name, Some(&size))?.plan.model;
            let plan = Plan { model, data: data.clone(), ..Plan::default() };
            Ok(Count { size, params: plan.num_params()?, flops: plan.flops_per_token()?, plan })
        };
        sizes.into_iter().map(count).collect()
    }

    fn sizes(&self, presets: &Presets, subject: &Subject) -> Result<String> {
        let counts = self.counts(presets, subject)?;
        let Some(first) = counts.first() else { return Ok(String::new()) };
        let title = format!(
            "\nParameters and training FLOPs with the {} tokens of {} and sequences of length {}:\n",
            output::thousands(first.plan.data.vocab_size()? as u64),
            self.dataset,
            first.plan.data.seq_len()
        );
        let header = ["size", "layers", "width", "heads", "parameters", "non-embedding", "FLOPs/token"];
        Ok(title + &output::table_beside(COMMENT.len(), header, 1, counts.iter().map(Count::row)))
    }

    /// Each arm of an ablation against the control.
    fn arms(&self, presets: &Presets, subject: &Subject) -> Result<String> {
        let profile = self.overrides.profile.as_deref();
        let loaded = Ablation::load(presets, &subject.name, profile, &self.overrides.sets.all())?;
        let control = &loaded.arms[0].resolved.plan;
        let mut text = String::new();
        for arm in loaded.arms_of(&loaded.arms[0].size).skip(1) {
            let differences = difference::between(control, &arm.resolved.plan);
            text.push_str(&format!("\narm {}\n", visible::line(&arm.name)));
            text.push_str(&diff::table(ablation::CONTROL, &arm.name, &differences));
        }
        Ok(text)
    }
}

impl Count {
    fn row(&self) -> [String; 7] {
        let model = &self.plan.model;
        [
            self.size.clone(),
            model.n_layers.to_string(),
            model.d_model.to_string(),
            model.n_heads.to_string(),
            output::thousands(self.params.total),
            output::thousands(self.params.non_embedding()),
            output::short(self.flops.exact as f64, ""),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({"size": self.size, "params": self.params, "flops_per_token": self.flops})
    }
}

/// What a comment begins with.
const COMMENT: &str = "# ";

/// The text as comments, so that all of the output is TOML.
fn commented(text: &str) -> String {
    text.lines().map(|line| format!("{COMMENT}{line}").trim_end().to_string() + "\n").collect()
}
