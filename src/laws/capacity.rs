//! `R = (R_max^-k + c^-k)^(-1/k)`: what a model knows by how much there is to know, both in bits per parameter.
//!
//! Few facts are all learned, `R = R_max`; of many only as much as the model can hold, `R -> c`; `k` says how sharp the
//! bend between them is. The capacity may change with the size, `c(P) = c (P / P_0)^(a - 1)` where `P_0` is the geometric
//! mean of the sizes, so that `a = 1` where bits grow like parameters.
//!
//! The form is ours: Allen-Zhu and Li 2024 (arXiv 2404.05405) give the points of their Figure 1, which
//! [`published`] has, and the envelope above them, "2 bits per parameter". Intervals come from the residuals of `ln R`, their
//! signs drawn anew, as in [`super::power`].

use serde::{Deserialize, Serialize};

use super::bootstrap::{Bootstrap, Draws, Fitted};
use super::least_squares::{Loss, minimise_from};
use crate::error::{Error, Problem, Result};

/// The knowledge of one model, and how much there is to know.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Parameters, all of them.
    pub params: f64,
    /// Bits that it knows.
    pub bits: f64,
    /// Bits of all that there is to know.
    pub max_bits: f64,
}

/// `(R_max^-k + c(P)^-k)^(-1/k)` bits per parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CapacityLaw {
    /// `c`, bits per parameter that a model of `P_0` parameters can hold.
    pub capacity: f64,
    /// `k`.
    pub sharpness: f64,
    /// `a`: bits that can be held grow as `P^a`.
    pub exponent: f64,
    /// `P_0`.
    pub reference: f64,
}

/// Whether the capacity per parameter may change with the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Growth {
    /// `a = 1`.
    #[default]
    Linear,
    /// `a` is fitted; takes several sizes.
    Fitted,
}

/// Allen-Zhu and Li 2024, Figure 1a, 1000 exposures: people in thousands, parameters and bits in millions, read off the
/// vectors of the figure by a third party. Models that know nearly everything, far below the bend, are left out.
const FIGURE_1A_POINTS: [(u32, f64, f64); 23] = [
    (50, 0.816, 1.400),
    (50, 1.014, 1.957),
    (50, 1.213, 2.163),
    (50, 1.411, 2.459),
    (50, 1.519, 2.558),
    (50, 1.609, 2.688),
    (50, 2.006, 2.870),
    (100, 1.213, 2.589),
    (100, 1.609, 3.470),
    (100, 2.409, 4.609),
    (100, 2.854, 5.212),
    (100, 3.208, 5.575),
    (200, 2.418, 5.385),
    (200, 2.854, 6.699),
    (200, 3.998, 8.583),
    (200, 5.577, 10.59),
    (500, 5.577, 15.16),
    (500, 10.13, 21.98),
    (500, 11.91, 24.05),
    (500, 13.48, 26.70),
    (1000, 11.91, 32.26),
    (1000, 22.6, 48.78),
    (1000, 26.9, 52.96),
];

/// The points of Figure 1b, 100 exposures; parameters are those of the nearest model that the paper names.
const FIGURE_1B_POINTS: [(u32, f64, f64); 17] = [
    (50, 0.816, 0.915),
    (50, 1.213, 1.37),
    (50, 1.56, 1.83),
    (50, 2.854, 2.60),
    (50, 3.998, 2.80),
    (200, 2.409, 3.47),
    (200, 3.25, 5.05),
    (200, 4.788, 6.65),
    (200, 6.582, 8.05),
    (1000, 11.91, 16.5),
    (1000, 15.45, 22.2),
    (1000, 20.6, 28.4),
    (1000, 30.9, 37.9),
    (2000, 22.6, 27.7),
    (2000, 26.9, 38.5),
    (2000, 43.5, 58.3),
    (2000, 122.0, 105.0),
];

/// `log2 N_0` and `log2 S_0` of bioS: names that there could be, and all values of a person.
const BIOS_BITS: (f64, f64) = (27.2535, 47.5916);

/// The published models at so many exposures, if there are any: 1000 (Figure 1a) or 100 (Figure 1b).
pub fn published(exposures: u64) -> Option<Vec<Known>> {
    let points: &[(u32, f64, f64)] = match exposures {
        1000 => &FIGURE_1A_POINTS,
        100 => &FIGURE_1B_POINTS,
        _ => return None,
    };
    let known = |&(thousands, params, bits): &(u32, f64, f64)| {
        let people = 1e3 * f64::from(thousands);
        let max_bits = people * (BIOS_BITS.0 - people.log2() + BIOS_BITS.1);
        Known { params: 1e6 * params, bits: 1e6 * bits, max_bits }
    };
    Some(points.iter().map(known).collect())
}

/// Bends that the search may reach; at the sharpest the law is the smaller of the two.
pub const SHARPNESS: (f64, f64) = (0.5, 30.0);
/// Bends that it starts from.
const START_SHARPNESS: [f64; 4] = [1.0, 2.0, 4.0, 10.0];
/// Exponents that the search may reach.
pub const EXPONENTS: (f64, f64) = (0.0, 3.0);
/// A capacity of so many times the most that any model knows is none that the data show.
const BEYOND: f64 = 5.0;

impl Known {
    /// `R`, bits per parameter.
    pub fn bits_per_param(&self) -> f64 {
        self.bits / self.params
    }

    /// `R_max`, bits per parameter of a model of this size that knows everything.
    pub fn max_bits_per_param(&self) -> f64 {
        self.max_bits / self.params
    }
}

impl CapacityLaw {
    /// Bits per parameter that a model of so many parameters can hold.
    pub fn ceiling(&self, params: f64) -> f64 {
        self.capacity * (params / self.reference).powf(self.exponent - 1.0)
    }

    /// Bits per parameter that a model of so many parameters knows where there are `max_bits_per_param` to know.
    pub fn bits_per_param(&self, params: f64, max_bits_per_param: f64) -> f64 {
        let k = self.sharpness;
        (max_bits_per_param.powf(-k) + self.ceiling(params).powf(-k)).powf(-1.0 / k)
    }
}

/// Fits what models know.
///
/// # Errors
/// Numbers that are not positive and finite, fewer points than constants plus one, one size where the exponent is to be
/// fitted, or models that all know nearly everything: how much more they could hold cannot be told from them.
pub fn fit(points: &[Known], growth: Growth, bootstrap: &Bootstrap) -> Result<Fitted<CapacityLaw>> {
    let constants = match growth {
        Growth::Linear => 2,
        Growth::Fitted => 3,
    };
    if points.len() <= constants {
        let found = format!(
            "{} of the {} models that a law of {constants} constants takes",
            points.len(),
            constants + 1
        );
        return Err(Error::data(Problem::new(found).help("add sizes, people or seeds")));
    }
    let is_positive = |known: &&Known| {
        [known.params, known.bits, known.max_bits].iter().all(|number| *number > 0.0 && number.is_finite())
    };
    if let Some(bad) = points.iter().find(|known| !is_positive(known)) {
        let Known { params, bits, max_bits } = bad;
        let problem = Problem::new(format!("{bits} of {max_bits} bits in {params} parameters"));
        return Err(Error::data(problem.expected("positive finite numbers")));
    }
    if growth == Growth::Fitted && points.iter().all(|known| known.params == points[0].params) {
        let problem =
            Problem::new(format!("{} models, all of {} parameters", points.len(), points[0].params));
        return Err(Error::data(problem.expected("several sizes")));
    }
    let Some(law) = solve(points, growth) else {
        let most = points.iter().map(Known::bits_per_param).fold(0.0, f64::max);
        let problem =
            Problem::new(format!("these models know up to {most:.2} bits per parameter and show no bend"));
        return Err(Error::data(problem.expected("some that have more to learn than they can hold")));
    };
    let scale = (points.len() as f64 / (points.len() - constants) as f64).sqrt();
    let at = |known: &Known| law.bits_per_param(known.params, known.max_bits_per_param());
    let residuals: Vec<f64> =
        points.iter().map(|known| scale * (known.bits_per_param() / at(known)).ln()).collect();
    let redraw = |draws: &mut Draws| -> Vec<Known> {
        let noisy = |(known, r): (&Known, &f64)| Known {
            bits: known.params * at(known) * (draws.sign() * r).exp(),
            ..*known
        };
        points.iter().zip(&residuals).map(noisy).collect()
    };
    let replicates = bootstrap.run(|draws| solve(&redraw(draws), growth));
    Ok(Fitted { law, replicates, bootstrap: *bootstrap, scale: 1.0 })
}

/// Root mean square of `ln R`, measured less fitted.
pub fn log_error(law: &CapacityLaw, points: &[Known]) -> f64 {
    let error = |known: &Known| {
        (known.bits_per_param() / law.bits_per_param(known.params, known.max_bits_per_param())).ln()
    };
    (points.iter().map(|known| error(known).powi(2)).sum::<f64>() / points.len() as f64).sqrt()
}

/// Least squares of `ln R`; nothing when no capacity is in sight.
fn solve(points: &[Known], growth: Growth) -> Option<CapacityLaw> {
    let most = points.iter().map(Known::bits_per_param).fold(0.0, f64::max);
    let reference = (points.iter().map(|known| known.params.ln()).sum::<f64>() / points.len() as f64).exp();
    let law = |x: &[f64]| CapacityLaw {
        capacity: x[0].exp(),
        sharpness: x[1].exp(),
        exponent: x.get(2).copied().unwrap_or(1.0),
        reference,
    };
    let errors = |x: &[f64], out: &mut Vec<f64>| {
        let law = law(x);
        let error = |known: &Known| {
            (law.bits_per_param(known.params, known.max_bits_per_param()) / known.bits_per_param()).ln()
        };
        out.extend(points.iter().map(error));
    };
    let mut bounds = vec![
        ((most / BEYOND).ln(), (2.0 * BEYOND * most).ln()),
        (SHARPNESS.0.ln(), SHARPNESS.1.ln()),
        EXPONENTS,
    ];
    let mut starts: Vec<Vec<f64>> = START_SHARPNESS.iter().map(|k| vec![most.ln(), k.ln(), 1.0]).collect();
    if growth == Growth::Linear {
        bounds.truncate(2);
        starts.iter_mut().for_each(|start| start.truncate(2));
    }
    let minimum = minimise_from(&starts, &bounds, Loss::Square, errors)?;
    Some(law(&minimum.x)).filter(|law| law.capacity < BEYOND * most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: CapacityLaw = CapacityLaw { capacity: 2.0, sharpness: 3.0, exponent: 1.0, reference: 1e6 };

    /// Three sizes, five loads.
    fn models(law: &CapacityLaw, noise: f64, seed: u64) -> Vec<Known> {
        let mut draws = Draws::for_test(seed);
        let mut points = Vec::new();
        for params in [3e5, 1e6, 3e6] {
            for load in [0.8, 1.5, 2.2, 3.5, 5.0] {
                let bits = params * law.bits_per_param(params, load) * (noise * draws.normal()).exp();
                points.push(Known { params, bits, max_bits: load * params });
            }
        }
        points
    }

    #[test]
    fn the_law_bends_from_everything_to_the_capacity() {
        assert!((LAW.bits_per_param(1e6, 0.1) / 0.1 - 1.0).abs() < 1e-3);
        assert!((LAW.bits_per_param(1e6, 1e3) / 2.0 - 1.0).abs() < 1e-6);
        let growing = CapacityLaw { exponent: 1.5, ..LAW };
        assert!((growing.ceiling(4e6) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn constants_are_recovered_with_and_without_growth() {
        let found = fit(&models(&LAW, 0.0, 0), Growth::Linear, &Bootstrap::default()).unwrap().law;
        assert!((found.capacity - 2.0).abs() < 1e-4 && (found.sharpness - 3.0).abs() < 1e-3, "{found:?}");
        let growing = CapacityLaw { exponent: 1.2, ..LAW };
        let found = fit(&models(&growing, 0.0, 0), Growth::Fitted, &Bootstrap::default()).unwrap().law;
        assert!((found.exponent - 1.2).abs() < 1e-4 && (found.ceiling(1e6) - 2.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
        let held = (0..40).filter(|&seed| {
            let found = fit(&models(&LAW, 0.05, seed), Growth::Linear, &bootstrap).unwrap();
            found.interval(|law| law.capacity).contains(2.0)
        });
        let held = held.count();
        assert!((31..=40).contains(&held), "{held} of 40");
    }

    #[test]
    fn models_that_know_everything_do_not_tell_what_they_could_hold() {
        let full: Vec<Known> = models(&LAW, 0.0, 0)
            .iter()
            .map(|known| Known { bits: 0.999 * known.max_bits, ..*known })
            .collect();
        let error = fit(&full, Growth::Linear, &Bootstrap::default()).unwrap_err();
        assert!(error.to_string().contains("show no bend"), "{error}");
    }

    #[test]
    fn too_few_and_impossible_models_are_refused() {
        let (models, bootstrap) = (models(&LAW, 0.0, 0), Bootstrap::default());
        assert!(fit(&models[..2], Growth::Linear, &bootstrap).is_err());
        assert!(
            fit(&models[..5], Growth::Fitted, &bootstrap).unwrap_err().to_string().contains("several sizes")
        );
        let nothing = Known { bits: -1.0, ..models[0] };
        assert!(fit(&[&models[..], &[nothing]].concat(), Growth::Linear, &bootstrap).is_err());
    }

    /// What the paper says of its own points: about 2 bits after 1000 exposures, at least 1 after 100, twice apart.
    #[test]
    fn the_published_points_give_the_published_capacities() {
        let capacity = |exposures| {
            let points = published(exposures).unwrap();
            let found = fit(&points, Growth::Linear, &Bootstrap::default()).unwrap();
            (found.interval(|law| law.capacity), points)
        };
        let ((long, points), (short, _)) = (capacity(1000), capacity(100));
        assert!((2.0..2.7).contains(&long.estimate) && long.is_bounded(), "{long}");
        assert!((1.0..1.8).contains(&short.estimate) && short.high < long.low, "{short} and {long}");
        assert!((points[0].max_bits_per_param() - 3.63).abs() < 0.01, "{:?}", points[0]);
        assert!(published(300).is_none());
    }
}
