//! How many seeds an ablation has, and when they are looked at: group-sequential designs.
//!
//! Looks at 4, 6, 8, 12, 16, ... seeds. The error is spent in proportion to the seeds, `a*(t) = a t` with
//! `t = n / n_max` (Lan and DeMets 1983; Kim and DeMets 1987), over looks by recursive integration (Armitage, McPherson
//! and Rowe 1969) and over `k` arms by Sidak, `1 - (1 - a)^(1/k)`. Intervals at these levels are repeated confidence
//! intervals (Jennison and Turnbull 1984): they hold together, whichever look is the last.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::estimate::CONFIDENCE;

/// The number of nodes of Simpson's rule between two boundaries.
const NODES: usize = 65;

/// How many seeds, when they are looked at, and when a comparison is precise enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// The numbers of seeds after which the arms are compared, ascending; the last is the most.
    pub looks: Vec<u64>,
    /// The half-width of an interval, on the scale of [`Contrast::between`](super::Contrast), that is precise enough.
    pub within: f64,
    /// The factor from 1 that counts as no difference: an interval inside `1/margin` to `margin` is an answer.
    pub margin: f64,
    /// Whether the number of seeds is the ablation's own, or was chosen on the command line, perhaps after a look.
    #[serde(default)]
    pub planned: Planned,
}

/// Whether the number of seeds is the ablation's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planned {
    /// The ablation or its profile says it.
    #[default]
    Before,
    /// It was set on the command line: an exploration.
    ByHand,
}

impl Default for Design {
    fn default() -> Self {
        Design::fixed(3)
    }
}

impl Design {
    /// The half-width of a log ratio that is precise enough, and the margin of equivalence, where nothing is said.
    pub const WITHIN: f64 = 0.1;
    /// The margin of equivalence where nothing is said.
    pub const MARGIN: f64 = 1.1;

    /// One look at so many seeds.
    pub fn fixed(seeds: u64) -> Self {
        Design { looks: vec![seeds], within: Self::WITHIN, margin: Self::MARGIN, planned: Planned::Before }
    }

    /// Looks at `at_least`, `at_most` and those of 4, 6, 8, 12, 16, 24, ... seeds that lie between.
    pub fn sequential(at_least: u64, at_most: u64, within: f64) -> Self {
        let between = (1..62).flat_map(|power| [1 << power, 3 << (power - 1)]);
        let mut looks: Vec<u64> = between.filter(|n| (at_least..at_most).contains(n)).collect();
        looks.extend([at_least, at_most]);
        looks.sort_unstable();
        looks.dedup();
        Design { looks, within, ..Design::fixed(at_most) }
    }

    /// The number of seeds that every course of events has.
    pub fn least(&self) -> u64 {
        self.looks[0]
    }

    /// The number of seeds at which it ends, decided or not.
    pub fn most(&self) -> u64 {
        *self.looks.last().expect("a design has at least one look")
    }

    /// The look that `seeds` seeds belong to: the first with as many, or the last.
    pub fn look_of(&self, seeds: u64) -> usize {
        self.looks.iter().position(|&look| look >= seeds).unwrap_or(self.looks.len() - 1)
    }

    /// The two-sided level of one of `arms` comparisons at each look, so that all intervals at all looks hold the truth
    /// together in 95 of 100 ablations.
    pub fn levels(&self, arms: usize) -> Vec<f64> {
        self.levels_of(1.0 - CONFIDENCE, arms)
    }

    /// The smallest error of the whole ablation at which a two-sided p at this look would exclude no effect: below 0.05
    /// exactly where the interval excludes it.
    pub fn adjusted(&self, p: f64, look: usize, arms: usize) -> f64 {
        if self.looks.len() == 1 {
            return 1.0 - (1.0 - p).powi(arms.max(1) as i32);
        }
        let excludes = |error: f64| p <= self.levels_of(error, arms)[look];
        let (mut low, mut high) = (0.0, 1.0 - 1e-9);
        if !excludes(high) {
            return 1.0;
        }
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if excludes(middle) { high = middle } else { low = middle }
        }
        high
    }

    fn levels_of(&self, error: f64, arms: usize) -> Vec<f64> {
        let of_one = 1.0 - (1.0 - error).powf(1.0 / arms.max(1) as f64);
        let most = self.most() as f64;
        let times: Vec<f64> = self.looks.iter().map(|&seeds| seeds as f64 / most).collect();
        spend(&times, of_one)
    }
}

/// The two-sided level at each of these times of a Brownian motion that leaves its boundaries with probability
/// `error * t` by time `t`.
fn spend(times: &[f64], error: f64) -> Vec<f64> {
    let normal = Normal::standard();
    let beyond = |z: f64| normal.cdf(-z);
    // The motion where it has not left: weights of Simpson's rule times density, at these places.
    let mut inside: Vec<(f64, f64)> = vec![(0.0, 1.0)];
    let (mut before, mut levels) = (0.0, Vec::new());
    for &time in times {
        let sd = (time - before).sqrt();
        let leaves = |bound: f64| -> f64 {
            2.0 * inside.iter().map(|(place, mass)| mass * beyond((bound - place) / sd)).sum::<f64>()
        };
        let (mut low, mut high) = (0.0, 40.0 * time.sqrt());
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if leaves(middle) > error * (time - before) { low = middle } else { high = middle }
        }
        levels.push(2.0 * beyond(high / time.sqrt()));
        let step = 2.0 * high / (NODES - 1) as f64;
        let node = |index: usize| {
            let place = -high + step * index as f64;
            let density = |&(from, mass): &(f64, f64)| {
                let z: f64 = (place - from) / sd;
                mass * (-0.5 * z * z).exp() / (sd * std::f64::consts::TAU.sqrt())
            };
            let simpson = match index {
                0 => 1.0,
                last if last + 1 == NODES => 1.0,
                odd if odd % 2 == 1 => 4.0,
                _ => 2.0,
            };
            (place, simpson * step / 3.0 * inside.iter().map(density).sum::<f64>())
        };
        inside = (0..NODES).map(node).collect();
        before = time;
    }
    levels
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn looks_lie_between_the_least_and_the_most() {
        assert_eq!(Design::sequential(4, 16, 0.1).looks, [4, 6, 8, 12, 16]);
        assert_eq!(Design::sequential(5, 9, 0.1).looks, [5, 6, 8, 9]);
        assert_eq!(Design::sequential(3, 3, 0.1).looks, [3]);
        let design = Design::sequential(4, 12, 0.1);
        assert_eq!([4, 5, 12, 13].map(|seeds| design.look_of(seeds)), [0, 1, 3, 3]);
    }

    #[test]
    fn one_look_at_one_arm_has_the_whole_error() {
        let levels = Design::fixed(6).levels(1);
        assert!((levels[0] - 0.05).abs() < 1e-9, "{levels:?}");
        let three = Design::fixed(6).levels(3);
        assert!((three[0] - (1.0 - 0.95f64.powf(1.0 / 3.0))).abs() < 1e-9, "{three:?}");
    }

    /// O'Brien and Fleming's and Pocock's constants are of other spending; two looks at half and all of the seeds with
    /// `a t` leave 0.025 by the first, and `z = 2.2414` there.
    #[test]
    fn the_first_look_spends_its_share_and_all_of_them_the_whole_error() {
        let levels = Design { looks: vec![8, 16], ..Design::fixed(16) }.levels(1);
        assert!((levels[0] - 0.025).abs() < 1e-9);
        assert!(0.025 < levels[1] && levels[1] < 0.05, "{levels:?}");
        let design = Design::sequential(4, 16, 0.1);
        let bounds: Vec<f64> =
            design.levels(1).iter().map(|level| Normal::standard().inverse_cdf(1.0 - level / 2.0)).collect();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        // Box and Muller.
        let mut normal = || (-2.0 * (1.0 - unit()).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        let trials = 100_000;
        let left = (0..trials).filter(|_| {
            let (mut sum, mut before) = (0.0, 0u64);
            design.looks.iter().zip(&bounds).fold(false, |left, (&seeds, bound)| {
                sum += ((seeds - before) as f64).sqrt() * normal();
                before = seeds;
                left || (sum / (seeds as f64).sqrt()).abs() > *bound
            })
        });
        let share = left.count() as f64 / f64::from(trials);
        // Three standard errors of 100,000 draws.
        assert!((share - 0.05).abs() < 0.0021, "{share}");
    }

    #[test]
    fn an_adjusted_p_is_five_percent_exactly_at_the_level() {
        for (design, arms) in [(Design::fixed(5), 3), (Design::sequential(4, 16, 0.1), 3)] {
            for (look, level) in design.levels(arms).into_iter().enumerate() {
                let adjusted = design.adjusted(level, look, arms);
                assert!((adjusted - 0.05).abs() < 1e-6, "{adjusted} at look {look}");
                assert!(design.adjusted(level / 2.0, look, arms) < 0.05);
            }
            assert_eq!(design.adjusted(1.0, 0, arms), 1.0);
        }
    }
}
