//! Runs that begin from other runs: those are done first, each once, and handed to the job that goes on from them.

use super::folder::Run;
use super::store::{Store, WantedRun, fit_name};
use crate::error::{Error, Problem, Result};
use crate::plan::{Calibration, Fingerprint, Part, Plan, Role};

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
        match finished(store, run, &fingerprint)? {
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
        stages.push(Stage { part: Part::Trunk, run: shorter });
    }
    Ok(stages)
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
