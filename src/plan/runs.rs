//! The runs that an ablation consists of, as a pure function of those that are finished.
//!
//! First every arm is tried with every value of the grid on one seed, then with the better half of its values on the other
//! seeds of tuning; these are never reported. If the best value of any arm is at an edge of the grid, the grid grows by
//! the same ratio for all arms, so that none has more trials than another. Then each arm runs with its own best value on
//! every seed of the first look, and with the control's best value if that is another one; all arms of a size go on to the
//! next look together until each is decided or bounded.
//! Asking again after each batch is all there is to resuming.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::ablation::{Ablation, CONTROL, Tune, TunedKey};
use super::arm::Arm;
use super::fingerprint::{Fingerprint, Unseeded};
use crate::statistics::{self, Contrast};

/// The first seed that values are tried with; reported seeds count from 1.
const FIRST_TUNING_SEED: u64 = 1001;

/// Values that are tried on more than one seed, however many are worse.
const MIN_KEPT: usize = 2;

/// How often the grid may grow at each end.
const MAX_EXTENSIONS: usize = 2;

/// A run that an ablation asks for.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// The name of the arm.
    pub arm: String,
    /// The size; empty when no size is named.
    pub size: String,
    /// The random seed.
    pub seed: u64,
    /// The role of the run: a trial, a report or a stage.
    pub role: Role,
    /// Whether it uses the arm's own best value of the tuned key or the control's.
    pub rate: Rate,
    /// The value of each tuned key; empty if none is tuned.
    pub values: Vec<f64>,
    /// The plan of the run.
    pub plan: Plan,
    /// The fingerprint of the plan, which names the run.
    pub fingerprint: Fingerprint,
}

/// The role of a run in its ablation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A trial that chooses a value of the tuned key; never reported.
    Tune,
    /// A run whose result is reported.
    Report,
    /// A stage that another run starts from; never reported.
    Stage,
}

/// The arm whose best value of the tuned key a run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// The arm's own; also that of a trial.
    Own,
    /// The control's, where the arm's own is another one: the comparison at equal value.
    Control,
}

/// The next batch of runs.
#[derive(Debug, Clone)]
pub enum Next {
    /// These runs, in any order; then ask again.
    Runs(Vec<PlannedRun>),
    /// Nothing: everything is finished.
    Done,
}

/// The forecast: what will run, as far as it is known before anything has.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Runs that every course of events has; a report run stands with the middle value of the grid.
    pub certain: Vec<PlannedRun>,
    /// Runs on more seeds than the first look has, and at the control's best value, for arms whose own turns out to be
    /// another one; the trials of a grid that grows, because a best value is at its edge, are not among them.
    pub likely: Vec<PlannedRun>,
}

/// What tuning chose for an arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// The name of the arm.
    pub arm: String,
    /// The size.
    pub size: String,
    /// The chosen value of each tuned key: the lowest that no higher one beats by more than its error.
    pub values: Vec<f64>,
    /// Every combination with the mean of its measure, ascending.
    pub trials: Vec<(Vec<f64>, f64)>,
    /// Where the best value of each key lies in its grid.
    pub edges: Vec<Edge>,
}

/// Where the best value lies in the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// The best value is inside the grid.
    Inside,
    /// The best value is the lowest: a lower one might be better.
    Low,
    /// The best value is the highest: a higher one might be better.
    High,
}

/// What a finished run is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What a value of the tuned key is chosen by, higher is better; minus infinity for a run that failed for good.
    pub chosen_by: f64,
    /// What arms are compared by, if it was measured.
    pub compared_by: Option<f64>,
    /// How arms are compared by it.
    pub contrast: Contrast,
}

impl Score {
    /// That of a run that failed for good.
    pub const FAILED: Score =
        Score { chosen_by: f64::NEG_INFINITY, compared_by: None, contrast: Contrast::Ratio };
}

/// The scores of finished runs.
type Finished<'a> = &'a dyn Fn(&Fingerprint) -> Option<Score>;

impl Ablation {
    /// The runs to do now, given the scores of those that are finished.
    pub fn next(&self, finished: Finished) -> Next {
        let mut runs = Vec::new();
        for size in self.sizes() {
            runs.extend(self.next_of_size(size, finished));
        }
        let mut seen = std::collections::HashSet::new();
        runs.retain(|run: &PlannedRun| finished(&run.fingerprint).is_none() && seen.insert(run.fingerprint));
        if runs.is_empty() { Next::Done } else { Next::Runs(runs) }
    }

    /// Every run that is decided so far, whether it is finished or not: all trials, and the reports once these chose.
    pub fn decided(&self, finished: Finished) -> Vec<PlannedRun> {
        let mut runs = Vec::new();
        for size in self.sizes() {
            runs.extend(self.tune_size(size, finished).0);
            runs.extend(self.next_of_size(size, finished));
        }
        let mut seen = std::collections::HashSet::new();
        runs.retain(|run: &PlannedRun| seen.insert((run.arm.clone(), run.rate, run.fingerprint)));
        runs
    }

    /// What tuning chose, for the sizes where it is finished; empty when nothing is tuned.
    pub fn tuned(&self, finished: Finished) -> Vec<Tuned> {
        let mut tuned = Vec::new();
        for size in self.sizes() {
            if let (_, Some(of_size)) = self.tune_size(size, finished) {
                tuned.extend(of_size);
            }
        }
        tuned
    }

    /// The runs that are known before anything has run.
    pub fn forecast(&self) -> Forecast {
        let mut forecast = Forecast { certain: Vec::new(), likely: Vec::new() };
        let tuning = self.tuning();
        let middle = self.tune.as_ref().map_or_else(Vec::new, Tune::middle);
        for size in self.sizes() {
            if let Some(tune) = tuning {
                forecast.certain.extend(self.trials(size, tune, &|_| Some(Score::FAILED)));
            }
            for arm in self.arms_of(size) {
                let reports = self.reports(arm, &middle, Rate::Own);
                let (first, more): (Vec<_>, Vec<_>) =
                    reports.into_iter().partition(|run| run.seed <= self.repeat.least());
                forecast.certain.extend(first);
                forecast.likely.extend(more);
            }
            for arm in self.arms_of(size).skip(1).filter(|arm| tuning.is_some() && arm.is_tuned()) {
                forecast.likely.extend(self.reports(arm, &middle, Rate::Control));
            }
        }
        forecast
    }

    /// What is tuned, if there is more than one value to choose from.
    fn tuning(&self) -> Option<&Tune> {
        self.tune.as_ref().filter(|tune| tune.is_choice())
    }

    fn next_of_size(&self, size: &str, finished: Finished) -> Vec<PlannedRun> {
        let (trials, tuned) = self.tune_size(size, finished);
        if trials.iter().any(|run| finished(&run.fingerprint).is_none()) {
            return trials;
        }
        let most = self.reports_of_size(size, tuned.as_deref());
        let seeds = self.seeds_of_size(&most, finished);
        most.into_iter().filter(|run| run.seed <= seeds).collect()
    }

    /// The reports of a size over as many seeds as there may be.
    fn reports_of_size(&self, size: &str, tuned: Option<&[Tuned]>) -> Vec<PlannedRun> {
        let only = self.tune.as_ref().map_or_else(Vec::new, Tune::middle);
        let best = |arm: &Arm| -> &[f64] {
            let of_arm = tuned.and_then(|tuned| tuned.iter().find(|tuned| tuned.arm == arm.question()));
            of_arm.map_or(&only, |tuned| &tuned.values)
        };
        let of_control = best(self.control(size));
        let mut runs = Vec::new();
        for arm in self.arms_of(size) {
            runs.extend(self.reports(arm, best(arm), Rate::Own));
            if best(arm) != of_control && arm.is_tuned() {
                runs.extend(self.reports(arm, of_control, Rate::Control));
            }
        }
        runs
    }

    /// The number of seeds of the first look at which something is not finished, or nothing is left open: a pure function
    /// of the seeds before it, whatever else is finished.
    fn seeds_of_size(&self, reports: &[PlannedRun], finished: Finished) -> u64 {
        for (look, &seeds) in self.repeat.looks.iter().enumerate() {
            let looked: Vec<&PlannedRun> = reports.iter().filter(|run| run.seed <= seeds).collect();
            let scores: Option<Vec<Score>> = looked.iter().map(|run| finished(&run.fingerprint)).collect();
            let Some(scores) = scores else { return seeds };
            if self.is_decided(look, &looked, &scores) {
                return seeds;
            }
        }
        self.repeat.most()
    }

    fn is_decided(&self, look: usize, runs: &[&PlannedRun], scores: &[Score]) -> bool {
        let values = |name: &str| -> Vec<f64> {
            let of_arm = runs.iter().zip(scores).filter(|(run, _)| run.arm == name && run.rate == Rate::Own);
            of_arm.filter_map(|(_, score)| score.compared_by).collect()
        };
        let mut names: Vec<&str> = runs.iter().map(|run| run.arm.as_str()).collect();
        names.dedup();
        let arms: Vec<Vec<f64>> = names
            .iter()
            .filter(|name| **name != CONTROL && !name.contains('@'))
            .map(|name| values(name))
            .collect();
        let measured = scores.iter().find(|score| score.compared_by.is_some());
        let contrast = measured.map_or(Contrast::Ratio, |score| score.contrast);
        statistics::decide(contrast, &values(CONTROL), &arms, &self.repeat, look)
    }

    /// All trials of a size on the grid as far as it has grown, and what they chose once they are finished.
    fn tune_size(&self, size: &str, finished: Finished) -> (Vec<PlannedRun>, Option<Vec<Tuned>>) {
        let Some(mut tune) = self.tuning().cloned() else { return (Vec::new(), None) };
        let mut grown = vec![[0, 0]; tune.keys.len()];
        loop {
            let trials = self.trials(size, &tune, finished);
            let Some(tuned) = self.choose(size, &trials, &tune, finished) else { return (trials, None) };
            if !self.grow(size, &mut tune, &mut grown, &tuned) {
                return (trials, Some(tuned));
            }
        }
    }

    /// The values of every arm, once all trials are finished: of those that were tried on the most seeds.
    fn choose(
        &self,
        size: &str,
        trials: &[PlannedRun],
        tune: &Tune,
        finished: Finished,
    ) -> Option<Vec<Tuned>> {
        let cells = tune.cells();
        let arm_of = |arm: &Arm| {
            let mut tried = Vec::new();
            for values in &cells {
                let of_cell = trials.iter().filter(|run| run.arm == arm.name && run.values == *values);
                let chosen_by = |run: &PlannedRun| Some(finished(&run.fingerprint)?.chosen_by);
                tried.push(of_cell.map(chosen_by).collect::<Option<Vec<f64>>>()?);
            }
            let means: Vec<f64> = tried.iter().map(|scores| mean(scores)).collect();
            let best = best_of(&tried, &means);
            let edge = |(tuned, value): (&TunedKey, &f64)| match tuned.grid.as_slice() {
                [_] => Edge::Inside,
                [first, ..] if first == value => Edge::Low,
                [.., last] if last == value => Edge::High,
                _ => Edge::Inside,
            };
            Some(Tuned {
                arm: arm.name.clone(),
                size: size.to_string(),
                values: cells[lowest_good(&tried, &means)].clone(),
                edges: tune.keys.iter().zip(&cells[best]).map(edge).collect(),
                trials: cells.iter().cloned().zip(means).collect(),
            })
        };
        self.arms_of(size).filter(|arm| arm.is_tuned()).map(arm_of).collect()
    }

    /// Adds a step to a grid at whose edge an arm has its best value; `grown` counts the steps of each key, down and up.
    fn grow(&self, size: &str, tune: &mut Tune, grown: &mut [[usize; 2]], tuned: &[Tuned]) -> bool {
        for key in 0..tune.keys.len() {
            for (edge, side) in [(Edge::High, 1), (Edge::Low, 0)] {
                let is_at = tuned.iter().any(|tuned| tuned.edges[key] == edge);
                if !is_at || grown[key][side] == MAX_EXTENSIONS {
                    continue;
                }
                let mut larger = tune.clone();
                let grid = &mut larger.keys[key].grid;
                let value = beyond(grid)[side];
                grid.insert(side * grid.len(), value);
                if self.is_possible(size, &larger, |cell| cell[key] == value) {
                    *tune = larger;
                    grown[key][side] += 1;
                    return true;
                }
            }
        }
        false
    }

    fn is_possible(&self, size: &str, tune: &Tune, is_new: impl Fn(&[f64]) -> bool) -> bool {
        let cells: Vec<_> = tune.cells().into_iter().filter(|cell| is_new(cell)).collect();
        let is_plan =
            |arm: &Arm, cell: &[f64]| arm.with_values(tune, cell).is_ok_and(|plan| plan.checked().is_ok());
        self.arms_of(size).all(|arm| cells.iter().all(|cell| is_plan(arm, cell)))
    }

    /// Every arm with every combination on the first seed, and on the others with its better half, once that is known.
    fn trials(&self, size: &str, tune: &Tune, finished: Finished) -> Vec<PlannedRun> {
        let cells = tune.cells();
        let arms = || self.arms_of(size).filter(|arm| arm.is_tuned());
        let trial = |arm: &Arm, values: &[f64], seeds: std::ops::Range<u64>| {
            let seeds = FIRST_TUNING_SEED + seeds.start..FIRST_TUNING_SEED + seeds.end;
            self.runs(arm, values, seeds, Role::Tune, Rate::Own)
        };
        let mut runs = Vec::new();
        for arm in arms() {
            cells.iter().for_each(|values| runs.extend(trial(arm, values, 0..1)));
        }
        let scores: Option<Vec<f64>> =
            runs.iter().map(|run| Some(finished(&run.fingerprint)?.chosen_by)).collect();
        let Some(scores) = scores else { return runs };
        for (arm, scores) in arms().zip(scores.chunks(cells.len())) {
            for cell in better_half(scores) {
                runs.extend(trial(arm, &cells[cell], 1..tune.seeds));
            }
        }
        runs
    }

    fn reports(&self, arm: &Arm, values: &[f64], rate: Rate) -> Vec<PlannedRun> {
        self.runs(arm, values, 1..self.repeat.most() + 1, Role::Report, rate)
    }

    fn runs(
        &self,
        arm: &Arm,
        values: &[f64],
        seeds: std::ops::Range<u64>,
        role: Role,
        rate: Rate,
    ) -> Vec<PlannedRun> {
        let plan = self.plan(arm, values);
        let unseeded = Unseeded::of(&plan, &arm.files);
        let run = |seed| PlannedRun {
            arm: arm.name.clone(),
            size: arm.size.clone(),
            seed,
            role,
            rate,
            values: values.to_vec(),
            plan: Plan { seed, ..plan.clone() },
            fingerprint: unseeded.seed(seed),
        };
        seeds.map(run).collect()
    }

    /// The plan of an arm with a value of each tuned key.
    fn plan(&self, arm: &Arm, values: &[f64]) -> Plan {
        let Some(tune) = &self.tune else { return arm.resolved.plan.clone() };
        let trial = arm.with_values(tune, values);
        trial.expect("the tuned keys were checked when the ablation was loaded").plan
    }
}

/// Minus infinity where one of them failed.
fn mean(scores: &[f64]) -> f64 {
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    if mean.is_nan() { f64::NEG_INFINITY } else { mean }
}

/// The places of the better half of some scores, two at least; of equal ones the earlier.
fn better_half(scores: &[f64]) -> Vec<usize> {
    let score = |place: &usize| mean(&scores[*place..=*place]);
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|a, b| score(b).total_cmp(&score(a)));
    places.truncate(scores.len().div_ceil(2).max(MIN_KEPT));
    places
}

/// The places that were tried on the most seeds; the others lost on the first.
fn kept(tried: &[Vec<f64>]) -> impl DoubleEndedIterator<Item = usize> + Clone {
    let most = tried.iter().map(Vec::len).max().unwrap_or_default();
    (0..tried.len()).filter(move |&place| tried[place].len() == most)
}

/// The best mean of those that were kept; of equal ones the earlier.
fn best_of(tried: &[Vec<f64>], means: &[f64]) -> usize {
    let best = kept(tried).rev().max_by(|&a, &b| means[a].total_cmp(&means[b]));
    best.expect("a grid has a value")
}

/// The lowest value that no higher one beats by more than the error of their difference, `sqrt(2 / n) s` with the
/// spread of all values' seeds pooled: a higher rate spreads more, and one lucky seed would choose the edge of stability.
fn lowest_good(tried: &[Vec<f64>], means: &[f64]) -> usize {
    let finite = || kept(tried).filter(|&place| means[place].is_finite());
    let of_place = |place: usize| tried[place].iter().map(move |score| (score - means[place]).powi(2));
    let squares: f64 = finite().flat_map(of_place).sum();
    let dof: usize = finite().map(|place| tried[place].len() - 1).sum();
    let seeds = tried[best_of(tried, means)].len() as f64;
    let error = if dof > 0 { (2.0 / seeds * squares / dof as f64).sqrt() } else { 0.0 };
    let better =
        |chosen: usize, place: usize| if means[place] > means[chosen] + error { place } else { chosen };
    kept(tried).reduce(better).expect("a grid has a value")
}

/// One step of the grid's own ratio below and above its ends, to six digits.
fn beyond(grid: &[f64]) -> [f64; 2] {
    let last = grid.len() - 1;
    let round = |value: f64| format!("{value:.5e}").parse().unwrap_or(value);
    [round(grid[0] * grid[0] / grid[1]), round(grid[last] * grid[last] / grid[last - 1])]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::plan::Presets;

    fn mlp(sets: &[&str]) -> Ablation {
        let sets = [&["tune.training.peak_lr=[1e-3, 2e-3]"], sets].concat();
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Ablation::load(&Presets::at("/nowhere"), "mlp", Some("smoke"), &sets).unwrap()
    }

    fn score(value: f64) -> Score {
        Score {
            chosen_by: value,
            compared_by: Some(value).filter(|v| v.is_finite()),
            contrast: Contrast::Ratio,
        }
    }

    /// Runs the ablation with an invented measure; gives the batches.
    fn play(ablation: &Ablation, measure: impl Fn(&PlannedRun) -> f64) -> Vec<Vec<PlannedRun>> {
        let mut finished: HashMap<Fingerprint, Score> = HashMap::new();
        let mut batches = Vec::new();
        while let Next::Runs(runs) = ablation.next(&|f| finished.get(f).copied()) {
            finished.extend(runs.iter().map(|run| (run.fingerprint, score(measure(run)))));
            batches.push(runs);
            assert!(batches.len() < 20, "it never ends");
        }
        batches
    }

    /// Best at `optimum`, worse by the distance in octaves.
    fn peak(run: &PlannedRun, optimum: f64) -> f64 {
        -(run.values[0] / optimum).log2().abs()
    }

    #[test]
    fn every_arm_is_tuned_on_the_same_grid_before_anything_is_reported() {
        let ablation = mlp(&["tune.training.peak_lr=[1e-3, 2e-3, 4e-3]"]);
        let batches = play(&ablation, |run| peak(run, 2e-3));
        assert_eq!(batches.len(), 2);
        assert_eq!(batches[0].len(), 4 * 3);
        assert!(batches[0].iter().all(|run| run.role == Role::Tune && run.seed == 1001));
        assert_eq!(batches[1].len(), 4 * 3);
        assert!(batches[1].iter().all(|run| run.role == Role::Report && (1..=3).contains(&run.seed)));
        assert!(batches[1].iter().all(|run| run.plan.training.peak_lr == 2e-3));
    }

    #[test]
    fn a_winner_at_the_edge_extends_the_grid_for_all_arms() {
        let ablation = mlp(&["tune.training.peak_lr=[1e-3, 2e-3]"]);
        let best = |run: &PlannedRun| peak(run, if run.arm == "none" { 4e-3 } else { 1e-3 });
        let batches = play(&ablation, best);
        let values = |batch: &[PlannedRun]| {
            let mut values: Vec<f64> = batch.iter().map(|run| run.values[0]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        assert_eq!(values(&batches[0]), [1e-3, 2e-3]);
        assert_eq!((values(&batches[1]), batches[1].len()), (vec![4e-3], 4));
        assert_eq!((values(&batches[2]), batches[2].len()), (vec![8e-3], 4));
        assert_eq!((values(&batches[3]), batches[3].len()), (vec![5e-4], 4));
        let reports = &batches[4];
        let none: Vec<_> = reports.iter().filter(|run| run.arm == "none").collect();
        assert_eq!(none.iter().filter(|run| run.rate == Rate::Own && run.values == [4e-3]).count(), 3);
        assert_eq!(none.iter().filter(|run| run.rate == Rate::Control && run.values == [1e-3]).count(), 3);
        assert_eq!(reports.iter().filter(|run| run.rate == Rate::Control).count(), 3);
    }

    #[test]
    fn the_grid_grows_at_most_twice_at_an_end_and_then_says_so() {
        let ablation = mlp(&[]);
        let mut finished: HashMap<Fingerprint, Score> = HashMap::new();
        while let Next::Runs(runs) = ablation.next(&|f| finished.get(f).copied()) {
            finished.extend(runs.iter().map(|run| (run.fingerprint, score(run.values[0]))));
        }
        let tuned = ablation.tuned(&|f| finished.get(f).copied());
        assert_eq!(tuned.len(), 4);
        assert!(tuned.iter().all(|tuned| tuned.values == [8e-3] && tuned.edges == [Edge::High]));
    }

    #[test]
    fn a_run_that_failed_loses_and_does_not_stop_the_rest() {
        let ablation = mlp(&[]);
        let fails = |run: &PlannedRun| if run.values[0] > 1e-3 { f64::NEG_INFINITY } else { 1.0 };
        let batches = play(&ablation, fails);
        let last = batches.last().unwrap();
        assert!(last.iter().all(|run| run.role == Role::Report && run.values[0] <= 1e-3));
    }

    #[test]
    fn a_value_that_loses_on_the_first_seed_of_tuning_is_not_tried_on_the_others() {
        let ablation = mlp(&["tune.training.peak_lr=[5e-4, 1e-3, 2e-3, 4e-3]", "tune.seeds=3"]);
        let best = |run: &PlannedRun| if run.arm == "none" { 2e-3 } else { 1e-3 };
        let batches = play(&ablation, |run| peak(run, best(run)) + run.seed as f64 * 1e-3);
        assert_eq!(batches[0].len(), 4 * 4, "every arm on every value, on one seed");
        assert!(batches[0].iter().all(|run| run.seed == 1001));
        assert_eq!(batches[1].len(), 4 * 2 * 2, "equal trials: two values of each arm on two seeds");
        for arm in ["control", "none"] {
            let of_arm = batches[1].iter().filter(|run| run.arm == arm);
            let mut values: Vec<f64> = of_arm.map(|run| run.values[0]).collect();
            values.sort_by(f64::total_cmp);
            // Two values lie one octave from the best: the lower one goes on.
            let expected = if arm == "none" { [1e-3, 1e-3, 2e-3, 2e-3] } else { [5e-4, 5e-4, 1e-3, 1e-3] };
            assert_eq!(values, expected, "{arm}");
        }
        assert!(batches[2].iter().all(|run| run.role == Role::Report));
        assert_eq!(ablation.forecast().certain.len(), 4 * 4 + 4 * 2 * 2 + 4 * 3);
    }

    #[test]
    fn a_value_that_was_stopped_is_not_chosen_however_lucky_its_one_seed() {
        let tried = [vec![1.3], vec![1.0, 1.0], vec![1.2, 1.2]];
        let means: Vec<f64> = tried.iter().map(|scores| mean(scores)).collect();
        assert_eq!((best_of(&tried, &means), lowest_good(&tried, &means)), (2, 2));
        assert_eq!(better_half(&[0.1, f64::NAN, 0.3, 0.2, f64::NEG_INFINITY]), [2, 3, 0]);
        assert_eq!(better_half(&[0.1, 0.3]), [1, 0], "two are never halved");
    }

    #[test]
    fn two_tuned_keys_make_a_product_and_each_grows_at_its_own_edge() {
        let second = "tune.training.optimizer.weight_decay=[0.05, 0.1, 0.2]";
        let ablation = mlp(&["tune.training.peak_lr=[1e-3, 2e-3, 4e-3]", second]);
        let values = |run: &PlannedRun| [run.values[0], run.values[1]];
        let far = |run: &PlannedRun, decay: f64| peak(run, 2e-3) - (run.values[1] / decay).log2().abs();
        let batches = play(&ablation, |run| far(run, 0.4));
        assert_eq!(batches[0].len(), 4 * 9);
        assert_eq!(batches[1].len(), 4 * 3, "one more decay with every rate");
        assert!(batches[1].iter().all(|run| run.values[1] == 0.4));
        let grown = batches[2].iter().filter(|run| run.role == Role::Tune);
        assert!(grown.clone().count() == 4 * 3 && grown.into_iter().all(|run| run.values[1] == 0.8));
        let reports = batches.last().unwrap();
        assert!(reports.iter().all(|run| values(run) == [2e-3, 0.4] && run.role == Role::Report));
        assert!(reports.iter().all(|run| run.plan.training.peak_lr == 2e-3));
        let plain = mlp(&["tune.training.peak_lr=[2e-3]"]);
        let Next::Runs(runs) = plain.next(&|_| None) else { panic!("nothing to do") };
        assert_ne!(runs[0].fingerprint, reports[0].fingerprint, "the decay is another");
    }

    #[test]
    fn one_value_is_no_tuning() {
        let ablation = mlp(&["tune.training.peak_lr=[3e-3]"]);
        let batches = play(&ablation, |_| 0.0);
        assert_eq!((batches.len(), batches[0].len()), (1, 12));
        assert!(batches[0].iter().all(|run| run.plan.training.peak_lr == 3e-3));
    }

    #[test]
    fn asking_again_in_the_middle_gives_what_is_left_and_fingerprints_name_the_plans() {
        let ablation = mlp(&[]);
        let Next::Runs(runs) = ablation.next(&|_| None) else { panic!("nothing to do") };
        let first = runs[0].fingerprint;
        let Next::Runs(rest) = ablation.next(&|f| (*f == first).then(|| score(1.0))) else { panic!("done") };
        assert_eq!(rest.len(), runs.len() - 1);
        for run in &runs {
            assert_eq!(Fingerprint::of(&run.plan).unwrap(), run.fingerprint);
        }
    }

    #[test]
    fn the_outlook_has_all_trials_and_reports() {
        let forecast = mlp(&[]).forecast();
        assert_eq!(forecast.certain.len(), 4 * 2 + 4 * 3);
        assert_eq!(forecast.likely.len(), 3 * 3);
    }

    #[test]
    fn equal_rmax_gives_smaller_arms_fewer_people() {
        let ablation = mlp(&["compare.equal-rmax=run"]);
        let names: Vec<&str> = ablation.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["control", "gated", "quarter", "none", "quarter@equal-rmax", "none@equal-rmax"]);
        let arm = ablation.arms.last().unwrap();
        let expected = (64.0 * arm.relative_params(&ablation.arms[0])).round() as u64;
        assert_eq!(arm.resolved.plan.data.documents_per_exposure().unwrap(), expected);
    }

    /// Untuned, with looks at 4, 6, 8, 12 and 16 seeds.
    fn sequential() -> Ablation {
        mlp(&["tune.training.peak_lr=[1e-3]", "repeat.seeds={ at_least = 4, at_most = 16, within = 0.1 }"])
    }

    /// Reproducible scatter around a mean, the same share for every arm.
    fn around(mean: f64, run: &PlannedRun, share: f64) -> f64 {
        let turn = (run.seed * 7 + run.arm.len() as u64 * 3) % 5;
        mean * (1.0 + share * (turn as f64 - 2.0))
    }

    #[test]
    fn clear_effects_end_at_the_first_look_and_open_ones_take_all_arms_along() {
        let ablation = sequential();
        let mean = |run: &PlannedRun| if run.arm == "control" { 1.0 } else { 0.5 };
        let batches = play(&ablation, |run| around(mean(run), run, 0.01));
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4 * 4], "four seeds of four arms");
        // One arm of no effect scatters so that no look settles it: everybody runs on every seed.
        let open = |run: &PlannedRun| match run.arm.as_str() {
            "quarter" => around(1.0, run, 0.3),
            _ => around(mean(run), run, 0.01),
        };
        let batches = play(&ablation, open);
        let seeds: Vec<u64> =
            batches.iter().map(|batch| batch.iter().map(|run| run.seed).max().unwrap()).collect();
        assert_eq!(seeds, [4, 6, 8, 12, 16]);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 4 * 16);
    }

    #[test]
    fn later_seeds_that_are_there_already_change_no_decision() {
        let ablation = sequential();
        let mean = |run: &PlannedRun| if run.arm == "control" { 1.0 } else { 0.5 };
        let mut finished: HashMap<Fingerprint, Score> = HashMap::new();
        // Seeds 5 to 16 of another call, which would open everything.
        let all = ablation.reports_of_size("micro", None);
        finished.extend(
            all.iter().filter(|run| run.seed > 4).map(|run| (run.fingerprint, score(around(1.0, run, 0.4)))),
        );
        finished.extend(
            all.iter()
                .filter(|run| run.seed <= 4)
                .map(|run| (run.fingerprint, score(around(mean(run), run, 0.01)))),
        );
        assert!(matches!(ablation.next(&|f| finished.get(f).copied()), Next::Done));
        assert!(ablation.decided(&|f| finished.get(f).copied()).iter().all(|run| run.seed <= 4));
    }

    #[test]
    fn a_forecast_has_the_seeds_of_the_first_look_for_certain_and_the_others_perhaps() {
        let forecast = sequential().forecast();
        assert_eq!((forecast.certain.len(), forecast.likely.len()), (4 * 4, 4 * 12));
    }

    #[test]
    fn the_lower_of_two_rates_stands_unless_the_higher_is_better_by_more_than_its_error() {
        let chosen = |tried: &[&[f64]]| {
            let tried: Vec<Vec<f64>> = tried.iter().map(|scores| scores.to_vec()).collect();
            lowest_good(&tried, &tried.iter().map(|scores| mean(scores)).collect::<Vec<f64>>())
        };
        // Spread 0.1 within a value: the error of a difference of two means of two seeds is 0.1.
        assert_eq!(chosen(&[&[1.0, 1.1414], &[1.05, 1.1914], &[0.9, 1.0414]]), 0);
        assert_eq!(chosen(&[&[1.0, 1.1414], &[1.2, 1.3414], &[1.25, 1.3914]]), 1);
        assert_eq!(
            chosen(&[&[1.0, 1.1414], &[1.06, 1.2014], &[1.12, 1.2614]]),
            2,
            "against the lower, not the next"
        );
        assert_eq!(chosen(&[&[1.0], &[1.01]]), 1, "one seed has no error");
        assert_eq!(chosen(&[&[f64::NEG_INFINITY, 1.0], &[0.5, 0.6]]), 1, "a failed seed fails the value");
    }
}
