//! `L_i(r, s)`: the loss of domain `i` by the shares `r` of all domains in the training data and the steps
//! `s`.
//!
//! BiMix (Ge et al. 2024, arXiv 2405.14908) asks only for the domain's own share; the exponential law (Ye et
//! al. 2024, arXiv 2403.16952) for all of them. [`cross_validate`] tells on which of the two a set of
//! measurements insists, and laws are fitted one domain at a time.

mod bimix;
mod exponential;
mod optimum;
mod score;

use serde::{Deserialize, Serialize};

pub use bimix::Bimix;
pub use exponential::Exponential;
pub use optimum::{Optimum, closed_optimum, numeric_optimum};
pub use score::{
    FAR, Folds, MixturePrediction, Predictions, Score, cross_validate, extrapolate_steps,
    held_out_predictions,
};

use crate::error::{Error, Problem, Result};
use crate::laws::table::Problems;

/// Losses of one model at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Shares of the training data, one per domain, adding up to 1.
    pub shares: Vec<f64>,
    /// Steps (or tokens) trained.
    pub steps: f64,
    /// Losses in nats per token, one per target.
    pub losses: Vec<f64>,
}

/// Measurements of several mixtures.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixtures {
    /// Per loss: the domain whose text it was measured on, as an index into the shares.
    targets: Vec<usize>,
    /// Names of the domains, in the order of the shares; empty if they have none.
    names: Vec<String>,
    observations: Vec<Observation>,
}

/// The law of data mixtures that is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `(B / s^beta + C) / r^alpha`.
    Bimix(AtZero),
    /// `C / r^alpha`, for measurements at one time.
    OwnShare(AtZero),
    /// `c + exp(sum_j t_j r_j)`, for measurements at one time.
    Exponential,
}

/// What a power of the own share does where the share is zero and the power is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtZero {
    /// Such measurements are left out.
    Drop,
    /// `(r + r0)^alpha` with `r0 > 0` fitted: what other domains teach about this one.
    Offset,
}

/// The law of one domain's loss.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainLaw {
    /// The loss by the share of the domain itself.
    Bimix(Bimix),
    /// The loss by the shares of all domains.
    Exponential(Exponential),
}

/// The laws of all targets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixtureLaw {
    /// Per target: its domain, as an index into the shares.
    pub targets: Vec<usize>,
    /// Per target: its law.
    pub laws: Vec<DomainLaw>,
}

/// Shares are read off tables, rounded; their sum may be off by this.
const SUM_TOLERANCE: f64 = 0.02;

impl Mixtures {
    /// `targets[k]` is the index among the shares of the domain of loss `k`.
    ///
    /// # Errors
    /// No observation; different numbers of shares or losses; a share that is negative or shares that do not
    /// add up to 1; a loss or a time that is not positive and finite.
    pub fn new(targets: Vec<usize>, observations: Vec<Observation>) -> Result<Self> {
        let Some(first) = observations.first() else {
            return Err(Error::data(Problem::new("no measurements of mixtures")));
        };
        let domains = first.shares.len();
        if let Some(target) = targets.iter().find(|target| **target >= domains) {
            return Err(Error::data(Problem::new(format!("target domain {target} of {domains}"))));
        }
        let mut problems = Problems::default();
        for (index, observation) in observations.iter().enumerate() {
            if let Some(found) = observation.fault(domains, targets.len()) {
                problems.push(|| Problem::new(found).key(format!("mixture {}", index + 1)));
            }
        }
        problems.finish("these mixtures", Mixtures { targets, names: Vec::new(), observations })
    }

    /// With names of the domains, in the order of the shares.
    pub fn named(self, names: Vec<String>) -> Self {
        Mixtures { names, ..self }
    }

    /// The name of the losses of a target.
    fn target(&self, target: usize) -> String {
        let own = self.targets[target];
        self.names.get(own).cloned().unwrap_or_else(|| format!("domain {own}"))
    }

    /// Index among the shares of each loss's domain.
    pub fn targets(&self) -> &[usize] {
        &self.targets
    }

    /// The measurements.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The measurements for which `keep` holds.
    fn filtered(&self, keep: impl Fn(usize, &Observation) -> bool) -> Mixtures {
        let kept =
            self.observations.iter().enumerate().filter(|(index, observation)| keep(*index, observation));
        let (targets, names) = (self.targets.clone(), self.names.clone());
        Mixtures { targets, names, observations: kept.map(|(_, o)| o.clone()).collect() }
    }

    /// Measurements of the same mixture have the same number: that of its first one.
    fn mixture_numbers(&self) -> Vec<usize> {
        let first = |o: &Observation| {
            self.observations.iter().position(|other| other.shares == o.shares).unwrap_or(0)
        };
        self.observations.iter().map(first).collect()
    }
}

impl Observation {
    fn fault(&self, domains: usize, targets: usize) -> Option<String> {
        let positive = |v: &f64| *v > 0.0 && v.is_finite();
        let sum: f64 = self.shares.iter().sum();
        if self.shares.len() != domains || self.losses.len() != targets {
            let (r, l) = (self.shares.len(), self.losses.len());
            Some(format!("{r} shares and {l} losses, expected {domains} and {targets}"))
        } else if self.shares.iter().any(|r| *r < 0.0) || sum.is_nan() || (sum - 1.0).abs() > SUM_TOLERANCE {
            Some(format!("shares {:?} (sum {sum}), expected none below 0 and a sum of 1", self.shares))
        } else if !positive(&self.steps) {
            Some(format!("{} steps, expected a positive number", self.steps))
        } else {
            self.losses.iter().find(|l| !positive(l)).map(|l| format!("loss {l}, expected a positive number"))
        }
    }
}

/// Fits one law per target.
///
/// # Errors
/// Too few measurements for the constants of the law (after those at share zero are dropped), or measurements
/// at several times for a law of one time.
pub fn fit(mixtures: &Mixtures, form: Form) -> Result<MixtureLaw> {
    use rayon::prelude::*;
    let fit_target = |target: usize| -> Result<DomainLaw> {
        let own = mixtures.targets[target];
        match form {
            Form::Bimix(at_zero) => {
                bimix::fit(mixtures, target, own, at_zero, bimix::Time::Fitted).map(DomainLaw::Bimix)
            }
            Form::OwnShare(at_zero) => {
                one_time(mixtures)?;
                bimix::fit(mixtures, target, own, at_zero, bimix::Time::One).map(DomainLaw::Bimix)
            }
            Form::Exponential => {
                one_time(mixtures)?;
                exponential::fit(mixtures, target).map(DomainLaw::Exponential)
            }
        }
    };
    let laws =
        (0..mixtures.targets.len()).into_par_iter().map(fit_target).collect::<Result<Vec<DomainLaw>>>()?;
    Ok(MixtureLaw { targets: mixtures.targets.clone(), laws })
}

fn one_time(mixtures: &Mixtures) -> Result<()> {
    let first = mixtures.observations[0].steps;
    match mixtures.observations.iter().find(|o| o.steps != first) {
        None => Ok(()),
        Some(other) => {
            let problem = Problem::new(format!("measurements at {first} and at {} steps", other.steps));
            Err(Error::data(problem.expected("one time: this law has no term for it")))
        }
    }
}

fn too_few(points: usize, constants: usize, target: String) -> Error {
    let plural = if points == 1 { "" } else { "s" };
    let problem = Problem::new(format!("{points} measurement{plural} for a law of {constants} constants"));
    Error::data(problem.key(target).expected(format!("at least {}", constants + 1)))
}

impl MixtureLaw {
    /// Predicted loss of a target in nats; infinite where a share is zero and the law has no offset.
    pub fn loss(&self, target: usize, shares: &[f64], steps: f64) -> f64 {
        match &self.laws[target] {
            DomainLaw::Bimix(law) => law.loss(shares[self.targets[target]], steps),
            DomainLaw::Exponential(law) => law.loss(shares),
        }
    }

    /// Adds `weight` times the derivative of a target's loss by each share to `out`.
    fn add_gradient(&self, target: usize, weight: f64, shares: &[f64], steps: f64, out: &mut [f64]) {
        let own = self.targets[target];
        match &self.laws[target] {
            DomainLaw::Bimix(law) => out[own] += weight * law.slope(shares[own], steps),
            DomainLaw::Exponential(law) => law.add_gradient(weight, shares, out),
        }
    }
}

#[cfg(test)]
mod regmix_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_measurements_are_named_by_number() {
        let good = Observation { shares: vec![0.25, 0.75], steps: 10.0, losses: vec![3.0] };
        let bad = [
            Observation { shares: vec![0.25, 0.25], ..good.clone() },
            Observation { losses: vec![-1.0], ..good.clone() },
            Observation { losses: vec![], ..good.clone() },
            Observation { steps: 0.0, ..good.clone() },
            Observation { shares: vec![f64::NAN, 1.0], ..good.clone() },
        ];
        for bad in bad {
            let error = Mixtures::new(vec![1], vec![good.clone(), bad]).unwrap_err().to_string();
            assert!(error.starts_with("mixture 2: "), "{error}");
        }
        assert!(Mixtures::new(vec![2], vec![good.clone()]).is_err());
        assert!(Mixtures::new(vec![1], vec![]).is_err());
        assert!(Mixtures::new(vec![1], vec![good]).is_ok());
    }
}
