//! Checkpoints: weights, moments, step and meters in a folder that counts only when its manifest is there.
//!
//! `step-000001234/` holds `model.safetensors`, `optimizer.safetensors`, `state.json` and `manifest.json` (sizes and
//! blake3), written last. It is made under a hidden name and renamed, so that a kill at any moment leaves either the
//! old state or the new one. The newest checkpoint whose manifest holds is used; a damaged one is named and skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::manifest;
use super::meters::Meters;
use super::optimizer::{Moments, Optimizer};
use super::weights::{self, Weights};
use crate::error::{Error, Kind, Problem, Result};
use crate::input;
use crate::kernels::{self, Level, Precision};

/// Version of the format of `state.json`.
const FORMAT: u32 = 1;
/// Complete checkpoints that are kept: the newest, and one more in case it rots.
const KEPT: usize = 2;

/// Where the checkpoints of a run are.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints<'a> {
    /// Their folder.
    pub folder: &'a Path,
    /// What names the run (its fingerprint): those of another one are refused. Absent: nobody asks.
    pub run: Option<&'a str>,
}

impl<'a> From<&'a Path> for Checkpoints<'a> {
    fn from(folder: &'a Path) -> Self {
        Checkpoints { folder, run: None }
    }
}

/// What a checkpoint holds beside tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's format.
    pub format: u32,
    /// Steps done.
    pub step: u64,
    /// What they cost.
    pub meters: Meters,
    /// Kernel level that computed them: another level would give other bits.
    pub kernels: String,
    /// What names the run that made it; older versions noted nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Writes a checkpoint of `model` after `step` steps; `commits` is asked right before it becomes visible.
///
/// # Errors
/// A file cannot be written, the folder that the checkpoints are in is gone, or `commits` refuses. The checkpoints
/// before it stay as they are.
pub fn save<M: Module>(
    checkpoints: Checkpoints,
    model: &M,
    optimizer: &Optimizer,
    step: u64,
    meters: &Meters,
    precision: Precision,
    commits: impl FnOnce(u64) -> Result<()>,
) -> Result<()> {
    let Checkpoints { folder, run } = checkpoints;
    let name = format!("step-{step:012}");
    let hidden = folder.join(format!(".{name}.partial"));
    remove(&hidden)?;
    make(folder)?;
    make(&hidden)?;
    weights::write(&hidden.join("model.safetensors"), &weights::of(model), &[])?;
    weights::write(&hidden.join("optimizer.safetensors"), &optimizer.state(), &[])?;
    let device = model.devices().into_iter().next();
    let kernels =
        device.map_or_else(|| Level::Reference.name().to_string(), |d| kernels::name_on(&d, precision));
    let state = State { format: FORMAT, step, meters: *meters, kernels, run: run.map(str::to_string) };
    let text = serde_json::to_string_pretty(&state).expect("a state of numbers is valid JSON");
    let path = hidden.join("state.json");
    fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
    manifest::seal(&hidden)?;
    commits(step)?;
    let visible = folder.join(&name);
    remove(&visible)?;
    fs::rename(&hidden, &visible).map_err(|e| Error::io("rename", &hidden, e))?;
    sync_folder(folder).map_err(|e| Error::io("write", folder, e))?;
    // Whatever is later was damaged, or this one would go on from it.
    let (void, kept): (Vec<_>, Vec<_>) = list(folder)?.into_iter().partition(|path| *path > visible);
    for old in void.iter().chain(kept.iter().rev().skip(KEPT)) {
        remove(old)?;
    }
    Ok(())
}

/// A checkpoint that was read back.
#[derive(Debug)]
pub struct Saved {
    /// Step and meters.
    pub state: State,
    /// Weights of the model.
    pub model: Weights,
    /// Moments of the optimizer, for [`Optimizer::restore`].
    pub moments: Weights,
}

/// Reads the newest checkpoint that is whole, to go on from on `device`, and tells what is wrong with newer ones that
/// are not, or that it does not name its run.
///
/// # Errors
/// The folder cannot be read, or the checkpoint was made by a newer version, by another kernel level, or by another run.
pub fn latest(checkpoints: Checkpoints, device: &Device) -> Result<(Option<Saved>, Vec<Error>)> {
    let mut notes = Vec::new();
    for path in list(checkpoints.folder)?.into_iter().rev() {
        if let Err(error) = manifest::verify(&path) {
            notes.push(error);
            continue;
        }
        let saved = read(&path, device)?;
        notes.extend(of_run(&path, saved.state.run.as_deref(), checkpoints.run)?);
        return Ok((Some(saved), notes));
    }
    Ok((None, notes))
}

/// That a checkpoint is of the run that is wanted; a word if it does not say.
fn of_run(path: &Path, found: Option<&str>, wanted: Option<&str>) -> Result<Option<Error>> {
    let path = path.display();
    match (found, wanted) {
        (Some(found), Some(wanted)) if found != wanted => {
            let problem = Problem::new(format!("{path} is of the run {found}")).expected(wanted);
            Err(Error::data(problem.help("move that checkpoint away; the same command goes on without it")))
        }
        (None, Some(_)) => {
            let found = format!("{path} does not say of which run it is, as those of earlier versions");
            Ok(Some(Error::data(Problem::new(found).help("it is taken for one of this run"))))
        }
        _ => Ok(None),
    }
}

fn read(path: &Path, device: &Device) -> Result<Saved> {
    let file = path.join("state.json");
    let text = input::read_text(&file)?;
    let bad = |what: String| Error::data(Problem::new(format!("{}: {what}", file.display())));
    let state: State = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if state.format > FORMAT {
        return Err(bad(format!("format {} of a newer version, this one reads {FORMAT}", state.format)));
    }
    let (level, pairs) = state.kernels.split_once('+').unwrap_or((&state.kernels, ""));
    let precision = if pairs.is_empty() { Precision::F32 } else { Precision::Bf16 };
    let here = kernels::name_on(device, precision);
    if state.kernels != here {
        let found =
            format!("{} was made with {} kernels, this process uses {here}", path.display(), state.kernels);
        let problem = Problem::new(found);
        return Err(Error::config(match level == kernels::level_on(device).name() {
            true => problem.help("resume on a machine like the one that it was made on"),
            false => problem.help(format!("resume with {}={level}", kernels::VARIABLE)),
        }));
    }
    Ok(Saved {
        state,
        model: weights::read(&path.join("model.safetensors"))?.0,
        moments: weights::read(&path.join("optimizer.safetensors"))?.0,
    })
}

/// The checkpoints in `folder`, oldest first; what is not named or made like one is none.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|e| Error::io("list", folder, e))?;
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && is_name(&entry.file_name().to_string_lossy()) {
                    paths.push(entry.path());
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("list", folder, e)),
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Whether a checkpoint is named so: `step-` and digits.
pub(crate) fn is_name(name: &str) -> bool {
    let step = name.strip_prefix("step-");
    step.is_some_and(|step| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Makes a folder in one that must be there: where it is not, a run was moved while it was under way.
fn make(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let parent = folder.parent().unwrap_or(folder).display();
            let problem =
                Problem::new(format!("{parent} is gone: moved or deleted while its run was under way"));
            Err(Error::new(Kind::Io, problem.help("move it back; the same command goes on")))
        }
        Err(e) => Err(Error::io("create", folder, e)),
    }
}

/// Makes a rename durable; other systems do it by themselves.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder, e)),
        _ => Ok(()),
    }
}

impl Optimizer {
    /// The moments as named tensors: `NAME.m` and `NAME.v`.
    fn state(&self) -> Weights {
        let mut state = Weights::new();
        for (name, moments) in &self.moments {
            state.insert(format!("{name}.m"), moments.m.to_data());
            state.insert(format!("{name}.v"), moments.v.to_data());
        }
        state
    }

    /// Takes moments back from named tensors, as they are after `step` updates.
    ///
    /// # Errors
    /// Half of a pair is missing, or a name has no such ending.
    pub fn restore(&mut self, state: Weights, step: u64, device: &Device) -> Result<()> {
        let device = device.clone().inner();
        let tensor = |data: TensorData| Tensor::<1>::from_data(data, &device);
        let mut halves: BTreeMap<String, (Option<TensorData>, Option<TensorData>)> = BTreeMap::new();
        for (name, data) in state {
            match name.rsplit_once('.') {
                Some((name, "m")) => halves.entry(name.to_string()).or_default().0 = Some(data),
                Some((name, "v")) => halves.entry(name.to_string()).or_default().1 = Some(data),
                _ => return Err(Error::data(Problem::new(format!("optimizer state has a tensor {name}")))),
            }
        }
        self.step = step;
        self.moments.clear();
        for (name, halves) in halves {
            let (Some(m), Some(v)) = halves else {
                return Err(Error::data(Problem::new(format!(
                    "optimizer state has half of the moments of {name}"
                ))));
            };
            self.moments.insert(name, Moments { m: tensor(m), v: tensor(v) });
        }
        Ok(())
    }
}
