//! What takes room and is needed by nobody: checkpoints of finished runs, and what kills left half made.
//!
//! Only what this program has written is looked at: folders of our own names, inside run folders that hold a plan.
//! Everything else stays where it is.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::{CHECKPOINTS, Header, Run, State, bytes_below};
use super::lease::{BEAT, Lease, LeaseClaim};
use super::store::{Store, entries};
use crate::error::{Error, Result};
use crate::plan::{Fingerprint, Part, Role};
use crate::training::checkpoint;

/// Half made run folders younger than this may belong to somebody who is making one.
const FRESH: Duration = Duration::from_secs(3600);

/// A file or folder that can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// The path of the file or folder.
    pub path: PathBuf,
    /// The size on disk, in bytes.
    pub bytes: u64,
    /// Why it can be deleted.
    pub why: Why,
    run: Option<Run>,
}

/// What happens to the checkpoints of finished runs that others may start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stages {
    /// The checkpoints are kept.
    #[default]
    Keep,
    /// The checkpoints are deleted where a run that would start from one can do its work again: a grown run cannot.
    Delete,
}

/// The reason why something can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A checkpoint of a run that is finished.
    Finished,
    /// A checkpoint or run folder that a kill left half made.
    HalfMade,
}

impl Why {
    /// The reason in a few words.
    pub fn text(self) -> &'static str {
        match self {
            Why::Finished => "checkpoint of a finished run",
            Why::HalfMade => "half made when a process was killed",
        }
    }
}

/// Lists what can be deleted, and deletes nothing.
///
/// # Errors
/// If a folder cannot be listed.
pub fn find(store: &Store, stages: Stages) -> Result<Vec<Garbage>> {
    let mut garbage = Vec::new();
    // Nobody makes a run folder while the store is locked.
    let locked = store.lock();
    for name in entries(store.path())? {
        let path = store.path().join(&name);
        if is_aside(store.path(), &name) && (locked.is_some() || is_old(&path)) && is_folder(&path) {
            garbage.push(Garbage { bytes: bytes_below(&path)?, path, why: Why::HalfMade, run: None });
        }
    }
    drop(locked);
    let runs = store.runs()?;
    let needed = needed(&runs);
    for run in &runs {
        let Ok(header) = run.header() else { continue };
        let stays = match header.role {
            Role::Stage => stages == Stages::Keep || is_grown_from(run, &header),
            Role::Tune | Role::Report => false,
        };
        if !run.is_finished() || !(stays || needed.contains(run.fingerprint())) {
            in_run(run, &mut garbage)?;
        }
    }
    Ok(garbage)
}

/// Whether runs that have not begun may be grown from this one: they could not do its work again.
fn is_grown_from(run: &Run, header: &Header) -> bool {
    let small = format!("{}-", Part::Small.name());
    header.name.starts_with(&small) || run.plan().is_ok_and(|plan| plan.growth.is_some())
}

/// What grown runs of the store begin from, by the digits in the names of folders.
fn needed(runs: &[Run]) -> HashSet<String> {
    let plans = runs.iter().filter_map(|run| run.plan().ok()).filter(|plan| plan.growth.is_some());
    let parents = plans.filter_map(|plan| plan.parents().ok()).flatten();
    parents.filter_map(|parent| Fingerprint::of(&parent.plan).ok()).map(|it| it.to_string()).collect()
}

/// Removes garbage of a store and returns the bytes that are free now; what a worker has taken up meanwhile stays.
///
/// # Errors
/// If something cannot be removed.
pub fn delete(store: &Store, garbage: &[Garbage]) -> Result<u64> {
    let mut bytes = 0;
    for piece in garbage {
        let _locked = piece.run.is_none().then_some(store).and_then(Store::lock);
        let unfinished = piece.run.as_ref().filter(|run| !run.is_finished());
        let claim = unfinished.map(|run| Lease::try_claim(run.path(), BEAT)).transpose()?;
        if matches!(claim, Some(LeaseClaim::Held(_))) {
            continue;
        }
        match fs::remove_dir_all(&piece.path) {
            // Somebody else removed it, or gave it its place.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            removed => removed.map_err(|e| Error::io("remove", &piece.path, e))?,
        }
        bytes += piece.bytes;
        if let Some(run) = &piece.run {
            // Fails while there is something in it, which is as it should be.
            let _ = fs::remove_dir(run.file(CHECKPOINTS));
        }
    }
    Ok(bytes)
}

fn in_run(run: &Run, garbage: &mut Vec<Garbage>) -> Result<()> {
    // A status that cannot be read says nothing of who needs what.
    let Ok(state) = run.state() else { return Ok(()) };
    let checkpoints = run.file(CHECKPOINTS);
    let names = if is_folder(&checkpoints) { entries(&checkpoints)? } else { Vec::new() };
    for name in names {
        let path = checkpoints.join(&name);
        let why = match name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")) {
            Some(name) if checkpoint::is_name(name) && state != State::Running => Why::HalfMade,
            None if checkpoint::is_name(&name) && state == State::Finished => Why::Finished,
            Some(_) | None => continue,
        };
        if is_folder(&path) {
            garbage.push(Garbage { bytes: bytes_below(&path)?, path, why, run: Some(run.clone()) });
        }
    }
    Ok(())
}

/// A run folder that was being made: a dot, its name, a dot, a number.
fn is_aside(root: &Path, name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(run, number)| number.parse::<u32>().is_ok() && Run::at(root, run).is_some())
}

fn is_old(path: &Path) -> bool {
    let age = fs::symlink_metadata(path).and_then(|meta| meta.modified()).map(|time| time.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age >= FRESH))
}

/// A folder, not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}
