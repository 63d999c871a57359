//! Settings that should not matter to an answer, halved and doubled: what `zoo challenge` changes.

use super::Plan;
use super::ablation::{Ablation, Tune};
use super::difference;
use super::tree::dotted;
use crate::data::DataConfig;

/// The factors that each setting is changed by.
const FACTORS: [f64; 2] = [0.5, 2.0];

/// One changed setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Nuisance {
    /// What is changed, in words.
    pub name: &'static str,
    /// By what it is multiplied.
    pub factor: f64,
    /// The key of the plan.
    pub key: String,
    /// Its value.
    pub value: f64,
}

impl Nuisance {
    /// The overrides that make it: the setting for every arm, which is then not tuned.
    pub fn sets(&self, ablation: &Ablation) -> Vec<String> {
        let Nuisance { key, value, .. } = self;
        let middle = middle(ablation);
        let is_tuned = middle.iter().any(|(tuned, _)| tuned == key);
        let own = if is_tuned { fixed(key, *value) } else { format!("{key}={value}") };
        let others = middle.iter().filter(|(tuned, _)| tuned != key);
        std::iter::once(own).chain(others.map(|(key, value)| fixed(key, *value))).collect()
    }
}

/// The tuned keys at the middle of their grids.
fn middle(ablation: &Ablation) -> Vec<(String, f64)> {
    let of =
        |tune: &Tune| tune.keys.iter().map(|tuned| tuned.key.clone()).zip(tune.middle()).collect::<Vec<_>>();
    ablation.tune.as_ref().map_or_else(Vec::new, of)
}

/// The override under which a tuned key has one value.
fn fixed(key: &str, value: f64) -> String {
    format!("tune.{}=[{value:e}]", dotted(&[key]))
}

/// The overrides under which nothing is tuned: every arm at the middle of the grid.
pub fn untuned(ablation: &Ablation) -> Vec<String> {
    middle(ablation).iter().map(|(key, value)| fixed(key, *value)).collect()
}

/// The nuisances of an ablation at one of its sizes: those that the control's plan has and no arm is about.
pub fn nuisances(ablation: &Ablation, size: &str) -> Vec<Nuisance> {
    let control = ablation.control(size);
    let about: Vec<String> = ablation
        .arms_of(size)
        .flat_map(|arm| difference::between(&control.resolved.plan, &arm.resolved.plan))
        .map(|difference| difference.key)
        .collect();
    let is_asked =
        |key: &str| about.iter().any(|asked| key.starts_with(asked.as_str()) || asked.starts_with(key));
    let rate = match &ablation.tune {
        Some(_) => middle(ablation).into_iter().find(|(key, _)| key == RATE),
        None => Some((RATE.to_string(), control.resolved.plan.training.peak_lr)),
    };
    let rate = rate.map(|(key, value)| ("learning rate", key, value, Kind::Real));
    let others = settings(&control.resolved.plan).into_iter();
    let others = others.map(|(name, key, value)| (name, key.to_string(), value as f64, Kind::Whole));
    let changed = |(name, key, changed_from, kind): (&'static str, String, f64, Kind)| {
        FACTORS.map(|factor| {
            let value = match kind {
                Kind::Real => changed_from * factor,
                Kind::Whole => (changed_from * factor).round(),
            };
            (value != changed_from).then(|| Nuisance { name, factor, key: key.clone(), value })
        })
    };
    let asked = rate.into_iter().chain(others).filter(|(_, key, ..)| !is_asked(key));
    asked.flat_map(changed).flatten().filter(|nuisance| nuisance.value > 0.0).collect()
}

const RATE: &str = "training.peak_lr";

#[derive(Clone, Copy)]
enum Kind {
    Real,
    Whole,
}

/// Whole numbers of a plan that should not matter.
fn settings(plan: &Plan) -> Vec<(&'static str, &'static str, u64)> {
    let people = |people| ("load (people)", "data.people", people);
    let pool = |pool| ("names (pool of words)", "data.name_pool", pool);
    let of_data = match &plan.data {
        DataConfig::BioD(config) => vec![people(config.people), pool(config.name_pool)],
        DataConfig::BioS(config) => vec![people(config.people)],
        DataConfig::BioR(_)
        | DataConfig::Reading(_)
        | DataConfig::Text(_)
        | DataConfig::Corpus(_)
        | DataConfig::Mixture(_) => Vec::new(),
    };
    let warmup = ("warm-up", "training.schedule.warmup_steps", plan.training.schedule.warmup_steps());
    let batch = ("batch", "training.batch", plan.training.batch as u64);
    of_data.into_iter().chain([warmup, batch]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Presets;

    fn load(sets: &[&str]) -> Ablation {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Ablation::load(&Presets::at("/nowhere"), "mlp", Some("smoke"), &sets).unwrap()
    }

    #[test]
    fn every_nuisance_is_an_override_that_the_ablation_takes_and_changes_every_arm() {
        let ablation = load(&[]);
        let nuisances = nuisances(&ablation, "micro");
        assert_eq!(nuisances.len(), 10, "rate, people, names, warm-up, batch: {nuisances:?}");
        for nuisance in &nuisances {
            let sets = nuisance.sets(&ablation);
            let changed = load(&sets.iter().map(String::as_str).collect::<Vec<_>>());
            let rate = |ablation: &Ablation| ablation.tune.as_ref().unwrap().keys[0].grid.clone();
            assert_eq!(rate(&changed).len(), 1, "{sets:?}");
            let base = load(&untuned(&ablation).iter().map(String::as_str).collect::<Vec<_>>());
            for (arm, other) in base.arms.iter().zip(&changed.arms) {
                let differs = arm.resolved.plan != other.resolved.plan || rate(&base) != rate(&changed);
                assert!(differs, "{nuisance:?} changes nothing of {}", arm.name);
            }
        }
    }

    #[test]
    fn half_of_a_batch_of_one_is_no_change() {
        let batches = |batch: &str| {
            let nuisances = nuisances(&load(&[batch]), "micro");
            nuisances.into_iter().filter(|n| n.name == "batch").map(|n| n.value).collect::<Vec<_>>()
        };
        assert_eq!(batches("training.batch=1"), [2.0]);
        assert_eq!(batches("training.batch=8"), [4.0, 16.0]);
    }

    #[test]
    fn what_an_arm_is_about_is_no_nuisance() {
        let ablation = Ablation::load(&Presets::at("/nowhere"), "capacity-1000", Some("curve"), &[]).unwrap();
        let size = ablation.sizes()[0].to_string();
        assert!(nuisances(&ablation, &size).iter().all(|nuisance| nuisance.key != "data.people"));
    }
}
