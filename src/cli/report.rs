//! `zoo report`: the answer of an ablation from the runs that are finished, as text, JSON, or a folder with a page.

use std::path::PathBuf;

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
#[command(after_help = "Examples:\n  zoo report mlp\n  zoo report mlp --profile smoke --json\n  zoo report mlp --out docs/results/mlp")]
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
        let evidence = report::gather(&ablation, &self.store.open()?, &Site::of(&self.device, DTYPE), command)?;
        if self.format.json {
            return output::print(&report::json(&report::compare(&evidence)?));
        }
        answer(&evidence, self.out.clone())
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
pub fn answer(evidence: &Evidence, out: Option<PathBuf>) -> Result<()> {
    let name = std::path::Path::new(&evidence.name).file_stem().unwrap_or_default().to_string_lossy();
    let folder = out.unwrap_or_else(|| PathBuf::from("reports").join(format!("{name}-{}", evidence.profile)));
    let written = report::write(evidence, &folder)?;
    let text = report::summary(&written.comparison, Look::of_stdout());
    output::print(&format!("{text}\npage: {}", written.page.display()))
}
