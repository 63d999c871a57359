//! `zoo report`: the answer of an ablation from the runs that are finished, as text, JSON, or a folder with a page.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::{Ablation, Presets, Shelf};
use ablation_zoo::report::{self, Evidence, Look};
use ablation_zoo::run::Site;
use clap::Args;

use super::execute::DTYPE;
use super::laws::profiles;
use super::store::StoreArgs;
use super::{Format, Overrides, Sets, complete, output, problems};

/// Arguments of `zoo report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo report mlp\n  zoo report mlp --profile smoke --json\n  zoo report mlp --out docs/results/mlp\n  zoo report --all --out site                           every ablation that has finished runs, and an index"
)]
pub struct ReportCommand {
    /// An ablation, by name or path
    #[arg(add = complete::ablations(), required_unless_present = "all")]
    ablation: Option<String>,
    /// Every ablation and profile that the store has finished runs of, with an index
    #[arg(long, conflicts_with_all = ["ablation", "json", "profile", "sets"])]
    all: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// The kind of device whose runs are compared
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Folder for page, figures and tables [default: reports/NAME-PROFILE]
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

impl ReportCommand {
    /// Writes the report and prints its answer.
    pub fn run(&self) -> Result<()> {
        match &self.ablation {
            Some(name) => self.one(name),
            None => self.all(),
        }
    }

    /// The reports of every ablation in every profile, as far as runs are finished, and the page that leads to them.
    fn all(&self) -> Result<()> {
        let (presets, store, site) = (Presets::here(), self.store.open()?, Site::of(&self.device, DTYPE));
        let folder = self.out.clone().unwrap_or_else(|| "reports".into());
        let mut linked = Vec::new();
        for name in presets.names(Shelf::Ablations) {
            // One file that is wrong, or data that is not here, hides no other report.
            let of_profiles = profiles(&presets, &name).unwrap_or_else(|error| {
                problems::left_out(&name, &error);
                Vec::new()
            });
            for profile in of_profiles {
                let loaded = Ablation::load(&presets, &name, Some(&profile), &[]);
                let ablation = match loaded.and_then(|loaded| report::fit::extended(&loaded, &store, &site)) {
                    Ok(ablation) => ablation,
                    Err(error) => {
                        problems::left_out(&format!("{name}, profile {profile}"), &error);
                        continue;
                    }
                };
                let overrides = Overrides { profile: Some(profile.clone()), sets: Sets::default() };
                for size in ablation.sizes() {
                    let evidence =
                        report::gather(&ablation, size, &store, &site, command(&name, &overrides))?;
                    if evidence.arms.iter().all(|arm| arm.name != evidence.control) {
                        continue;
                    }
                    let several = ablation.sizes().len() > 1;
                    let mut place = format!("{name}-{profile}");
                    if several {
                        place.push_str(&format!("/{size}"));
                    }
                    let written = report::write(&evidence, &folder.join(&place))?;
                    let size = if several { size.to_string() } else { String::new() };
                    let page = format!("{place}/report.html");
                    linked.push(report::Linked { page, size, comparison: written.comparison });
                }
            }
        }
        if linked.is_empty() {
            let problem = Problem::new("no ablation has a finished run of its control").key("--all");
            return Err(Error::config(problem.remedy("`zoo run NAME` makes some")));
        }
        let index = report::write_index(&linked, &folder)?;
        output::print(&format!("{}\nindex: {}", output::count(linked.len(), "report"), index.display()))
    }

    fn one(&self, name: &str) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), name, profile, &self.overrides.sets.all())?;
        let command = command(name, &self.overrides);
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
    for set in overrides.sets.all() {
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
