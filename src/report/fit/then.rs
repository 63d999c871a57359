//! What the finished runs of an ablation ask for: the mixture that their law holds for the best, as one more arm.

use super::measured::Measured;
use super::mixture::{MixtureConfig, MixtureData, mixture};
use crate::data::DataConfig;
use crate::error::{Error, Kind, Problem, Result};
use crate::laws::mixture::{AtZero, Folds, Mixtures, Observation};
use crate::plan::{Ablation, OPTIMUM, Train};
use crate::run::{Answers, Site, Store};

/// The ablation with the arm that follows from its finished runs; as it is, while some are not finished or nothing
/// follows.
///
/// # Errors
/// The store or a run of it cannot be read, or the runs are of data without domains.
pub fn extended(ablation: &Ablation, store: &Store, site: &Site) -> Result<Ablation> {
    match ablation.then.train {
        Train::Nothing => return Ok(ablation.clone()),
        Train::Optimum if ablation.arms.iter().any(|arm| arm.name == OPTIMUM) => return Ok(ablation.clone()),
        Train::Optimum => {}
    }
    if !Answers::new(ablation, site.clone()).next(store)?.is_empty() {
        return Ok(ablation.clone());
    }
    let data = MixtureData::of_runs(&Measured::of_planned(ablation, store, site)?)?;
    let config = MixtureConfig { folds: Folds::LeaveOneMixtureOut, at_zero: AtZero::Offset };
    let found = mixture(&data, &config)?;
    match found.optima.first() {
        Some(best) => ablation.with_optimum(&best.shares),
        None => Err(Error::data(Problem::new("the law of these mixtures has no optimum"))),
    }
}

impl MixtureData {
    /// From finished runs on mixtures of the same sources: the shares of their plans, the held-out loss of every domain
    /// at their ends.
    ///
    /// # Errors
    /// A run on other data, or one that misses a domain of the first.
    pub fn of_runs(runs: &[Measured]) -> Result<Self> {
        let Some(first) = runs.first() else { return Err(Error::data(Problem::new("no finished runs"))) };
        let domains: Vec<String> = shares(first)?.into_iter().map(|(name, _)| name).collect();
        let mut problems = Vec::new();
        let mut observations = Vec::new();
        for run in runs {
            match observation(run, &domains) {
                Ok(observation) => observations.push(observation),
                Err(error) => problems.extend(error.problems),
            }
        }
        if !problems.is_empty() {
            return Err(Error { kind: Kind::Data, problems });
        }
        let names = runs.iter().map(|run| run.arm().to_string()).collect();
        let mixtures = Mixtures::new((0..domains.len()).collect(), observations)?.named(domains.clone());
        Ok(MixtureData { mixtures, domains, names })
    }
}

/// Shares of a run's sources by name.
fn shares(run: &Measured) -> Result<Vec<(String, f64)>> {
    match &run.record.plan.data {
        DataConfig::Mixture(mixture) => {
            Ok(mixture.sources.iter().map(|(name, source)| (name.clone(), source.share)).collect())
        }
        other => {
            let problem = Problem::new(format!("run {} is on {}", run.label, other.kind()));
            Err(Error::data(problem.expected("runs on a mixture of sources")))
        }
    }
}

fn observation(run: &Measured, domains: &[String]) -> Result<Observation> {
    let shares = shares(run)?;
    let missing = |name: &String, what: &str| {
        Error::data(Problem::new(format!("run {} has no {what} of the domain {name}", run.label)))
    };
    let share = |name: &String| {
        shares
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, share)| *share)
            .ok_or_else(|| missing(name, "share"))
    };
    let measured = &run.record.measurements.domains;
    let loss = |name: &String| {
        let found = measured.iter().find(|domain| domain.name == *name);
        found.map(|domain| domain.nats_per_token).ok_or_else(|| missing(name, "held-out loss"))
    };
    Ok(Observation {
        shares: domains.iter().map(share).collect::<Result<_>>()?,
        steps: run.record.training.steps as f64,
        losses: domains.iter().map(loss).collect::<Result<_>>()?,
    })
}
