//! What weakens an answer: missing runs, unequal seeds, unequal fullness, rates that were not searched far enough.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::named;
use super::comparison::{ArmResult, Comparison};
use super::evidence::{Evidence, TuningTrial};
use super::number::{self, list, plural};
use crate::measure::MeasureContext;
use crate::statistics::design::Planned;
use crate::statistics::{ScatterShape, median};

/// A mean this close to `R_max` measures the data more than the model.
const NEARLY_FULL: f64 = 0.9;

/// Arms whose `R_max` differ by more than this factor are not equally full.
const EQUALLY_FULL: f64 = 1.02;

/// Spreads of an arm and its control that differ by more than this factor are unequal.
const UNEQUAL: f64 = 2.0;

/// A sample skewness beyond this is that of a skewed scatter.
const SKEWED: f64 = 1.0;

/// Runs that are named.
const MAX_SHOWN: usize = 4;

/// Everything that a reader should know before believing the answer, a sentence each.
///
/// `tried` are all trials, those that gave no number among them.
pub fn cautions(comparison: &Comparison, tried: &[TuningTrial]) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(missing(comparison));
    cautions.extend(by_hand(comparison));
    cautions.extend(skewed(comparison));
    cautions.extend(unequally_full(comparison));
    cautions.extend(read_otherwise(comparison));
    cautions.extend(nearly_full(comparison));
    cautions.extend(tuning(comparison, tried));
    cautions
}

/// Runs that kernels of different levels or GPUs of different kinds computed: rounding differs, and two runs of one seed
/// part by it as two seeds do.
pub fn computed_otherwise(evidence: &Evidence) -> Option<String> {
    let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (arm, run) in evidence.arms.iter().flat_map(|arm| arm.runs.iter().map(move |run| (arm, run))) {
        let place = &run.record.environment;
        let how = if place.device == "cpu" {
            format!("{} kernels", place.kernels)
        } else {
            place.processor.clone()
        };
        by.entry(how).or_default().insert(format!("{} seed {}", arm.name, run.seed));
    }
    let part = |(how, runs): (&String, &BTreeSet<String>)| {
        let shown: Vec<String> = runs.iter().take(MAX_SHOWN).cloned().collect();
        let more = if runs.len() > MAX_SHOWN {
            format!(" and {} more", runs.len() - MAX_SHOWN)
        } else {
            String::new()
        };
        format!("{how} ({}{more})", shown.join(", "))
    };
    (by.len() > 1).then(|| {
        let parts: Vec<String> = by.iter().map(part).collect();
        format!(
            "Not all runs were computed alike: {}. Rounding differs between them, so that runs of one seed are no equal \
             pairs.",
            parts.join("; ")
        )
    })
}

fn missing(comparison: &Comparison) -> Option<String> {
    let n = comparison.missing.len();
    let done: usize = comparison.arms.iter().map(|arm| arm.n_runs).sum();
    let verb = if n == 1 { "is" } else { "are" };
    (n > 0)
        .then(|| format!("{n} of {} {verb} missing; they are named below.", plural(n + done, "planned run")))
}

/// A number of seeds that was chosen with results at hand is no plan.
fn by_hand(comparison: &Comparison) -> Option<String> {
    let design = comparison.design.as_ref().filter(|design| design.planned == Planned::ByHand)?;
    Some(format!(
        "The number of seeds ({}) was set on the command line: an exploration, whose intervals hold only if it was \
         chosen before any result was seen.",
        design.most()
    ))
}

/// Welch's test holds its level where scatter is skewed only if both sides are skewed alike (docs/answers.md).
fn skewed(comparison: &Comparison) -> Option<String> {
    let contrast = comparison.measure.contrast();
    let shape = |arm: &ArmResult| {
        let values = arm.runs.iter().map(|run| contrast.scale(run.value)).filter(|value| value.is_finite());
        ScatterShape::of(&values.collect::<Vec<f64>>())
    };
    let control = shape(comparison.control_arm())?;
    let is_apart = |arm: &&ArmResult| {
        shape(arm).is_some_and(|own| {
            let (wide, narrow) = if own.sd > control.sd { (own, control) } else { (control, own) };
            wide.sd > UNEQUAL * narrow.sd && wide.skewness.abs() > SKEWED
        })
    };
    let arms = comparison.primary_arms().filter(|arm| arm.arm != comparison.control && arm.claim().is_some());
    let names: Vec<String> = arms.filter(is_apart).map(named).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Seeds of {} and of the control scatter unequally and to one side: intervals of such data hold the truth in \
             about 90 of 100 ablations, not 95.",
            list(&names)
        )
    })
}

/// A fuller model stores more bits per parameter, so arms of different `R_max` differ by that as well.
fn unequally_full(comparison: &Comparison) -> Option<String> {
    let full: Vec<f64> = comparison.primary_arms().filter_map(|arm| arm.max_bits_per_param).collect();
    let least = full.iter().copied().reduce(f64::min)?;
    let most = full.iter().copied().reduce(f64::max)?;
    (most / least > EQUALLY_FULL).then(|| {
        format!(
            "R_max differs between the arms ({} to {}): a model offered more facts per parameter stores more bits \
             per parameter, so part of a difference may come from that.",
            number::three(least),
            number::three(most)
        )
    })
}

fn nearly_full(comparison: &Comparison) -> Option<String> {
    let full = |arm: &&ArmResult| {
        let share = arm.bits_per_param.as_ref().zip(arm.max_bits_per_param);
        share.is_some_and(|(bits, max)| bits.mean > NEARLY_FULL * max)
    };
    let names: Vec<String> = comparison.primary_arms().filter(full).map(named).collect();
    let verb = if names.len() == 1 { "knows" } else { "know" };
    (!names.is_empty()).then(|| {
        let names = list(&names);
        format!(
            "{names} {verb} nearly everything there is to know; more people would show more of the capacity."
        )
    })
}

/// A model that hardly ever saw a biography begin a sequence shows less of what it knows there.
fn read_otherwise(comparison: &Comparison) -> Option<String> {
    let of = |context| {
        let arms = comparison.primary_arms().filter(|arm| arm.bits_per_param.is_some());
        arms.filter(|arm| arm.context == context).map(named).collect::<Vec<_>>()
    };
    let (alone, packed) = (of(MeasureContext::Alone), of(MeasureContext::Packed));
    (!alone.is_empty() && !packed.is_empty()).then(|| {
        format!(
            "Biographies were read alone for {} and behind those of others for {}; bits may differ by that as well.",
            list(&alone),
            list(&packed)
        )
    })
}

fn tuning(comparison: &Comparison, tried: &[TuningTrial]) -> Vec<String> {
    if tried.is_empty() {
        return vec!["Learning rates were not tuned for each arm.".to_string()];
    }
    comparison.primary_arms().filter_map(|arm| at_edge(tried, arm)).collect()
}

fn at_edge(tried: &[TuningTrial], arm: &ArmResult) -> Option<String> {
    let rates = || tried.iter().filter(|trial| trial.arm == arm.arm).map(|trial| trial.rate);
    let (slowest, fastest) = (rates().reduce(f64::min)?, rates().reduce(f64::max)?);
    let is_edge = slowest < fastest && (arm.rate == slowest || arm.rate == fastest);
    is_edge.then(|| {
        let rate = number::rate(arm.rate);
        format!("The learning rate of {} lies at the edge of what was tried ({rate}).", named(arm))
    })
}

/// For each rate that was tried for `arm`, in rising order, the median over seeds.
pub fn tuning_curve(trials: &[TuningTrial], arm: &str) -> Vec<(f64, f64)> {
    let of_arm: Vec<&TuningTrial> = trials.iter().filter(|trial| trial.arm == arm).collect();
    let mut rates: Vec<f64> = of_arm.iter().map(|trial| trial.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let values = |rate: f64| -> Vec<f64> {
        of_arm.iter().filter(|trial| trial.rate == rate).map(|trial| trial.value).collect()
    };
    rates.iter().filter_map(|&rate| Some((rate, median(&values(rate))?))).collect()
}
