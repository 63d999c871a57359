//! What a shell completes: names of presets and of runs, looked up when the key is pressed.

use std::ffi::OsStr;
use std::path::PathBuf;

use ablation_zoo::plan::{PresetKind, Presets, hardware, preset};
use ablation_zoo::run::{Store, store};
use ablation_zoo::visible;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

/// The variable that asks for completions: its value is the shell.
pub const VARIABLE: &str = "ZOO_COMPLETE";
/// More runs than this nobody chooses from.
const MAX_RUNS: usize = 500;
const PROFILES: [&str; 5] = ["smoke", "quick", "cpu", "gpu", "paper"];

/// Names of ablations.
pub fn ablations() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| presets(&[PresetKind::Ablations], typed))
}

/// Names of models.
pub fn models() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| presets(&[PresetKind::Models], typed))
}

/// Names of datasets.
pub fn datasets() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| presets(&[PresetKind::Datasets], typed))
}

/// Names of everything on the kinds.
pub fn subjects() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| presets(&PresetKind::ALL, typed))
}

/// Names of everything on the kinds, and of runs.
pub fn subjects_and_runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        presets(&PresetKind::ALL, typed).into_iter().chain(stored(typed)).collect()
    })
}

/// Names of runs in the store.
pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(stored)
}

/// Names that profiles usually have.
pub fn profiles() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| matching(PROFILES.map(CompletionCandidate::new).into(), typed))
}

/// Names of devices that are not here.
pub fn hardware() -> ArgValueCompleter {
    let known =
        || hardware::KNOWN.map(|known| CompletionCandidate::new(known.name).help(Some(known.source.into())));
    ArgValueCompleter::new(move |typed: &OsStr| matching(known().into(), typed))
}

fn presets(kinds: &[PresetKind], typed: &OsStr) -> Vec<CompletionCandidate> {
    let presets = Presets::here();
    let candidate = |kind: PresetKind, name: String| {
        let note = presets.load(kind, &name).map(|source| preset::note(&source.text));
        CompletionCandidate::new(name).help(note.ok().map(|note| visible::line(&note).into_owned().into()))
    };
    let names =
        kinds.iter().flat_map(|kind| presets.names(*kind).into_iter().map(|name| candidate(*kind, name)));
    matching(names.collect(), typed)
}

/// The runs of the store that the environment names, or of the usual one; without a store none.
fn stored(typed: &OsStr) -> Vec<CompletionCandidate> {
    let root = std::env::var_os(store::VARIABLE).map_or_else(|| PathBuf::from(store::DEFAULT), PathBuf::from);
    let runs = Store::open(root).and_then(|store| store.runs()).unwrap_or_default();
    let mut found = matching(runs.iter().map(|run| CompletionCandidate::new(run.folder())).collect(), typed);
    found.truncate(MAX_RUNS);
    found
}

fn matching(mut candidates: Vec<CompletionCandidate>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    candidates.retain(|candidate| {
        let value = candidate.get_value().to_string_lossy();
        value.starts_with(typed.as_ref()) && visible::line(&value) == value
    });
    candidates
}
