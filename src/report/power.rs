//! What a design can see, from the spread between seeds that earlier runs have shown.

use super::comparison::{ArmResult, Comparison};
use crate::statistics::Power;

/// The power of `seeds` seeds where arms and controls spread as in these comparisons; `None` if they hold no two pairs.
pub fn power(comparisons: &[Comparison], seeds: usize) -> Option<Power> {
    let measure = comparisons.first()?.measure;
    let contrast = measure.contrast();
    let alike = comparisons.iter().filter(|comparison| comparison.measure == measure);
    let groups: Vec<Vec<(f64, f64)>> = alike.flat_map(pairs).collect();
    Power::of(contrast, &groups, seeds)
}

/// The values of each arm beside those of the control, on the seeds that both have.
fn pairs(comparison: &Comparison) -> Vec<Vec<(f64, f64)>> {
    let control = comparison.control_arm();
    let beside = |arm: &ArmResult| {
        let base = |seed: u64| control.runs.iter().find(|run| run.seed == seed).map(|run| run.value);
        arm.runs.iter().filter_map(|run| Some((run.value, base(run.seed)?))).collect()
    };
    comparison.primary_arms().filter(|arm| arm.arm != comparison.control).map(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;

    #[test]
    fn the_spread_of_finished_runs_says_what_more_seeds_would_see() {
        let finished = [compare(&fake::evidence()).unwrap()];
        let (three, ten) = (power(&finished, 3).unwrap(), power(&finished, 10).unwrap());
        assert_eq!(three.pairs, 9, "three arms on three seeds");
        assert!(1.0 < ten.detectable && ten.detectable < three.detectable, "{three:?} {ten:?}");
        assert_eq!(power(&[], 3), None);
    }
}
