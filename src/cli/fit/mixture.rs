//! `zoo fit mixture`: loss by shares of the data, the law of the own share beside its rivals, and the best shares.

use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::laws::mixture::{AtZero, Folds};
use ablation_zoo::laws::table::Table;
use ablation_zoo::report::figure::scatter::predictions;
use ablation_zoo::report::fit::{
    self, Best, Judged, Measured, MixtureConfig, MixtureData, MixtureFit, Tested,
};
use clap::{Args, ValueEnum};

use super::super::output;
use super::subject::{FitArgs, Subjects};

/// Arguments of `zoo fit mixture`.
#[derive(Debug, Args)]
#[command(
    after_help = "One file with columns share_X and loss_X of every domain X (or train_X and metric/X_val_loss), or one of shares\nand one of losses with an index in both; steps, if there are several times.\n\nExamples:\n  zoo fit mixture train_mixture_1m.csv train_pile_loss_1m.csv --folds 5\n  zoo fit mixture mixture --out figures"
)]
pub struct MixtureCommand {
    #[command(flatten)]
    fit: FitArgs,
    /// Groups of mixtures that are left out in turn [default: 5, below 25 mixtures each by itself]
    #[arg(long, value_name = "N")]
    folds: Option<usize>,
    /// What the own-share law does where a share is zero
    #[arg(long, value_name = "HOW", default_value = "offset")]
    at_zero: Zero,
}

/// What the own-share law does where a share is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Zero {
    /// (r + r0)^alpha, r0 fitted: what other domains teach about this one
    Offset,
    /// Leave such measurements out
    Drop,
}

/// Fewer mixtures than this are left out one by one.
const FEW: usize = 25;

/// Folds are drawn so often that about so many mixtures are left out, within these limits.
const FITTED: usize = 1000;
const REPEATS: (usize, usize) = (3, 10);

impl MixtureCommand {
    /// Fits and prints.
    pub fn run(&self) -> Result<()> {
        let data = of(&self.fit.read()?)?;
        let at_zero = match self.at_zero {
            Zero::Offset => AtZero::Offset,
            Zero::Drop => AtZero::Drop,
        };
        let found = fit::mixture(&data, &MixtureConfig { folds: folds(self.folds, &data), at_zero })?;
        self.fit.out.iter().try_for_each(|folder| write(&found, folder))?;
        if self.fit.format.json {
            return output::print_exact(&fit::json(&found));
        }
        output::print(&text(&found))
    }
}

/// How mixtures are left out: as many groups as are asked for, or as suit their number.
fn folds(asked: Option<usize>, data: &MixtureData) -> Folds {
    let mixtures = data.distinct();
    let repeats = (FITTED / mixtures.max(1)).clamp(REPEATS.0, REPEATS.1) as u64;
    match (asked, mixtures < FEW) {
        (Some(count), _) if count == mixtures => Folds::LeaveOneMixtureOut,
        (None, true) => Folds::LeaveOneMixtureOut,
        (Some(count), _) => Folds::Shuffled { count, seed: 0, repeats },
        (None, false) => Folds::Shuffled { count: 5, seed: 0, repeats },
    }
}

/// The law of finished runs, in words, with figures in `folder`.
pub fn law(runs: &[Measured], folder: &Path) -> Result<String> {
    let data = MixtureData::of_runs(runs)?;
    let found = fit::mixture(&data, &MixtureConfig { folds: folds(None, &data), at_zero: AtZero::Offset })?;
    write(&found, folder)?;
    Ok(text(&found))
}

fn write(found: &MixtureFit, folder: &Path) -> Result<()> {
    fit::write(found, "mixture", &predictions(found), folder).map(|_| ())
}

fn of(subjects: &Subjects) -> Result<MixtureData> {
    match (subjects.files.as_slice(), subjects.runs.as_slice()) {
        (files @ ([_] | [_, _]), []) => {
            let tables = files.iter().map(|file| Table::parse(&file.path, &file.text));
            MixtureData::of_tables(&tables.collect::<Result<Vec<Table>>>()?)
        }
        ([], runs) => MixtureData::of_runs(runs),
        (files, runs) => {
            let found = format!("{} files and {} runs", files.len(), runs.len());
            Err(Error::config(Problem::new(found).expected("one or two files, or runs")))
        }
    }
}

/// The answer as text.
fn text(found: &MixtureFit) -> String {
    let mut text = format!("{} mixtures, {}\n\n", found.mixtures, found.folds);
    let mut rows = Vec::new();
    for law in &found.laws {
        let percent = |error: f64| format!("{:.2} %", 100.0 * error);
        let name = |domain: &str| [law.name.clone(), domain.to_string()];
        let row = |[law, domain]: [String; 2], r2: f64, (low, high): (f64, f64), error: f64| {
            let range = if low == high { String::new() } else { format!("{low:.4} to {high:.4}") };
            [law, domain, format!("{r2:.4}"), range, percent(error)]
        };
        for (domain, score) in &law.domains {
            rows.push(row(name(domain), score.r2, score.r2_range, score.mean_relative_error));
        }
        if let (Some(r2), Some(range), Some(error)) = (law.r2, law.r2_range, law.mean_relative_error) {
            rows.push(row(name("mean"), r2, range, error));
        }
    }
    let header = ["law", "domain", "R2 (log)", "over shufflings", "relative error"];
    text.push_str(&output::table(header, 2, rows));
    let refused =
        |law: &Judged| Some(format!("\n  The {} law is not fitted: {}", law.name, law.refused.as_ref()?));
    text.extend(found.laws.iter().filter_map(refused));
    text.extend(found.verdicts.iter().chain(&found.cautions).map(|sentence| format!("\n  {sentence}")));
    if let Some(later) = found.later {
        let error = 100.0 * later.mean_relative_error;
        text.push_str(&format!(
            "\n  From {} steps on, predicted from before: mean relative error {error:.2} %.",
            later.steps
        ));
    }
    text.extend(found.optima.iter().map(best));
    text.extend(found.test.iter().map(tested));
    text
}

fn best(best: &Best) -> String {
    let share = |(name, share): &(String, f64)| format!("{name} {share:.3}");
    let shares: Vec<String> = best.shares.iter().map(share).collect();
    let lines: Vec<String> = shares.chunks(5).map(|line| line.join(", ")).collect();
    let check = best.numeric_difference.map_or(String::new(), |difference| {
        format!(" (a numeric solver ends {difference:.1e} nats from the closed form)")
    });
    format!(
        "\n\n  Best by the {} law: mean loss {:.4}, equal shares {:.4}{check}\n    {}",
        best.law,
        best.loss,
        best.uniform,
        lines.join(",\n    ")
    )
}

fn tested(test: &Tested) -> String {
    let beside = test.uniform.map_or(String::new(), |uniform| {
        format!("; equal shares measured {uniform:.4}, {:+.4} nats", uniform - test.measured)
    });
    let best = test.best.as_ref().map_or(String::new(), |(name, loss)| {
        format!("; the best mixture without a fit was {name}, {loss:.4}")
    });
    format!(
        "\n\n  Predicted, then trained: mean loss {:.4} predicted, {:.4} measured, {:.2} % off{beside}{best}",
        test.predicted,
        test.measured,
        100.0 * (test.predicted / test.measured - 1.0).abs()
    )
}
