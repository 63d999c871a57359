//! `zoo diff`: what differs between two models, datasets, arms or finished runs.

use std::path::Path;

use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::plan::Presets;
use ablation_zoo::plan::difference::{Difference, between_trees, phrase};
use ablation_zoo::plan::tree::Node;
use ablation_zoo::run::Run;
use ablation_zoo::run::difference::{Agreement, Number, RunDifference, between_runs};
use ablation_zoo::run::folder::PLAN;
use ablation_zoo::{Result, visible};
use clap::Args;
use serde_json::json;

use super::store::StoreArgs;
use super::subject::Subject;
use super::{Format, Overrides, complete, output};

/// Arguments of `zoo diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo diff gpt2 llama\n  zoo diff gpt2:2-2 gpt2:4-2\n  zoo diff mlp mlp:gated\n  zoo diff mlp-control-mini-2e-3-s1 mlp-gated-mini-2e-3-s1\n  zoo diff here/runs/RUN there/runs/RUN --assert-equal\n\nOf runs: what differs of plan, measurements, metrics and weights; where and how fast they ran does not count."
)]
pub struct Diff {
    /// A model, dataset or ablation, a size or an arm may follow after a colon; or a finished run
    #[arg(add = complete::subjects_and_runs())]
    a: String,
    /// The other one
    #[arg(add = complete::subjects_and_runs())]
    b: String,
    /// Fail with exit 1 when anything differs
    #[arg(long)]
    assert_equal: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    format: Format,
}

impl Diff {
    /// Prints the differences.
    pub fn run(&self) -> Result<()> {
        if let Some((a, b)) = self.runs()? {
            return self.of_runs(&a, &b);
        }
        let presets = Presets::here();
        let a = Subject::find(&presets, &self.a, &self.overrides)?;
        let b = Subject::find(&presets, &self.b, &self.overrides)?;
        if a.kind != b.kind {
            let side =
                |subject: &Subject| format!("{} is one of the {}", subject.name, subject.kind.folder());
            let found = format!("{}, {}", side(&a), side(&b));
            return Err(Error::config(Problem::new(found).expected("two of one kind")));
        }
        let differences = between_trees(&a.tree(), &b.tree());
        if self.format.json {
            let value = |node: &Option<Node>| node.as_ref().map(output::json);
            let rows = differences.iter().map(|d| json!({"key": d.key, "a": value(&d.a), "b": value(&d.b)}));
            let found = json!({"a": self.a, "b": self.b, "differences": rows.collect::<Vec<_>>()});
            output::print_json(&found)?;
        } else if differences.is_empty() {
            output::print(&visible::line(&format!("{} and {} are the same", self.a, self.b)))?;
        } else {
            output::print(&table(&self.a, &self.b, &differences))?;
        }
        self.judge(differences.is_empty())
    }

    /// Both as runs: when the first is no file of ours, but a folder of a run, or the name of one in the store.
    fn runs(&self) -> Result<Option<(Run, Run)>> {
        let is_folder = |name: &str| Path::new(name).join(PLAN).is_file();
        let presets = Presets::here();
        let is_preset = |name: &str| presets.find(name.split(':').next().unwrap_or(name)).is_ok();
        let both = [&self.a, &self.b];
        if both.iter().all(|name| !is_folder(name) && (is_preset(name) || !self.store.store.exists())) {
            return Ok(None);
        }
        // What begins the name of no run is more likely a mistyped preset.
        let known =
            |name: &str| is_folder(name) || self.store.open().is_ok_and(|store| store.named(name).is_ok());
        if both.iter().all(|name| !known(name)) {
            return Ok(None);
        }
        Ok(Some((self.store.run(&self.a)?, self.store.run(&self.b)?)))
    }

    fn of_runs(&self, a: &Run, b: &Run) -> Result<()> {
        let found = between_runs(a, b)?;
        let same = found.is_none();
        if self.format.json {
            let value = |node: &Option<Node>| node.as_ref().map(output::json);
            let plan = found.plan.iter().map(|d| json!({"key": d.key, "a": value(&d.a), "b": value(&d.b)}));
            output::print_json(&json!({
                "a": a.path(),
                "b": b.path(),
                "differences": plan.collect::<Vec<_>>(),
                "measured": found.measured,
                "curve": found.curve,
                "weights": found.weights,
                "equal": same,
            }))?;
        } else {
            output::print(&runs_text(&self.a, &self.b, &found))?;
        }
        self.judge(same)
    }

    fn judge(&self, same: bool) -> Result<()> {
        if same || !self.assert_equal {
            return Ok(());
        }
        let problem = Problem::new(format!("{} and {} differ", self.a, self.b)).expected("no difference");
        Err(Error::new(Kind::Different, problem))
    }
}

fn runs_text(a: &str, b: &str, found: &RunDifference) -> String {
    if found.is_none() {
        let both = visible::line(&format!("{a} and {b}")).into_owned();
        return both + " are the same: plan, measurements, metrics, and weights bit for bit";
    }
    let mut text = String::new();
    if !found.plan.is_empty() {
        text.push_str(&format!("plan\n{}\n", table(a, b, &found.plan)));
    }
    if !found.measured.is_empty() {
        let row = |number: &Number| {
            let by = number.a.as_f64().zip(number.b.as_f64()).map(|(a, b)| format!("{:+.3e}", b - a));
            [number.key.clone(), number.a.to_string(), number.b.to_string(), by.unwrap_or_default()]
        };
        let rows = output::table(["", "first", "second", "by"], 1, found.measured.iter().map(row));
        text.push_str(&format!("measured\n{rows}\n"));
    }
    match &found.curve {
        Some(curve) => text.push_str(&format!(
            "metrics: differ from step {} on, losses by {:.3e} nats at most over {} common lines\n",
            curve.first_step, curve.largest_loss_difference, curve.lines,
        )),
        None => text.push_str("metrics: the same\n"),
    }
    let weights = match found.weights {
        Agreement::Same => "the same, bit for bit",
        Agreement::Different => "differ",
    };
    text + &format!("weights: {weights}\n")
}

/// The differences side by side.
pub fn table(a: &str, b: &str, differences: &[Difference]) -> String {
    let value = |node: &Option<Node>| node.as_ref().map_or("-".to_string(), phrase);
    let row = |d: &Difference| [d.key.clone(), value(&d.a), value(&d.b)];
    output::table(["", a, b], 3, differences.iter().map(row))
}
