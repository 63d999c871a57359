//! `[q((1 - c) / 2), q((1 + c) / 2)]` of what resampled data give: intervals without a formula for the error.
//!
//! Efron 1979, percentile intervals. Replicate `k` draws from stream `k` of ChaCha8 under the seed, so that
//! the same seed gives the same interval on every machine and number of threads.

use std::fmt;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The config of bootstrap intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bootstrap {
    /// The number of bootstrap replicates.
    pub replicates: u64,
    /// Seed of the draws.
    pub seed: u64,
    /// The confidence level of an interval, for instance 0.95.
    pub confidence: f64,
}

/// An estimate and what it could have been with other draws of the same data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// From the data as they are.
    pub estimate: f64,
    /// Lower end; minus infinity when the data set none.
    pub low: f64,
    /// Upper end; infinity when the data set none.
    pub high: f64,
}

/// A law and what it became on data drawn anew, from which any number that the law gives has an interval.
#[derive(Clone)]
pub struct Fitted<L> {
    /// From the data as they are.
    pub law: L,
    /// One per replicate; `None` where no law could be fitted.
    pub(super) replicates: Vec<Option<L>>,
    pub(super) bootstrap: Bootstrap,
    /// What distances from the estimate are multiplied with: below 1 where replicates have fewer points than there are.
    pub(super) scale: f64,
}

impl<L> Fitted<L> {
    /// What `number` is, and what it could have been.
    pub fn interval(&self, number: impl Fn(&L) -> f64) -> Interval {
        let estimate = number(&self.law);
        let value = |law: &Option<L>| law.as_ref().map_or(f64::NAN, &number);
        // Infinite ones stay what they are: the data set no limit.
        let scaled =
            |value: f64| if value.is_finite() { estimate + self.scale * (value - estimate) } else { value };
        self.bootstrap.interval(estimate, self.replicates.iter().map(value).map(scaled))
    }
}

impl<L: fmt::Debug> fmt::Debug for Fitted<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fitted")
            .field("law", &self.law)
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap { replicates: 400, seed: 0, confidence: 0.95 }
    }
}

impl Interval {
    /// Whether `value` lies within.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether both ends are finite.
    pub fn is_bounded(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimate = short(self.estimate);
        match self.low.is_finite() || self.high.is_finite() {
            true => write!(f, "{estimate} [{}, {}]", short(self.low), short(self.high)),
            false => write!(f, "{estimate} [not bounded]"),
        }
    }
}

/// Four significant digits, or that there is no limit.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "not known".to_string();
    }
    if value.is_infinite() {
        return "not bounded".to_string();
    }
    if value == 0.0 {
        return "0".to_string();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    format!("{value:.decimals$}")
}

impl Bootstrap {
    /// One result per replicate, in order.
    pub(super) fn run<T: Send>(&self, one: impl Fn(&mut Draws) -> T + Sync) -> Vec<T> {
        let generator = ChaCha8Rng::seed_from_u64(self.seed);
        let replicate = |stream| {
            let mut generator = generator.clone();
            generator.set_stream(stream);
            one(&mut Draws(generator))
        };
        (0..self.replicates).into_par_iter().map(replicate).collect()
    }

    /// The interval that `values` give to `estimate`. A value that is not a number is a replicate that could
    /// not decide: it counts at both ends, so that enough of them leave the interval open.
    pub(super) fn interval(&self, estimate: f64, values: impl IntoIterator<Item = f64>) -> Interval {
        let (mut values, undecided): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|v| !v.is_nan());
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0 * (values.len() + undecided.len()) as f64;
        let beyond = tail - undecided.len() as f64 / 2.0;
        if values.is_empty() || beyond < 0.0 {
            return Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY };
        }
        let last = values.len() - 1;
        let (low, high) = (values[(beyond as usize).min(last)], values[last - (beyond as usize).min(last)]);
        Interval { estimate, low, high }
    }
}

/// Random draws of one replicate.
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    /// Uniform below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.0.next_u64() as u128 * n as u128) >> 64) as usize
    }

    /// `n` of the items with repetition.
    pub(super) fn resample<T: Clone>(&mut self, items: &[T], n: usize) -> Vec<T> {
        (0..n).map(|_| items[self.below(items.len())].clone()).collect()
    }

    /// The items in another order (Fisher and Yates).
    pub(super) fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
        items
    }

    /// `+1` or `-1`.
    pub(super) fn sign(&mut self) -> f64 {
        if self.0.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Uniform in `[0, 1)`.
    #[cfg(test)]
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    #[cfg(test)]
    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Draws for a test.
    #[cfg(test)]
    pub(super) fn for_test(seed: u64) -> Self {
        Draws(ChaCha8Rng::seed_from_u64(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_normals_has_the_interval_of_the_textbook() {
        let mut draws = Draws::for_test(7);
        let data: Vec<f64> = (0..400).map(|_| draws.normal()).collect();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let bootstrap = Bootstrap { replicates: 2000, ..Bootstrap::default() };
        let interval =
            bootstrap.interval(mean(&data), bootstrap.run(|draws| mean(&draws.resample(&data, data.len()))));
        // 1.96 / sqrt(400) = 0.098 on each side.
        assert!((interval.high - interval.low - 0.196).abs() < 0.02, "{interval}");
        assert!(interval.contains(0.0), "{interval}");
    }

    #[test]
    fn the_same_seed_gives_the_same_draws_and_another_others() {
        let draw = |seed| {
            Bootstrap { replicates: 3, seed, ..Bootstrap::default() }.run(|draws| draws.below(1 << 40))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }

    #[test]
    fn replicates_that_cannot_decide_open_the_interval() {
        let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
        let values =
            |undecided: usize| (0..100).map(move |k| if k < undecided { f64::NAN } else { k as f64 });
        assert!(bootstrap.interval(50.0, values(4)).is_bounded());
        assert!(!bootstrap.interval(50.0, values(6)).is_bounded());
    }

    #[test]
    fn numbers_are_short() {
        let interval = Interval { estimate: 0.34781, low: 2.2e4, high: 1.5e9 };
        assert_eq!(interval.to_string(), "0.3478 [22000, 1.500e9]");
    }

    #[test]
    fn what_is_not_bounded_is_said_in_words() {
        let infinity = f64::INFINITY;
        let said = |low, high| Interval { estimate: 0.4, low, high }.to_string();
        for (low, high) in [(-infinity, infinity), (infinity, infinity), (-infinity, -infinity)] {
            assert_eq!(said(low, high), "0.4000 [not bounded]");
        }
        assert_eq!(said(0.3, infinity), "0.4000 [0.3000, not bounded]");
        assert_eq!(said(-infinity, 0.5), "0.4000 [not bounded, 0.5000]");
        let never = Interval { estimate: f64::NAN, low: f64::NEG_INFINITY, high: infinity };
        assert_eq!(never.to_string(), "not known [not bounded]");
    }
}
