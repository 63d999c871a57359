//! `zoo laws`: the published results on knowledge capacity, and what was found here about each.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::input::read_text;
use ablation_zoo::plan::tree::{Node, Table};
use ablation_zoo::plan::{Ablation, PresetKind, Presets};
use ablation_zoo::report::board::{self, BoardEntry, Measured};
use ablation_zoo::report::{self, Comparison, Verdict, number};
use ablation_zoo::run::{Site, Store};
use clap::Args;
use serde_json::json;

use super::execute::DTYPE;
use super::store::StoreArgs;
use super::{Format, output, problems};

/// Arguments of `zoo laws`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo laws\n  zoo laws --device cuda --json\n\nResults are those of arXiv 2404.05405; docs/laws.md explains them."
)]
pub struct Laws {
    #[command(flatten)]
    store: StoreArgs,
    /// The kind of device whose runs are shown
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Folder of finished reports, shown beside the runs of the store
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    results: PathBuf,
    #[command(flatten)]
    format: Format,
}

impl Laws {
    /// Prints the board.
    pub fn run(&self) -> Result<()> {
        let presets = Presets::here();
        // A folder of that name may be something else; the published results need no store.
        let store = self.store.open().ok();
        let site = Site::of(&self.device, DTYPE);
        let mut damaged = Vec::new();
        let (mut entries, mut comparisons) = (Vec::new(), reports(&self.results, &mut damaged)?);
        for name in presets.names(PresetKind::Ablations) {
            let ablation = match Ablation::load(&presets, &name, None, &[]) {
                Ok(ablation) => ablation,
                Err(error) => {
                    problems::left_out(&name, &error);
                    continue;
                }
            };
            let claims = board::entries(&name, &ablation.about);
            if let Some(store) = store.as_ref().filter(|_| !claims.is_empty()) {
                match finished(&presets, &name, store, &site) {
                    Ok(found) => comparisons.extend(found),
                    Err(error) => problems::left_out(&format!("runs of {name}"), &error),
                }
            }
            entries.extend(claims);
        }
        board::fill(&mut entries, &comparisons);
        match self.format.json {
            true => output::print_json(&json!(entries))?,
            false => output::print(&text(&entries))?,
        }
        if damaged.is_empty() { Ok(()) } else { Err(Error { kind: Kind::Data, problems: damaged }) }
    }
}

/// What the runs of a store say about an ablation, at every profile and size that has any.
pub fn finished(presets: &Presets, name: &str, store: &Store, site: &Site) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    for profile in profiles(presets, name)? {
        let ablation = Ablation::load(presets, name, Some(&profile), &[])?;
        let command = format!("zoo run {name} --profile {profile}");
        found.extend(finished_of(&ablation, store, site, &command)?);
    }
    Ok(found)
}

/// The same at one profile.
pub fn finished_of(
    ablation: &Ablation,
    store: &Store,
    site: &Site,
    command: &str,
) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    for size in ablation.sizes() {
        let evidence = report::gather(ablation, size, store, site, command.to_string())?;
        if evidence.arms.iter().any(|arm| arm.name == evidence.control && !arm.runs.is_empty()) {
            found.push(report::compare(&evidence)?);
        }
    }
    Ok(found)
}

pub fn profiles(presets: &Presets, name: &str) -> Result<Vec<String>> {
    let file = Node::parse(&presets.load(PresetKind::Ablations, name)?)
        .map_err(|problems| Error { kind: Kind::Config, problems })?;
    let profiles = file.get(&["profiles"]).and_then(Node::as_table).into_iter().flat_map(Table::iter);
    Ok(profiles.map(|profile| profile.key.clone()).collect())
}

/// The comparisons in every `report.json` below a folder, and what is wrong with those that are none; nothing if there is no
/// such folder.
fn reports(folder: &Path, damaged: &mut Vec<Problem>) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(found) };
    for path in entries.flatten().map(|entry| entry.path()) {
        let file = path.join("report.json");
        if file.exists() {
            let text = read_text(&file)?;
            match serde_json::from_str(&text) {
                Ok(report) => found.push(report),
                // It hides no other.
                Err(error) => damaged.push(not_a_report(&file, &error)),
            }
        } else if path.is_dir() {
            found.extend(reports(&path, damaged)?);
        }
    }
    Ok(found)
}

fn not_a_report(file: &Path, error: &serde_json::Error) -> Problem {
    let problem = Problem::new(format!("{} is not a report: {error}", file.display())).key("--results");
    problem.help("make it again with `zoo report NAME --out DIR`, or name another folder")
}

/// One line per claim and comparison.
fn text(entries: &[BoardEntry]) -> String {
    let header = ["", "ablation", "arm", "published", "here", "parameters", "measured", "95 %", "seeds"];
    let mut rows = Vec::new();
    for entry in entries {
        let open = entry.measured.is_empty().then(|| row(entry, None));
        rows.extend(open.into_iter().chain(entry.measured.iter().map(|measured| row(entry, Some(measured)))));
    }
    let notes =
        "A result is measured again by `zoo run ABLATION --profile NAME`; profiles: `zoo show ABLATION`.";
    format!("{}\n{notes}\n", output::table(header, 5, rows))
}

fn row(entry: &BoardEntry, measured: Option<&Measured>) -> [String; 9] {
    let here = match measured {
        None => "not run".to_string(),
        Some(measured) => format!("{}: {}", measured.profile, short(entry, measured)),
    };
    let estimate = measured.and_then(|measured| measured.estimate.as_ref());
    [
        entry.result.to_string(),
        entry.ablation.clone(),
        entry.arm.clone(),
        entry.published.number(),
        here,
        measured.and_then(|measured| measured.params).map_or(String::new(), output::thousands),
        estimate.zip(measured).map_or(String::new(), |(estimate, measured)| {
            format!("{} {}", number::mean(estimate), measured.quantity.unit())
        }),
        estimate.and_then(number::range).unwrap_or_default(),
        estimate.map_or(String::new(), |estimate| estimate.n.to_string()),
    ]
}

/// The verdict in a few words.
fn short(entry: &BoardEntry, measured: &Measured) -> &'static str {
    let is_a_number = entry.published.bits_per_param.or(entry.published.ratio).is_some();
    let reaches = |params: u64| entry.published.min_params.is_some_and(|least| params >= least);
    match &measured.verdict {
        Verdict::Agrees => "agrees",
        Verdict::Disagrees => "disagrees",
        Verdict::Undecided(_) => "undecided",
        Verdict::NotComparable(_) if is_a_number && measured.params.is_some_and(reaches) => "other exposures",
        Verdict::NotComparable(_) if is_a_number => "scale too small",
        Verdict::NotComparable(_) => "no number published",
    }
}
