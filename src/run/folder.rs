//! One run folder: what is in it, and in which state it is.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lease::{LeaseState, LeaseWatcher};
use super::metrics::{self, History};
use super::record::{Environment, RunRecord};
use super::store::{WantedRun, check_name};
use crate::data::ExternalFile;
use crate::error::{Error, Problem, Result};
use crate::input;
use crate::plan::difference::{self, Difference};
use crate::plan::{Fingerprint, Plan, Role};
use crate::training::manifest::{self, MANIFEST};

/// The file of the resolved plan.
pub const PLAN: &str = "plan.toml";
/// The file of the environment that the run ran in.
pub const ENVIRONMENT: &str = "environment.toml";
/// The file of metrics, one line per stretch of steps.
pub const METRICS: &str = "metrics.jsonl";
/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The file of the [`RunRecord`] of a finished run.
pub const MEASUREMENTS: &str = "measurements.json";
/// The file of what the worker wrote on its error stream.
pub const LOG: &str = "log.txt";
/// The file of trained weights.
pub const MODEL: &str = "model.safetensors";
/// The file of the config of the model that the weights belong to.
pub const CONFIG: &str = "config.json";
const NAMES: &str = "run.toml";
const STATUS: &str = "status.json";
/// Version of the format of the files that are written here. 2: plans by today's names of keys; 1 is read too.
const FORMAT: u32 = 2;

/// A kind of device and a dtype: numbers of different sites are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    /// The kind of device: `cpu`, `cuda`, ...
    pub device: String,
    /// The dtype of weights: `f32`, ...
    pub dtype: String,
}

/// A run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    path: PathBuf,
    folder: String,
    fingerprint: String,
    site: Site,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// The run is planned and not begun.
    Waiting,
    /// A worker does the run.
    Running,
    /// The run was interrupted, by request or by a kill; it resumes from its last checkpoint.
    Stopped,
    /// The run failed.
    Failed {
        /// The cause of the failure.
        cause: String,
    },
    /// Loss or gradients were not finite; the same plan would do it again.
    Diverged {
        /// The step and the number that is not finite.
        cause: String,
    },
    /// The run is done, measured and sealed.
    Finished,
}

/// The names of a run: `run.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format of the run folder.
    pub format: u32,
    /// Hash of the plan (hex).
    pub fingerprint: String,
    /// The name that the run was planned under.
    pub name: String,
    /// The arm that the run was planned for.
    pub arm: String,
    /// The label that progress shows.
    pub label: String,
    /// The role of the run.
    pub role: Role,
    /// A shorter trunk (hash of its plan) that this one can go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// A finished run (hash of its plan) that differs only in what is measured: its weights are read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The data files of the plan as they were when it was made; older versions noted none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ExternalFile>,
}

/// What names the run that a sealed record is of.
#[derive(Deserialize)]
struct Sealed {
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
struct Status {
    format: u32,
    #[serde(flatten)]
    state: State,
}

#[derive(Serialize, Deserialize)]
struct EnvironmentFile {
    format: u32,
    #[serde(flatten)]
    environment: Environment,
}

impl Site {
    /// The site of a device such as `cpu` or `cuda:0`.
    pub fn of(device: &str, dtype: &str) -> Self {
        let kind = device.split(':').next().unwrap_or(device);
        Site { device: kind.to_string(), dtype: dtype.to_string() }
    }

    /// Whether it can be part of the name of a folder.
    pub(super) fn check(&self) -> Result<()> {
        let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric());
        if plain(&self.device) && plain(&self.dtype) && self.device.len() + self.dtype.len() <= 32 {
            return Ok(());
        }
        Err(Error::config(
            Problem::new(format!("{self}")).key("device").expected("a kind such as cpu and a dtype"),
        ))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.device, self.dtype)
    }
}

impl State {
    /// The state in one word.
    pub fn name(&self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Stopped => "stopped",
            State::Failed { .. } => "failed",
            State::Diverged { .. } => "diverged",
            State::Finished => "finished",
        }
    }

    /// The cause of the state, where there is one.
    pub fn cause(&self) -> Option<&str> {
        match self {
            State::Failed { cause } | State::Diverged { cause } => Some(cause),
            State::Waiting | State::Running | State::Stopped | State::Finished => None,
        }
    }
}

impl Header {
    pub(super) fn of(wanted: &WantedRun, files: Vec<ExternalFile>) -> Self {
        Header {
            format: FORMAT,
            fingerprint: wanted.fingerprint.clone(),
            name: wanted.name.clone(),
            arm: wanted.arm.clone(),
            label: wanted.label.clone(),
            role: wanted.role,
            trunk: wanted.trunk.clone(),
            weights: wanted.weights.clone(),
            files,
        }
    }
}

/// Puts plan and names into a new folder, unless the data files are no longer those that the plan was made with.
pub(super) fn found(folder: &Path, wanted: &WantedRun) -> Result<()> {
    let files = wanted.plan.data.external_files()?;
    if Fingerprint::with(&wanted.plan, &files).full() != wanted.fingerprint {
        let found = format!("{} changed since {} was planned", these(&files), wanted.label);
        return Err(Error::data(Problem::new(found).key("data").help(PLAN_ANEW)));
    }
    let names = toml::to_string(&Header::of(wanted, files)).expect("names are strings and numbers");
    manifest::write_atomically(&folder.join(PLAN), wanted.plan.to_toml().as_bytes())?;
    manifest::write_atomically(&folder.join(NAMES), names.as_bytes())
}

/// Names of files in a message.
const MAX_SHOWN: usize = 4;
/// What to do about data that changed under way.
const PLAN_ANEW: &str = "put the file back as it was; or give the command again, which plans everything with the file as it is now";

/// What to do about a plan that changed.
const MEND_PLAN: &str =
    "put plan.toml back as it was, or delete the folder; the same command then does the run anew";

/// Whether a run with these names is of `plan` with these data files, by this version or an earlier one.
fn names(header: &Header, plan: &Plan, files: &[ExternalFile]) -> bool {
    [Fingerprint::with, Fingerprint::before].iter().any(|of| of(plan, files).full() == header.fingerprint)
}

/// Whether a run with these names is of `plan`, its data files as they were noted; older versions noted none, and then
/// only a plan without such files can be told.
fn is_bound(header: &Header, plan: &Plan) -> bool {
    let is_known = !header.files.is_empty() || plan.data.external_paths().is_ok_and(|it| it.is_empty());
    !is_known || names(header, plan, &header.files)
}

fn these(files: &[ExternalFile]) -> String {
    let shown: Vec<String> =
        files.iter().take(MAX_SHOWN).map(|file| file.path.display().to_string()).collect();
    let more = if files.len() > MAX_SHOWN { ", ..." } else { "" };
    match files.len() {
        0 => "the plan".to_string(),
        1 => shown.concat(),
        _ => format!("one of {}{more}", shown.join(", ")),
    }
}

impl Run {
    /// The run that a folder of this name would be; `None` if it is not such a name.
    pub(super) fn at(root: &Path, folder: &str) -> Option<Self> {
        let mut parts = folder.rsplitn(4, '-');
        let (dtype, device) = (parts.next()?, parts.next()?);
        let (fingerprint, name) = (parts.next()?, parts.next()?);
        let site = Site { device: device.to_string(), dtype: dtype.to_string() };
        let hex = fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
        (hex && site.check().is_ok() && check_name(name).is_ok()).then(|| Run {
            path: root.join(folder),
            folder: folder.to_string(),
            fingerprint: fingerprint.to_string(),
            site,
        })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the folder.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The name it was planned under, which begins that of its folder.
    pub fn name(&self) -> &str {
        let rest = self.fingerprint.len() + self.site.to_string().len() + 2;
        &self.folder[..self.folder.len() - rest]
    }

    /// The first 16 digits of the fingerprint.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The site of the run: kind of device and dtype.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the run is done, measured and sealed.
    pub fn is_finished(&self) -> bool {
        self.file(MANIFEST).exists()
    }

    /// A folder, not a link to one.
    pub(super) fn is_real(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.is_dir())
    }

    pub(super) fn refuse_link(&self) -> Result<()> {
        if self.is_real() {
            return Ok(());
        }
        let found = format!("{} is not a plain folder", self.path.display());
        Err(Error::config(
            Problem::new(found).key("run").help("links are not followed; move the folder itself here"),
        ))
    }

    /// Checks that the folder still holds the run that is wanted, with its own plan.
    pub(super) fn refuse_other_plan(&self, wanted: &WantedRun) -> Result<()> {
        self.refuse_foreign(&self.header()?.fingerprint, NAMES, &wanted.fingerprint)?;
        let found = self.read_plan()?;
        if found == wanted.plan {
            return Ok(());
        }
        let changes = difference::between(&wanted.plan, &found);
        let changes: Vec<String> = changes.iter().take(MAX_SHOWN).map(Difference::phrase).collect();
        let found = format!("{} was changed: {}", self.file(PLAN).display(), changes.join("; "));
        Err(Error::data(Problem::new(found).help(MEND_PLAN)))
    }

    /// Checks that a fingerprint which `file` holds is the one that is expected, or begins as the name of the folder says.
    fn refuse_foreign(&self, found: &str, file: &str, expected: &str) -> Result<()> {
        if found.starts_with(expected) && found.starts_with(&self.fingerprint) {
            return Ok(());
        }
        let found = format!("{} is of the plan {found}", self.file(file).display());
        let help = format!("{} holds another run; move that folder away", self.path.display());
        Err(Error::data(Problem::new(found).expected(expected).help(help)))
    }

    /// The names of the run.
    ///
    /// # Errors
    /// `run.toml` cannot be read, or a newer version wrote it.
    pub fn header(&self) -> Result<Header> {
        let path = self.file(NAMES);
        let text = input::read_text(&path)?;
        let names: toml::Table = toml::from_str(&text).map_err(|e| self.damaged(NAMES, e.message()))?;
        let format = names.get("format").and_then(toml::Value::as_integer).unwrap_or(0);
        if format > i64::from(FORMAT) {
            let found = format!("{} has format {format}", path.display());
            let problem = Problem::new(found).expected(format!("at most {FORMAT}"));
            return Err(Error::data(problem.help("a newer version of zoo wrote it; use that one")));
        }
        names.try_into().map_err(|e: toml::de::Error| self.damaged(NAMES, e.message()))
    }

    /// Notes in its names whose weights are read again.
    pub(super) fn note_weights(&self, weights: &str) -> Result<()> {
        let header = self.header()?;
        if header.weights.as_deref() == Some(weights) {
            return Ok(());
        }
        let header = Header { weights: Some(weights.to_string()), ..header };
        let names = toml::to_string(&header).expect("names are strings and numbers");
        manifest::write_atomically(&self.file(NAMES), names.as_bytes())
    }

    /// The plan of the run, which is the one that its folder is named after. Data files are taken as they were when it was made.
    ///
    /// # Errors
    /// `plan.toml` cannot be read, says what this version does not know, or was changed.
    pub fn plan(&self) -> Result<Plan> {
        let (header, plan) = (self.header()?, self.read_plan()?);
        self.refuse_foreign(&header.fingerprint, NAMES, &self.fingerprint)?;
        if self.is_finished() {
            // Sealed: cheaper than the fingerprint.
            return manifest::verify_file(&self.path, PLAN).map(|()| plan);
        }
        if is_bound(&header, &plan) { Ok(plan) } else { Err(self.plan_changed()) }
    }

    /// The plan of the run, as [`Run::plan`], whose data files are still what they were: whoever trains or measures by it asks.
    ///
    /// # Errors
    /// As [`Run::plan`]; or a data file was changed or cannot be read.
    pub fn plan_and_data(&self) -> Result<Plan> {
        let (header, plan) = (self.header()?, self.plan()?);
        let files = plan.data.external_files()?;
        if names(&header, &plan, &files) {
            return Ok(plan);
        }
        let changed = |file: &&ExternalFile| !header.files.contains(file);
        let changed: Vec<ExternalFile> = files.iter().filter(changed).cloned().collect();
        let gone = header.files.iter().find(|file| !files.iter().any(|now| now.path == file.path));
        let problem = match (header.files.is_empty(), changed.as_slice(), gone) {
            (true, [], _) => return Err(self.plan_changed()),
            (true, files, _) => {
                let plan = self.file(PLAN);
                Problem::new(format!("{} or {} was changed", plan.display(), these(files)))
            }
            (false, [file, ..], _) => Problem::new(format!("{} was changed", file.path.display())),
            (false, [], Some(file)) => Problem::new(format!("{} is gone", file.path.display())),
            (false, [], None) => return Err(self.plan_changed()),
        };
        let expected = format!("what {} was planned with", self.folder);
        Err(Error::data(problem.key("data").expected(expected).help(PLAN_ANEW)))
    }

    fn plan_changed(&self) -> Error {
        let found = format!("{} was changed: it is not the plan of this run", self.file(PLAN).display());
        let expected = format!("the plan {}", self.fingerprint);
        Error::data(Problem::new(found).expected(expected).help(MEND_PLAN))
    }

    fn read_plan(&self) -> Result<Plan> {
        let path = self.file(PLAN);
        let text = input::read_text(&path)?;
        Plan::from_toml(&path.display().to_string(), &text)
    }

    /// The state of the run. A run whose worker died without a word is [`State::Stopped`].
    ///
    /// # Errors
    /// If its files cannot be read, or it is finished and holds the record of another run.
    pub fn state(&self) -> Result<State> {
        if self.is_finished() {
            let sealed: Sealed = manifest::read_json(&self.file(MEASUREMENTS), FORMAT)?;
            return self
                .refuse_foreign(&sealed.fingerprint, MEASUREMENTS, &self.fingerprint)
                .map(|()| State::Finished);
        }
        let path = self.file(STATUS);
        if !path.exists() {
            return Ok(State::Waiting);
        }
        let status: Status = manifest::read_json(&path, FORMAT)?;
        Ok(match status.state {
            State::Running if matches!(LeaseWatcher::default().look(&self.path)?, LeaseState::Free(_)) => {
                State::Stopped
            }
            // The manifest alone says that it is finished.
            State::Finished => State::Stopped,
            state => state,
        })
    }

    /// Writes the state of the run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_state(&self, state: &State) -> Result<()> {
        manifest::write_json(&self.file(STATUS), &Status { format: FORMAT, state: state.clone() })
    }

    /// Writes the environment of the run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_environment(&self, environment: &Environment) -> Result<()> {
        let file = EnvironmentFile { format: FORMAT, environment: environment.clone() };
        let text = toml::to_string(&file).expect("an environment is strings and numbers");
        manifest::write_atomically(&self.file(ENVIRONMENT), text.as_bytes())
    }

    /// Writes the measurements, and seals the run: from here on it is finished.
    ///
    /// # Errors
    /// A file cannot be written, or the record holds a number that JSON has no word for.
    pub fn finish(&self, record: &RunRecord) -> Result<()> {
        self.set_environment(&record.environment)?;
        manifest::write_json(&self.file(MEASUREMENTS), record)?;
        // Read back, because JSON writes what is not finite as null.
        let _: RunRecord = manifest::read_json(&self.file(MEASUREMENTS), FORMAT)?;
        let names = [CONFIG, ENVIRONMENT, MEASUREMENTS, METRICS, MODEL, PLAN, NAMES];
        let names: Vec<_> = names.into_iter().filter(|name| self.file(name).exists()).collect();
        self.set_state(&State::Finished)?;
        manifest::seal_files(&self.path, &names)
    }

    /// The record of a finished run.
    ///
    /// # Errors
    /// The run is not finished, or the file is not the one that was sealed, or is of another run.
    pub fn record(&self) -> Result<RunRecord> {
        manifest::verify_file(&self.path, MEASUREMENTS)?;
        let record: RunRecord = manifest::read_json(&self.file(MEASUREMENTS), FORMAT)?;
        self.refuse_foreign(&record.fingerprint, MEASUREMENTS, &self.fingerprint)?;
        let device = &record.environment.device;
        if *device != self.site.device {
            let found = format!("{} is of a run on {device}", self.file(MEASUREMENTS).display());
            let problem = Problem::new(found).expected(format!("one on {}", self.site.device));
            return Err(Error::data(problem.help("move that folder away")));
        }
        Ok(record)
    }

    /// The log of the run, opened to append.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.file(LOG);
        input::append(&path).map_err(|e| Error::io("open", &path, e))
    }

    /// The metrics of the run so far.
    ///
    /// # Errors
    /// The file cannot be read, is damaged before its last line, or is not the one that was sealed.
    pub fn history(&self) -> Result<History> {
        if self.is_finished() && manifest::read(&self.path)?.names(METRICS) {
            manifest::verify_file(&self.path, METRICS)?;
        }
        metrics::read(&self.file(METRICS))
    }

    /// Reads all its sealed files, and asks whether they are of the run that the folder is named after.
    ///
    /// # Errors
    /// Names what is missing, was changed, or is of another run; or the run is not finished.
    pub fn verify(&self) -> Result<()> {
        manifest::verify(&self.path)?;
        let (header, plan, record) = (self.header()?, self.plan()?, self.record()?);
        if plan == record.plan && is_bound(&header, &plan) { Ok(()) } else { Err(self.plan_changed()) }
    }

    /// The size of the run on disk, in bytes.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn bytes(&self) -> Result<u64> {
        bytes_below(&self.path)
    }

    fn damaged(&self, file: &str, how: &str) -> Error {
        Error::data(Problem::new(format!("{} is damaged: {how}", self.file(file).display())))
    }
}

/// Bytes of all files below a folder; what vanishes meanwhile counts as nothing, and links are not followed.
pub(super) fn bytes_below(folder: &Path) -> Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|e| Error::io("list", folder, e))?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", folder, e))?;
        bytes += match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path())?,
            Ok(meta) => meta.len(),
            Err(_) => 0,
        };
    }
    Ok(bytes)
}
