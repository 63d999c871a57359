//! Intervals over seeds, `mean ± t_{0.975, n-1} · s / √n`.
//!
//! Two spreads are kept apart: the spread *between seeds*, which every interval here is made of, and the error *of a
//! measurement* on one trained model (the choice of renderings), which [`root_mean_square`] pools. [`Effect`] compares
//! an arm seed by seed with its control, by itself; what is claimed of several arms is in [`decide`](super::decide()).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Fewer seeds than this give no interval: with two, `t` is 12.7 and says nothing.
pub const MIN_SEEDS: usize = 3;

/// The share of intervals that hold the truth.
pub const CONFIDENCE: f64 = 0.95;

/// The chance to see a difference of the size that [`Effect::detectable`] names.
pub const POWER: f64 = 0.8;

/// A mean over seeds with its 95 % Student t interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval, if there is one.
    pub low: Option<f64>,
    /// Upper end of the interval, if there is one.
    pub high: Option<f64>,
    /// How many seeds.
    pub n: usize,
    /// Why there is no interval.
    pub reason: Option<String>,
}

/// An arm against its control, seed by seed: a ratio (1 is no effect) or a difference (0 is no effect).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The mean of differences, or the geometric mean of ratios.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The seeds that both have.
    pub seeds: Vec<u64>,
    /// Two-sided p of the paired t test.
    pub p: Option<f64>,
    /// The same p after Holm's correction for all arms of the comparison.
    pub p_holm: Option<f64>,
    /// The smallest true effect that so many seeds with this spread show with a chance of 80 %: a factor above 1 for
    /// a ratio, a distance for a difference. From `(t_{0.975} + t_{0.8}) · s / √n`.
    pub detectable: Option<f64>,
}

/// How an arm is set against its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// Ratios; the interval is made on their logarithms.
    Ratio,
    /// Differences.
    Difference,
}

impl Contrast {
    /// The value of no effect.
    pub fn none(self) -> f64 {
        match self {
            Contrast::Ratio => 1.0,
            Contrast::Difference => 0.0,
        }
    }

    /// The scale on which an arm and its control are subtracted: logarithms for ratios.
    pub fn scale(self, value: f64) -> f64 {
        match self {
            Contrast::Ratio => value.ln(),
            Contrast::Difference => value,
        }
    }

    fn between(self, arm: f64, control: f64) -> f64 {
        self.scale(arm) - self.scale(control)
    }

    /// What a number on that scale stands for.
    pub fn back(self, value: f64) -> f64 {
        match self {
            Contrast::Ratio => value.exp(),
            Contrast::Difference => value,
        }
    }
}

impl Estimate {
    /// The interval over `values`, one per seed; none of an empty slice.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        Some(Spread::of(values)?.estimate(|value| value))
    }

    /// The interval over `values` brought to another scale by `back`, for instance from logarithms; none of an empty slice.
    pub fn through(values: &[f64], back: impl Fn(f64) -> f64) -> Option<Estimate> {
        Some(Spread::of(values)?.estimate(back))
    }

    /// Whether the interval leaves out `value`; unknown without an interval.
    pub fn excludes(&self, value: f64) -> Option<bool> {
        Some(!(self.low?..=self.high?).contains(&value))
    }
}

impl Effect {
    /// Sets `arm` against `control`, both `(seed, value)`, on the seeds that both have.
    ///
    /// # Errors
    /// A sentence, if they share no seed, or if a ratio is asked of values that are not above zero.
    pub fn of(contrast: Contrast, arm: &[(u64, f64)], control: &[(u64, f64)]) -> Result<Effect, String> {
        let control: BTreeMap<u64, f64> = control.iter().copied().collect();
        let pairs: BTreeMap<u64, (f64, f64)> =
            arm.iter().filter_map(|&(seed, value)| Some((seed, (value, *control.get(&seed)?)))).collect();
        if contrast == Contrast::Ratio && pairs.values().any(|&(arm, control)| arm <= 0.0 || control <= 0.0) {
            return Err("a value is not above zero, so it has no ratio".to_string());
        }
        let contrasts: Vec<f64> = pairs.values().map(|&(arm, base)| contrast.between(arm, base)).collect();
        let spread = Spread::of(&contrasts).ok_or("no seed in common with the control")?;
        Ok(Effect {
            estimate: spread.estimate(|value| contrast.back(value)),
            seeds: pairs.into_keys().collect(),
            p: spread.p(),
            p_holm: None,
            detectable: spread.detectable().map(|distance| contrast.back(distance)),
        })
    }
}

/// What a number of seeds can see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// Seeds of the design.
    pub seeds: usize,
    /// Standard deviation of the contrast of one seed: of the logarithm of a ratio, or of a difference.
    pub spread: f64,
    /// Pairs of runs that it is estimated from.
    pub pairs: usize,
    /// The smallest true effect that such a design shows with a chance of 80 %: a factor above 1, or a distance.
    pub detectable: f64,
}

impl Power {
    /// The power of `seeds` seeds, from the spread within `groups` of `(arm, control)` pairs, one pair per seed.
    pub fn of(contrast: Contrast, groups: &[Vec<(f64, f64)>], seeds: usize) -> Option<Power> {
        let (mut squares, mut dof, mut pairs) = (0.0, 0, 0);
        for group in groups.iter().filter(|group| group.len() > 1) {
            let contrasts: Vec<f64> = group.iter().map(|&(arm, base)| contrast.between(arm, base)).collect();
            let spread = Spread::of(&contrasts).filter(|spread| spread.standard_error.is_finite());
            let Some(spread) = spread else { continue };
            let n = contrasts.len();
            squares += spread.standard_error.powi(2) * (n * (n - 1)) as f64;
            (dof, pairs) = (dof + n - 1, pairs + n);
        }
        if dof == 0 || seeds < MIN_SEEDS {
            return None;
        }
        let spread = (squares / dof as f64).sqrt();
        let standard_error = spread / (seeds as f64).sqrt();
        let detectable = Spread { n: seeds, mean: 0.0, standard_error }.detectable()?;
        Some(Power { seeds, spread, pairs, detectable: contrast.back(detectable) })
    }
}

/// Holm's step-down correction of `p` values (Holm 1979), in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(p[index] * (p.len() - rank) as f64).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

/// `√(mean of squares)`: the typical error of one measurement; none of an empty slice.
pub fn root_mean_square(errors: &[f64]) -> Option<f64> {
    let mean = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    (!errors.is_empty()).then(|| mean.sqrt())
}

/// How values scatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScatterShape {
    /// The standard deviation.
    pub sd: f64,
    /// The third central moment over the cube of the standard deviation, `m3 / m2^1.5`.
    pub skewness: f64,
}

impl ScatterShape {
    /// Of at least three values that are not all equal.
    pub fn of(values: &[f64]) -> Option<ScatterShape> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let moment = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
        let variance = moment(2);
        (values.len() >= MIN_SEEDS && variance > 0.0).then(|| ScatterShape {
            sd: (variance * n / (n - 1.0)).sqrt(),
            skewness: moment(3) / variance.powf(1.5),
        })
    }
}

/// The middle value, between the two middle ones of an even number; none of an empty slice.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let above = *sorted.get(sorted.len() / 2)?;
    let below = sorted[(sorted.len() - 1) / 2];
    Some((below + above) / 2.0)
}

/// The value that a Student t variable with `dof` degrees of freedom stays below with chance `share`.
fn t_quantile(share: f64, dof: usize) -> f64 {
    student(dof).inverse_cdf(share)
}

fn student(dof: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, dof as f64).expect("an interval has at least two degrees of freedom")
}

fn too_few(n: usize) -> Option<String> {
    let seeds = if n == 1 { "1 seed".to_string() } else { format!("{n} seeds") };
    (n < MIN_SEEDS).then(|| format!("{seeds}; an interval needs {MIN_SEEDS}"))
}

/// Mean of values and its standard error, `s / √n`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub n: usize,
    pub mean: f64,
    pub standard_error: f64,
}

impl Spread {
    /// None of an empty slice.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (squares / (n as f64 - 1.0) / n as f64).sqrt();
        (n > 0).then_some(Spread { n, mean, standard_error })
    }

    fn estimate(&self, scale: impl Fn(f64) -> f64) -> Estimate {
        let half = self.half_width();
        Estimate {
            mean: scale(self.mean),
            low: half.map(|half| scale(self.mean - half)),
            high: half.map(|half| scale(self.mean + half)),
            n: self.n,
            reason: too_few(self.n),
        }
    }

    fn dof(&self) -> Option<usize> {
        (self.n >= MIN_SEEDS).then(|| self.n - 1)
    }

    fn half_width(&self) -> Option<f64> {
        Some(t_quantile(0.5 + CONFIDENCE / 2.0, self.dof()?) * self.standard_error)
    }

    fn detectable(&self) -> Option<f64> {
        let dof = self.dof()?;
        Some((t_quantile(0.5 + CONFIDENCE / 2.0, dof) + t_quantile(POWER, dof)) * self.standard_error)
    }

    fn p(&self) -> Option<f64> {
        let dof = self.dof()?;
        if self.mean == 0.0 {
            return Some(1.0); // also when all differences are zero, where t would be 0 / 0
        }
        Some(2.0 * student(dof).cdf(-(self.mean / self.standard_error).abs()))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use statrs::distribution::Normal;

    use super::*;

    /// Printed tables give seven digits.
    const TABLE: f64 = 1e-6;

    fn paired(values: &[f64]) -> Vec<(u64, f64)> {
        values.iter().enumerate().map(|(seed, &value)| (seed as u64, value)).collect()
    }

    #[test]
    fn t_quantiles_are_those_of_the_printed_tables() {
        for (share, dof, truth) in [
            (0.975, 2, 4.302_652_7),
            (0.975, 4, 2.776_445_1),
            (0.975, 9, 2.262_157_2),
            (0.995, 2, 9.924_843_2),
            (0.8, 2, 1.060_660_2),
        ] {
            let t = t_quantile(share, dof);
            assert!((t - truth).abs() < TABLE, "t({share}, {dof}) = {t}, table {truth}");
        }
    }

    #[test]
    fn an_interval_of_three_known_values_is_the_one_worked_out_by_hand() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        let half = 4.302_652_7 / 3f64.sqrt(); // s = 1
        assert_eq!(estimate.mean, 2.0);
        assert!((estimate.high.unwrap() - 2.0 - half).abs() < TABLE);
        assert!((2.0 - estimate.low.unwrap() - half).abs() < TABLE);
    }

    #[test]
    fn the_shape_of_known_values_is_the_one_worked_out_by_hand() {
        let shape = ScatterShape::of(&[0.0, 0.0, 0.0, 4.0]).unwrap();
        // mean 1, m2 = (3 + 9) / 4, m3 = (-3 + 27) / 4
        assert!((shape.sd - 2.0).abs() < 1e-12 && (shape.skewness - 6.0 / 3f64.powf(1.5)).abs() < 1e-12);
        assert_eq!((ScatterShape::of(&[1.0, 2.0]), ScatterShape::of(&[1.0; 5])), (None, None));
    }

    #[test]
    fn two_seeds_give_a_mean_and_a_reason_but_no_interval() {
        let estimate = Estimate::of(&[1.0, 3.0]).unwrap();
        assert_eq!((estimate.mean, estimate.low, estimate.high), (2.0, None, None));
        assert_eq!(estimate.reason.unwrap(), "2 seeds; an interval needs 3");
        assert_eq!(Estimate::of(&[]), None);
    }

    /// 10 000 experiments of three seeds: the share that holds the truth has a standard deviation of 0.2 %.
    #[test]
    fn ninety_five_of_a_hundred_intervals_hold_the_truth() {
        let normal = Normal::new(1.2, 0.3).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draw = || normal.inverse_cdf((random.next_u64() >> 11) as f64 / (1u64 << 53) as f64 + 1e-17);
        let trials = 10_000;
        let holding = (0..trials)
            .map(|_| Estimate::of(&[draw(), draw(), draw()]).unwrap())
            .filter(|estimate| (estimate.low.unwrap()..=estimate.high.unwrap()).contains(&1.2))
            .count();
        let share = holding as f64 / trials as f64;
        assert!((share - CONFIDENCE).abs() < 0.01, "{share}");
    }

    #[test]
    fn what_seeds_share_cancels_in_a_paired_ratio() {
        let control = paired(&[1.0, 2.0, 4.0]);
        let arm = paired(&[0.50, 1.02, 1.96]);
        let ratio = Effect::of(Contrast::Ratio, &arm, &control).unwrap();
        assert!((ratio.estimate.mean - 0.5).abs() < 0.001);
        assert!(ratio.estimate.high.unwrap() < 0.53 && ratio.estimate.low.unwrap() > 0.47);
        assert_eq!(ratio.estimate.excludes(1.0), Some(true));
    }

    #[test]
    fn p_is_five_percent_exactly_where_the_interval_touches_one() {
        let logs = [0.1f64, 0.2, 0.3];
        let half = t_quantile(0.975, 2) * 0.1 / 3f64.sqrt();
        let arm = paired(&logs.map(|log| (log - 0.2 + half).exp()));
        let ratio = Effect::of(Contrast::Ratio, &arm, &paired(&[1.0; 3])).unwrap();
        assert!((ratio.estimate.low.unwrap() - 1.0).abs() < TABLE && (ratio.p.unwrap() - 0.05).abs() < TABLE);
    }

    #[test]
    fn only_seeds_that_both_have_are_compared() {
        let control = [(1, 1.0), (2, 1.0), (4, 9.0)];
        let arm = [(3, 9.0), (2, 2.0), (1, 2.0)];
        let ratio = Effect::of(Contrast::Ratio, &arm, &control).unwrap();
        assert_eq!(ratio.seeds, [1, 2]);
        assert_eq!((ratio.estimate.n, ratio.estimate.mean, ratio.estimate.low), (2, 2.0, None));
        let strangers = Effect::of(Contrast::Ratio, &[(7, 1.0)], &control);
        assert_eq!(strangers.unwrap_err(), "no seed in common with the control");
    }

    #[test]
    fn a_value_that_is_not_above_zero_has_a_difference_but_no_ratio() {
        let (arm, control) = (paired(&[-0.1, 0.1, 0.0]), paired(&[1.0, 1.0, 1.0]));
        assert!(Effect::of(Contrast::Ratio, &arm, &control).is_err());
        assert!(
            (Effect::of(Contrast::Difference, &arm, &control).unwrap().estimate.mean + 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn equal_runs_have_an_interval_of_no_width_and_no_evidence_of_a_difference() {
        let same = paired(&[1.5, 1.5, 1.5]);
        let ratio = Effect::of(Contrast::Ratio, &same, &same).unwrap();
        assert_eq!((ratio.estimate.low, ratio.estimate.high, ratio.p), (Some(1.0), Some(1.0), Some(1.0)));
    }

    #[test]
    fn a_design_sees_less_with_more_spread_and_more_with_more_seeds() {
        let group = vec![(1.0, 1.0), (1.1, 1.0), (0.9, 1.0)];
        let logs = [1.0f64.ln(), 1.1f64.ln(), 0.9f64.ln()];
        let mean = logs.iter().sum::<f64>() / 3.0;
        let spread = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let power = |seeds| Power::of(Contrast::Ratio, &[group.clone(), group.clone()], seeds);
        let three = power(3).unwrap();
        assert!((three.spread - spread).abs() < 1e-12 && three.pairs == 6);
        let by_hand = ((4.302_652_7 + 1.060_660_2) * spread / 3f64.sqrt()).exp();
        assert!((three.detectable - by_hand).abs() < 1e-5, "{}", three.detectable);
        let own = Effect::of(Contrast::Ratio, &paired(&[1.0, 1.1, 0.9]), &paired(&[1.0; 3])).unwrap();
        assert!((three.detectable - own.detectable.unwrap()).abs() < 1e-9, "the spread of the same runs");
        assert!(power(10).unwrap().detectable < three.detectable);
        assert_eq!((power(2), Power::of(Contrast::Ratio, &[vec![(1.0, 1.0)]], 3)), (None, None));
    }

    #[test]
    fn holm_multiplies_the_smallest_p_by_the_number_of_arms_and_never_reorders() {
        let corrected = holm(&[0.04, 0.01, 0.03]);
        assert!(corrected.iter().zip([0.06, 0.03, 0.06]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn measurement_errors_pool_by_their_squares_and_medians_split_the_middle() {
        assert_eq!(root_mean_square(&[3.0, 4.0, 5.0, 5.0, 0.0]), Some(15f64.sqrt()));
        assert_eq!((root_mean_square(&[]), median(&[])), (None, None));
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (Some(2.0), Some(2.5)));
    }
}
