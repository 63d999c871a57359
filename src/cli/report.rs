//! `zoo report`: the answer of an ablation from the runs that are finished, as text, JSON, or a folder with a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::plan::{Ablation, PresetKind, Presets};
use ablation_zoo::report::{self, Evidence, Look};
use ablation_zoo::run::Site;
use ablation_zoo::run::submit::quote;
use clap::Args;
use serde_json::json;

use super::execute::DTYPE;
use super::laws::profiles;
use super::store::StoreArgs;
use super::{Format, Overrides, Sets, complete, output, problems};

/// Arguments of `zoo report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo report mlp\n  zoo report mlp --profile smoke --json\n  zoo report mlp --open\n  zoo report mlp --out docs/results/mlp\n  zoo report --all --out site                           every ablation that has finished runs, and an index"
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
    #[command(flatten)]
    reports: ReportsArgs,
    /// Folder for page, figures and tables [default: NAME-PROFILE in that of reports]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "reports"])]
    out: Option<PathBuf>,
    /// Show the page in the browser
    #[arg(long, conflicts_with_all = ["json", "all"])]
    open: bool,
    #[command(flatten)]
    format: Format,
}

/// Where reports are kept.
#[derive(Debug, Clone, Args)]
pub struct ReportsArgs {
    /// Folder of reports; each has a folder in it whose name tells ablation, profile and settings
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
}

/// The page in the folder of a report.
const PAGE: &str = "report.html";

impl ReportsArgs {
    /// The folder of a report.
    ///
    /// NAME-PROFILE, and the kind of device unless it is the CPU; then digits of a hash where that leaves something open:
    /// settings on the command line, a file that lies elsewhere or is called like another ablation.
    pub fn folder(&self, ablation: &Ablation, overrides: &Overrides, device: &str) -> PathBuf {
        let mut more = overrides.sets.all();
        let path = Path::new(&ablation.name);
        more.extend(elsewhere(path));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let profile = ablation.profile.as_deref().unwrap_or("default");
        // Between two dashes nobody sees which of them ends the name.
        more.extend(profile.contains('-').then(|| profile.to_string()));
        let kind = Site::of(device, DTYPE).device;
        let kind = if kind == "cpu" { String::new() } else { format!("-{kind}") };
        self.reports.join(segment(&format!("{name}-{profile}{kind}"), &more))
    }
}

/// The whole path of an ablation whose name alone would be taken for another's.
fn elsewhere(path: &Path) -> Option<String> {
    let whole = std::path::absolute(path).ok().filter(|_| Presets::is_path(&path.to_string_lossy()))?;
    let here = std::env::current_dir().ok()?;
    let folder = whole.parent()?.strip_prefix(here).ok();
    let names = Presets::here().names(PresetKind::Ablations);
    let is_known = match folder {
        Some(folder) if folder == Path::new("") => {
            !names.iter().any(|name| path.file_stem() == Some(name.as_ref()))
        }
        folder => folder == Some(Path::new(PresetKind::Ablations.folder())),
    };
    (!is_known).then(|| whole.display().to_string())
}

/// The name of a folder: letters, digits and dashes of `wish`, then digits of a hash where that, or `more`, is more.
fn segment(wish: &str, more: &[String]) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = wish.trim_start_matches('.').chars().map(plain).take(60).collect();
    if name == wish && more.is_empty() && !name.is_empty() {
        return name;
    }
    let hash = blake3::hash(format!("{wish:?}{more:?}").as_bytes()).to_hex();
    format!("{name}-{}", &hash[..8])
}

/// Shows a page in the browser; the program that does so stays in the background.
fn show(page: &Path) -> Result<()> {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let page = std::path::absolute(page).map_err(|error| Error::io("find", page, error))?;
    let started = Command::new(program).arg(&page).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.map(|_| ()).map_err(|error| {
        let problem = Problem::new(format!("{program}: {error}")).key("--open");
        Error::new(Kind::Io, problem.help(format!("open {} by hand", page.display())))
    })
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
        let folder = self.out.as_ref().unwrap_or(&self.reports.reports);
        report::index_of(folder)?;
        let mut linked = Vec::new();
        for name in presets.names(PresetKind::Ablations) {
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
                    let reports = ReportsArgs { reports: PathBuf::new() };
                    let mut place = reports.folder(&ablation, &overrides, &self.device).display().to_string();
                    if several {
                        place.push_str(&format!("/{}", segment(size, &[])));
                    }
                    let comparison = report::compare(&evidence)?;
                    report::write(&evidence, &comparison, &folder.join(&place))?;
                    let size = if several { size.to_string() } else { String::new() };
                    let page = format!("{place}/{PAGE}");
                    linked.push(report::Linked { page, size, comparison });
                }
            }
        }
        if linked.is_empty() {
            let problem = Problem::new("no ablation has a finished run of its control").key("--all");
            return Err(Error::config(problem.help("`zoo run NAME` makes some")));
        }
        let index = report::write_index(&linked, folder)?;
        output::print(&format!("{}\nindex: {}", output::count(linked.len(), "report"), output::path(&index)))
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
                false => {
                    let folder = self.reports.folder(&ablation, &self.overrides, &self.device);
                    let folder = self.out.as_ref().unwrap_or(&folder);
                    let written = answer(&ablation, size, &evidence, folder, false)?;
                    // A folder that is named for the page itself is why this command was given.
                    match (written, self.open) {
                        (Some(error), _) if self.out.is_some() || self.open => return Err(error),
                        (None, true) => show(&place(&ablation, size, folder).join(PAGE))?,
                        (Some(_) | None, _) => {}
                    }
                }
            }
        }
        if !self.format.json {
            for sentence in report::crossing::crossings(&comparisons) {
                output::print(&sentence)?;
            }
        }
        match json.as_slice() {
            [] => Ok(()),
            [one] => output::print_exact(one),
            several => output::print_exact(&format!("[{}]", several.join(",\n"))),
        }
    }
}

/// The command that asks the same again.
pub fn command(ablation: &str, overrides: &Overrides) -> String {
    let mut command = format!("zoo run {}", quote(ablation));
    if let Some(profile) = &overrides.profile {
        command.push_str(&format!(" --profile {}", quote(profile)));
    }
    for set in overrides.sets.all() {
        command.push_str(&format!(" --set '{}'", set.replace('\'', r"'\''")));
    }
    command
}

/// Where the report of a size is: each of several has a folder of its own.
fn place(ablation: &Ablation, size: &str, folder: &Path) -> PathBuf {
    match ablation.sizes().len() {
        1 => folder.to_path_buf(),
        _ => folder.join(segment(size, &[])),
    }
}

/// Writes the report of `evidence` and prints its answer; also what `zoo run` ends with.
///
/// The answer is printed where no page can be written, too; why that is
/// so is said, and returned.
pub fn answer(
    ablation: &Ablation,
    size: &str,
    evidence: &Evidence,
    folder: &Path,
    as_event: bool,
) -> Result<Option<Error>> {
    let folder = place(ablation, size, folder);
    let comparison = report::compare(evidence)?;
    let written = report::write(evidence, &comparison, &folder);
    if as_event {
        let page = written.as_ref().ok().map(|written| output::path(&written.page));
        output::print_line(&json!({"event": "answer", "size": size, "page": page, "report": comparison}))?;
        return Ok(written.err());
    }
    let text = report::summary(&comparison, Look::of_stdout());
    match written {
        Ok(written) => {
            output::print_styled(&format!("{text}\npage: {}", output::path(&written.page)))?;
            Ok(None)
        }
        Err(error) => {
            output::print_styled(&text)?;
            problems::note(&format!("no page was written: {error}; --reports DIR chooses another place"));
            Ok(Some(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_is_plain_and_tells_what_it_leaves_out() {
        assert_eq!(segment("mlp-quick", &[]), "mlp-quick");
        for odd in ["../../x-quick", "a/b-quick", "x\u{1b}-quick", "", "..", &"x".repeat(300)] {
            let name = segment(odd, &[]);
            assert!(name.len() < 100 && !name.contains(['/', '\u{1b}']) && !name.starts_with('.'), "{name}");
        }
        let [one, other] = ["a=1", "a=2"].map(|set| segment("mlp-quick", &[set.to_string()]));
        assert!(one != other && one.starts_with("mlp-quick-") && one.len() == "mlp-quick-".len() + 8);
    }
}
