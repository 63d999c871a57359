//! `s(x) = sum_i w_i(ln x) L_i`: a line fitted around each place, Gaussian weights in `ln x`, and what it
//! leaves over.
//!
//! Fan and Gijbels 1996 (local linear regression: unbiased at the ends, where a moving average is not). The
//! estimate is linear in the losses, so noise goes through it at the price of one product. Residuals of
//! neighbouring steps are alike; the wild block bootstrap (Shao 2010; Liu 1988) turns the sign of whole
//! blocks of them in place.

use serde::{Deserialize, Serialize};

use super::Curve;
use crate::laws::bootstrap::Draws;
use crate::laws::linear::dot;

/// The method that makes a function of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Local lines with Gaussian weights whose standard deviation is this in `ln x` (0.05: about 5 % of `x`),
    /// wider where points are so sparse that fewer than four lie within it.
    Kernel(f64),
    /// Straight lines between neighbouring points, for a few points of little noise: annealed ends.
    Interpolate,
}

impl Default for Smoothing {
    fn default() -> Self {
        Smoothing::Kernel(0.05)
    }
}

impl Curve {
    /// The smoothed loss at `n` places, evenly in `ln x`, as pairs `(x, loss)`.
    pub fn smoothed(&self, smoothing: Smoothing, n: usize) -> Vec<(f64, f64)> {
        let places = super::crossing::places(self.range(), n.max(2));
        let losses = Smoothed::new(self, &places, smoothing).loss;
        places.into_iter().map(f64::exp).zip(losses).collect()
    }
}

/// Points that a local line rests on at least.
const NEIGHBOURS: usize = 4;

/// Standard deviations beyond which weights are left out.
const REACH: f64 = 4.0;

/// A curve seen at given places.
pub(super) struct Smoothed {
    /// The loss at each place.
    pub(super) loss: Vec<f64>,
    noise: Option<Noise>,
}

/// What the local lines leave over, and how it would come through.
struct Noise {
    rows: Vec<Row>,
    residuals: Vec<f64>,
    block: usize,
}

/// Weights of the points from `first` on.
struct Row {
    first: usize,
    weights: Vec<f64>,
}

impl Smoothed {
    /// `curve` at `places` (`ln x`, ascending).
    pub(super) fn new(curve: &Curve, places: &[f64], smoothing: Smoothing) -> Self {
        let x: Vec<f64> = curve.x.iter().map(|x| x.ln()).collect();
        match smoothing {
            Smoothing::Interpolate => Smoothed {
                loss: places.iter().map(|&at| interpolate(&x, &curve.loss, at)).collect(),
                noise: None,
            },
            Smoothing::Kernel(bandwidth) => {
                let rows: Vec<Row> = places.iter().map(|&at| Row::at(&x, at, bandwidth)).collect();
                let residuals = residuals(&x, &curve.loss, bandwidth);
                let block = block_length(&residuals);
                let loss = rows.iter().map(|row| row.apply(&curve.loss)).collect();
                Smoothed { loss, noise: Some(Noise { rows, residuals, block }) }
            }
        }
    }

    /// The loss as it could have been measured: itself plus noise like what was left over.
    pub(super) fn redraw(&self, draws: &mut Draws) -> Vec<f64> {
        let Some(noise) = &self.noise else { return self.loss.clone() };
        let mut left = 1 + draws.below(noise.block);
        let mut sign = draws.sign();
        let drawn = noise.residuals.iter().map(|r| {
            if left == 0 {
                (left, sign) = (noise.block, draws.sign());
            }
            left -= 1;
            sign * r
        });
        let drawn: Vec<f64> = drawn.collect();
        self.loss.iter().zip(&noise.rows).map(|(loss, row)| loss + row.apply(&drawn)).collect()
    }
}

impl Row {
    /// The weights of a local line at `at`.
    fn at(x: &[f64], at: f64, bandwidth: f64) -> Self {
        let width = bandwidth.max(distance_of_neighbours(x, at));
        let first = x.partition_point(|&x| x < at - REACH * width);
        let last = x.partition_point(|&x| x <= at + REACH * width);
        let near = || x[first..last].iter().map(|x| x - at).map(|d| ((-0.5 * (d / width).powi(2)).exp(), d));
        let (s0, s1, s2) =
            near().fold((0.0, 0.0, 0.0), |(s0, s1, s2), (w, d)| (s0 + w, s1 + w * d, s2 + w * d * d));
        let determinant = s0 * s2 - s1 * s1;
        let line = |(w, d): (f64, f64)| w * (s2 - s1 * d) / determinant;
        let mean = |(w, _): (f64, f64)| w / s0;
        // All points in one place have a mean, not a slope.
        let weights = if determinant > 1e-12 * s0 * s2 {
            near().map(line).collect()
        } else {
            near().map(mean).collect()
        };
        Row { first, weights }
    }

    fn apply(&self, values: &[f64]) -> f64 {
        dot(&self.weights, &values[self.first..])
    }
}

/// How far away the [`NEIGHBOURS`]-th nearest point is.
fn distance_of_neighbours(x: &[f64], at: f64) -> f64 {
    let (mut high, count) = (x.partition_point(|&x| x < at), NEIGHBOURS.min(x.len()));
    let mut low = high;
    while high - low < count {
        if low == 0 || high < x.len() && x[high] - at < at - x[low - 1] {
            high += 1;
        } else {
            low -= 1;
        }
    }
    (at - x[low]).abs().max((x[high - 1] - at).abs())
}

/// Losses less the smooth curve, which is taken at knots four to a bandwidth and joined by straight lines.
fn residuals(x: &[f64], loss: &[f64], bandwidth: f64) -> Vec<f64> {
    let (low, high) = (x[0], x[x.len() - 1]);
    let n = (4.0 * (high - low) / bandwidth).ceil().max(1.0);
    let knots: Vec<f64> = (0..=n as usize).map(|k| low + (high - low) * k as f64 / n).collect();
    let smooth: Vec<f64> = knots.iter().map(|&at| Row::at(x, at, bandwidth).apply(loss)).collect();
    x.iter().zip(loss).map(|(&x, loss)| loss - interpolate(&knots, &smooth, x)).collect()
}

/// On the straight line between the neighbours of `at`; the end values beyond the ends.
pub(super) fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let above = x.partition_point(|&x| x <= at);
    if above == 0 || above == x.len() {
        return y[above.min(x.len() - 1)];
    }
    let share = (at - x[above - 1]) / (x[above] - x[above - 1]);
    y[above - 1] + share * (y[above] - y[above - 1])
}

/// Twice the lag at which the autocorrelation is first lost in its own noise (`1.96 / sqrt(n)`).
fn block_length(residuals: &[f64]) -> usize {
    let n = residuals.len();
    let variance = dot(residuals, residuals);
    let lost = |lag: &usize| dot(&residuals[*lag..], residuals) <= 1.96 / (n as f64).sqrt() * variance;
    let longest = (n / 8).max(1);
    (2 * (1..longest).find(lost).unwrap_or(longest)).min(2 * longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::curves::{Axis, Stage};

    fn curve(points: impl IntoIterator<Item = (f64, f64)>) -> Curve {
        Curve::new("c", Axis::Tokens, Stage::Raw, points).unwrap()
    }

    #[test]
    fn a_line_in_ln_x_is_kept_up_to_its_ends() {
        let line = curve((1..200).map(|k| (k as f64, 5.0 - 0.3 * (k as f64).ln())));
        let places = [0.0, 1.0, 2.5, 199.0_f64.ln()];
        for smoothing in [Smoothing::Kernel(0.05), Smoothing::Kernel(0.5), Smoothing::Interpolate] {
            let smoothed = Smoothed::new(&line, &places, smoothing);
            for (loss, at) in smoothed.loss.iter().zip(places) {
                assert!((loss - (5.0 - 0.3 * at)).abs() < 1e-9, "{smoothing:?} at {at}: {loss}");
            }
        }
    }

    #[test]
    fn redrawn_noise_has_the_size_that_independent_noise_would_have() {
        let mut draws = Draws::for_test(3);
        let noise = 0.1;
        let noisy = curve((0..2000).map(|k| (100.0 + k as f64, 3.0 + noise * draws.normal())));
        let at = 1000.0_f64.ln();
        let smoothed = Smoothed::new(&noisy, &[at], Smoothing::Kernel(0.05));
        let drawn: Vec<f64> = (0..2000).map(|_| smoothed.redraw(&mut draws)[0]).collect();
        let spread = (drawn.iter().map(|v| (v - smoothed.loss[0]).powi(2)).sum::<f64>() / 2000.0).sqrt();
        // Gaussian weights average over 2 sqrt(pi) h points, here 0.05 * 1000 * 3.545 = 177.
        let expected = noise / 177.0_f64.sqrt();
        assert!((spread / expected - 1.0).abs() < 0.35, "{spread} {expected}");
    }

    #[test]
    fn blocks_are_as_long_as_noise_remembers() {
        let mut draws = Draws::for_test(5);
        let white: Vec<f64> = (0..4000).map(|_| draws.normal()).collect();
        let moving: Vec<f64> = white.windows(20).map(|w| w.iter().sum()).collect();
        assert!(block_length(&white) <= 6, "{}", block_length(&white));
        assert!((30..=60).contains(&block_length(&moving)), "{}", block_length(&moving));
    }
}
