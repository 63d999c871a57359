//! `L(x) = a x^b + E`: a power law with or without a floor, fitted to relative errors.
//!
//! Hestness et al. 2017 (arXiv 1712.00409); with `x` in FLOPs and `E = 0` it is the law of grown models (Du
//! et al. 2024, arXiv 2405.15319, section 4.1). Such fits go through four to ten points, too few to draw with
//! repetition: intervals come from the residuals of `ln L`, their signs drawn anew (Liu 1988).

use serde::{Deserialize, Serialize};

use super::bootstrap::{Bootstrap, Draws, Fitted};
use super::least_squares::{Bound, Loss, minimise_from};
use super::linear::regress;
use crate::error::{Error, Problem, Result};

/// `a x^b + E`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// `a`, in nats per unit of `x^b`.
    pub coefficient: f64,
    /// `b`, below zero for a loss that falls.
    pub exponent: f64,
    /// `E`, in nats.
    pub floor: f64,
}

/// Whether a power law has a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// `E = 0`: good for interpolation, wrong far out.
    #[default]
    Zero,
    /// `E >= 0`, fitted; takes more points, spread wider.
    Fitted,
}

/// Exponents that the search may reach.
const EXPONENTS: Bound = (-3.0, 3.0);

/// The floor as a share of the lowest loss, at most; at the lowest loss itself the logarithm ends.
const MAX_FLOOR: f64 = 0.9999;

/// Shares that the search starts from.
const START_FLOORS: [f64; 5] = [0.0, 0.3, 0.6, 0.8, 0.95];

impl PowerLaw {
    /// The law's value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.coefficient * x.powf(self.exponent) + self.floor
    }

    /// The `x` at which the law has this value, if it ever has.
    pub fn inverse(&self, value: f64) -> Option<f64> {
        let x = ((value - self.floor) / self.coefficient).powf(1.0 / self.exponent);
        (x > 0.0 && x.is_finite()).then_some(x)
    }
}

/// Fits points `(x, loss)`.
///
/// # Errors
/// Values that are not positive and finite, fewer points than constants plus one (the interval needs a
/// residual), or all points at one `x`.
pub fn fit(points: &[(f64, f64)], floor: Floor, bootstrap: &Bootstrap) -> Result<Fitted<PowerLaw>> {
    let constants = match floor {
        Floor::Zero => 2,
        Floor::Fitted => 3,
    };
    if points.len() <= constants {
        let problem =
            Problem::new(format!("{} points for a power law of {constants} constants", points.len()));
        return Err(Error::data(problem.expected(format!("at least {}", constants + 1))));
    }
    if let Some((x, loss)) =
        points.iter().find(|(x, loss)| !(*x > 0.0 && *loss > 0.0 && (x * loss).is_finite()))
    {
        let problem = Problem::new(format!("loss {loss} at {x}"));
        return Err(Error::data(problem.expected("positive finite numbers")));
    }
    let Some(law) = solve(points, floor) else {
        return Err(Error::data(
            Problem::new("no power law fits the points").expected("points at several x"),
        ));
    };
    let scale = (points.len() as f64 / (points.len() - constants) as f64).sqrt();
    let residuals: Vec<f64> = points.iter().map(|&(x, loss)| scale * (loss / law.at(x)).ln()).collect();
    let redraw = |draws: &mut Draws| -> Vec<(f64, f64)> {
        let noisy = |(&(x, _), r): (&(f64, f64), &f64)| (x, law.at(x) * (draws.sign() * r).exp());
        points.iter().zip(&residuals).map(noisy).collect()
    };
    let replicates = bootstrap.run(|draws| solve(&redraw(draws), floor));
    Ok(Fitted { law, replicates, bootstrap: *bootstrap, scale: 1.0 })
}

/// Least squares of `ln L`.
fn solve(points: &[(f64, f64)], floor: Floor) -> Option<PowerLaw> {
    let lowest = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let middle = points.iter().map(|point| point.0.ln()).sum::<f64>() / points.len() as f64;
    // For a given floor the rest is a straight line.
    let line = |share: f64| {
        let columns = [vec![1.0; points.len()], points.iter().map(|point| point.0.ln() - middle).collect()];
        let above: Vec<f64> = points.iter().map(|point| (point.1 - share * lowest).ln()).collect();
        regress(&columns, &above).map(|found| vec![found[0], found[1], share])
    };
    let law = |x: &[f64]| PowerLaw {
        coefficient: (x[0] - x[1] * middle).exp(),
        exponent: x[1],
        floor: x[2] * lowest,
    };
    match floor {
        Floor::Zero => line(0.0).map(|x| law(&x)),
        Floor::Fitted => {
            let starts: Vec<Vec<f64>> = START_FLOORS.iter().filter_map(|&share| line(share)).collect();
            let bounds = [(f64::NEG_INFINITY, f64::INFINITY), EXPONENTS, (0.0, MAX_FLOOR)];
            let errors = |x: &[f64], out: &mut Vec<f64>| {
                let value = |at: f64| (x[0] + x[1] * (at.ln() - middle)).exp() + x[2] * lowest;
                out.extend(points.iter().map(|&(at, loss)| (value(at) / loss).ln()));
            };
            minimise_from(&starts, &bounds, Loss::Square, errors).map(|minimum| law(&minimum.x))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: &PowerLaw, n: i32, noise: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut draws = Draws::for_test(seed);
        let xs = (0..n).map(|k| 1e15 * 4.0_f64.powi(k));
        xs.map(|x| (x, law.at(x) * (noise * draws.normal()).exp())).collect()
    }

    #[test]
    fn both_forms_are_recovered_from_points_without_noise() {
        let floor = PowerLaw { coefficient: 900.0, exponent: -0.17, floor: 1.7 };
        let bare = PowerLaw { floor: 0.0, exponent: -0.05, coefficient: 20.0 };
        for (law, form) in [(floor, Floor::Fitted), (bare, Floor::Zero), (bare, Floor::Fitted)] {
            let found = fit(&points(&law, 9, 0.0, 0), form, &Bootstrap::default()).unwrap().law;
            assert!((found.exponent / law.exponent - 1.0).abs() < 1e-4, "{found:?}");
            assert!((found.floor - law.floor).abs() < 1e-4, "{found:?}");
            assert!((found.coefficient / law.coefficient - 1.0).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let law = PowerLaw { coefficient: 20.0, exponent: -0.05, floor: 0.0 };
        let held = (0..100).filter(|&seed| {
            let found = fit(&points(&law, 8, 0.01, seed), Floor::Zero, &Bootstrap::default()).unwrap();
            found.interval(|law| law.exponent).contains(law.exponent)
        });
        let held = held.count();
        // Sign flips of eight residuals are a little narrow: 85 to 95 % in truth; below 78 has a chance of a
        // few percent.
        assert!((78..=100).contains(&held), "{held} of 100");
    }

    #[test]
    fn the_inverse_undoes_the_law_and_ends_at_the_floor() {
        let law = PowerLaw { coefficient: 900.0, exponent: -0.17, floor: 1.7 };
        assert!((law.inverse(law.at(3e18)).unwrap() / 3e18 - 1.0).abs() < 1e-9);
        assert_eq!(law.inverse(1.6), None);
    }

    #[test]
    fn too_few_and_impossible_points_are_refused() {
        let bootstrap = Bootstrap::default();
        assert!(fit(&[(1.0, 2.0), (2.0, 1.0)], Floor::Zero, &bootstrap).is_err());
        assert!(fit(&[(1.0, 2.0), (2.0, -1.0), (3.0, 0.5)], Floor::Zero, &bootstrap).is_err());
        assert!(fit(&[(2.0, 2.0), (2.0, 1.0), (2.0, 1.5)], Floor::Zero, &bootstrap).is_err());
    }
}
