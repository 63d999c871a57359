//! `min_k s_k(x)`: the lowest loss that any of the runs had for its `x`, and which run that was.
//!
//! Chinchilla's approach 1 (Hoffmann et al. 2022, section 3.1) reads the best size off it.

use super::crossing::places;
use super::smooth::Smoothed;
use super::{Curve, Smoothing};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::Bootstrap;

/// A place of the lower envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvelopePoint {
    /// The position, in the unit of the curves' axis.
    pub x: f64,
    /// The lowest loss there, in nats.
    pub loss: f64,
    /// Index of the curve that has it.
    pub curve: usize,
}

/// The lowest smoothed loss at `n` places, evenly in `ln x` from the first to the last point of all curves.
///
/// # Errors
/// No curve, or curves of different axes or stages.
pub fn lower_envelope(curves: &[Curve], smoothing: Smoothing, n: usize) -> Result<Vec<EnvelopePoint>> {
    let runs = runs(curves, smoothing, n)?;
    Ok(lowest(&runs, |run| run.smoothed.loss.clone()))
}

/// Envelopes of noisy redraws of the same curves, one per replicate.
pub(in crate::laws) fn noisy_envelopes(
    curves: &[Curve],
    smoothing: Smoothing,
    n: usize,
    bootstrap: &Bootstrap,
) -> Result<Vec<Vec<EnvelopePoint>>> {
    let runs = runs(curves, smoothing, n)?;
    Ok(bootstrap.run(|draws| lowest(&runs, |run| run.smoothed.redraw(draws))))
}

/// A curve at the places of its own range.
struct Run {
    first: usize,
    places: Vec<f64>,
    smoothed: Smoothed,
}

fn runs(curves: &[Curve], smoothing: Smoothing, n: usize) -> Result<Vec<Run>> {
    let kind = |curve: &Curve| (curve.axis, curve.stage);
    if curves.is_empty() || curves.iter().any(|curve| kind(curve) != kind(&curves[0])) {
        let problem = Problem::new(format!("an envelope of {} curves", curves.len()));
        return Err(Error::config(problem.expected("at least one, all of the same axis and stage")));
    }
    let low = curves.iter().map(|curve| curve.range().0).fold(f64::INFINITY, f64::min);
    let high = curves.iter().map(|curve| curve.range().1).fold(0.0, f64::max);
    let all = places((low, high), n);
    let run = |curve: &Curve| {
        let (from, to) = curve.range();
        let first = all.partition_point(|&at| at < from.ln());
        let last = all.partition_point(|&at| at <= to.ln());
        let places = all[first..last.max(first)].to_vec();
        Run { first, smoothed: Smoothed::new(curve, &places, smoothing), places }
    };
    Ok(curves.iter().map(run).collect())
}

fn lowest(runs: &[Run], mut losses: impl FnMut(&Run) -> Vec<f64>) -> Vec<EnvelopePoint> {
    let end = runs.iter().map(|run| run.first + run.places.len()).max().unwrap_or(0);
    let mut best: Vec<Option<EnvelopePoint>> = vec![None; end];
    for (curve, run) in runs.iter().enumerate() {
        for ((k, loss), at) in losses(run).into_iter().enumerate().zip(&run.places) {
            let slot = &mut best[run.first + k];
            if slot.is_none_or(|other| loss < other.loss) {
                *slot = Some(EnvelopePoint { x: at.exp(), loss, curve });
            }
        }
    }
    best.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::curves::{Axis, Stage};

    #[test]
    fn the_envelope_is_the_lowest_curve_at_each_place() {
        let falling = |slope: f64, from: usize, to: usize| {
            let points = (from..to).map(|x| (x as f64, 5.0 - slope * (x as f64 / 100.0).ln()));
            Curve::new("c", Axis::Flops, Stage::Raw, points).unwrap()
        };
        let curves = [falling(0.1, 5, 1000), falling(0.3, 10, 500)];
        let envelope = lower_envelope(&curves, Smoothing::Interpolate, 300).unwrap();
        for point in &envelope {
            let second = (100.0..=499.0).contains(&point.x);
            assert_eq!(point.curve, usize::from(second), "at {}", point.x);
            let slope = if second { 0.3 } else { 0.1 };
            assert!((point.loss - (5.0 - slope * (point.x / 100.0).ln())).abs() < 1e-3);
        }
        assert_eq!(envelope.len(), 300);
    }
}
