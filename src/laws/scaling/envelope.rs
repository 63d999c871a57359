//! `N(C) = argmin_N L_N(C)`: Chinchilla's approach 1, the size that owns the lower envelope of training
//! curves.
//!
//! Hoffmann et al. 2022, section 3.1. Below the first and above the last change of the owner the best size
//! may be one that was not trained, so only the stretch between them counts.

use super::{Allocation, Frontier};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Fitted};
use crate::laws::curves::{Axis, Curve, EnvelopePoint, Smoothing, lower_envelope, noisy_envelopes};

/// Places of the envelope.
const PLACES: usize = 1500;

/// The frontier from training curves along FLOPs, each with the parameters of its model.
///
/// # Errors
/// Curves of another axis or of mixed stages, or an envelope that does not pass through at least three sizes.
pub fn frontier_of_envelope(
    runs: &[(f64, Curve)],
    smoothing: Smoothing,
    bootstrap: &Bootstrap,
) -> Result<Fitted<Frontier>> {
    let curves: Vec<Curve> = runs.iter().map(|(_, curve)| curve.clone()).collect();
    if let Some(curve) = curves.iter().find(|curve| curve.axis != Axis::Flops) {
        let problem = Problem::new(format!("curve {:?} is along {}", curve.name, curve.axis));
        return Err(Error::config(problem.expected("FLOPs").remedy("convert it with the run's throughput")));
    }
    let envelope = lower_envelope(&curves, smoothing, PLACES)?;
    let Some(frontier) = frontier(runs, &envelope) else {
        let problem = Problem::new("the envelope passes through fewer than three sizes");
        return Err(Error::data(problem.remedy("train more sizes, or for longer")));
    };
    let redrawn = noisy_envelopes(&curves, smoothing, PLACES, bootstrap)?;
    let replicates = redrawn.iter().map(|envelope| self::frontier(runs, envelope)).collect();
    Ok(Fitted { law: frontier, replicates, bootstrap: *bootstrap })
}

fn frontier(runs: &[(f64, Curve)], envelope: &[EnvelopePoint]) -> Option<Frontier> {
    let changes: Vec<usize> =
        (1..envelope.len()).filter(|&k| envelope[k].curve != envelope[k - 1].curve).collect();
    let (first, last) = (*changes.first()?, *changes.last()?);
    let best = |point: &EnvelopePoint| Allocation::new(point.x, runs[point.curve].0);
    let owners: std::collections::BTreeSet<usize> = envelope.iter().map(|point| point.curve).collect();
    if owners.len() < 3 {
        return None;
    }
    Frontier::through(envelope[first..last].iter().map(best).collect())
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
}
