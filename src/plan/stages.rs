//! Runs that start from other runs: which ones follows from the plan, nothing about them is written in it.
//!
//! A cooldown begins from its trunk, a model that is quantized or QA-tuned from the model as
//! trained. So a plan stays the whole truth about its run, a run that two others begin from is done once, and where the
//! other run is gone, a plan can still be done from the start.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Plan;
use super::fingerprint::Fingerprint;
use super::runs::{PlannedRun, Role};
use crate::Result;
use crate::measure::QuantizeConfig;
use crate::training::config::ConstantConfig;
use crate::training::{AdaptConfig, ContextConfig, Count, DocumentOrder, Length, ScheduleConfig};

/// The part of its state that a run takes from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// All of its state: what follows is what it would have done itself. Without it the run starts at its first step and
    /// ends with the same bits.
    Trunk,
    /// The model, to be grown.
    Small,
    /// A decoder, whose context is extended.
    Decoder,
    /// The encoder of the context.
    Encoder,
    /// Decoder and encoder after their warm-up.
    WarmUp,
    /// The model, to be QA-tuned.
    Base,
}

/// A run that another one starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// The part of its state that is taken.
    pub part: Part,
    /// The plan of the parent.
    pub plan: Plan,
}

impl Part {
    /// The name of the part, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Part::Trunk => "trunk",
            Part::Small => "small",
            Part::Decoder => "decoder",
            Part::Encoder => "encoder",
            Part::WarmUp => "warm-up",
            Part::Base => "base",
        }
    }
}

impl Plan {
    /// The runs that this one starts from; they may have parents themselves.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn parents(&self) -> Result<Vec<Parent>> {
        if self.context != ContextConfig::None {
            return self.context_parents();
        }
        if self.adapt != AdaptConfig::None {
            return Ok(vec![self.adapted_parent()]);
        }
        if !self.measure.quantize.is_none() {
            return Ok(vec![Parent { part: Part::Trunk, plan: self.in_float() }]);
        }
        if let Some(timing) = self.grown_timing()? {
            return Ok(match self.grown_trunk(&timing) {
                Some(plan) => vec![Parent { part: Part::Trunk, plan }],
                None => self.small()?.into_iter().map(|plan| Parent { part: Part::Small, plan }).collect(),
            });
        }
        let Some(steps) = self.training.schedule.trunk_steps(self.steps()?) else { return Ok(Vec::new()) };
        let mut plan = self.clone();
        let warmup_steps = self.training.schedule.warmup_steps().min(steps);
        plan.training.schedule = ScheduleConfig::Constant(ConstantConfig { warmup_steps });
        plan.training.length = Length::Steps(Count { count: steps });
        Ok(vec![Parent { part: Part::Trunk, plan }])
    }

    /// The same run without quantization.
    fn in_float(&self) -> Plan {
        let mut plan = self.clone();
        plan.measure.quantize = QuantizeConfig::None;
        plan
    }

    /// Steps that a parent has done and this run does not do again.
    ///
    /// # Errors
    /// If the data is impossible or cannot be read.
    pub fn first_step(&self) -> Result<u64> {
        if !self.measure.quantize.is_none() {
            return self.steps();
        }
        if self.context != ContextConfig::None || self.adapt != AdaptConfig::None {
            return Ok(0);
        }
        if let Some(timing) = self.grown_timing()? {
            let trunk = self.grown_trunk(&timing).map(|trunk| trunk.steps()).transpose()?;
            return Ok(trunk.unwrap_or(timing.small));
        }
        Ok(self.training.schedule.trunk_steps(self.steps()?).unwrap_or(0))
    }

    /// What all trunks have in common of which a longer one goes on where a shorter one ends; `None` for a plan that is
    /// no trunk.
    pub fn trunk(&self) -> Option<Plan> {
        let is_trunk = matches!(self.training.schedule, ScheduleConfig::Constant(_))
            && self.training.order == DocumentOrder::Epochs
            && self.context == ContextConfig::None
            && self.adapt == AdaptConfig::None;
        let mut plan = self.clone();
        plan.training.length = Length::Steps(Count { count: 1 });
        is_trunk.then_some(plan)
    }
}

/// A run that other runs of an ablation start from.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// The part of its state that is taken.
    pub part: Part,
    /// The run; its arm and seed are those of the first that begins from it.
    pub run: PlannedRun,
    /// Steps that a shorter trunk does for it.
    pub first_step: u64,
}

/// The runs that `runs` start from, and their parents, each once.
///
/// # Errors
/// If the data is impossible or cannot be read.
pub fn stages(runs: &[PlannedRun]) -> Result<Vec<PlannedStage>> {
    let mut seen: HashSet<Fingerprint> = runs.iter().map(|run| run.fingerprint).collect();
    let mut stages: Vec<PlannedStage> = Vec::new();
    let mut open: Vec<PlannedRun> = runs.iter().rev().cloned().collect();
    while let Some(child) = open.pop() {
        for Parent { part, plan } in child.plan.parents()? {
            let fingerprint = Fingerprint::of(&plan)?;
            if seen.insert(fingerprint) {
                let run = PlannedRun { role: Role::Stage, plan, fingerprint, ..child.clone() };
                stages.push(PlannedStage { part, first_step: run.plan.first_step()?, run: run.clone() });
                open.push(run);
            }
        }
    }
    chain(&mut stages)?;
    Ok(stages)
}

/// Lets each trunk go on where the next shorter one of its kind ends.
fn chain(stages: &mut [PlannedStage]) -> Result<()> {
    let trunks: Vec<(Option<Plan>, u64)> = stages
        .iter()
        .map(|stage| Ok((stage.run.plan.trunk(), stage.run.plan.steps()?)))
        .collect::<Result<_>>()?;
    for (stage, (kind, steps)) in stages.iter_mut().zip(&trunks) {
        let shorter =
            trunks.iter().filter(|(other, length)| kind.is_some() && other == kind && length < steps);
        stage.first_step = shorter.map(|(_, length)| *length).max().unwrap_or(stage.first_step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::quantize::RtnConfig;
    use crate::training::config::{CosineConfig, WsdConfig};

    fn wsd(steps: u64) -> Plan {
        let mut plan = Plan::default();
        plan.training.length = Length::Steps(Count { count: steps });
        plan.training.order = DocumentOrder::Epochs;
        plan.training.schedule =
            ScheduleConfig::Wsd(WsdConfig { warmup_steps: 10, cooldown: 0.2, ..WsdConfig::default() });
        plan
    }

    #[test]
    fn cooldowns_of_all_shapes_begin_from_the_same_trunk() {
        let parents = wsd(100).parents().unwrap();
        assert_eq!((parents.len(), parents[0].part), (1, Part::Trunk));
        assert_eq!(parents[0].plan.steps().unwrap(), 80);
        assert_eq!(wsd(100).first_step().unwrap(), 80);
        let mut linear = wsd(100);
        if let ScheduleConfig::Wsd(config) = &mut linear.training.schedule {
            config.shape = crate::training::config::Cooldown::Linear;
        }
        assert_eq!(linear.parents().unwrap(), parents);
        assert!(parents[0].plan.parents().unwrap().is_empty());
    }

    #[test]
    fn all_roundings_of_a_model_are_measured_on_one_training() {
        let rounded = |bits| {
            let mut plan = wsd(100);
            plan.measure.quantize = QuantizeConfig::Rtn(RtnConfig { bits, ..RtnConfig::default() });
            plan
        };
        let parents = rounded(4).parents().unwrap();
        assert_eq!((parents[0].part, &parents[0].plan), (Part::Trunk, &wsd(100)));
        assert_eq!(rounded(8).parents().unwrap(), parents);
        assert_eq!(rounded(4).first_step().unwrap(), 100, "nothing is trained again");
        assert_eq!(parents[0].plan.first_step().unwrap(), 80);
    }

    #[test]
    fn trunks_of_other_lengths_belong_together_and_cosines_do_not() {
        let trunk = |steps| wsd(steps).parents().unwrap()[0].plan.trunk();
        assert!(trunk(100).is_some());
        assert_eq!(trunk(100), trunk(400));
        let mut cosine = wsd(100);
        cosine.training.schedule = ScheduleConfig::Cosine(CosineConfig::default());
        assert_eq!((cosine.trunk(), cosine.parents().unwrap().len()), (None, 0));
    }
}
