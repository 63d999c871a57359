//! `N(C) = argmin_N L_N(C)`: Chinchilla's approach 1, the size that owns the lower envelope of training
//! curves.
//!
//! Hoffmann et al. 2022, section 3.1. Where the smallest and where the last owner is ahead the best size may be one
//! that was not trained, so only the stretch between them counts; what lies before the smallest is warm-up, in
//! which large models are ahead. Curves of one size are seeds.

use super::{Allocation, Frontier};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Fitted};
use crate::laws::curves::{Axis, Curve, EnvelopePoint, Smoothing, lower_envelope, noisy_envelopes};

/// Places of the envelope.
const PLACES: usize = 1500;

/// Two owners between the smallest and the last: one alone has no slope.
const MIN_SIZES: usize = 4;

/// The frontier from training curves along FLOPs, each with the parameters of its model.
///
/// # Errors
/// Curves of another axis or of mixed stages, or an envelope that does not rise through at least four sizes.
pub fn frontier_of_envelope(
    runs: &[(f64, Curve)],
    smoothing: Smoothing,
    bootstrap: &Bootstrap,
) -> Result<Fitted<Frontier>> {
    let curves: Vec<Curve> = runs.iter().map(|(_, curve)| curve.clone()).collect();
    if let Some(curve) = curves.iter().find(|curve| curve.axis != Axis::Flops) {
        let problem = Problem::new(format!("curve {:?} is along {}", curve.name, curve.axis));
        return Err(Error::config(problem.expected("FLOPs").help("convert it with the run's throughput")));
    }
    let envelope = lower_envelope(&curves, smoothing, PLACES)?;
    let Some(frontier) = frontier(runs, &envelope) else {
        let problem = Problem::new(format!("the envelope rises through fewer than {MIN_SIZES} sizes"));
        return Err(Error::data(problem.help("train more sizes, or for longer")));
    };
    let redrawn = noisy_envelopes(&curves, smoothing, PLACES, bootstrap)?;
    let replicates = redrawn.iter().map(|envelope| self::frontier(runs, envelope)).collect();
    Ok(Fitted { law: frontier, replicates, bootstrap: *bootstrap, scale: 1.0 })
}

fn frontier(runs: &[(f64, Curve)], envelope: &[EnvelopePoint]) -> Option<Frontier> {
    let size = |point: &EnvelopePoint| runs[point.curve].0;
    let smallest = envelope.iter().map(size).reduce(f64::min)?;
    let first = envelope.iter().rposition(|point| size(point) == smallest)?;
    let last = (first + 1..envelope.len()).rfind(|&k| size(&envelope[k]) != size(&envelope[k - 1]))?;
    let mut sizes: Vec<f64> = envelope[first..].iter().map(size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < MIN_SIZES {
        return None;
    }
    let best = |point: &EnvelopePoint| Allocation::new(point.x, size(point));
    Frontier::through(envelope[first + 1..last].iter().map(best).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;
    use crate::laws::curves::Stage;
    use crate::laws::scaling::BESIROGLU;

    #[test]
    fn the_envelope_of_runs_that_obey_a_law_has_the_exponent_of_the_law() {
        let mut draws = Draws::for_test(11);
        let mut run = |size: i32| {
            let params = 1e7 * 1.5_f64.powi(size);
            let points = (0..600).map(|k| {
                let tokens = params * 2.0 * 1.008_f64.powi(k);
                (6.0 * params * tokens, BESIROGLU.loss(params, tokens) + 1e-3 * draws.normal())
            });
            let points: Vec<(f64, f64)> = points.collect();
            (params, Curve::new("run", Axis::Flops, Stage::Raw, points).unwrap())
        };
        let runs: Vec<(f64, Curve)> = (0..12).map(&mut run).collect();
        let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
        let found = frontier_of_envelope(&runs, Smoothing::Kernel(0.1), &bootstrap).unwrap();
        let exponent = found.interval(|frontier| frontier.exponent);
        assert!((exponent.estimate - BESIROGLU.size_exponent()).abs() < 0.03, "{exponent}");
        assert!(exponent.is_bounded() && exponent.high - exponent.low < 0.1, "{exponent}");
        assert!(frontier_of_envelope(&runs[..2], Smoothing::Kernel(0.1), &bootstrap).is_err());
    }

    #[test]
    fn seeds_are_one_size_and_what_large_models_lead_in_warm_up_does_not_count() {
        let curve =
            || Curve::new("run", Axis::Flops, Stage::Raw, (1..=4).map(|x| (f64::from(x), 1.0))).unwrap();
        let runs: Vec<(f64, Curve)> = [1.0, 2.0, 4.0, 8.0, 2.0].map(|params| (params, curve())).into();
        let owners = |owners: &[usize]| -> Vec<EnvelopePoint> {
            let place =
                |(k, &curve): (usize, &usize)| EnvelopePoint { x: f64::from(1 << k), loss: 1.0, curve };
            owners.iter().enumerate().map(place).collect()
        };
        // The largest first, then down to the smallest, two seeds of size 2, and one size after the other.
        let found = frontier(&runs, &owners(&[3, 2, 0, 1, 4, 2, 2, 3, 3])).unwrap();
        let sizes: Vec<f64> = found.optima.iter().map(|best| best.params).collect();
        assert_eq!(sizes, [2.0, 2.0, 4.0, 4.0]);
        assert!(found.exponent > 0.0, "{found:?}");
        assert_eq!(frontier(&runs, &owners(&[0, 1, 4, 1, 2, 2])), None, "three sizes, one of them twice");
    }
}
