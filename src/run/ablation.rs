//! An ablation as runs of a store: what it wants next, given what is finished there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::executor::Failure;
use super::folder::{Run, Site, State};
use super::record::RunRecord;
use super::store::{Store, WantedRun, fit_name};
use crate::error::Result;
use crate::measure::Measure;
use crate::plan::{Ablation, Calibration, Extent, Fingerprint, Next, PlannedRun, Role, Score, stages};

/// What an ablation has done and has to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outlook {
    /// The number of runs that are finished.
    pub finished: usize,
    /// What is left at least and at most.
    pub left: Extent,
}

/// Where a run of an ablation stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The label that progress shows.
    pub label: String,
    /// The state of the run.
    pub state: State,
    /// Its folder, if it has one.
    pub run: Option<Run>,
    /// What was planned.
    pub planned: PlannedRun,
}

/// How far the training of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Training loss in nats per token, mean over the last stretch of steps.
    pub loss: f64,
    /// Bits per parameter at the last look at the model, on a few people, if it looked for facts.
    pub bits_per_param: Option<f64>,
    /// Tokens per second of training, over all sessions.
    pub tokens_per_second: f64,
    /// Seconds of training left at that pace.
    pub seconds_left: f64,
}

impl Standing {
    /// How far training has come, by the metrics that were written; none before the first.
    ///
    /// # Errors
    /// If the metrics cannot be read.
    pub fn pace(&self) -> Result<Option<Pace>> {
        let Some(run) = &self.run else { return Ok(None) };
        let history = run.history()?;
        let Some(last) = history.lines.last() else { return Ok(None) };
        let steps = self.planned.plan.steps()?;
        Ok(Some(Pace {
            step: last.step,
            steps,
            loss: last.loss,
            bits_per_param: history.lines.iter().rev().find_map(|line| line.probe),
            tokens_per_second: last.tokens as f64 / last.seconds.max(1e-9),
            seconds_left: last.seconds / last.step.max(1) as f64 * steps.saturating_sub(last.step) as f64,
        }))
    }
}

impl Outlook {
    /// The two of them together.
    pub fn and(self, other: Outlook) -> Self {
        let left = self.left.and(other.left);
        Outlook { finished: self.finished + other.finished, left }
    }
}

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
        self.next_among(&store.index(&self.site)?)
    }

    /// The same, where the runs of the store are [indexed](Store::index) already.
    ///
    /// # Errors
    /// If a finished run is damaged.
    pub fn next_among(&self, index: &HashMap<String, Run>) -> Result<Vec<WantedRun>> {
        let damage = RefCell::new(None);
        let score = |fingerprint: &Fingerprint| {
            self.score(index, fingerprint).unwrap_or_else(|error| {
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

    /// Every run that is decided so far, with its state.
    ///
    /// # Errors
    /// As [`Answers::next`].
    pub fn standing(&self, store: &Store) -> Result<Vec<Standing>> {
        let index = store.index(&self.site)?;
        let score = |fingerprint: &Fingerprint| self.score(&index, fingerprint).ok().flatten();
        let mut standing = Vec::new();
        for run in self.ablation.decided(&score) {
            let folder = index.get(&run.fingerprint.to_string());
            let state = folder.map_or(Ok(State::Waiting), state)?;
            standing.push(Standing {
                label: self.want(&run)?.label,
                state,
                run: folder.cloned(),
                planned: run,
            });
        }
        Ok(standing)
    }

    /// What is left to do, and how many runs are finished.
    ///
    /// # Errors
    /// As [`Answers::next`].
    pub fn outlook(&self, store: &Store) -> Result<Outlook> {
        let index = store.index(&self.site)?;
        let score = |fingerprint: &Fingerprint| self.score(&index, fingerprint).ok().flatten();
        let forecast = self.ablation.forecast();
        let stages = stages(&forecast.certain)?;
        let is_finished =
            |run: &PlannedRun| index.get(&run.fingerprint.to_string()).is_some_and(Run::is_finished);
        let (mut finished, mut flops) = (0, 0.0);
        for stage in stages.iter().filter(|stage| is_finished(&stage.run)) {
            finished += 1;
            flops += stage.run.plan.cost_after(stage.first_step, &Calibration::default())?.flops;
        }
        for run in self.ablation.decided(&score).iter().filter(|run| is_finished(run)) {
            finished += 1;
            flops += run.plan.cost(&Calibration::default())?.flops;
        }
        Ok(Outlook { finished, left: Extent::of(&forecast, &stages)?.without(finished, flops) })
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
