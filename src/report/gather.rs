//! From plan and store to evidence: which runs belong to an ablation, and what they found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::evidence::{
    ArmEvidence, Basis, Claim, CurvePoint, Evidence, MissingRun, NOT_RUN, Published, RunEvidence, TuningTrial,
};
use super::number::{self, list};
use super::walk::{PathEffects, StepEffect};
use crate::error::{Error, Kind, Result};
use crate::plan::ablation::{self, CONTROL};
use crate::plan::difference::Difference;
use crate::plan::{
    self, Ablation, Arm, Fingerprint, MatchOn, PlannedRun, Rate, Role, Score, TunedKey, difference,
};
use crate::run::ablation::score_of;
use crate::run::environment::cores;
use crate::run::{Run, RunRecord, Site, State, Store};

/// What the store knows of runs on one kind of device; each is read when it is first asked for.
struct Ledger {
    index: HashMap<String, Run>,
    read: RefCell<HashMap<Fingerprint, Rc<Found>>>,
    /// The first run that could not be read.
    damage: RefCell<Option<Error>>,
}

/// What is known of a run.
enum Found {
    Finished(Run, Box<RunRecord>),
    Diverged(String),
    /// It did not get to its end, and the next `zoo run` tries it again.
    Failed(String),
    Open,
}

impl Ledger {
    fn new(store: &Store, site: &Site) -> Result<Self> {
        Ok(Ledger { index: store.index(site)?, read: RefCell::default(), damage: RefCell::default() })
    }

    fn find(&self, fingerprint: &Fingerprint) -> Rc<Found> {
        if let Some(found) = self.read.borrow().get(fingerprint) {
            return found.clone();
        }
        let found = Rc::new(self.open(fingerprint).unwrap_or_else(|error| {
            self.damage.borrow_mut().get_or_insert(error);
            Found::Open
        }));
        self.read.borrow_mut().insert(*fingerprint, found.clone());
        found
    }

    fn open(&self, fingerprint: &Fingerprint) -> Result<Found> {
        let Some(run) = self.index.get(&fingerprint.to_string()) else { return Ok(Found::Open) };
        Ok(match run.state()? {
            State::Finished => Found::Finished(run.clone(), Box::new(run.record()?)),
            State::Diverged { cause } => Found::Diverged(cause),
            State::Failed { cause } => Found::Failed(cause),
            State::Waiting | State::Running | State::Stopped => Found::Open,
        })
    }

    fn score(&self, fingerprint: &Fingerprint) -> Option<Score> {
        match &*self.find(fingerprint) {
            Found::Finished(_, record) => Some(score_of(record)),
            Found::Diverged(_) => Some(Score::FAILED),
            Found::Failed(_) | Found::Open => None,
        }
    }
}

/// Gathers everything that the store knows about an ablation at one of its sizes; `command` makes it again.
///
/// # Errors
/// The store or a finished run cannot be read.
pub fn gather(
    ablation: &Ablation,
    size: &str,
    store: &Store,
    site: &Site,
    command: String,
) -> Result<Evidence> {
    let ledger = Ledger::new(store, site)?;
    let decided = ablation.decided(&|fingerprint| ledger.score(fingerprint));
    let mut evidence = Evidence {
        name: ablation.name.clone(),
        profile: ablation.profile.clone().unwrap_or_else(|| "default".to_string()),
        command,
        question: ablation.about.question.clone(),
        source: ablation.about.source.clone(),
        notes: notes(ablation, size),
        control: CONTROL.to_string(),
        arms: Vec::new(),
        tuning: Vec::new(),
        missing: Vec::new(),
        damaged: Vec::new(),
        walk: ablation.walk(size).map(walk),
        factorial: ablation.factorial.clone(),
        design: ablation.repeat.clone(),
        parallel_runs: cores(),
    };
    if let Some(tune) = ablation.tune.as_ref().filter(|tune| tune.keys.len() > 1) {
        let chosen = ablation.tuned(&|fingerprint| ledger.score(fingerprint));
        evidence.notes.extend(chosen.iter().filter(|tuned| tuned.size == size).map(|tuned| {
            let of_key =
                |(tuned, value): (&TunedKey, &f64)| format!("{} = {}", tuned.key, number::rate(*value));
            let values: Vec<String> = tune.keys.iter().zip(&tuned.values).map(of_key).collect();
            format!("Tuning chose {} for arm {}.", list(&values), tuned.arm)
        }));
    }
    for planned in decided.iter().filter(|planned| planned.size == size) {
        let (arm, seed) = (planned.arm.clone(), planned.seed);
        let rate = planned.plan.training.peak_lr;
        let trial = |value| {
            let values = if planned.values.len() > 1 { planned.values.clone() } else { Vec::new() };
            TuningTrial { arm: planned.arm.clone(), rate, values, seed, value }
        };
        match (&*ledger.find(&planned.fingerprint), planned.role) {
            (Found::Finished(_, record), Role::Tune) => {
                evidence.tuning.push(trial(tried(record)));
            }
            (Found::Diverged(_), Role::Tune) => {
                evidence.tuning.push(trial(f64::NEG_INFINITY));
            }
            (Found::Failed(cause), Role::Tune) => {
                let cause = format!("tuning at rate {}: {cause}", number::rate(rate));
                evidence.missing.push(MissingRun { arm, seed, cause });
            }
            (Found::Finished(run, record), Role::Report) => {
                // Its measurements are whole: only what is drawn is not.
                let curve = curve(run).or_else(|error| match error.kind {
                    Kind::Data => {
                        evidence.damaged.push(format!("{error}; that curve is not drawn."));
                        Ok(Vec::new())
                    }
                    _ => Err(error),
                })?;
                let seen = RunEvidence { seed, record: (**record).clone(), curve };
                evidence.arm(ablation, planned).runs.push(seen);
            }
            (Found::Diverged(cause) | Found::Failed(cause), Role::Report) => {
                evidence.missing.push(MissingRun { arm, seed, cause: cause.clone() });
            }
            (Found::Open, Role::Report) => {
                evidence.missing.push(MissingRun { arm, seed, cause: NOT_RUN.to_string() });
            }
            (Found::Open, Role::Tune) | (_, Role::Stage) => {}
        }
    }
    ledger.damage.into_inner().map_or(Ok(evidence), Err)
}

/// What a trial reached, as it is shown: a loss, where there is nothing else, is not turned round.
fn tried(record: &RunRecord) -> f64 {
    let measured = &record.measurements;
    let is_loss = measured.capacity.is_none() && measured.right_answers().is_none();
    let chosen_by = score_of(record).chosen_by;
    if is_loss { -chosen_by } else { chosen_by }
}

impl Evidence {
    /// The arm of a planned run at its basis, made when it is met first.
    fn arm(&mut self, ablation: &Ablation, planned: &PlannedRun) -> &mut ArmEvidence {
        let (bare, suffix) = planned.arm.split_once('@').unwrap_or((&planned.arm, ""));
        let basis = match (planned.rate, suffix) {
            (Rate::Control, _) => Basis::EqualRate,
            (Rate::Own, "equal-rmax") => Basis::EqualRmax,
            (Rate::Own, _) => Basis::Primary,
        };
        let name = bare.to_string();
        let found = self.arms.iter().position(|arm| arm.name == name && arm.basis == basis);
        let index = found.unwrap_or_else(|| {
            let control = ablation.control(&planned.size);
            let arm = ablation.arms_of(&planned.size).find(|arm| arm.name == planned.arm).unwrap_or(control);
            self.arms.push(ArmEvidence {
                name,
                label: arm.label.clone(),
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

fn walk(walk: &plan::OneAtATimePath) -> PathEffects {
    let step = |step: &plan::PathStep| StepEffect {
        name: step.name.clone(),
        change: step.differences.iter().map(Difference::phrase).collect::<Vec<_>>().join("; "),
        added: step.added.clone(),
        removed: step.removed.clone(),
    };
    let (from, to) = (walk.from.clone(), walk.to.clone());
    PathEffects { from, from_arm: CONTROL.to_string(), to, steps: walk.steps.iter().map(step).collect() }
}

fn differs(control: &Arm, arm: &Arm) -> String {
    let phrase = |d: difference::Difference| {
        let there = d.b.as_ref().map_or("absent".to_string(), difference::phrase);
        format!("{} = {there}", d.key)
    };
    let differences = difference::between(&control.resolved.plan, &arm.resolved.plan);
    differences.into_iter().map(phrase).collect::<Vec<_>>().join("; ")
}

fn holds(holds: MatchOn) -> &'static str {
    match holds {
        MatchOn::Parameters => "parameters",
        MatchOn::ActiveFlops => "active-flops",
        MatchOn::Nothing => "nothing",
    }
}

/// What an ablation says was published, for a report.
pub(super) fn published(published: &ablation::Published) -> Published {
    let claim = |claim: &ablation::Claim| match claim {
        ablation::Claim::About(bound) => Claim::About(bound.value),
        ablation::Claim::AtMost(bound) => Claim::AtMost(bound.value),
        ablation::Claim::AtLeast(bound) => Claim::AtLeast(bound.value),
    };
    Published {
        text: published.text.clone(),
        ratio: published.ratio.as_ref().map(claim),
        bits_per_param: published.bits_per_param.as_ref().map(claim),
        scale: published.scale.clone(),
        min_params: published.min_params,
        exposures: published.exposures,
    }
}

pub(super) fn curve(run: &Run) -> Result<Vec<CurvePoint>> {
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
fn notes(ablation: &Ablation, size: &str) -> Vec<String> {
    let (model, dataset) = (&ablation.model, &ablation.dataset);
    let mut notes = vec![match ablation.walk(size) {
        Some(walk) => format!(
            "The control is {}. NAME+STEP is a model with one choice of the other, NAME-STEP is one without a choice \
             of its own; all learn {dataset}.",
            walk.from
        ),
        None => format!("All arms start from the model {model} and learn {dataset}."),
    }];
    let control = ablation.control(size);
    let what = if control.resolved.plan.data.has_people() { "people" } else { "data" };
    notes.push(format!(
        "Arms of one seed share {what}, order and every starting weight that they have in common."
    ));
    for arm in ablation.arms_of(size).skip(1) {
        let percent = 100.0 * (arm.relative_params(control) - 1.0);
        let kept = match arm.holds {
            MatchOn::Parameters => "matched on parameters",
            MatchOn::ActiveFlops => "matched on FLOPs per token",
            MatchOn::Nothing => "matched on nothing",
        };
        notes.push(format!("Arm {} {kept}: {} parameters, {percent:+.1} %.", arm.name, arm.params.total));
    }
    if let Some(tune) = ablation.tune.as_ref().filter(|tune| tune.is_choice()) {
        let keys: Vec<&str> = tune.keys.iter().map(|tuned| tuned.key.as_str()).collect();
        let is = if keys.len() == 1 { "is" } else { "are" };
        notes.push(format!(
            "{} {is} tuned per arm, with equal trials on {} seed(s) that are never reported.",
            list(&keys),
            tune.seeds
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;

    #[test]
    fn a_trial_is_shown_by_its_loss_where_there_are_no_facts_and_not_by_minus_it() {
        let of = |evidence: Evidence| evidence.arms[0].runs[0].record.clone();
        assert_eq!(tried(&of(fake::evidence())), 1.2);
        assert!((tried(&of(fake::evidence_of_text())) - 2.8).abs() < 1e-9);
    }
}
