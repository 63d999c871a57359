//! `L(r) = c + k exp(sum_j t_j r_j)` with `k = 1`: every domain's share may help or hurt.
//!
//! Ye et al. 2024 (arXiv 2403.16952), "data mixing laws". Shares add up to 1, so that `k` could be put into
//! all `t_j` alike: `m + 1` constants of their `m + 2` can be known.

use serde::{Deserialize, Serialize};

use super::{Mixtures, too_few};
use crate::error::{Error, Problem, Result};
use crate::laws::least_squares::{Bound, Loss, minimise_from};
use crate::laws::linear::{dot, regress};

/// Constants of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exponential {
    /// `c`: the loss that no mixture removes, in nats.
    pub floor: f64,
    /// `t_j`: below the others, domain `j` teaches this one.
    pub rates: Vec<f64>,
}

const RATES: Bound = (-60.0, 60.0);

/// Floors to start from, as shares of the lowest loss; for a given floor the rates are a linear regression.
const START_FLOORS: [f64; 3] = [0.0, 0.5, 0.9];

impl Exponential {
    /// Loss in nats.
    pub fn loss(&self, shares: &[f64]) -> f64 {
        self.floor + dot(&self.rates, shares).exp()
    }

    pub(super) fn add_gradient(&self, weight: f64, shares: &[f64], out: &mut [f64]) {
        let above = weight * dot(&self.rates, shares).exp();
        for (out, rate) in out.iter_mut().zip(&self.rates) {
            *out += above * rate;
        }
    }
}

/// Least squares of `ln L`; the search starts where the regressions end.
pub(super) fn fit(mixtures: &Mixtures, target: usize) -> Result<Exponential> {
    let observations = &mixtures.observations;
    let domains = observations[0].shares.len();
    if observations.len() <= domains + 1 {
        return Err(too_few(observations.len(), domains + 1, mixtures.target(target)));
    }
    let losses: Vec<f64> = observations.iter().map(|o| o.losses[target]).collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let columns: Vec<Vec<f64>> =
        (0..domains).map(|j| observations.iter().map(|o| o.shares[j]).collect()).collect();
    let start = |share: f64| {
        let above: Vec<f64> = losses.iter().map(|loss| (loss - share * lowest).ln()).collect();
        regress(&columns, &above).map(|rates| [&[share * lowest], &rates[..]].concat())
    };
    let starts: Vec<Vec<f64>> = START_FLOORS.iter().filter_map(|&share| start(share)).collect();
    if starts.is_empty() {
        let problem = Problem::new("the shares of the mixtures do not vary independently");
        return Err(Error::data(
            problem.help("measure more mixtures, or leave out a domain that is in none"),
        ));
    }
    let mut bounds = vec![RATES; domains + 1];
    bounds[0] = (0.0, lowest);
    let errors = |x: &[f64], out: &mut Vec<f64>| {
        let error =
            |(o, loss): (&super::Observation, &f64)| ((x[0] + dot(&x[1..], &o.shares).exp()) / loss).ln();
        out.extend(observations.iter().zip(&losses).map(error));
    };
    let minimum = minimise_from(&starts, &bounds, Loss::Square, errors);
    minimum.map(|minimum| Exponential { floor: minimum.x[0], rates: minimum.x[1..].to_vec() }).ok_or_else(
        || Error::data(Problem::new(format!("no exponential law fits {}", mixtures.target(target)))),
    )
}
