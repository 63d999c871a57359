//! How fast this machine trains, from the finished runs of a store and from what `zoo bench` has timed: what was run
//! like this before is priced best.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::environment::cores;
use super::folder::{Run, Site};
use super::job::job;
use super::record::{Environment, RunRecord};
use super::store::Store;
use crate::device;
use crate::error::Result;
use crate::input;
use crate::measure::MeasureConfig;
use crate::measure::speed::{self, Speed};
use crate::plan::{Calibration, Known, Pace, Plan};
use crate::training::{
    AdaptConfig, Answering, Asking, ContextConfig, Job, Masked, Prediction, Reading, manifest,
};

/// File of a store in which is kept what was timed; without it, plans are priced by finished runs alone.
pub const FILE: &str = "calibration.json";
/// Version of the format of that file.
const FORMAT: u32 = 1;
/// Runs that are read at most, evenly spread over the store.
const READ: usize = 200;
/// Steps whose FLOPs differ by less than this factor count as the same.
const SAME: f64 = 1.25;
/// Shorter runs say more of starting than of training, in seconds.
const SHORT: f64 = 1.0;

/// Steps of a plan that were timed, as many runs beside each other as this machine does at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The site: kind of device and dtype.
    pub environment: Environment,
    /// The [`Plan::kind`] of the plan.
    pub kind: Plan,
    /// FLOPs of a step, exact counting.
    pub flops_per_step: f64,
    /// Training FLOPs per second of one run.
    pub flops_per_second: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    timings: Vec<Timing>,
}

/// What the finished runs of `store` at `site` and its timings say of this machine, with the kernels and the processor of
/// now.
///
/// # Errors
/// The folder cannot be listed; a damaged run or file says nothing.
pub fn measured(store: &Store, site: &Site) -> Result<Calibration> {
    let mut runs = store.runs()?;
    runs.retain(|run| run.site() == site && run.is_finished());
    let here = Environment::here(&site.device);
    let sparse = runs.len().div_ceil(READ).max(1);
    let records = runs.iter().step_by(sparse).filter_map(|run| Run::record(run).ok());
    let of_runs = records.filter(|record| is_here(&record.environment, &here));
    let timings = kept(store).into_iter().filter(|timing| is_here(&timing.environment, &here));
    let mut all: Vec<Seen> = of_runs.filter_map(|record| seen(&record)).chain(timings.map(timed)).collect();
    // A run on all cores at once says little about runs beside each other, and more than nothing.
    if all.iter().any(|seen| seen.threads == 1) {
        all.retain(|seen| seen.threads == 1);
    }
    Ok(calibrate(all))
}

/// The calibration before anything has run: ordinary cores.
pub fn unmeasured() -> Calibration {
    calibrate(Vec::new())
}

/// Takes steps of a plan that takes any, from fresh weights, for about `budget`.
///
/// # Errors
/// Whatever data and device cause, and a plan of no steps.
pub fn time(plan: &Plan, device: &str, budget: Duration) -> Result<Speed> {
    let device = &device::open(device)?;
    let (job, training) = (job(plan), plan.own_training()?);
    let flops = plan.flops_per_step()?;
    match (&plan.prediction, &plan.context, &plan.adapt) {
        (Prediction::Masked(config), _, _) => {
            speed::of_steps(&Masked { job, config: *config }, flops, device, budget)
        }
        (Prediction::NextToken, ContextConfig::Encoder(context), _) => {
            let reading = Reading { job, context, training, decoder: None, encoder: None };
            speed::of_steps(&reading, flops, device, budget)
        }
        (Prediction::NextToken, _, AdaptConfig::None) => speed::of_steps(&job, flops, device, budget),
        (Prediction::NextToken, _, AdaptConfig::Questions(questions)) => {
            let asking = Asking { job, questions, training, base: None };
            speed::of_steps(&asking, flops, device, budget)
        }
        (Prediction::NextToken, _, AdaptConfig::Answering(answering)) => {
            let job = Job { training: &training, ..job };
            let answering = Answering { job, form: answering.form, base: None };
            speed::of_steps(&answering, flops, device, budget)
        }
    }
}

/// Keeps `timings` in `store`, in the place of older ones of the same kind and place.
///
/// # Errors
/// The file cannot be written.
pub fn keep(store: &Store, timings: Vec<Timing>) -> Result<()> {
    let mut all = kept(store);
    all.retain(|old| {
        let again = |new: &Timing| new.kind == old.kind && is_here(&old.environment, &new.environment);
        !timings.iter().any(again)
    });
    all.extend(timings);
    manifest::write_json(&path(store), &Kept { format: FORMAT, timings: all })
}

fn path(store: &Store) -> PathBuf {
    store.path().join(FILE)
}

/// What some machine may have reached: from one FLOP to 10^18 of them.
const POSSIBLE: RangeInclusive<f64> = 1.0..=1e18;

/// A file that cannot be read, and a number that is impossible, are as good as none: they can be made again.
fn kept(store: &Store) -> Vec<Timing> {
    let text = input::read(path(store));
    let kept: Option<Kept> = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut timings = kept.filter(|kept| kept.format == FORMAT).map_or_else(Vec::new, |kept| kept.timings);
    timings.retain(|timing| {
        POSSIBLE.contains(&timing.flops_per_step) && POSSIBLE.contains(&timing.flops_per_second)
    });
    timings
}

fn is_here(there: &Environment, here: &Environment) -> bool {
    // What follows a plus is how a plan in bf16 multiplies pairs; plans are told apart by themselves.
    let level = |environment: &Environment| environment.kernels.split('+').next().map(str::to_string);
    (there.device == here.device) && (there.processor == here.processor) && (level(there) == level(here))
}

/// What one run or timing says.
struct Seen {
    kind: Plan,
    measure: MeasureConfig,
    /// Absent where a run took no steps, or too few to tell.
    pace: Option<Pace>,
    other_seconds: Option<f64>,
    threads: usize,
}

fn timed(timing: Timing) -> Seen {
    let Timing { environment, kind, flops_per_step, flops_per_second } = timing;
    let pace = Some(Pace { flops_per_step, flops_per_second });
    let measure = MeasureConfig::default();
    Seen { kind, measure, pace, other_seconds: None, threads: environment.threads }
}

fn seen(record: &RunRecord) -> Option<Seen> {
    if record.environment.weights_of.is_some() {
        return None;
    }
    let (plan, training) = (&record.plan, &record.training);
    // What a run was given by others is in its sums; its pace is taken to be theirs.
    let is_long = training.seconds >= SHORT && training.steps > 0;
    let own = plan.cost(&Calibration::default()).ok()?;
    let pace = is_long.then(|| Pace {
        flops_per_step: training.flops / training.steps as f64,
        flops_per_second: training.flops / training.seconds,
    });
    let in_steps = own.flops * training.seconds / training.flops;
    let other_seconds = training.elapsed.map(|elapsed| elapsed - if own.steps > 0 { in_steps } else { 0.0 });
    let other_seconds = other_seconds.filter(|seconds| *seconds >= 0.0 && (is_long || own.steps == 0));
    (pace.is_some() || other_seconds.is_some()).then(|| Seen {
        kind: plan.kind(),
        measure: plan.measure,
        pace: pace.filter(|_| own.steps > 0),
        other_seconds,
        threads: record.environment.threads,
    })
}

/// One pace for steps of about the same size, and what is known of each kind: medians.
fn calibrate(seen: Vec<Seen>) -> Calibration {
    let mut paces: Vec<Pace> = seen.iter().filter_map(|seen| seen.pace).collect();
    paces.sort_by(|a, b| a.flops_per_step.total_cmp(&b.flops_per_step));
    let alike = paces.chunk_by(|a, b| b.flops_per_step < a.flops_per_step * SAME);
    let measured = alike.filter_map(|alike| {
        let flops_per_second = median(alike.iter().map(|pace| pace.flops_per_second))?;
        Some(Pace { flops_per_second, ..alike[alike.len() / 2] })
    });
    let mut kinds: Vec<Vec<&Seen>> = Vec::new();
    for seen in &seen {
        let is_alike = |kind: &&mut Vec<&Seen>| kind[0].kind == seen.kind && kind[0].measure == seen.measure;
        match kinds.iter_mut().find(is_alike) {
            Some(alike) => alike.push(seen),
            None => kinds.push(vec![seen]),
        }
    }
    let known = kinds.into_iter().map(|alike| Known {
        kind: alike[0].kind.clone(),
        measure: alike[0].measure,
        flops_per_second: median(alike.iter().filter_map(|seen| Some(seen.pace?.flops_per_second))),
        other_seconds: median(alike.iter().filter_map(|seen| seen.other_seconds)),
    });
    Calibration { measured: measured.collect(), known: known.collect(), parallel_runs: cores() }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_about_one_size_have_the_median_pace() {
        let pace = |flops_per_step, flops_per_second| Pace { flops_per_step, flops_per_second };
        let of = |pace| Seen {
            kind: Plan::default(),
            measure: MeasureConfig::default(),
            pace: Some(pace),
            other_seconds: None,
            threads: 1,
        };
        let slow_once = [pace(1.0e7, 3e10), pace(1e9, 5e10), pace(1.1e7, 2e10), pace(1.05e7, 2.9e10)];
        let calibration = calibrate(slow_once.into_iter().map(of).collect());
        assert_eq!(calibration.measured.len(), 2);
        assert_eq!(calibration.measured[0].flops_per_second, 2.9e10);
        assert_eq!(calibration.measured[1], pace(1e9, 5e10));
        assert_eq!(calibration.parallel_runs, cores());
    }

    #[test]
    fn a_kind_that_was_seen_is_priced_by_itself_whatever_its_rate_seed_and_length() {
        let mut seen = Plan::default();
        seen.training.peak_lr = 0.5;
        let mut wanted = seen.clone();
        (wanted.seed, wanted.training.peak_lr) = (7, 0.25);
        let mut other = wanted.clone();
        other.training.batch *= 2;
        let of = |flops_per_second, other_seconds| Seen {
            kind: seen.kind(),
            measure: MeasureConfig::default(),
            pace: Some(Pace { flops_per_step: 1e7, flops_per_second }),
            other_seconds,
            threads: 1,
        };
        let calibration =
            calibrate(vec![of(1e9, Some(70.0)), of(3e9, None), of(2e9, Some(50.0)), of(2e9, Some(60.0))]);
        let seconds = |plan: &Plan| {
            let cost = plan.cost(&calibration).unwrap();
            (cost.seconds - cost.flops / 2e9).round()
        };
        assert_eq!(seconds(&wanted), 60.0);
        assert!(seconds(&other) < 60.0);
    }

    #[test]
    fn timings_are_kept_by_place_and_kind_and_a_damaged_file_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let environment = Environment { threads: 1, ..Environment::here("cpu") };
        let there = Environment { processor: "another".to_string(), ..environment.clone() };
        let timing = |environment: &Environment, flops_per_second| Timing {
            environment: environment.clone(),
            kind: Plan::default().kind(),
            flops_per_step: 1e7,
            flops_per_second,
        };
        keep(&store, vec![timing(&environment, 1e9), timing(&there, 5e9)]).unwrap();
        keep(&store, vec![timing(&environment, 2e9)]).unwrap();
        assert_eq!(kept(&store), [timing(&there, 5e9), timing(&environment, 2e9)]);
        let site = Site::of("cpu", "f32");
        assert_eq!(measured(&store, &site).unwrap().flops_per_second(1e7), 2e9);
        for impossible in [0.0, -1.0, 1e-300, 1e300] {
            keep(&store, vec![timing(&environment, impossible)]).unwrap();
            assert!(measured(&store, &site).unwrap().measured.is_empty(), "{impossible}");
        }
        std::fs::write(path(&store), "{").unwrap();
        assert!(measured(&store, &site).unwrap().measured.is_empty());
        assert!(store.runs().unwrap().is_empty());
    }
}
