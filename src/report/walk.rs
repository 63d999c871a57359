//! What a walk between two models found: each step where it is added and where it is removed.

use serde::{Deserialize, Serialize};

use super::compare::Family;
use super::comparison::Measure;
use super::evidence::{ArmEvidence, Basis};
use crate::statistics::Compared;

/// The steps between two models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathEffects {
    /// The model that it begins at.
    pub from: String,
    /// The arm of that model: the control.
    pub from_arm: String,
    /// The model that it ends at, and its arm.
    pub to: String,
    /// The steps, in the order of the plan.
    pub steps: Vec<StepEffect>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEffect {
    /// Its name.
    pub name: String,
    /// What it changes, in words.
    pub change: String,
    /// The arm that is the first model with this step.
    pub added: String,
    /// The arm that is the second model without it.
    pub removed: String,
}

/// What a walk found; every effect is of going from the first model towards the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkResult {
    /// The model that it begins at.
    pub from: String,
    /// The model that it ends at.
    pub to: String,
    /// The steps, in the order of the plan.
    pub steps: Vec<StepResult>,
    /// The effect of all steps together.
    pub whole: Option<Compared>,
}

/// What a step does, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Its name.
    pub name: String,
    /// What it changes, in words.
    pub change: String,
    /// The effect of adding it to the first model.
    pub added: Option<Compared>,
    /// The effect of having it in the second model.
    pub removed: Option<Compared>,
}

impl PathEffects {
    /// Compares the arms of the walk; all steps, added and removed, are one family.
    pub(super) fn result(&self, arms: &[ArmEvidence], measure: Measure, family: &Family) -> WalkResult {
        let family = family.with(2 * self.steps.len());
        let arm = |name: &str| arms.iter().find(|arm| arm.name == name && arm.basis == Basis::Primary);
        let effect = |with: &str, without: &str| family.compare(measure, arm(with)?, arm(without)?);
        let step = |step: &StepEffect| StepResult {
            name: step.name.clone(),
            change: step.change.clone(),
            added: effect(&step.added, &self.from_arm),
            removed: effect(&self.to, &step.removed),
        };
        WalkResult {
            from: self.from.clone(),
            to: self.to.clone(),
            steps: self.steps.iter().map(step).collect(),
            whole: effect(&self.to, &self.from_arm),
        }
    }
}

impl WalkResult {
    /// The step that moves the measure furthest where it is added, of those whose intervals say so at both ends.
    pub fn culprit(&self) -> Option<&StepResult> {
        let moves = |effect: &Option<Compared>| {
            let effect = effect.as_ref().filter(|effect| effect.finding.is_effect())?;
            Some(effect.contrast.scale(effect.estimate.mean))
        };
        let both = self.steps.iter().filter_map(|step| {
            let (added, removed) = (moves(&step.added)?, moves(&step.removed)?);
            (added.signum() == removed.signum()).then_some((step, added.abs()))
        });
        both.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(step, _)| step)
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::fake;
    use super::*;

    #[test]
    fn a_step_is_compared_with_the_end_that_it_is_taken_at() {
        let comparison = compare(&fake::evidence_of_walk()).unwrap();
        let walk = comparison.walk.clone().unwrap();
        let means = |effect: &Option<Compared>| effect.as_ref().unwrap().estimate.mean;
        let by_hand = |with: [f64; 3], without: [f64; 3]| {
            with.iter().zip(without).map(|(with, without)| with / without).product::<f64>().cbrt()
        };
        let (llama, gpt2) = ([1.20, 1.17, 1.23], [0.57, 0.55, 0.58]);
        let gate = &walk.steps[0];
        assert!((means(&gate.added) - by_hand([1.37, 1.35, 1.42], llama)).abs() < 1e-12);
        assert!((means(&gate.removed) - by_hand(gpt2, [1.17, 1.21, 1.16])).abs() < 1e-12);
        assert!((means(&walk.whole) - by_hand(gpt2, llama)).abs() < 1e-12);
        let alone = comparison.arms[1].compared.as_ref().unwrap().estimate.clone();
        let among = gate.added.as_ref().unwrap().estimate.clone();
        assert!(among.low > alone.low, "two effects against three arms: {among:?} {alone:?}");
    }

    #[test]
    fn the_culprit_moves_the_measure_the_same_way_at_both_ends() {
        let mut walk = compare(&fake::evidence_of_walk()).unwrap().walk.unwrap();
        assert_eq!(walk.culprit(), None, "one end is better with it, the other worse");
        walk.steps[0].added = walk.steps[0].removed.clone();
        assert_eq!(walk.culprit().unwrap().name, "feed-forward");
    }
}
