//! How much sooner arms reach the loss at which the control ends: `cost of the control / cost of the arm - 1`, in FLOPs
//! and in seconds, seed by seed.
//!
//! Du et al. 2024 (arXiv 2405.15319), section 3.2. Two kinds of curve, never mixed: training loss along runs at a constant
//! rate (raw, as published), and held-out losses at the annealed ends of at least four budgets. What a small model cost
//! before growth is in its child's counts. Each side counts where it first gets down to the loss; one that does not, or is
//! there before its first point, bounds the answer from one side. Means and intervals over seeds are made on logarithms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evidence::{ArmEvidence, Basis, Evidence, RunEvidence};
use super::number;
use crate::laws::curves::{Axis, Curve, Descent, MIN_POINTS, Smoothing, Stage};
use crate::laws::speedup::{Speedup, speedup};
use crate::plan::Plan;
use crate::statistics::Estimate;
use crate::training::{ScheduleConfig, TrainingConfig};

/// How much sooner an arm reaches the control's last loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSpeedup {
    /// The arm; of several budgets the largest.
    pub arm: String,
    /// Raw or annealed losses.
    pub stage: Stage,
    /// In FLOPs of training.
    pub flops: Sooner,
    /// In seconds of training.
    pub seconds: Sooner,
    /// What the source found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// A speed-up over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sooner {
    /// Every seed reached the loss: 0.5 means that the control needs half as much again.
    Measured(Estimate),
    /// Some seeds did not.
    Censored {
        /// At most this, with its last point for each seed that did not.
        at_most: f64,
        /// Seeds that reached the loss.
        reached: usize,
        /// Seeds in all.
        seeds: usize,
    },
    /// Some seeds were there before their first point, and the others reached the loss.
    Early {
        /// At least this, with its first point for each seed that was.
        at_least: f64,
        /// Seeds that were.
        early: usize,
        /// Seeds in all.
        seeds: usize,
    },
    /// No seed in common with the control, or bounds from both sides.
    Unknown,
}

/// Losses along FLOPs and along seconds, by seed.
struct Family {
    arm: String,
    published: Option<String>,
    stage: Stage,
    has_control: bool,
    seeds: BTreeMap<u64, Vec<Point>>,
}

#[derive(Clone, Copy)]
struct Point {
    flops: f64,
    seconds: f64,
    loss: f64,
}

/// The speed-ups of all arms with curves of the control's kind; none unless some arm grows its model.
pub fn speedups(evidence: &Evidence) -> Vec<ArmSpeedup> {
    let mut runs = evidence.arms.iter().flat_map(|arm| &arm.runs);
    if !runs.any(|run| run.record.plan.growth.is_some()) {
        return Vec::new();
    }
    let families = families(evidence);
    let Some(control) = families.iter().find(|family| family.has_control) else { return Vec::new() };
    let others = families.iter().filter(|family| !family.has_control && family.stage == control.stage);
    others
        .map(|family| ArmSpeedup {
            arm: family.arm.clone(),
            stage: family.stage,
            flops: sooner(control, family, |point| point.flops),
            seconds: sooner(control, family, |point| point.seconds),
            published: family.published.clone(),
        })
        .collect()
}

/// Arms at a constant rate by themselves; annealed arms that differ in length alone together. What has fewer points than a
/// curve needs is left out.
fn families(evidence: &Evidence) -> Vec<Family> {
    let mut groups: Vec<(Plan, Vec<&ArmEvidence>)> = Vec::new();
    for arm in evidence.arms.iter().filter(|arm| arm.basis == Basis::Primary) {
        let Some(run) = arm.runs.first() else { continue };
        let kind = kind(&run.record.plan);
        match groups.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, arms)) => arms.push(arm),
            None => groups.push((kind, vec![arm])),
        }
    }
    groups.iter().filter_map(|(kind, arms)| family(evidence, kind, arms)).collect()
}

/// What the plans of a family have in common.
fn kind(plan: &Plan) -> Plan {
    let mut kind = Plan { seed: 0, ..plan.clone() };
    if stage(plan) == Stage::Annealed {
        kind.training.length = TrainingConfig::default().length;
    }
    kind
}

fn stage(plan: &Plan) -> Stage {
    match plan.training.schedule {
        ScheduleConfig::Constant(_) => Stage::Raw,
        ScheduleConfig::Cosine(_) | ScheduleConfig::Wsd(_) => Stage::Annealed,
    }
}

fn family(evidence: &Evidence, kind: &Plan, arms: &[&ArmEvidence]) -> Option<Family> {
    let budget = |arm: &&&ArmEvidence| arm.runs.first().map_or(0, |run| run.record.training.tokens);
    let largest = arms.iter().max_by_key(budget)?;
    let mut seeds: BTreeMap<u64, Vec<Point>> = BTreeMap::new();
    for run in arms.iter().flat_map(|arm| &arm.runs) {
        let points = seeds.entry(run.seed).or_default();
        match stage(kind) {
            Stage::Raw => points.extend(along(run)),
            Stage::Annealed => points.push(end(run)),
        }
    }
    for points in seeds.values_mut() {
        points.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    }
    seeds.retain(|_, points| points.len() >= MIN_POINTS);
    (!seeds.is_empty()).then(|| Family {
        arm: largest.name.clone(),
        published: largest.published.as_ref().map(|published| published.text.clone()),
        stage: stage(kind),
        has_control: arms.iter().any(|arm| arm.name == evidence.control),
        seeds,
    })
}

fn along(run: &RunEvidence) -> impl Iterator<Item = Point> + '_ {
    run.curve.iter().map(|point| Point { flops: point.flops, seconds: point.seconds, loss: point.loss })
}

fn end(run: &RunEvidence) -> Point {
    let training = &run.record.training;
    let held_out = run.record.measurements.held_out.map(|loss| loss.nats_per_token);
    Point { flops: training.flops, seconds: training.seconds, loss: held_out.unwrap_or(training.final_loss) }
}

/// Raw losses are smoothed over about a tenth of the run at its end.
const RAW_BANDWIDTH: f64 = 0.1;

fn sooner(control: &Family, family: &Family, cost: impl Fn(&Point) -> f64) -> Sooner {
    let smoothing = match control.stage {
        Stage::Raw => Smoothing::Kernel(RAW_BANDWIDTH),
        Stage::Annealed => Smoothing::Interpolate,
    };
    let curve = |points: &[Point]| {
        let points = points.iter().map(|point| (cost(point), point.loss));
        Curve::new("a run", Axis::Flops, control.stage, points.collect::<Vec<_>>()).ok()
    };
    let of_seed = |(seed, points): (&u64, &Vec<Point>)| {
        let (slow, fast) = (curve(points)?, curve(family.seeds.get(seed)?)?);
        let loss = Descent::new(&slow, smoothing).last_loss();
        speedup(&slow, &fast, loss, smoothing).ok()
    };
    Sooner::of(&control.seeds.iter().filter_map(of_seed).collect::<Vec<_>>())
}

impl Sooner {
    /// Over seeds.
    fn of(found: &[Speedup]) -> Sooner {
        let log = |seed: &Speedup| match *seed {
            Speedup::Measured(sooner) | Speedup::AtLeast(sooner) | Speedup::AtMost(sooner) => {
                Some(sooner.ln_1p())
            }
            Speedup::Unknown => None,
        };
        let Some(logs) = found.iter().map(log).collect::<Option<Vec<f64>>>() else { return Sooner::Unknown };
        let Some(estimate) = Estimate::through(&logs, f64::exp_m1) else { return Sooner::Unknown };
        let count = |kind: fn(&Speedup) -> bool| found.iter().filter(|seed| kind(seed)).count();
        let early = count(|seed| matches!(seed, Speedup::AtLeast(_)));
        let late = count(|seed| matches!(seed, Speedup::AtMost(_)));
        let (mean, seeds) = (estimate.mean, found.len());
        match (early, late) {
            (0, 0) => Sooner::Measured(estimate),
            (0, _) => Sooner::Censored { at_most: mean, reached: seeds - late, seeds },
            (_, 0) => Sooner::Early { at_least: mean, early, seeds },
            (_, _) => Sooner::Unknown,
        }
    }

    /// `31 % (24 to 38, 3 seeds)`, or what bounds it.
    pub fn in_words(&self) -> String {
        let percent = |value: f64| number::fixed(100.0 * value, 1);
        match self {
            Sooner::Measured(estimate) => match (estimate.low, estimate.high) {
                (Some(low), Some(high)) => {
                    let (mean, low, high) = (percent(estimate.mean), percent(low), percent(high));
                    format!("{mean} % ({low} to {high}, {})", number::plural(estimate.n, "seed"))
                }
                _ => format!("{} % ({})", percent(estimate.mean), number::plural(estimate.n, "seed")),
            },
            Sooner::Censored { at_most, reached, seeds } => {
                format!("at most {} % ({reached} of {seeds} seeds get there)", percent(*at_most))
            }
            Sooner::Early { at_least, early, seeds } => {
                let at_least = percent(*at_least);
                format!("at least {at_least} % ({early} of {seeds} seeds are there before their first point)")
            }
            Sooner::Unknown => {
                "unknown: no seed in common with the control, or bounds from both sides".to_string()
            }
        }
    }
}

impl ArmSpeedup {
    /// A sentence.
    pub fn in_words(&self, control: &str) -> String {
        let published = match &self.published {
            Some(text) => format!(" Published: {text}."),
            None => String::new(),
        };
        format!(
            "Speed-up of {:?} at the last {} loss of {control:?}: in FLOPs {}, in seconds {}.{published}",
            self.arm,
            self.stage,
            self.flops.in_words(),
            self.seconds.in_words(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::CurvePoint;
    use super::super::fake;
    use super::*;
    use crate::plan::GrowthConfig;
    use crate::training::config::{ConstantConfig, Count, Length, WsdConfig};

    /// Loss `20 (C / speed)^-0.05` until `end` FLOPs, at a second a petaFLOP.
    fn curve(speed: f64, end: f64) -> Vec<CurvePoint> {
        let flops = (0..200).map(|k| 1e15 * (end / 1e15).powf(k as f64 / 199.0));
        flops
            .map(|flops| CurvePoint {
                tokens: flops as u64,
                flops,
                seconds: flops / 1e15,
                loss: 20.0 * (flops * speed).powf(-0.05),
                lr: 1e-3,
                bits_per_param: None,
            })
            .collect()
    }

    fn evidence() -> Evidence {
        let mut evidence = fake::evidence();
        let speeds = [1.0, 1.5, 0.5, 1.0];
        for (arm, speed) in evidence.arms.iter_mut().zip(speeds) {
            for run in &mut arm.runs {
                run.record.plan.training.schedule = ScheduleConfig::Constant(ConstantConfig::default());
                run.curve = curve(speed, 1e17);
                let grows = speed > 1.0;
                run.record.plan.growth = grows.then(GrowthConfig::default);
                run.record.plan.model.n_layers = (10.0 * speed) as usize;
            }
        }
        evidence.arms[3].runs.iter_mut().for_each(|run| run.record.plan.model.d_model = 7);
        evidence
    }

    #[test]
    fn half_as_many_flops_again_is_fifty_percent_and_what_never_arrives_is_bounded() {
        let found = speedups(&evidence());
        assert_eq!(
            found.iter().map(|found| found.arm.as_str()).collect::<Vec<_>>(),
            ["gated", "quarter", "none"]
        );
        let Sooner::Measured(estimate) = &found[0].flops else { panic!("{:?}", found[0]) };
        assert!((estimate.mean - 0.5).abs() < 1e-2 && estimate.n == 3, "{estimate:?}");
        assert!(found[0].in_words("gpt2").contains("raw loss"), "{}", found[0].in_words("gpt2"));
        let Sooner::Censored { at_most, reached, seeds } = found[1].seconds else { panic!("{:?}", found[1]) };
        assert!(at_most.abs() < 1e-6 && (reached, seeds) == (0, 3), "{at_most}");
        assert!(found[1].flops.in_words().starts_with("at most"), "{}", found[1].flops.in_words());
    }

    #[test]
    fn a_control_that_was_at_its_last_loss_before_counts_from_there() {
        let mut evidence = evidence();
        for run in &mut evidence.arms[0].runs {
            // Down until 3e16 FLOPs, then up again, to the loss of 0.9e16.
            for point in run.curve.iter_mut().filter(|point| point.flops > 3e16) {
                point.loss = 20.0 * (9e32 / point.flops).powf(-0.05);
            }
        }
        let Sooner::Measured(estimate) = &speedups(&evidence)[0].flops else { panic!("measured") };
        assert!((estimate.mean - 0.5).abs() < 0.02, "{estimate:?}");
    }

    #[test]
    fn seeds_are_averaged_on_logarithms_and_bounds_keep_their_side() {
        let Sooner::Measured(estimate) =
            Sooner::of(&[Speedup::Measured(0.0), Speedup::Measured(1.0), Speedup::Measured(15.0)])
        else {
            panic!("measured")
        };
        assert!((estimate.mean - (32.0_f64.cbrt() - 1.0)).abs() < 1e-9, "{estimate:?}");
        assert!(estimate.low.unwrap() > -1.0, "{estimate:?}");
        let late = Sooner::of(&[Speedup::Measured(1.0), Speedup::AtMost(0.0), Speedup::AtMost(3.0)]);
        let Sooner::Censored { at_most, reached: 1, seeds: 3 } = late else { panic!("{late:?}") };
        assert!((at_most - 1.0).abs() < 1e-9, "{at_most}");
        let early = Sooner::of(&[Speedup::Measured(1.0), Speedup::AtLeast(1.0), Speedup::AtLeast(1.0)]);
        let Sooner::Early { at_least, early: 2, seeds: 3 } = early else { panic!("{early:?}") };
        assert!((at_least - 1.0).abs() < 1e-9, "{at_least}");
        assert_eq!(Sooner::of(&[Speedup::AtMost(1.0), Speedup::AtLeast(0.0)]), Sooner::Unknown);
        assert_eq!(Sooner::of(&[Speedup::Measured(1.0), Speedup::Unknown]), Sooner::Unknown);
        assert_eq!(Sooner::of(&[]), Sooner::Unknown);
    }

    #[test]
    fn an_arm_that_is_there_at_its_first_point_bounds_the_answer_from_below() {
        let mut evidence = evidence();
        evidence.arms[1].runs.iter_mut().for_each(|run| run.curve = curve(200.0, 1e17));
        let Sooner::Early { at_least, early: 3, seeds: 3 } = speedups(&evidence)[0].flops else {
            panic!("{:?}", speedups(&evidence)[0])
        };
        assert!((at_least / 99.0 - 1.0).abs() < 1e-6, "{at_least}");
    }

    #[test]
    fn annealed_ends_of_four_budgets_are_one_curve() {
        let mut evidence = evidence();
        let arms: Vec<ArmEvidence> = evidence.arms[..2].to_vec();
        evidence.arms.clear();
        for arm in arms {
            for budget in [1e15, 1e16, 5e16, 1e17] {
                let mut arm = arm.clone();
                let is_control = budget == 1e17 && arm.name == "gpt2";
                arm.name = if is_control { arm.name } else { format!("{}-{budget:e}", arm.name) };
                for run in &mut arm.runs {
                    run.record.plan.training.schedule = ScheduleConfig::Wsd(WsdConfig::default());
                    run.record.plan.training.length = Length::Tokens(Count { count: budget as u64 });
                    let speed = if run.record.plan.growth.is_some() { 1.5 } else { 1.0 };
                    run.record.training.flops = budget;
                    run.record.training.final_loss = 20.0 * (budget * speed).powf(-0.05);
                    run.record.measurements.held_out = None;
                }
                evidence.arms.push(arm);
            }
        }
        let found = speedups(&evidence);
        assert_eq!((found.len(), found[0].stage), (1, Stage::Annealed));
        let Sooner::Measured(estimate) = &found[0].flops else { panic!("{:?}", found[0]) };
        assert!((estimate.mean - 0.5).abs() < 0.02, "{estimate:?}");
        evidence.arms.remove(0);
        assert!(speedups(&evidence).is_empty(), "three budgets are no curve");
    }

    #[test]
    fn ablations_without_growth_have_none() {
        assert!(speedups(&fake::evidence()).is_empty());
    }
}
