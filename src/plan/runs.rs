//! The runs that an ablation consists of, as a pure function of those that are finished.
//!
//! First every arm is tried with every value of the grid, on seeds that are never reported; if the best value of any
//! arm is at an edge of the grid, the grid grows by the same ratio for all arms, so that none has more trials than
//! another. Then each arm runs with its own best value on every seed of the first look, and with the control's best value
//! if that is another one; all arms of a size go on to the next look together until each is decided or bounded.
//! Asking again after each batch is all there is to resuming.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::ablation::{Ablation, CONTROL, Tune};
use super::arm::Arm;
use super::fingerprint::{Fingerprint, Unseeded};
use super::tree::path_of;
use crate::statistics::{self, Contrast};

/// The first seed that values are tried with; reported seeds count from 1.
const FIRST_TUNING_SEED: u64 = 1001;

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
    /// The value of the tuned key, if any key is tuned.
    pub value: Option<f64>,
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
    /// The chosen value of the tuned key: the lowest that no higher one beats by more than its error.
    pub value: f64,
    /// Every value with the mean of its measure, ascending.
    pub trials: Vec<(f64, f64)>,
    /// Where the best value lies in the grid.
    pub edge: Edge,
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
        let middle = self.tune.as_ref().map(|tune| tune.grid[(tune.grid.len() - 1) / 2]);
        for size in self.sizes() {
            if let Some(tune) = tuning {
                forecast.certain.extend(self.trials(size, tune, &tune.grid));
            }
            for arm in self.arms_of(size) {
                let reports = self.reports(arm, middle, Rate::Own);
                let (first, more): (Vec<_>, Vec<_>) =
                    reports.into_iter().partition(|run| run.seed <= self.repeat.least());
                forecast.certain.extend(first);
                forecast.likely.extend(more);
            }
            for arm in self.arms_of(size).skip(1).filter(|arm| tuning.is_some() && arm.is_tuned()) {
                forecast.likely.extend(self.reports(arm, middle, Rate::Control));
            }
        }
        forecast
    }

    /// What is tuned, if there is more than one value to choose from.
    fn tuning(&self) -> Option<&Tune> {
        self.tune.as_ref().filter(|tune| tune.grid.len() > 1)
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
        let only = self.tune.as_ref().map(|tune| tune.grid[0]);
        let best = |arm: &Arm| match tuned {
            Some(tuned) => tuned.iter().find(|tuned| tuned.arm == arm.question()).map(|tuned| tuned.value),
            None => only,
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
        let Some(tune) = self.tuning() else { return (Vec::new(), None) };
        let mut grid = tune.grid.clone();
        let (mut lower, mut higher) = (0, 0);
        loop {
            let trials = self.trials(size, tune, &grid);
            let Some(tuned) = self.choose(size, &trials, &grid, finished) else { return (trials, None) };
            let at = |edge: Edge| tuned.iter().any(|tuned| tuned.edge == edge);
            let (low, high) = beyond(&grid);
            if at(Edge::High) && higher < MAX_EXTENSIONS && self.is_possible(size, tune, high) {
                grid.push(high);
                higher += 1;
            } else if at(Edge::Low) && lower < MAX_EXTENSIONS && self.is_possible(size, tune, low) {
                grid.insert(0, low);
                lower += 1;
            } else {
                return (trials, Some(tuned));
            }
        }
    }

    /// The value of every arm, once all trials are finished.
    fn choose(
        &self,
        size: &str,
        trials: &[PlannedRun],
        grid: &[f64],
        finished: Finished,
    ) -> Option<Vec<Tuned>> {
        let arm_of = |arm: &Arm| {
            let mut tried = Vec::new();
            for value in grid {
                let of_value = trials.iter().filter(|run| run.arm == arm.name && run.value == Some(*value));
                let chosen_by = |run: &PlannedRun| Some(finished(&run.fingerprint)?.chosen_by);
                tried.push(of_value.map(chosen_by).collect::<Option<Vec<f64>>>()?);
            }
            let means: Vec<f64> = tried.iter().map(|scores| mean(scores)).collect();
            let best = (0..means.len()).rev().max_by(|&i, &j| means[i].total_cmp(&means[j]))?;
            let edge = match best {
                0 => Edge::Low,
                last if last + 1 == means.len() => Edge::High,
                _ => Edge::Inside,
            };
            let chosen = lowest_good(&tried, &means);
            let (arm, size) = (arm.name.clone(), size.to_string());
            let trials = grid.iter().copied().zip(means).collect();
            Some(Tuned { arm, size, value: grid[chosen], trials, edge })
        };
        self.arms_of(size).filter(|arm| arm.is_tuned()).map(arm_of).collect()
    }

    fn is_possible(&self, size: &str, tune: &Tune, value: f64) -> bool {
        let path = path_of(&tune.key).unwrap_or_default();
        self.arms_of(size).all(|arm| arm.with_value(&path, value).is_ok_and(|plan| plan.checked().is_ok()))
    }

    fn trials(&self, size: &str, tune: &Tune, grid: &[f64]) -> Vec<PlannedRun> {
        let mut runs = Vec::new();
        for arm in self.arms_of(size).filter(|arm| arm.is_tuned()) {
            for value in grid {
                let seeds = FIRST_TUNING_SEED..FIRST_TUNING_SEED + tune.seeds;
                runs.extend(self.runs(arm, Some(*value), seeds, Role::Tune, Rate::Own));
            }
        }
        runs
    }

    fn reports(&self, arm: &Arm, value: Option<f64>, rate: Rate) -> Vec<PlannedRun> {
        self.runs(arm, value, 1..self.repeat.most() + 1, Role::Report, rate)
    }

    fn runs(
        &self,
        arm: &Arm,
        value: Option<f64>,
        seeds: std::ops::Range<u64>,
        role: Role,
        rate: Rate,
    ) -> Vec<PlannedRun> {
        let plan = self.plan(arm, value);
        let unseeded = Unseeded::of(&plan, &arm.files);
        let run = |seed| PlannedRun {
            arm: arm.name.clone(),
            size: arm.size.clone(),
            seed,
            role,
            rate,
            value,
            plan: Plan { seed, ..plan.clone() },
            fingerprint: unseeded.seed(seed),
        };
        seeds.map(run).collect()
    }

    /// The plan of an arm with a value of the tuned key.
    fn plan(&self, arm: &Arm, value: Option<f64>) -> Plan {
        let (Some(tune), Some(value)) = (&self.tune, value) else { return arm.resolved.plan.clone() };
        let path = path_of(&tune.key).unwrap_or_default();
        let trial = arm.with_value(&path, value);
        trial.expect("the tuned key was checked when the ablation was loaded").plan
    }
}

/// Minus infinity where one of them failed.
fn mean(scores: &[f64]) -> f64 {
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    if mean.is_nan() { f64::NEG_INFINITY } else { mean }
}

/// The lowest value that no higher one beats by more than the error of their difference, `sqrt(2 / n) s` with the
/// spread of all values' seeds pooled: a higher rate spreads more, and one lucky seed would choose the edge of stability.
fn lowest_good(tried: &[Vec<f64>], means: &[f64]) -> usize {
    let finite = || tried.iter().zip(means).filter(|(_, mean)| mean.is_finite());
    let squares: f64 =
        finite().flat_map(|(scores, mean)| scores.iter().map(move |s| (s - mean).powi(2))).sum();
    let dof: usize = finite().map(|(scores, _)| scores.len() - 1).sum();
    let seeds = tried.first().map_or(1, Vec::len) as f64;
    let error = if dof > 0 { (2.0 / seeds * squares / dof as f64).sqrt() } else { 0.0 };
    let mut chosen = 0;
    for index in 1..means.len() {
        if means[index] > means[chosen] + error {
            chosen = index;
        }
    }
    chosen
}

/// One step of the grid's own ratio beyond its ends, to six digits.
fn beyond(grid: &[f64]) -> (f64, f64) {
    let last = grid.len() - 1;
    let round = |value: f64| format!("{value:.5e}").parse().unwrap_or(value);
    (round(grid[0] * grid[0] / grid[1]), round(grid[last] * grid[last] / grid[last - 1]))
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
        -(run.value.unwrap() / optimum).log2().abs()
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
            let mut values: Vec<f64> = batch.iter().map(|run| run.value.unwrap()).collect();
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
        assert_eq!(none.iter().filter(|run| run.rate == Rate::Own && run.value == Some(4e-3)).count(), 3);
        assert_eq!(none.iter().filter(|run| run.rate == Rate::Control && run.value == Some(1e-3)).count(), 3);
        assert_eq!(reports.iter().filter(|run| run.rate == Rate::Control).count(), 3);
    }

    #[test]
    fn the_grid_grows_at_most_twice_at_an_end_and_then_says_so() {
        let ablation = mlp(&[]);
        let mut finished: HashMap<Fingerprint, Score> = HashMap::new();
        while let Next::Runs(runs) = ablation.next(&|f| finished.get(f).copied()) {
            finished.extend(runs.iter().map(|run| (run.fingerprint, score(run.value.unwrap()))));
        }
        let tuned = ablation.tuned(&|f| finished.get(f).copied());
        assert_eq!(tuned.len(), 4);
        assert!(tuned.iter().all(|tuned| tuned.value == 8e-3 && tuned.edge == Edge::High));
    }

    #[test]
    fn a_run_that_failed_loses_and_does_not_stop_the_rest() {
        let ablation = mlp(&[]);
        let fails = |run: &PlannedRun| if run.value > Some(1e-3) { f64::NEG_INFINITY } else { 1.0 };
        let batches = play(&ablation, fails);
        let last = batches.last().unwrap();
        assert!(last.iter().all(|run| run.role == Role::Report && run.value <= Some(1e-3)));
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
