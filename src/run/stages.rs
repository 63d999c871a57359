//! Runs that begin from other runs: those are done first, each once, and handed to the job that goes on from them.

use std::collections::HashMap;

use super::folder::{Run, Site};
use super::store::{Store, WantedRun, fit_name};
use crate::data::ExternalFile;
use crate::error::{Error, Problem, Result};
use crate::measure::MeasureConfig;
use crate::plan::{Calibration, Fingerprint, Part, Plan, Role};
use crate::training::AdaptConfig;

/// A finished run that another one starts from.
#[derive(Debug)]
pub struct Stage {
    /// The part of its state that is taken.
    pub part: Part,
    /// The folder of the finished run.
    pub run: Run,
}

/// The runs that `wanted` begins from, wanted themselves.
///
/// # Errors
/// If a data file cannot be read.
pub fn parents(wanted: &WantedRun) -> Result<Vec<WantedRun>> {
    let mut parents = Vec::new();
    for parent in wanted.plan.parents()? {
        let part = parent.part.name();
        let cost = parent.plan.cost(&Calibration::default())?;
        parents.push(WantedRun {
            name: fit_name(&format!("{part}-{}", wanted.name.trim_start_matches(&format!("{part}-")))),
            arm: wanted.arm.clone(),
            label: format!("{part} of {}", wanted.label),
            role: Role::Stage,
            fingerprint: Fingerprint::of(&parent.plan)?.full(),
            flops: cost.flops,
            peak_bytes: cost.peak_bytes,
            plan: parent.plan,
            trunk: None,
            weights: None,
        });
    }
    Ok(parents)
}

/// The finished runs that the plan of `run` begins from, and the shorter trunk that was named for it.
///
/// # Errors
/// The store cannot be read, or one of them is not finished; a trunk may be absent, then the run does its work.
pub fn find(store: &Store, run: &Run, plan: &Plan) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    for parent in plan.parents()? {
        let fingerprint = Fingerprint::of(&parent.plan)?.full();
        let found = finished(store, run, &fingerprint)?;
        let found = found.map(|found| with_state(store, found, parent.part)).transpose()?;
        match found {
            Some(run) => stages.push(Stage { part: parent.part, run }),
            None if parent.part == Part::Trunk => {}
            None => {
                let part = parent.part.name();
                let problem =
                    Problem::new(format!("{} begins from a run that is not finished", run.folder()));
                let problem = problem.key(part).expected(format!("a finished run {}", &fingerprint[..16]));
                return Err(Error::data(problem.help("`zoo run` and `zoo train` do it first")));
            }
        }
    }
    if let Some(trunk) = run.header()?.trunk
        && let Some(shorter) = finished(store, run, &trunk)?
    {
        // Only named in run.toml, which no fingerprint covers.
        if plan.trunk().is_none() || shorter.plan()?.trunk() != plan.trunk() {
            let problem =
                Problem::new(format!("{} begins from {}", run.folder(), shorter.folder())).key("trunk");
            let problem = problem.expected("a run that is the same but shorter");
            return Err(Error::data(
                problem.help("take the line `trunk` out of its run.toml, or delete the folder"),
            ));
        }
        stages.push(Stage { part: Part::Trunk, run: with_state(store, shorter, Part::Trunk)? });
    }
    Ok(stages)
}

/// The run itself, or the one whose weights it has read again, where checkpoints are needed: those it has not.
fn with_state(store: &Store, run: Run, part: Part) -> Result<Run> {
    let trained = match (part, run.header()?.weights) {
        (Part::Trunk | Part::Small, Some(weights)) => finished(store, &run, &weights)?,
        (Part::Trunk | Part::Small, None) => None,
        (Part::Decoder | Part::Encoder | Part::WarmUp | Part::Base, _) => None,
    };
    Ok(trained.unwrap_or(run))
}

/// The finished run whose weights `run` reads again; `None` if it names none, or it is gone.
///
/// # Errors
/// The store cannot be read, or that run differs in more than what is measured.
pub fn weights(store: &Store, run: &Run, plan: &Plan) -> Result<Option<Run>> {
    let header = run.header()?;
    let Some(weights) = &header.weights else { return Ok(None) };
    let Some(trained) = finished(store, run, weights)? else { return Ok(None) };
    // Only named in run.toml, which no fingerprint covers.
    let differs = key(&trained.plan()?, &trained.header()?.files) != key(plan, &header.files);
    if differs || key(plan, &header.files).is_none() {
        let found = format!("{} has the weights of {}", run.folder(), trained.folder());
        let problem = Problem::new(found).key("weights");
        let problem = problem.expected("a run that differs only in what is measured");
        return Err(Error::data(
            problem.help("take the line `weights` out of its run.toml, or delete the folder"),
        ));
    }
    Ok(Some(trained))
}

/// Finished runs of a site, by all of their plans but what is measured.
#[derive(Debug)]
pub struct TrainedRuns(HashMap<String, Run>);

impl TrainedRuns {
    /// Those of a store; what cannot be read is not among them.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn of(store: &Store, site: &Site) -> Result<Self> {
        let mut trained = HashMap::new();
        for run in store.runs()?.into_iter().filter(|run| run.site() == site && run.is_finished()) {
            let (Ok(header), Ok(plan)) = (run.header(), run.plan()) else { continue };
            let Some(key) = key(&plan, &header.files) else { continue };
            // Those that were trained, not read again, have checkpoints.
            match header.weights {
                None => drop(trained.insert(key, run)),
                Some(_) => drop(trained.entry(key).or_insert(run)),
            }
        }
        Ok(TrainedRuns(trained))
    }

    /// The run that differs from `wanted` only in what is measured.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub fn find(&self, wanted: &WantedRun) -> Result<Option<&Run>> {
        let files = wanted.plan.data.external_files()?;
        let found = key(&wanted.plan, &files).and_then(|key| self.0.get(&key));
        // One of an earlier version, with other numbers, is another run.
        Ok(found.filter(|run| {
            run.plan().is_ok_and(|plan| Fingerprint::with(&plan, &files).to_string() == run.fingerprint())
        }))
    }
}

/// What the weights of a run follow from; `None` where what is measured cannot be measured again.
fn key(plan: &Plan, files: &[ExternalFile]) -> Option<String> {
    match plan.adapt {
        AdaptConfig::Questions(_) => None,
        AdaptConfig::None | AdaptConfig::Answering(_) => {
            let trained = Plan { measure: MeasureConfig::default(), ..plan.clone() };
            let files: String = files.iter().map(|file| format!("# {}\n", file.blake3)).collect();
            Some(trained.to_toml() + &files)
        }
    }
}

/// The finished run of a plan at the site of `run`.
fn finished(store: &Store, run: &Run, fingerprint: &str) -> Result<Option<Run>> {
    Ok(store.find(fingerprint, run.site())?.filter(Run::is_finished))
}

/// The trunks of one call: each goes on where the next shorter one of the same kind ends.
#[derive(Debug, Default)]
pub struct Trunks(Vec<Trunk>);

#[derive(Debug)]
struct Trunk {
    kind: Fingerprint,
    steps: u64,
    fingerprint: String,
}

impl Trunks {
    /// Takes note of a wanted run, if it is a trunk.
    ///
    /// # Errors
    /// If a data file cannot be read.
    pub fn note(&mut self, wanted: &WantedRun) -> Result<()> {
        let Some(kind) = wanted.plan.trunk().filter(|_| wanted.role == Role::Stage) else { return Ok(()) };
        let (kind, steps) = (Fingerprint::of(&kind)?, wanted.plan.steps()?);
        if !self.0.iter().any(|trunk| trunk.fingerprint == wanted.fingerprint) {
            self.0.push(Trunk { kind, steps, fingerprint: wanted.fingerprint.clone() });
        }
        Ok(())
    }

    /// The next shorter trunk of the same kind.
    pub fn before(&self, fingerprint: &str) -> Option<&str> {
        let this = self.0.iter().find(|trunk| trunk.fingerprint == fingerprint)?;
        let shorter = self.0.iter().filter(|trunk| trunk.kind == this.kind && trunk.steps < this.steps);
        shorter.max_by_key(|trunk| trunk.steps).map(|trunk| trunk.fingerprint.as_str())
    }
}
