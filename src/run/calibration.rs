//! How fast this machine trains, from the finished runs of a store: nothing has to be timed, and what was run like this
//! before is priced best.

use super::environment::cores;
use super::folder::{Run, Site};
use super::record::{Environment, RunRecord};
use super::store::Store;
use crate::error::Result;
use crate::plan::{Calibration, Pace};

/// Runs that are read at most, evenly spread over the store.
const READ: usize = 200;
/// Steps whose FLOPs differ by less than this factor count as the same.
const SAME: f64 = 1.25;
/// Shorter runs say more of starting than of training, in seconds.
const SHORT: f64 = 1.0;

/// The paces of finished runs of `store` at `site` that this machine did, with the kernels and the processor of now.
///
/// # Errors
/// The folder cannot be listed; a damaged run says nothing.
pub fn measured(store: &Store, site: &Site) -> Result<Calibration> {
    let mut runs = store.runs()?;
    runs.retain(|run| run.site() == site && run.is_finished());
    let here = Environment::here(&site.device);
    let sparse = runs.len().div_ceil(READ).max(1);
    let records = runs.iter().step_by(sparse).filter_map(|run| Run::record(run).ok());
    Ok(calibrate(
        records.filter(|record| is_here(record, &here)).filter_map(|record| pace(&record)).collect(),
    ))
}

/// What is known before anything has run: ordinary cores.
pub fn unmeasured() -> Calibration {
    calibrate(Vec::new())
}

fn is_here(record: &RunRecord, here: &Environment) -> bool {
    let there = &record.environment;
    // A run on all cores at once says little about runs beside each other.
    (there.processor == here.processor) && (there.kernels == here.kernels) && there.threads == 1
}

fn pace(record: &RunRecord) -> Option<Pace> {
    let training = &record.training;
    let long = training.seconds >= SHORT && training.steps > 0;
    long.then(|| Pace {
        flops_per_step: training.flops / training.steps as f64,
        flops_per_second: training.flops / training.seconds,
    })
}

/// One pace for steps of about the same size: the median.
fn calibrate(mut paces: Vec<Pace>) -> Calibration {
    paces.sort_by(|a, b| a.flops_per_step.total_cmp(&b.flops_per_step));
    let alike = paces.chunk_by(|a, b| b.flops_per_step < a.flops_per_step * SAME);
    let measured = alike.map(|alike| {
        let mut speeds: Vec<f64> = alike.iter().map(|pace| pace.flops_per_second).collect();
        speeds.sort_by(f64::total_cmp);
        let middle = alike[alike.len() / 2];
        Pace { flops_per_second: speeds[speeds.len() / 2], ..middle }
    });
    Calibration { measured: measured.collect(), parallel_runs: cores() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_about_one_size_have_the_median_pace() {
        let pace = |flops_per_step, flops_per_second| Pace { flops_per_step, flops_per_second };
        let slow_once = vec![pace(1.0e7, 3e10), pace(1e9, 5e10), pace(1.1e7, 2e10), pace(1.05e7, 2.9e10)];
        let calibration = calibrate(slow_once);
        assert_eq!(calibration.measured.len(), 2);
        assert_eq!(calibration.measured[0].flops_per_second, 2.9e10);
        assert_eq!(calibration.measured[1], pace(1e9, 5e10));
        assert_eq!(calibration.parallel_runs, cores());
    }
}
