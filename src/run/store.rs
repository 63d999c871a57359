//! The store: a folder of run folders. The folders are the only truth; there is no database beside them.
//!
//! ```text
//! runs/store.json                                   format version
//! runs/<name>-<fingerprint, 16 digits>-cpu-f32/     one run on one kind of device and dtype
//!     plan.toml  run.toml  environment.toml  metrics.jsonl  checkpoints/  status.json  log.txt  lease.3
//!     measurements.json  model.safetensors  config.json  manifest.json (written last: finished)
//! ```
//!
//! The same plan on another kind of device or in another dtype is a sibling folder, never mixed with this one.

use std::collections::HashMap;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{Run, Site, found};
use super::record::RunRecord;
use crate::error::{Error, Problem, Result};
use crate::input;
use crate::plan::{Plan, Role};
use crate::training::manifest;

/// The default folder of runs.
pub const DEFAULT: &str = "runs";
/// The environment variable that names the folder of runs.
pub const VARIABLE: &str = "ZOO_STORE";
/// The file that makes a folder a store.
const STORE: &str = "store.json";
/// The file that is locked while a run folder is made.
const LOCK: &str = ".lock";
/// The version of the layout.
const FORMAT: u32 = 1;
/// The longest name of a run.
const MAX_NAME: usize = 100;
/// An id has so many digits of the fingerprint, and more where they would name two runs.
const ID_DIGITS: usize = 4;
/// Names of runs in a message.
const MAX_SHOWN: usize = 4;
/// Digits of the fingerprint in the name of a folder.
const DIGITS: usize = 16;

/// A folder of runs.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A run that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedRun {
    /// The name that its folder begins with; `[A-Za-z0-9._-]`, 1 to 100 characters.
    pub name: String,
    /// The arm that the run was planned for.
    pub arm: String,
    /// The label that progress shows.
    pub label: String,
    /// The role of the run.
    pub role: Role,
    /// The plan of the run.
    pub plan: Plan,
    /// Hash of the plan (hex, at least 16 digits).
    pub fingerprint: String,
    /// Expected FLOPs of training, for the ETA; 0 when unknown.
    pub flops: f64,
    /// Expected largest memory in bytes; 0 when unknown.
    pub peak_bytes: u64,
    /// A shorter trunk (hash of its plan) that this one can go on from; the executor finds it.
    pub trunk: Option<String>,
    /// A finished run (hash of its plan) that differs only in what is measured, whose weights are read again; the executor
    /// finds it.
    pub weights: Option<String>,
}

/// The records of the finished runs of a store.
#[derive(Debug, Default)]
pub struct Finished {
    /// The runs that can be read, in the order of their folders.
    pub records: Vec<(Run, RunRecord)>,
    /// The errors of the runs that cannot be read.
    pub damaged: Vec<Error>,
}

#[derive(Serialize, Deserialize)]
struct Layout {
    format: u32,
}

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// If there is none, it cannot be read, or a newer version made it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let path = root.join(STORE);
        if let Err(e) = fs::symlink_metadata(&path) {
            let named = format!("name another with --store or {VARIABLE}");
            let problem = match (e.kind() == io::ErrorKind::NotFound, root.exists()) {
                (true, false) => Problem::new(format!("there are no runs in {}", root.display()))
                    .help(format!("`zoo run NAME` makes them; or {named}")),
                (true, true) if root.is_dir() => {
                    Problem::new(format!("{} is not a store of runs: a folder without runs", root.display()))
                        .help(named)
                }
                _ => Problem::new(format!("{} is not a store of runs: {e}", root.display())).help(named),
            };
            return Err(Error::new(crate::error::Kind::Io, problem));
        }
        let _: Layout = manifest::read_json(&path, FORMAT)?;
        Ok(Store { root })
    }

    /// Opens a store, and makes it first if there is nothing, or an empty folder.
    ///
    /// # Errors
    /// If it cannot be made or read, or the folder holds something else.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| Error::io("create", &root, e))?;
        if root.join(STORE).exists() {
            return Store::open(root);
        }
        let stranger = entries(&root)?.into_iter().find(|name| !name.starts_with('.'));
        // Asked again, because somebody else may have made it meanwhile.
        if root.join(STORE).exists() {
            return Store::open(root);
        }
        if let Some(stranger) = stranger {
            let found = format!("{} holds {stranger} and is not a store of runs", root.display());
            let help = format!("name an empty or new folder with --store or {VARIABLE}");
            return Err(Error::config(Problem::new(found).key("--store").help(help)));
        }
        manifest::write_json(&root.join(STORE), &Layout { format: FORMAT })?;
        Ok(Store { root })
    }

    /// The path of the store.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// All runs, in the order of their folders' names; links and other things are not runs.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn runs(&self) -> Result<Vec<Run>> {
        // What the listing says of its kind spares a question for each of many runs.
        let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let mut names = names(&self.root, is_folder)?;
        names.sort_unstable();
        Ok(names.iter().filter_map(|name| Run::at(&self.root, name)).collect())
    }

    /// The run in the folder of this name.
    ///
    /// # Errors
    /// The name is not one of a run, there is no such folder, or it is a link.
    pub fn run(&self, name: &str) -> Result<Run> {
        let not_a_run =
            |found: String| Error::config(Problem::new(found).key("run").help("`zoo runs` lists them"));
        let run = Run::at(&self.root, name)
            .ok_or_else(|| not_a_run(format!("{name:?} is not the name of a run")))?;
        match fs::symlink_metadata(run.path()) {
            Ok(_) => run.refuse_link().map(|()| run),
            Err(_) => Err(not_a_run(format!("no run {name} in {}", self.root.display()))),
        }
    }

    /// The one run whose name, or else whose [id](Store::ids), begins like this; a whole name wins over longer ones.
    ///
    /// # Errors
    /// If there is none, or there are several.
    pub fn named(&self, name: &str) -> Result<Run> {
        let runs = self.runs()?;
        let mut alike: Vec<&Run> = runs.iter().filter(|run| run.folder().starts_with(name)).collect();
        if alike.is_empty() && name.len() >= ID_DIGITS {
            alike.extend(runs.iter().filter(|run| run.fingerprint().starts_with(name)));
        }
        let exact = |run: &&&Run| run.folder() == name || run.name() == name;
        let exact: Vec<&Run> = alike.iter().filter(exact).copied().collect();
        match (exact.as_slice(), alike.as_slice()) {
            ([run], _) | ([], [run]) => Ok((*run).clone()),
            ([], []) => {
                let found = format!("no run in {} begins with {name:?}", self.root.display());
                Err(Error::config(Problem::new(found).key("run").help("`zoo runs` lists them")))
            }
            ([], several) | (several, _) => {
                let names: Vec<&str> = several.iter().take(MAX_SHOWN).map(|run| run.folder()).collect();
                let found = format!("{name} begins the names of {} runs", several.len());
                let problem = Problem::new(found).key("run").expected("one");
                let more = if several.len() > MAX_SHOWN { ", ..." } else { "" };
                Err(Error::config(problem.help(format!("write more of it: {}{more}", names.join(", ")))))
            }
        }
    }

    /// The shortest ids that name one of `runs` each: digits that its fingerprint begins with, at least four. Runs of one
    /// plan on two kinds of device share theirs.
    pub fn ids(runs: &[Run]) -> Vec<String> {
        let mut all: Vec<&str> = runs.iter().map(Run::fingerprint).collect();
        all.sort_unstable();
        all.dedup();
        let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let id = |run: &Run| {
            let place = all.partition_point(|&other| other < run.fingerprint());
            let beside = [place.checked_sub(1), Some(place + 1)].into_iter().flatten();
            let shared =
                beside.filter_map(|other| all.get(other)).map(|other| common(other, run.fingerprint()));
            let digits = shared.max().map_or(0, |shared| shared + 1).max(ID_DIGITS);
            run.fingerprint().chars().take(digits).collect()
        };
        runs.iter().map(id).collect()
    }

    /// The run in this folder of a store.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::run`].
    pub fn holding(folder: &Path) -> Result<Run> {
        let absolute = std::path::absolute(folder).map_err(|e| Error::io("find", folder, e))?;
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        let root = absolute.parent().unwrap_or(&absolute);
        Store::open(root)?.run(&name.unwrap_or_default())
    }

    /// The run of a plan on one kind of device, whatever its name.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn find(&self, fingerprint: &str, site: &Site) -> Result<Option<Run>> {
        let short = short(fingerprint)?;
        let same = |run: &Run| run.fingerprint() == short && run.site() == site;
        Ok(self.runs()?.into_iter().find(same))
    }

    /// The runs of a site by the first 16 digits of their fingerprints: to look many up.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn index(&self, site: &Site) -> Result<HashMap<String, Run>> {
        // Should there be two of one plan, the first wins, here as in `find`.
        let runs = self.runs()?.into_iter().rev().filter(|run| run.site() == site);
        Ok(runs.map(|run| (run.fingerprint().to_string(), run)).collect())
    }

    /// The folder of a wanted run, made if need be with the plan in it.
    ///
    /// # Errors
    /// The name is not allowed, the folder is a link or of another plan, or the disk refuses.
    pub fn prepare(&self, wanted: &WantedRun, site: &Site) -> Result<Run> {
        check_name(&wanted.name)?;
        site.check()?;
        // Two that want the same plan under two names make one folder; where files cannot be locked, the slower
        // one's is found later and not used.
        let locked = self.lock();
        if let Some(run) = self.find(&wanted.fingerprint, site)? {
            return run.refuse_link().and_then(|()| run.refuse_other_plan(wanted)).map(|()| run);
        }
        let name = format!("{}-{}-{}-{}", wanted.name, short(&wanted.fingerprint)?, site.device, site.dtype);
        let run = Run::at(&self.root, &name).expect("made of checked parts");
        if fs::symlink_metadata(run.path()).is_ok() {
            run.refuse_link()?;
        }
        // Made aside and renamed, so that nobody sees a run without a plan.
        if locked.is_some() {
            // Of somebody who was killed here.
            let _ = fs::remove_dir_all(self.root.join(format!(".{name}.0")));
        }
        let aside = self.make_aside(&name)?;
        found(&aside, wanted).inspect_err(|_| {
            let _ = fs::remove_dir_all(&aside);
        })?;
        match fs::rename(&aside, run.path()) {
            Ok(()) => {}
            // Somebody else was quicker.
            Err(_) if run.path().is_dir() => {
                let _ = fs::remove_dir_all(&aside);
                run.refuse_other_plan(wanted)?;
            }
            Err(e) => return Err(Error::io("create", run.path(), e)),
        }
        Ok(run)
    }

    /// Keeps others from making run folders until the file is dropped; `None` where files cannot be locked.
    pub(super) fn lock(&self) -> Option<File> {
        let lock = input::append(&self.root.join(LOCK));
        lock.ok().filter(|file| file.lock().is_ok())
    }

    /// A new hidden folder that is ours alone.
    fn make_aside(&self, name: &str) -> Result<PathBuf> {
        for i in 0u32.. {
            let aside = self.root.join(format!(".{name}.{i}"));
            match fs::create_dir(&aside) {
                Ok(()) => return Ok(aside),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", &aside, e)),
            }
        }
        unreachable!("a folder that exists four thousand million times")
    }

    /// Reads what was measured in every finished run.
    ///
    /// # Errors
    /// The folder cannot be listed; a damaged run is named in the result and does not hide the others.
    pub fn finished(&self) -> Result<Finished> {
        let mut finished = Finished::default();
        for run in self.runs()?.into_iter().filter(Run::is_finished) {
            match run.record() {
                Ok(record) => finished.records.push((run, record)),
                Err(error) => finished.damaged.push(error),
            }
        }
        Ok(finished)
    }

    /// Reads every file of every finished run and names what is missing or was changed.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn verify(&self) -> Result<Vec<Error>> {
        let finished = self.runs()?.into_iter().filter(Run::is_finished);
        Ok(finished.filter_map(|run| run.verify().err()).collect())
    }
}

/// Whether `name` may begin the name of a folder.
///
/// # Errors
/// It is empty, too long, starts with a dot, or holds a character that some file system or shell takes ill.
pub fn check_name(name: &str) -> Result<()> {
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let expected = format!("1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, not starting with . or -");
    Err(Error::config(Problem::new(format!("{name:?}")).key("name of a run").expected(expected)))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The nearest name that [`check_name`] allows.
pub fn fit_name(wish: &str) -> String {
    let name: String = wish.chars().map(|c| if is_plain(c) { c } else { '_' }).take(MAX_NAME).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "run".to_string() } else { name.to_string() }
}

/// The part of a fingerprint that names a folder.
fn short(fingerprint: &str) -> Result<&str> {
    match fingerprint.get(..DIGITS) {
        Some(short) if short.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => Ok(short),
        _ => {
            let problem = Problem::new(format!("{fingerprint:?}")).key("fingerprint");
            Err(Error::config(problem.expected(format!("at least {DIGITS} digits of 0-9 a-f"))))
        }
    }
}

pub(super) fn entries(folder: &Path) -> Result<Vec<String>> {
    names(folder, |_| true)
}

/// Names of the entries that are wanted.
fn names(folder: &Path, is_wanted: impl Fn(&DirEntry) -> bool) -> Result<Vec<String>> {
    let cannot_list = |e| Error::io("list", folder, e);
    let entries = fs::read_dir(folder).map_err(cannot_list)?.collect::<io::Result<Vec<_>>>();
    let wanted = entries.map_err(cannot_list)?.into_iter().filter(is_wanted);
    Ok(wanted.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_wish_becomes_a_name_that_is_allowed() {
        let long = "x".repeat(300);
        for wish in ["", "..", "../x y", "-", "mlp-gated-5e-4-s1", "ä/b\0", long.as_str()] {
            check_name(&fit_name(wish)).unwrap();
        }
        assert_eq!(fit_name("mlp-gated-5e-4-s1"), "mlp-gated-5e-4-s1");
        assert_eq!(fit_name("../x y"), "_x_y");
    }
}
