//! How long runs take beside each other, when some wait for others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use serde::Serialize;

use super::cost::Calibration;
use super::fingerprint::Fingerprint;
use super::runs::{Forecast, PlannedRun, Role};
use super::stages::PlannedStage;
use crate::Result;

/// How much there is to do, at least and at most: runs, those that others begin from among them, and their FLOPs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Extent {
    /// The number of runs.
    pub runs: [usize; 2],
    /// The FLOPs of these.
    pub flops: [f64; 2],
}

impl Extent {
    /// That of a forecast and the `stages` that its runs begin from.
    ///
    /// # Errors
    /// If a data file that a plan names cannot be read.
    pub fn of(forecast: &Forecast, stages: &[PlannedStage]) -> Result<Self> {
        let mut extent = Extent::default();
        let any = Calibration::default();
        for stage in stages {
            extent.add(stage.run.plan.cost_after(stage.first_step, &any)?.flops, true);
        }
        for (runs, is_certain) in [(&forecast.certain, true), (&forecast.likely, false)] {
            for run in runs {
                extent.add(run.plan.cost(&any)?.flops, is_certain);
            }
        }
        Ok(extent)
    }

    fn add(&mut self, flops: f64, is_certain: bool) {
        for end in usize::from(!is_certain)..2 {
            self.runs[end] += 1;
            self.flops[end] += flops;
        }
    }

    /// The two of them together.
    pub fn and(self, other: Extent) -> Self {
        Extent {
            runs: std::array::from_fn(|end| self.runs[end] + other.runs[end]),
            flops: std::array::from_fn(|end| self.flops[end] + other.flops[end]),
        }
    }

    /// What is left after so many runs of so many FLOPs.
    pub fn without(self, runs: usize, flops: f64) -> Self {
        Extent {
            runs: self.runs.map(|all| all.saturating_sub(runs)),
            flops: self.flops.map(|all| (all - flops).max(0.0)),
        }
    }
}

/// Seconds until all of `runs`, and the `stages` that they begin from, are done: as many beside each other as the
/// calibration says, each when those that it begins from are done, reported runs of a size after its tuning.
///
/// # Errors
/// If a data file that a plan names cannot be read.
pub fn seconds(stages: &[PlannedStage], runs: &[PlannedRun], calibration: &Calibration) -> Result<f64> {
    let mut queue = Queue::default();
    let mut places = HashMap::new();
    let planned = stages.iter().map(|stage| &stage.run).chain(runs);
    for (place, run) in planned.clone().enumerate() {
        places.insert(run.fingerprint, place);
    }
    for stage in stages {
        queue.add(stage.run.plan.cost_after(stage.first_step, calibration)?.seconds);
    }
    for run in runs {
        queue.add(run.plan.cost(calibration)?.seconds);
    }
    for (place, run) in planned.enumerate() {
        for parent in run.plan.parents()? {
            if let Some(&parent) = places.get(&Fingerprint::of(&parent.plan)?) {
                queue.waits(place, parent);
            }
        }
    }
    for (place, shorter) in trunks(stages)? {
        queue.waits(place, shorter);
    }
    let mut gates: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.role == Role::Tune) {
        let gate = *gates.entry(&run.size).or_insert_with(|| queue.add_gate());
        queue.waits(gate, places[&run.fingerprint]);
    }
    for run in runs.iter().filter(|run| run.role == Role::Report) {
        if let Some(&gate) = gates.get(run.size.as_str()) {
            queue.waits(places[&run.fingerprint], gate);
        }
    }
    Ok(queue.seconds(calibration.parallel_runs))
}

/// The trunks that go on where a shorter one ends, with that one.
fn trunks(stages: &[PlannedStage]) -> Result<Vec<(usize, usize)>> {
    let mut pairs = Vec::new();
    for (place, stage) in stages.iter().enumerate() {
        let kind = stage.run.plan.trunk();
        for (other, shorter) in stages.iter().enumerate() {
            let ends_there = kind.is_some() && stage.first_step > 0 && shorter.run.plan.trunk() == kind;
            if ends_there && shorter.run.plan.steps()? == stage.first_step {
                pairs.push((place, other));
            }
        }
    }
    Ok(pairs)
}

/// A queue of runs in the order in which they are asked for.
#[derive(Default)]
struct Queue {
    seconds: Vec<f64>,
    /// How many others each waits for.
    waits_for: Vec<usize>,
    /// Who waits for each.
    waiting: Vec<Vec<usize>>,
    gates: BTreeSet<usize>,
}

impl Queue {
    fn add(&mut self, seconds: f64) -> usize {
        self.seconds.push(seconds);
        self.waits_for.push(0);
        self.waiting.push(Vec::new());
        self.seconds.len() - 1
    }

    /// Something that is over as soon as all that it waits for is, and takes nobody's time.
    fn add_gate(&mut self) -> usize {
        let gate = self.add(0.0);
        self.gates.insert(gate);
        gate
    }

    fn waits(&mut self, place: usize, parent: usize) {
        self.waits_for[place] += 1;
        self.waiting[parent].push(place);
    }

    /// The end of all work, if each of so many workers takes the first piece that waits for nothing.
    fn seconds(mut self, workers: usize) -> f64 {
        let is_open = |place: &usize| self.waits_for[*place] == 0;
        let mut open: BTreeSet<usize> = (0..self.seconds.len()).filter(is_open).collect();
        let mut ends: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
        let mut now = 0.0;
        loop {
            while ends.len() < workers.max(1)
                && let Some(place) = open.pop_first()
            {
                ends.push(Reverse((Instant(now + self.seconds[place]), place)));
            }
            let Some(Reverse((Instant(end), place))) = ends.pop() else { return now };
            now = end;
            self.done(place, &mut open);
        }
    }

    /// Opens what waited for nothing else.
    fn done(&mut self, place: usize, open: &mut BTreeSet<usize>) {
        for next in std::mem::take(&mut self.waiting[place]) {
            self.waits_for[next] -= 1;
            match self.waits_for[next] {
                0 if self.gates.contains(&next) => self.done(next, open),
                0 => _ = open.insert(next),
                _ => {}
            }
        }
    }
}

/// Seconds in an order.
#[derive(PartialEq)]
struct Instant(f64);

impl Eq for Instant {}

impl PartialOrd for Instant {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instant {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(seconds: &[f64], waits: &[(usize, usize)]) -> Queue {
        let mut queue = Queue::default();
        seconds.iter().for_each(|seconds| _ = queue.add(*seconds));
        waits.iter().for_each(|(place, parent)| queue.waits(*place, *parent));
        queue
    }

    #[test]
    fn workers_take_what_is_first_and_nobody_works_on_what_must_wait() {
        assert_eq!(queue(&[], &[]).seconds(2), 0.0);
        assert_eq!(queue(&[3.0, 1.0, 1.0, 1.0], &[]).seconds(2), 3.0);
        assert_eq!(queue(&[1.0, 1.0, 1.0, 3.0], &[]).seconds(2), 4.0, "the longest comes last");
        assert_eq!(queue(&[5.0, 1.0, 1.0], &[(1, 0), (2, 0)]).seconds(2), 6.0, "both wait for the first");
        assert_eq!(queue(&[5.0, 1.0, 1.0], &[(1, 0), (2, 1)]).seconds(8), 7.0);
    }

    #[test]
    fn a_gate_opens_when_all_before_it_is_done() {
        let mut queue = queue(&[2.0, 3.0, 1.0, 1.0], &[]);
        let gate = queue.add_gate();
        [0, 1].into_iter().for_each(|trial| queue.waits(gate, trial));
        [2, 3].into_iter().for_each(|report| queue.waits(report, gate));
        assert_eq!(queue.seconds(2), 4.0);
    }
}
