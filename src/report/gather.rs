//! From plan and store to evidence: which runs belong to an ablation, and what they found.

use std::collections::HashMap;

use super::evidence::{
    ArmEvidence, Basis, Claim, CurvePoint, Evidence, MissingRun, Published, RunEvidence, TuningTrial,
};
use crate::error::Result;
use crate::plan::ablation::{self, CONTROL};
use crate::plan::{Ablation, Arm, Fingerprint, Holds, PlannedRun, Rate, Role, difference};
use crate::run::ablation::measure_of;
use crate::run::{Run, RunRecord, Site, State, Store};

/// What the store knows of runs on one kind of device.
struct Ledger {
    finished: HashMap<String, (Run, RunRecord)>,
    given_up: HashMap<String, String>,
}

impl Ledger {
    fn read(store: &Store, site: &Site) -> Result<Self> {
        let mut ledger = Ledger { finished: HashMap::new(), given_up: HashMap::new() };
        for (short, run) in store.index(site)? {
            match run.state()? {
                State::Finished => {
                    let record = run.record()?;
                    ledger.finished.insert(short, (run, record));
                }
                State::Diverged { cause } | State::Failed { cause } => {
                    ledger.given_up.insert(short, cause);
                }
                State::Waiting | State::Running | State::Stopped => {}
            }
        }
        Ok(ledger)
    }

    /// The measure by which rates are chosen, higher is better: minus infinity for a run that diverged.
    fn measure(&self, fingerprint: &Fingerprint) -> Option<f64> {
        let short = fingerprint.to_string();
        match self.finished.get(&short) {
            Some((_, record)) => Some(measure_of(record)),
            None => self.given_up.contains_key(&short).then_some(f64::NEG_INFINITY),
        }
    }
}

/// Gathers everything that the store knows about an ablation; `command` makes it again.
///
/// # Errors
/// The store or a finished run cannot be read.
pub fn gather(ablation: &Ablation, store: &Store, site: &Site, command: String) -> Result<Evidence> {
    let ledger = Ledger::read(store, site)?;
    let decided = ablation.decided(&|fingerprint| ledger.measure(fingerprint));
    let sizes = ablation.sizes();
    let mut evidence = Evidence {
        name: ablation.name.clone(),
        profile: ablation.profile.clone().unwrap_or_default(),
        command,
        question: ablation.about.question.clone(),
        source: ablation.about.source.clone(),
        notes: notes(ablation),
        control: label(CONTROL, sizes[0], &sizes),
        arms: Vec::new(),
        tuning: Vec::new(),
        missing: Vec::new(),
    };
    for planned in &decided {
        let arm = label(&planned.arm, &planned.size, &sizes);
        match (ledger.finished.get(&planned.fingerprint.to_string()), planned.role) {
            (Some((_, record)), Role::Tune) => {
                let value = measure_of(record);
                let rate = planned.plan.training.peak_lr;
                evidence.tuning.push(TuningTrial { arm, rate, seed: planned.seed, value });
            }
            (Some((run, record)), Role::Report) => {
                let seen = RunEvidence { seed: planned.seed, record: record.clone(), curve: curve(run)? };
                evidence.arm(ablation, planned, arm).runs.push(seen);
            }
            (None, Role::Report) => {
                let given_up = ledger.given_up.get(&planned.fingerprint.to_string()).cloned();
                let cause = given_up.unwrap_or_else(|| "not run yet".to_string());
                evidence.missing.push(MissingRun { arm, seed: planned.seed, cause });
            }
            (None, Role::Tune) => {}
        }
    }
    Ok(evidence)
}

/// An arm's name, with its size where there are several.
fn label(arm: &str, size: &str, sizes: &[&str]) -> String {
    if sizes.len() > 1 { format!("{arm} {size}") } else { arm.to_string() }
}

impl Evidence {
    /// The arm of a planned run at its basis, made when it is met first.
    fn arm(&mut self, ablation: &Ablation, planned: &PlannedRun, name: String) -> &mut ArmEvidence {
        let (bare, suffix) = planned.arm.split_once('@').unwrap_or((&planned.arm, ""));
        let basis = match (planned.rate, suffix) {
            (Rate::Control, _) => Basis::EqualRate,
            (Rate::Own, "equal-rmax") => Basis::EqualRmax,
            (Rate::Own, _) => Basis::Primary,
        };
        let name = name.replace("@equal-rmax", "");
        let found = self.arms.iter().position(|arm| arm.name == name && arm.basis == basis);
        let index = found.unwrap_or_else(|| {
            let control = ablation.control(&planned.size);
            let arm = ablation.arms_of(&planned.size).find(|arm| arm.name == planned.arm).unwrap_or(control);
            self.arms.push(ArmEvidence {
                name,
                differs: differs(control, arm),
                holds: holds(arm.holds).to_string(),
                published: ablation.about.published.get(bare).map(published),
                basis,
                rate: planned.plan.training.peak_lr,
                runs: Vec::new(),
            });
            self.arms.len() - 1
        });
        &mut self.arms[index]
    }
}

fn differs(control: &Arm, arm: &Arm) -> String {
    let phrase = |d: difference::Difference| {
        let there = d.b.as_ref().map_or("absent".to_string(), difference::phrase);
        format!("{} = {there}", d.key)
    };
    let differences = difference::between(&control.resolved.plan, &arm.resolved.plan);
    differences.into_iter().map(phrase).collect::<Vec<_>>().join("; ")
}

fn holds(holds: Holds) -> &'static str {
    match holds {
        Holds::Parameters => "parameters",
        Holds::ActiveFlops => "active-flops",
        Holds::Nothing => "nothing",
    }
}

fn published(published: &ablation::Published) -> Published {
    let claim = |claim: &ablation::Claim| match claim {
        ablation::Claim::About(bound) => Claim::About(bound.value),
        ablation::Claim::AtMost(bound) => Claim::AtMost(bound.value),
        ablation::Claim::AtLeast(bound) => Claim::AtLeast(bound.value),
    };
    Published {
        text: published.text.clone(),
        ratio: published.ratio.as_ref().map(claim),
        scale: published.scale.clone(),
        min_params: published.min_params,
    }
}

fn curve(run: &Run) -> Result<Vec<CurvePoint>> {
    let point = |line: crate::training::Metrics| CurvePoint {
        tokens: line.tokens,
        flops: line.flops,
        seconds: line.seconds,
        loss: line.loss,
        lr: line.lr,
        bits_per_param: line.probe,
    };
    Ok(run.history()?.lines.into_iter().map(point).collect())
}

/// What is held fixed, in sentences.
fn notes(ablation: &Ablation) -> Vec<String> {
    let mut notes = vec![format!("All arms start from the model {} and learn {}.", ablation.model, ablation.dataset)];
    notes.push("Arms of one seed share people, order and every starting weight that they have in common.".into());
    for size in ablation.sizes() {
        let control = ablation.control(size);
        for arm in ablation.arms_of(size).skip(1) {
            let percent = 100.0 * (arm.relative_params(control) - 1.0);
            let kept = match arm.holds {
                Holds::Parameters => "holds parameters",
                Holds::ActiveFlops => "holds FLOPs per token",
                Holds::Nothing => "holds nothing fixed",
            };
            notes.push(format!("Arm {} {kept}: {} parameters, {percent:+.1} %.", arm.name, arm.params.total));
        }
    }
    if let Some(tune) = ablation.tune.as_ref().filter(|tune| tune.grid.len() > 1) {
        let seeds = tune.seeds;
        notes.push(format!(
            "{} is tuned per arm, with equal trials on {seeds} seed(s) that are never reported.",
            tune.key
        ));
    }
    notes
}
