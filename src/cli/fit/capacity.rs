//! `zoo fit capacity`: how many bits a parameter can hold, from models of many sizes that had much or little to learn.

use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::laws::bootstrap::Bootstrap;
use ablation_zoo::report::figure::scatter::capacity as figure;
use ablation_zoo::report::fit::{self, Capacities, CapacityData, CapacityGroup, Judgement, Load, Measured};
use clap::Args;

use super::super::output;
use super::subject::FitArgs;

/// Arguments of `zoo fit capacity`.
#[derive(Debug, Args)]
#[command(
    after_help = "A file: a header, then rows, tabs, commas or semicolons between: params, bits (known), max_bits (to know,\nor max_bits_per_param), exposures if known; runs.csv of `zoo export all --to csv` is one. Models of one architecture, several sizes, several numbers of people.\n\nExamples:\n  zoo fit capacity capacity-1000 --profile curve --out figures\n  zoo fit capacity models.csv"
)]
pub struct CapacityCommand {
    #[command(flatten)]
    fit: FitArgs,
}

impl CapacityCommand {
    /// Fits and prints.
    pub fn run(&self) -> Result<()> {
        let subjects = self.fit.read()?;
        let data = match subjects.one_table()? {
            Some(table) => CapacityData::of_table(&table)?,
            None => CapacityData::of_runs(&subjects.runs),
        };
        let bootstrap = self.fit.bootstrap();
        let found = fit::capacity(&data, &bootstrap)?;
        self.fit.out.iter().try_for_each(|folder| write(&found, folder))?;
        if self.fit.format.json {
            return output::print_exact(&fit::json(&found));
        }
        output::print(text(&found).trim_end())
    }
}

/// The law through finished runs, in words, with figures in `folder`.
pub fn law(runs: &[Measured], folder: &Path) -> Result<String> {
    let found = fit::capacity(&CapacityData::of_runs(runs), &Bootstrap::default())?;
    write(&found, folder)?;
    Ok(text(&found))
}

fn write(found: &Capacities, folder: &Path) -> Result<()> {
    let figures: Vec<_> = found.groups.iter().map(figure).collect();
    fit::write(found, "capacity", &figures, folder).map(|_| ())
}

fn text(found: &Capacities) -> String {
    let mut text: String = found.groups.iter().map(group).collect();
    text.extend(found.notes.iter().map(|note| format!("  {note}\n")));
    text
}

fn group(group: &CapacityGroup) -> String {
    let exposures = group.exposures.map_or("Lengths not told in exposures".to_string(), |count| {
        format!("{} exposures", output::thousands(count))
    });
    let mut text = format!("{exposures}, {}\n\n", output::count(group.models.len(), "model"));
    let row = |load: &Load| {
        [
            output::thousands(load.params as u64),
            output::short(load.max_bits, "bit"),
            format!("{:.2}", load.max_bits_per_param),
            format!("{:.3}{}", load.bits_per_param, if load.is_peak { " most" } else { "     " }),
            format!("{:.0} %", 100.0 * load.bits_per_param / load.max_bits_per_param),
            load.runs.to_string(),
        ]
    };
    let header = ["parameters", "to know", "R_max", "bits/param     ", "known", "runs"];
    text.push_str(&output::table(header, 0, group.loads.iter().map(row)));
    text.push('\n');
    match (&group.law, &group.refused) {
        (Some(law), _) => text.push_str(&judgement("these models", law)),
        (None, Some(why)) => text.push_str(&format!("  no law: {why}\n")),
        (None, None) => {}
    }
    if let Some(published) = &group.published {
        text.push_str(&judgement("Figure 1 of arXiv 2404.05405, by the same law", published));
    }
    text.push('\n');
    text
}

fn judgement(name: &str, law: &Judgement) -> String {
    let percent = |error: f64| format!("{:.1} %", 100.0 * error);
    let mut text = format!(
        "  {name} ({} of {} to {} parameters):\n    can hold {} bits per parameter; the bend is {} sharp; typically {} off\n",
        law.models,
        output::short(law.sizes.0, ""),
        output::short(law.sizes.1, ""),
        law.capacity,
        law.sharpness,
        percent(law.log_error)
    );
    if let (Some(exponent), Some(error)) = (&law.exponent, law.log_error_of_growth) {
        text.push_str(&format!(
            "    bits held grow as parameters^{exponent}; with that, {} off\n",
            percent(error)
        ));
    }
    text.extend(law.doubts.iter().map(|doubt| format!("    {doubt}\n")));
    text
}
