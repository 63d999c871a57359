//! `min sum_i Huber(ln L(N_i, D_i) - ln L_i)` over `E, A, B, alpha, beta` (and `c`): Chinchilla's approach 3.
//!
//! Hoffmann et al. 2022, section 3.3 and appendix D.2; Besiroglu et al. 2024 for why the sum must not be
//! averaged before the search's tolerance is applied. Given `alpha` and `beta` the law is linear in the rest
//! (Golub and Pereyra 1973), so starts are a grid of two numbers instead of five, and variable projection is
//! a second method to compare with.

use serde::{Deserialize, Serialize};

use super::doubt::{Doubt, doubts, few_values};
use super::search::Search;
use super::{ParametricLaw, Point};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Fitted, Interval, short};

/// The objective that is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FitMethod {
    /// Huber's loss of log losses, with this turning point.
    Huber(f64),
    /// Squares of relative errors; the coefficients are solved for, the exponents searched.
    VariableProjection,
}

/// Whether the law has a term for the decay of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annealing {
    /// No: all points are annealed alike.
    #[default]
    Alike,
    /// Yes: loss falls by `c (1 - rate / peak)`.
    Fitted,
}

/// The config of the fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitConfig {
    /// The objective that is minimised.
    pub method: FitMethod,
    /// Whether decay counts.
    pub annealing: Annealing,
    /// How intervals are made: points are drawn with repetition.
    pub bootstrap: Bootstrap,
}

impl Default for FitConfig {
    fn default() -> Self {
        FitConfig {
            method: FitMethod::Huber(1e-3),
            annealing: Annealing::Alike,
            bootstrap: Bootstrap::default(),
        }
    }
}

/// A law, its replicates, and how far to believe it.
#[derive(Debug, Clone)]
pub struct ParametricFit {
    /// The law and its intervals.
    pub fitted: Fitted<ParametricLaw>,
    /// The constants by name (`E`, `A`, `B`, `alpha`, `beta` and, if fitted, `c`); an interval is open on a
    /// side on which the data set no limit.
    pub constants: Vec<(&'static str, Interval)>,
    /// Root mean square of `ln L` predicted less `ln L` measured.
    pub log_error: f64,
    /// Condition number of the Jacobian with unit columns.
    pub condition: f64,
    /// Reasons not to believe the constants (predictions within the range of the points may still be good).
    pub doubts: Vec<Doubt>,
}

/// A held-out point beside its prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossPrediction {
    /// The measured loss.
    pub point: Point,
    /// What the law says; the interval is of the law, without the noise of a single measurement.
    pub loss: Interval,
}

/// A law of the smaller budgets, tried on the larger ones.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// Fitted to the points below the cut.
    pub fit: ParametricFit,
    /// One per point at or above it.
    pub predictions: Vec<LossPrediction>,
    /// Mean of `|predicted - measured| / measured`.
    pub mean_relative_error: f64,
}

/// The most points of a replicate. Of more, so many are drawn, and what that makes the law's scatter wider by the root of
/// the ratio is taken off again (Bickel, Götze and van Zwet 1997, the bootstrap of m out of n).
pub const DRAWN: usize = 1000;

/// Fits the law.
///
/// # Errors
/// Fewer points than constants plus one, a value that is not positive and finite, a decay outside `[0, 1]`,
/// or no law with positive constants anywhere near the points.
pub fn fit(points: &[Point], config: &FitConfig) -> Result<ParametricFit> {
    check(points, config)?;
    let search = Search::new(points, config);
    let from_starts = |points: &[Point]| search.solve(points, &search.starts(points));
    let law = match points.len() > DRAWN {
        false => from_starts(points),
        // The way down is long: most of it is walked with some of the points.
        true => from_starts(&some_of(points, config))
            .and_then(|law| search.solve(points, &[search.encode(&law)]))
            .or_else(|| from_starts(points)),
    };
    let Some(law) = law else {
        let found = format!("no law with positive constants fits {} points", points.len());
        let why = few_values(points, config).first().map(Doubt::to_string);
        let why = why.unwrap_or_else(|| "check that losses fall with parameters and with tokens".to_string());
        return Err(Error::data(Problem::new(found).help(why)));
    };
    let start = [search.encode(&law)];
    let drawn = points.len().min(DRAWN);
    let replicates = config.bootstrap.run(|draws| search.solve(&draws.resample(points, drawn), &start));
    let scale = (drawn as f64 / points.len() as f64).sqrt();
    let fitted = Fitted { law, replicates, bootstrap: config.bootstrap, scale };
    let constants = constants(&search, config, &fitted);
    let square = |point: &Point| (law.loss_at(point) / point.loss).ln().powi(2);
    let log_error = (points.iter().map(square).sum::<f64>() / points.len() as f64).sqrt();
    let condition = search.condition(points, &law);
    let doubts = doubts(points, config, &constants, condition);
    Ok(ParametricFit { fitted, constants, log_error, condition, doubts })
}

/// Fits the points below `flops` and predicts the others.
///
/// # Errors
/// Those of [`fit`], or no point on one side of the cut.
pub fn predict_held_out(points: &[Point], flops: f64, config: &FitConfig) -> Result<HeldOut> {
    let (below, above): (Vec<Point>, Vec<Point>) = points.iter().partition(|point| point.flops() < flops);
    if above.is_empty() {
        let found = format!("no point has {} FLOPs or more", short(flops));
        return Err(Error::config(Problem::new(found).help("lower the cut")));
    }
    let fit = fit(&below, config)?;
    let predict =
        |&point: &Point| LossPrediction { point, loss: fit.fitted.interval(|law| law.loss_at(&point)) };
    let predictions: Vec<LossPrediction> = above.iter().map(predict).collect();
    let error = |p: &LossPrediction| (p.loss.estimate / p.point.loss - 1.0).abs();
    let mean_relative_error = predictions.iter().map(error).sum::<f64>() / predictions.len() as f64;
    Ok(HeldOut { fit, predictions, mean_relative_error })
}

/// Some of the points, drawn without repetition.
fn some_of(points: &[Point], config: &FitConfig) -> Vec<Point> {
    let once = Bootstrap { replicates: 1, ..config.bootstrap };
    let mut some = once.run(|draws| draws.shuffled(points)).remove(0);
    some.truncate(DRAWN);
    some
}

fn constants(
    search: &Search,
    config: &FitConfig,
    found: &Fitted<ParametricLaw>,
) -> Vec<(&'static str, Interval)> {
    let constants = config.constants();
    let replicates = found.replicates.iter().map(|law| law.as_ref().map(|law| search.constants(law)));
    let values = Fitted {
        law: constants.iter().map(|(_, value)| value(&found.law)).collect::<Vec<f64>>(),
        replicates: replicates.collect(),
        bootstrap: found.bootstrap,
        scale: found.scale,
    };
    constants.iter().enumerate().map(|(k, (name, _))| (*name, values.interval(|row| row[k]))).collect()
}

fn check(points: &[Point], config: &FitConfig) -> Result<()> {
    let needed = config.constants().len() + 1;
    if points.len() < needed {
        let problem = Problem::new(format!("{} points for {} constants", points.len(), needed - 1));
        return Err(Error::data(problem.expected(format!("at least {needed}"))));
    }
    let good = |v: f64| v > 0.0 && v.is_finite();
    let bad =
        |p: &&Point| !(good(p.params) && good(p.tokens) && good(p.loss) && (0.0..=1.0).contains(&p.decay));
    match points.iter().find(bad) {
        None => Ok(()),
        Some(p) => {
            let found = format!(
                "point with {} parameters, {} tokens, loss {}, decay {}",
                p.params, p.tokens, p.loss, p.decay
            );
            Err(Error::data(Problem::new(found).expected("positive finite numbers and a decay from 0 to 1")))
        }
    }
}

/// The name of a constant and how to read it.
pub(super) type Constant = (&'static str, fn(&ParametricLaw) -> f64);

impl FitConfig {
    /// The constants that are fitted.
    pub(super) fn constants(&self) -> Vec<Constant> {
        let always: [Constant; 5] = [
            ("E", |law| law.floor),
            ("A", |law| law.a),
            ("B", |law| law.b),
            ("alpha", |law| law.alpha),
            ("beta", |law| law.beta),
        ];
        let decay: Constant = ("c", |law| law.annealing);
        match self.annealing {
            Annealing::Alike => always.to_vec(),
            Annealing::Fitted => always.into_iter().chain([decay]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;
    use crate::laws::scaling::{BESIROGLU, HOFFMANN};

    /// Ten sizes by eight durations with relative noise.
    fn points(law: &ParametricLaw, noise: f64, seed: u64) -> Vec<Point> {
        let mut draws = Draws::for_test(seed);
        let grid = (0..10).flat_map(|i| (0..8).map(move |j| (i, j)));
        grid.map(|(i, j)| {
            let (params, ratio) = (5e7 * 1.7_f64.powi(i), 2.0 * 2.2_f64.powi(j));
            let point = Point {
                params,
                tokens: params * ratio,
                loss: 1.0,
                decay: if (i + j) % 2 == 0 { 0.9 } else { 0.0 },
            };
            Point { loss: law.loss_at(&point) * (noise * draws.normal()).exp(), ..point }
        })
        .collect()
    }

    fn quick(method: FitMethod) -> FitConfig {
        let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
        FitConfig { method, bootstrap, ..FitConfig::default() }
    }

    #[test]
    fn known_constants_are_recovered_exactly_without_noise() {
        let annealed = ParametricLaw { annealing: 0.06, ..BESIROGLU };
        for (law, annealing) in
            [(HOFFMANN, Annealing::Alike), (BESIROGLU, Annealing::Alike), (annealed, Annealing::Fitted)]
        {
            for method in [FitMethod::Huber(1e-3), FitMethod::VariableProjection] {
                let config = FitConfig { annealing, ..quick(method) };
                let found = fit(&points(&law, 0.0, 0), &config).unwrap();
                for (name, value) in config.constants() {
                    assert!(
                        (value(&found.fitted.law) / value(&law) - 1.0).abs() < 1e-3,
                        "{name} {:?}",
                        found.fitted.law
                    );
                }
                assert!(found.log_error < 1e-6 && found.doubts.is_empty(), "{found:?}");
            }
        }
    }

    #[test]
    fn noisy_points_keep_the_truth_within_their_intervals() {
        for method in [FitMethod::Huber(1e-3), FitMethod::VariableProjection] {
            let found = fit(&points(&BESIROGLU, 0.003, 4), &quick(method)).unwrap();
            for ((name, interval), (_, value)) in found.constants.iter().zip(quick(method).constants()) {
                assert!(
                    interval.contains(value(&BESIROGLU)) && interval.low < interval.high,
                    "{name}: {interval}"
                );
            }
            let size = found.fitted.interval(|law| law.optimum(1e22).params);
            assert!(size.contains(BESIROGLU.optimum(1e22).params), "{size}");
            assert!(found.doubts.is_empty(), "{:?}", found.doubts);
        }
    }

    #[test]
    fn many_points_give_the_intervals_that_all_of_them_would() {
        let seeds = (0..4 * DRAWN as u64 / 80).flat_map(|seed| points(&BESIROGLU, 0.01, seed));
        let many: Vec<Point> = seeds.collect();
        let alpha = |points: &[Point]| {
            let found = fit(points, &quick(FitMethod::VariableProjection)).unwrap();
            found.constants[3].1
        };
        let (all, some) = (alpha(&many), alpha(&many[..DRAWN]));
        assert!((all.estimate - BESIROGLU.alpha).abs() < 0.05, "{all}");
        // Four times the points, half the width.
        let ratio = (some.high - some.low) / (all.high - all.low);
        assert!((1.3..3.2).contains(&ratio), "{all} {some}");
    }

    #[test]
    fn a_decay_that_is_ignored_spoils_the_fit_that_knows_nothing_of_it() {
        let law = ParametricLaw { annealing: 0.06, ..BESIROGLU };
        let data = points(&law, 0.002, 9);
        let with =
            fit(&data, &FitConfig { annealing: Annealing::Fitted, ..quick(FitMethod::Huber(1e-3)) }).unwrap();
        let without = fit(&data, &quick(FitMethod::Huber(1e-3))).unwrap();
        let c = with.fitted.interval(|law| law.annealing);
        assert!(c.contains(0.06) && c.low > 0.05, "{c}");
        assert!(without.log_error > 3.0 * with.log_error, "{} {}", without.log_error, with.log_error);
    }

    #[test]
    fn one_huge_outlier_moves_huber_less_than_squares() {
        let mut data = points(&BESIROGLU, 0.002, 1);
        data[33].loss *= 1.5;
        let beta = |method| fit(&data, &quick(method)).unwrap().fitted.law.beta;
        let error = |beta: f64| (beta - BESIROGLU.beta).abs();
        let (huber, squares) = (beta(FitMethod::Huber(1e-3)), beta(FitMethod::VariableProjection));
        assert!(error(huber) < 0.02 && error(huber) < error(squares), "{huber} {squares}");
    }

    #[test]
    fn points_that_cannot_tell_are_said_to() {
        let data = points(&BESIROGLU, 0.003, 3);
        // One size: the floor and the size's term cannot be told apart.
        let one_size: Vec<Point> = data.iter().filter(|p| p.params == data[0].params).copied().collect();
        let error = fit(&one_size, &quick(FitMethod::Huber(1e-3))).unwrap_err().to_string();
        assert!(
            error.ends_with("the points have 1 distinct values of parameters, its law needs 3"),
            "{error}"
        );
        // Two sizes: a law is found, and said to be one of many.
        let two = |p: &&Point| p.params == data[0].params || p.params == data[79].params;
        let two_sizes: Vec<Point> = data.iter().filter(two).copied().collect();
        let found = fit(&two_sizes, &quick(FitMethod::Huber(1e-3))).unwrap();
        let few = Doubt::FewValues { of: "parameters", found: 2, needed: 3 };
        assert!(found.doubts.contains(&few), "{:?}", found.doubts);
        // Twenty tokens per parameter and hardly any range: constants change together.
        let chinchilla = |k: i32| {
            let params = 1e9 * 1.02_f64.powi(k);
            let mut point = Point { params, tokens: 20.0 * params, loss: 1.0, decay: 0.0 };
            point.loss = BESIROGLU.loss_at(&point) * (1.0 + 1e-3 * if k % 3 == 0 { -1.0 } else { 1.0 });
            point
        };
        let found =
            fit(&(0..12).map(chinchilla).collect::<Vec<Point>>(), &quick(FitMethod::Huber(1e-3))).unwrap();
        let said: Vec<String> = found.doubts.iter().map(Doubt::to_string).collect();
        assert!(said.iter().any(|text| text.contains("condition number")), "{said:?}");
        assert!(said.iter().any(|text| text.starts_with("the points do not bound alpha")), "{said:?}");
    }

    #[test]
    fn larger_budgets_are_predicted_from_smaller_ones() {
        let data = points(&BESIROGLU, 0.002, 6);
        let held_out = predict_held_out(&data, 2e21, &quick(FitMethod::Huber(1e-3))).unwrap();
        assert_eq!(held_out.predictions.len(), data.iter().filter(|point| point.flops() >= 2e21).count());
        assert!(held_out.mean_relative_error < 0.004, "{held_out:?}");
        let covered = |p: &&LossPrediction| p.loss.contains(BESIROGLU.loss_at(&p.point));
        let covered = held_out.predictions.iter().filter(covered).count();
        assert!(covered * 2 > held_out.predictions.len(), "{covered}");
        assert!(predict_held_out(&data, 1e30, &quick(FitMethod::Huber(1e-3))).is_err());
    }

    #[test]
    fn impossible_points_are_refused() {
        let mut data = points(&BESIROGLU, 0.0, 0);
        assert!(
            fit(&data[..5], &FitConfig::default())
                .unwrap_err()
                .to_string()
                .contains("5 points for 5 constants")
        );
        data[3].loss = f64::NAN;
        assert!(fit(&data, &FitConfig::default()).unwrap_err().to_string().contains("loss NaN"));
    }
}
