//! `zoo fit scaling`: loss by parameters and tokens, three ways, and how to spend a budget.

use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::laws::bootstrap::{Bootstrap, Interval};
use ablation_zoo::laws::scaling::Annealing;
use ablation_zoo::report::figure::scatter::isoflop;
use ablation_zoo::report::fit::{
    self, Approach, Measured, Recrossing, Scaling, ScalingConfig, ScalingData, Unseen,
};
use clap::Args;

use super::super::output;
use super::subject::FitArgs;

/// Arguments of `zoo fit scaling`.
#[derive(Debug, Args)]
#[command(
    after_help = "A file: a header, then rows, tabs, commas or semicolons between: params, tokens (or flops), loss in nats per\ntoken, and decay (1 - rate / peak) if known.\n\nExamples:\n  zoo fit scaling points.csv --budget 1e21\n  zoo fit scaling points.csv --held-out 1e20\n  zoo fit scaling iso-flop --out figures\n  zoo fit scaling race --annealing"
)]
pub struct ScalingCommand {
    #[command(flatten)]
    fit: FitArgs,
    /// Split this many FLOPs, exact ones or 6ND as the approach counts [default: ten times the largest measured]
    #[arg(long, value_name = "FLOPS")]
    budget: Option<f64>,
    /// Fit to smaller budgets only, and predict those from this many FLOPs (6ND) on
    #[arg(long, value_name = "FLOPS")]
    held_out: Option<f64>,
    /// Fit a term for the decay of the learning rate, to places all along the runs
    #[arg(long)]
    annealing: bool,
}

impl ScalingCommand {
    /// Fits and prints.
    pub fn run(&self) -> Result<()> {
        let annealing = if self.annealing { Annealing::Fitted } else { Annealing::Alike };
        let subjects = self.fit.read()?;
        let data = match subjects.one_table()? {
            Some(table) => ScalingData::of_table(&table)?,
            None => ScalingData::of_runs(&subjects.runs, annealing),
        };
        let bootstrap = self.fit.bootstrap();
        let config = ScalingConfig { annealing, bootstrap, budget: self.budget, held_out: self.held_out };
        let found = fit::scaling(&data, &config)?;
        self.fit.out.iter().try_for_each(|folder| write(&found, folder))?;
        if self.fit.format.json {
            return output::print_exact(&fit::json(&found));
        }
        output::print(&text(&found))
    }
}

/// The law of finished runs, in words, with figures in `folder`.
pub fn law(runs: &[Measured], folder: &Path) -> Result<String> {
    let config = ScalingConfig {
        annealing: Annealing::Alike,
        bootstrap: Bootstrap::default(),
        budget: None,
        held_out: None,
    };
    let found = fit::scaling(&ScalingData::of_runs(runs, config.annealing), &config)?;
    write(&found, folder)?;
    Ok(text(&found))
}

fn write(found: &Scaling, folder: &Path) -> Result<()> {
    let figures: Vec<_> = isoflop(found).into_iter().collect();
    fit::write(found, "scaling", &figures, folder).map(|_| ())
}

fn text(found: &Scaling) -> String {
    let mut text =
        format!("{}; a budget of {:.2e} FLOPs, counted as each approach does\n\n", found.note, found.budget);
    let rows = found.approaches.iter().map(row);
    text.push_str(&output::table(["approach", "a of N ~ C^a", "parameters", "tokens", "error"], 1, rows));
    for approach in found.approaches.iter().filter(|approach| !approach.constants.is_empty()) {
        let constant = |(name, at): &(String, Interval)| format!("{name} {}", interval(at));
        let constants: Vec<String> = approach.constants.iter().map(constant).collect();
        text.push_str(&format!("\n  {}: {}", approach.name, constants.join(", ")));
    }
    text.push('\n');
    for approach in &found.approaches {
        if let Some(why) = &approach.refused {
            text.push_str(&format!("\n  {} gives no answer: {why}", approach.name));
        }
    }
    if !found.doubts.is_empty() {
        text.push_str("\n  the data cannot identify all constants:");
    }
    for doubt in &found.doubts {
        text.push_str(&format!("\n    {doubt}"));
    }
    text.extend(found.held_out.iter().map(unseen));
    text.extend(found.annealing.iter().map(recrossing));
    text
}

fn row(approach: &Approach) -> [String; 5] {
    let show = |at: &Option<Interval>| at.as_ref().map_or("-".to_string(), interval);
    let error = approach.log_error.map_or(String::new(), |error| format!("{:.2} %", 100.0 * error));
    [approach.name.clone(), show(&approach.exponent), show(&approach.params), show(&approach.tokens), error]
}

/// What is known exactly has no brackets.
fn interval(at: &Interval) -> String {
    let text = at.to_string();
    if at.low == at.high && at.is_bounded() {
        text.split(' ').next().unwrap_or_default().to_string()
    } else {
        text
    }
}

fn unseen(unseen: &Unseen) -> String {
    format!(
        "\n  held out from {:.2e} FLOPs on: {} points predicted with a mean relative error of {:.2} %, {} within the \
         interval",
        unseen.flops,
        unseen.points,
        100.0 * unseen.mean_relative_error,
        unseen.within
    )
}

fn recrossing(found: &Recrossing) -> String {
    let Recrossing { c, pairs, with, without } = found;
    let says = if with > without {
        "decay alone makes curves cross again that the law lets cross once"
    } else {
        "decay makes no further crossings"
    };
    format!(
        "\n  a full decay of the learning rate takes off c = {c} nats; over {pairs} pairs of sizes the fitted law crosses \
         {with} times at the measured decays and {without} times undecayed: {says}"
    )
}
