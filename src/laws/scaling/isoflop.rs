//! `L(N) = p + q ln N + r (ln N)^2` at fixed FLOPs, lowest at `ln N = -q / 2r`: Chinchilla's approach 2.
//!
//! Hoffmann et al. 2022, section 3.2. Intervals come from the parabolas' own residuals, their signs drawn
//! anew.

use super::{Allocation, Frontier, Point};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Draws, Fitted, short};
use crate::laws::linear::regress;
use crate::laws::table::Problems;

/// Final losses of several sizes at one budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The budget in FLOPs (geometric mean of its points).
    pub flops: f64,
    /// At least four sizes.
    pub points: Vec<Point>,
}

/// A parabola through three sizes leaves nothing over that an interval could be made of.
const MIN_SIZES: usize = 4;

/// The frontier through the lowest points of iso-FLOP parabolas.
///
/// # Errors
/// A parabola that opens downwards or is lowest outside of its sizes (the sweep missed the best size), or
/// fewer than two budgets.
pub fn frontier_of_profiles(profiles: &[Profile], bootstrap: &Bootstrap) -> Result<Fitted<Frontier>> {
    let (mut parabolas, mut problems) = (Vec::new(), Problems::default());
    for profile in profiles {
        match Parabola::of(profile).map(|parabola| (parabola.lowest(), parabola)) {
            Some((Some(size), parabola)) if parabola.covers(size) => parabolas.push(parabola),
            Some((Some(size), _)) => {
                problems.push(|| missed(profile, &format!("at {} parameters", short(size.exp()))));
            }
            Some((None, _)) | None => problems.push(|| missed(profile, "nowhere")),
        }
    }
    let parabolas = problems.finish("these budgets", parabolas)?;
    let Some(law) = frontier(&parabolas, Parabola::lowest) else {
        return Err(Error::data(
            Problem::new(format!("{} budgets", parabolas.len())).expected("at least two"),
        ));
    };
    let replicates = bootstrap.run(|draws| {
        let redrawn: Option<Vec<Parabola>> =
            parabolas.iter().map(|parabola| parabola.redraw(draws)).collect();
        frontier(&redrawn?, Parabola::lowest)
    });
    Ok(Fitted { law, replicates, bootstrap: *bootstrap, scale: 1.0 })
}

fn missed(profile: &Profile, lowest: &str) -> Problem {
    Problem::new(format!("the parabola of {} FLOPs is lowest {lowest}", short(profile.flops)))
        .expected("a lowest point among its sizes")
        .help("train smaller or larger models at that budget")
}

fn frontier(parabolas: &[Parabola], lowest: impl Fn(&Parabola) -> Option<f64>) -> Option<Frontier> {
    let best = |parabola: &Parabola| lowest(parabola).map(|size| Allocation::new(parabola.flops, size.exp()));
    Frontier::through(parabolas.iter().map(best).collect::<Option<Vec<Allocation>>>()?)
}

impl Profile {
    /// The loss by parameters on the parabola through the points, if there are enough of them.
    pub fn parabola(&self) -> Option<impl Fn(f64) -> f64> {
        let parabola = Parabola::of(self)?;
        Some(move |params: f64| {
            let z = params.ln() - parabola.middle;
            parabola.coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * z + coefficient)
        })
    }
}

/// A fitted parabola in `z = ln N - middle`.
struct Parabola {
    flops: f64,
    middle: f64,
    z: Vec<f64>,
    fitted: Vec<f64>,
    residuals: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Parabola {
    fn of(profile: &Profile) -> Option<Self> {
        if profile.points.len() < MIN_SIZES {
            return None;
        }
        let sizes: Vec<f64> = profile.points.iter().map(|point| point.params.ln()).collect();
        let middle = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let z = sizes.iter().map(|size| size - middle).collect();
        let losses: Vec<f64> = profile.points.iter().map(|point| point.loss).collect();
        Parabola::through(profile.flops, middle, z, &losses)
    }

    fn through(flops: f64, middle: f64, z: Vec<f64>, losses: &[f64]) -> Option<Self> {
        let columns = [vec![1.0; z.len()], z.clone(), z.iter().map(|z| z * z).collect()];
        let coefficients = regress(&columns, losses)?;
        let value = |z: &f64| coefficients[0] + coefficients[1] * z + coefficients[2] * z * z;
        let fitted: Vec<f64> = z.iter().map(value).collect();
        // Three coefficients take up part of the noise; what is left is scaled back to its size.
        let scale = (z.len() as f64 / (z.len() - 3) as f64).sqrt();
        let residuals = losses.iter().zip(&fitted).map(|(loss, fit)| scale * (loss - fit)).collect();
        Some(Parabola { flops, middle, z, fitted, residuals, coefficients })
    }

    /// `ln N` of the lowest point.
    fn lowest(&self) -> Option<f64> {
        let [_, q, r] = self.coefficients[..] else { return None };
        (r > 0.0).then(|| self.middle - q / (2.0 * r))
    }

    fn covers(&self, size: f64) -> bool {
        let z = size - self.middle;
        self.z.iter().any(|other| *other <= z) && self.z.iter().any(|other| *other >= z)
    }

    fn redraw(&self, draws: &mut Draws) -> Option<Self> {
        let losses: Vec<f64> =
            self.fitted.iter().zip(&self.residuals).map(|(fit, r)| fit + draws.sign() * r).collect();
        Parabola::through(self.flops, self.middle, self.z.clone(), &losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::scaling::BESIROGLU;

    /// Seven sizes around the best one at each of five budgets.
    fn sweep(noise: f64, shift: f64) -> Vec<Profile> {
        let mut draws = Draws::for_test(2);
        let mut point = |flops: f64, factor: f64| {
            let params = BESIROGLU.optimum(flops).params * factor * shift;
            let tokens = flops / 6.0 / params;
            let loss = BESIROGLU.loss(params, tokens) + noise * draws.normal();
            Point { params, tokens, loss, decay: 0.0 }
        };
        let mut profile = |flops: f64| {
            let points = (-3..=3).map(|k| point(flops, 1.4_f64.powi(k))).collect();
            Profile { flops, points }
        };
        [1e18, 1e19, 1e20, 1e21, 1e22].map(&mut profile).into()
    }

    #[test]
    fn the_lowest_points_have_the_exponent_of_the_law_within_their_interval() {
        let found = frontier_of_profiles(&sweep(1e-3, 1.0), &Bootstrap::default()).unwrap();
        assert_eq!(found.law.optima.len(), 5);
        let exponent = found.interval(|frontier| frontier.exponent);
        assert!(exponent.contains(BESIROGLU.size_exponent()), "{exponent}");
        assert!((exponent.estimate - 0.5126).abs() < 0.02, "{exponent}");
        let size = found.interval(|frontier| frontier.optimum(1e23).params);
        assert!(size.contains(BESIROGLU.optimum(1e23).params), "{size}");
    }

    #[test]
    fn a_sweep_that_misses_the_best_size_is_refused_with_its_budget() {
        let error = frontier_of_profiles(&sweep(0.0, 6.0), &Bootstrap::default()).unwrap_err();
        assert_eq!(error.problems.len(), 5);
        assert!(error.to_string().contains("train smaller or larger models at that budget"), "{error}");
    }

    #[test]
    fn one_budget_and_budgets_with_three_sizes_are_refused() {
        let mut profiles = sweep(0.0, 1.0);
        assert!(frontier_of_profiles(&profiles[..1], &Bootstrap::default()).is_err());
        profiles.iter_mut().for_each(|profile| profile.points.truncate(3));
        assert!(frontier_of_profiles(&profiles, &Bootstrap::default()).is_err());
    }
}
