//! `zoo report`: the answer of an ablation from the runs that are finished, as text, JSON, or a folder with a page.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::plan::{Ablation, Presets};
use ablation_zoo::report::{self, Evidence, Look};
use ablation_zoo::run::Site;
use clap::Args;

use super::execute::DTYPE;
use super::store::StoreArgs;
use super::{Format, Overrides, output};

/// Arguments of `zoo report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo report mlp\n  zoo report mlp --profile smoke --json\n  zoo report mlp --out docs/results/mlp"
)]
pub struct ReportCommand {
    /// An ablation, by name or path
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// The kind of device whose runs are compared
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Folder for page, figures and tables [default: reports/NAME-PROFILE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

impl ReportCommand {
    /// Writes the report and prints its answer.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets)?;
        let command = command(&self.ablation, &self.overrides);
        let (store, site) = (self.store.open()?, Site::of(&self.device, DTYPE));
        let ablation = report::fit::extended(&ablation, &store, &site)?;
        let (mut json, mut comparisons) = (Vec::new(), Vec::new());
        for size in ablation.sizes() {
            let evidence = report::gather(&ablation, size, &store, &site, command.clone())?;
            comparisons.push(report::compare(&evidence)?);
            match self.format.json {
                true => json.extend(comparisons.last().map(report::json)),
                false => answer(&ablation, size, &evidence, self.out.as_deref())?,
            }
        }
        if !self.format.json {
            for sentence in report::crossing::crossings(&comparisons) {
                output::print(&sentence)?;
            }
        }
        match json.as_slice() {
            [] => Ok(()),
            [one] => output::print(one),
            several => output::print(&format!("[{}]", several.join(",\n"))),
        }
    }
}

/// The command that asks the same again.
pub fn command(ablation: &str, overrides: &Overrides) -> String {
    let mut command = format!("zoo run {ablation}");
    if let Some(profile) = &overrides.profile {
        command.push_str(&format!(" --profile {profile}"));
    }
    for set in &overrides.sets {
        command.push_str(&format!(" --set '{set}'"));
    }
    command
}

/// Writes the report of `evidence` and prints its answer; also what `zoo run` ends with.
///
/// Each of several sizes gets a folder of its own.
pub fn answer(ablation: &Ablation, size: &str, evidence: &Evidence, out: Option<&Path>) -> Result<()> {
    let name = Path::new(&evidence.name).file_stem().unwrap_or_default().to_string_lossy();
    let folder = out
        .map_or_else(|| Path::new("reports").join(format!("{name}-{}", evidence.profile)), Path::to_path_buf);
    let folder = if ablation.sizes().len() > 1 { folder.join(size) } else { folder };
    let written = report::write(evidence, &folder)?;
    let text = report::summary(&written.comparison, Look::of_stdout());
    output::print(&format!("{text}\npage: {}", written.page.display()))
}
