//! Finished runs as fits read them: plan, counts, curve, and how far the learning rate had decayed.

use super::super::evidence::{Basis, CurvePoint};
use super::super::gather;
use super::super::number;
use super::race_curve::RaceCurve;
use super::then::extended;
use crate::error::Result;
use crate::laws::curves::Axis;
use crate::plan::{Ablation, Plan};
use crate::run::{Run, RunRecord, Site, Store};
use crate::training::config::Cooldown;
use crate::training::{DocumentOrder, Length, ScheduleConfig};

/// A run of which less than this share is at the peak rate has no trunk to speak of.
const TRUNK: f64 = 0.3;

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What it was planned for: the arm, and the size if it has a name.
    pub label: String,
    /// Plan, counts, training and measurements.
    pub record: RunRecord,
    /// What training logged on the way, in order.
    pub curve: Vec<CurvePoint>,
}

impl Measured {
    /// Reads a finished run of a store.
    ///
    /// # Errors
    /// It is not finished, or damaged.
    pub fn of_run(run: &Run) -> Result<Self> {
        Ok(Measured { label: run.header()?.label, record: run.record()?, curve: gather::curve(run)? })
    }

    /// Every finished run that an ablation reports, each arm at its own best rate, with the arm that follows from them.
    ///
    /// # Errors
    /// The store or a run of it cannot be read.
    pub fn of_ablation(ablation: &Ablation, store: &Store, site: &Site) -> Result<Vec<Self>> {
        Measured::of_planned(&extended(ablation, store, site)?, store, site)
    }

    /// The arm that it was planned for.
    pub fn arm(&self) -> &str {
        self.label.split(' ').next().unwrap_or_default()
    }

    /// The same for the arms as they stand.
    pub(super) fn of_planned(ablation: &Ablation, store: &Store, site: &Site) -> Result<Vec<Self>> {
        let mut measured = Vec::new();
        for size in ablation.sizes() {
            let evidence = gather::gather(ablation, size, store, site, String::new())?;
            for arm in evidence.arms.into_iter().filter(|arm| arm.basis == Basis::Primary) {
                let label = format!("{} {size}", arm.name).trim_end().to_string();
                let of_run = |run: super::super::RunEvidence| Measured {
                    label: label.clone(),
                    record: run.record,
                    curve: run.curve,
                };
                measured.extend(arm.runs.into_iter().map(of_run));
            }
        }
        Ok(measured)
    }

    /// Where a line of its metrics lies on an axis. Time is told by `pace`, seconds a token; `6 N D` counts active
    /// parameters outside of tables, as the meters do.
    pub fn place(&self, point: &CurvePoint, axis: Axis, pace: f64) -> f64 {
        let params = self.record.params;
        match axis {
            Axis::Hours => pace * point.tokens as f64 / 3600.0,
            Axis::Tokens => point.tokens as f64,
            Axis::Flops => point.flops,
            Axis::SixNd => 6.0 * (params.active - params.embedding) as f64 * point.tokens as f64,
        }
    }

    /// `1 - rate / peak` at a line of its metrics; 0 in warm-up.
    pub fn decay(&self, point: &CurvePoint) -> f64 {
        let peak = self.record.plan.training.peak_lr;
        let warm = self.curve.iter().find(|line| line.lr >= 0.999 * peak);
        match warm {
            Some(warm) if point.tokens > warm.tokens => (1.0 - point.lr / peak).clamp(0.0, 1.0),
            _ => 0.0,
        }
    }

    /// Lines of metrics before the learning rate falls, if it stays at its peak for long; else all of them.
    pub fn trunk(&self) -> Vec<CurvePoint> {
        let level = |line: &&CurvePoint| self.decay(line) < 1e-3;
        let trunk: Vec<CurvePoint> = self.curve.iter().take_while(level).copied().collect();
        if trunk.len() as f64 >= TRUNK * self.curve.len() as f64 { trunk } else { self.curve.clone() }
    }

    /// Loss at its end: held out if that was measured, else the mean of the last twentieth of training.
    pub fn end_loss(&self) -> f64 {
        let held_out = self.record.measurements.held_out;
        held_out.map_or(self.record.training.final_loss, |loss| loss.nats_per_token)
    }

    /// The name of its schedule.
    pub fn schedule(&self) -> String {
        match self.record.plan.training.schedule {
            ScheduleConfig::Cosine(cosine) if cosine.stretch != 1.0 => format!("cosine-x{}", cosine.stretch),
            ScheduleConfig::Cosine(_) => "cosine".to_string(),
            ScheduleConfig::Constant(_) => "constant".to_string(),
            ScheduleConfig::Wsd(wsd) => match wsd.shape {
                Cooldown::OneMinusSqrt => "wsd".to_string(),
                Cooldown::Linear => "wsd-linear".to_string(),
            },
        }
    }

    /// Its plan without what tells runs of one family apart: length, schedule, rate, order, seed.
    fn family(&self) -> Plan {
        let mut plan = self.record.plan.clone();
        plan.training.length = Length::Steps(Default::default());
        plan.training.schedule = ScheduleConfig::Constant(Default::default());
        plan.training.peak_lr = 1.0;
        plan.training.order = DocumentOrder::default();
        plan.seed = 0;
        plan
    }
}

/// The models of a race: runs of one model on one dataset under one schedule together, small models first.
pub fn families(runs: &[Measured]) -> Vec<RaceCurve> {
    let mut families: Vec<(Plan, String, Vec<&Measured>)> = Vec::new();
    for run in runs {
        let (plan, schedule) = (run.family(), run.schedule());
        match families.iter_mut().find(|family| (&family.0, &family.1) == (&plan, &schedule)) {
            Some(family) => family.2.push(run),
            None => families.push((plan, schedule, vec![run])),
        }
    }
    families.sort_by_key(|family| family.2[0].record.params.total);
    let size = |runs: &[&Measured]| number::count(runs[0].record.params.total as f64);
    let twins = |index: usize| {
        let same = |other: &&(Plan, String, Vec<&Measured>)| {
            other.1 == families[index].1 && size(&other.2) == size(&families[index].2)
        };
        families.iter().filter(same).count() > 1
    };
    let name = |index: usize| match twins(index) {
        true => format!("{} {}", size(&families[index].2), families[index].2[0].label),
        false => size(&families[index].2),
    };
    (0..families.len()).map(|k| RaceCurve::of_runs(&name(k), &families[k].1, &families[k].2)).collect()
}
