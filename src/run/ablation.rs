//! An ablation as runs of a store: what it wants next, given what is finished there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use super::executor::Failure;
use super::folder::{Run, Site, State};
use super::record::RunRecord;
use super::store::{Store, WantedRun, fit_name};
use crate::error::Result;
use crate::measure::Measure;
use crate::plan::{Ablation, Calibration, Fingerprint, Next, PlannedRun, Role, Score};

/// The results of an ablation's runs in a store; each record is read once.
#[derive(Debug)]
pub struct Answers<'a> {
    ablation: &'a Ablation,
    site: Site,
    scores: RefCell<HashMap<Fingerprint, Score>>,
}

impl<'a> Answers<'a> {
    /// Answers of which nothing is read yet.
    pub fn new(ablation: &'a Ablation, site: Site) -> Self {
        Answers { ablation, site, scores: RefCell::default() }
    }

    /// The runs to do now; none when everything is finished.
    ///
    /// # Errors
    /// If a finished run is damaged, or the store cannot be read.
    pub fn next(&self, store: &Store) -> Result<Vec<WantedRun>> {
        let index = store.index(&self.site)?;
        let damage = RefCell::new(None);
        let score = |fingerprint: &Fingerprint| {
            self.score(&index, fingerprint).unwrap_or_else(|error| {
                damage.borrow_mut().get_or_insert(error);
                None
            })
        };
        let next = self.ablation.next(&score);
        match (damage.into_inner(), next) {
            (Some(error), _) => Err(error),
            (None, Next::Done) => Ok(Vec::new()),
            (None, Next::Runs(runs)) => runs.iter().map(|run| self.want(run)).collect(),
        }
    }

    /// The runs that failed or diverged, among those that the ablation asks for as far as it is decided.
    ///
    /// # Errors
    /// As [`Answers::next`].
    pub fn failed(&self, store: &Store) -> Result<Vec<WantedRun>> {
        let index = store.index(&self.site)?;
        let score = |fingerprint: &Fingerprint| self.score(&index, fingerprint).ok().flatten();
        let mut failed = Vec::new();
        for run in self.ablation.decided(&score) {
            let Some(folder) = index.get(&run.fingerprint.to_string()) else { continue };
            if matches!(state(folder)?, State::Failed { .. } | State::Diverged { .. }) {
                failed.push(self.want(&run)?);
            }
        }
        Ok(failed)
    }

    /// The runs to report that diverged, among those that are decided so far: they give the report no number.
    ///
    /// # Errors
    /// As [`Answers::next`].
    pub fn diverged(&self, store: &Store) -> Result<Vec<Failure>> {
        let index = store.index(&self.site)?;
        let score = |fingerprint: &Fingerprint| self.score(&index, fingerprint).ok().flatten();
        let mut diverged = Vec::new();
        for run in self.ablation.decided(&score).iter().filter(|run| run.role == Role::Report) {
            let Some(folder) = index.get(&run.fingerprint.to_string()) else { continue };
            let state = state(folder)?;
            if matches!(state, State::Diverged { .. }) {
                let path = folder.path().display().to_string();
                let label = self.want(run)?.label;
                diverged.push(Failure {
                    label,
                    folder: Some(path),
                    role: run.role,
                    state,
                    is_bad_data: false,
                });
            }
        }
        Ok(diverged)
    }

    /// Every run that is decided so far, by its label, with its state.
    ///
    /// # Errors
    /// As [`Answers::next`].
    pub fn standing(&self, store: &Store) -> Result<Vec<(String, State)>> {
        let index = store.index(&self.site)?;
        let score = |fingerprint: &Fingerprint| self.score(&index, fingerprint).ok().flatten();
        let mut standing = Vec::new();
        for run in self.ablation.decided(&score) {
            let state = index.get(&run.fingerprint.to_string()).map_or(Ok(State::Waiting), state)?;
            standing.push((self.want(&run)?.label, state));
        }
        Ok(standing)
    }

    fn score(&self, index: &HashMap<String, Run>, fingerprint: &Fingerprint) -> Result<Option<Score>> {
        if let Some(&score) = self.scores.borrow().get(fingerprint) {
            return Ok(Some(score));
        }
        let Some(run) = index.get(&fingerprint.to_string()) else { return Ok(None) };
        let score = match state(run)? {
            State::Finished => score_of(&run.record()?),
            State::Diverged { .. } => Score::FAILED,
            State::Waiting | State::Running | State::Stopped | State::Failed { .. } => return Ok(None),
        };
        self.scores.borrow_mut().insert(*fingerprint, score);
        Ok(Some(score))
    }

    fn want(&self, run: &PlannedRun) -> Result<WantedRun> {
        let question = Path::new(&self.ablation.name).file_stem().unwrap_or_default().to_string_lossy();
        let values: Vec<String> = run.values.iter().map(|value| format!("{value:e}")).collect();
        let words = |before: &[&str], after: String, between: &str| {
            let named = before.iter().copied().filter(|word| !word.is_empty());
            let words = named.chain(values.iter().map(String::as_str)).chain([after.as_str()]);
            words.collect::<Vec<_>>().join(between)
        };
        let cost = run.plan.cost(&Calibration::default())?;
        Ok(WantedRun {
            name: fit_name(&words(&[&question, &run.arm, &run.size], format!("s{}", run.seed), "-")),
            arm: run.arm.clone(),
            label: words(&[&run.arm, &run.size], format!("seed {}", run.seed), " "),
            role: run.role,
            plan: run.plan.clone(),
            fingerprint: run.fingerprint.full(),
            flops: cost.flops,
            peak_bytes: cost.peak_bytes,
            trunk: None,
            weights: None,
        })
    }
}

/// Where a run stands; one whose status cannot be read is begun anew, from its last checkpoint, unless it is sealed.
fn state(run: &Run) -> Result<State> {
    run.state().or_else(|error| if run.is_finished() { Err(error) } else { Ok(State::Stopped) })
}

/// What a run is judged by when a rate is chosen (right answers, bits per parameter, or minus the loss), and what arms are
/// compared by.
pub fn score_of(record: &RunRecord) -> Score {
    let measured = &record.measurements;
    let bits = measured.capacity.as_ref().map(|capacity| capacity.bits_per_param);
    let loss = measured.held_out.as_ref().map_or(record.training.final_loss, |loss| loss.nats_per_token);
    let measure = Measure::of_run(&record.plan.data, measured);
    Score {
        chosen_by: measured.right_answers().or(bits).unwrap_or(-loss),
        compared_by: measure.of(measured),
        contrast: measure.contrast(),
    }
}
