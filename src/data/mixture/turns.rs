//! Whose turn it is: after any number of rows no source is a whole row ahead of its share or behind it.
//!
//! Tijdeman 1980 ("The chairman assignment problem"): of the sources that may take row `n` without getting too far
//! ahead, the one takes it that would otherwise be the first to fall too far behind. With `m` sources the difference
//! stays within `1 - 1 / (2m - 2)`. Counts are whole numbers throughout, so that no rounding piles up.

use std::sync::Mutex;

/// Shares are whole multiples of one over this.
const UNIT: u64 = 1 << 52;
/// Rows between two remembered counts.
const STRIDE: u64 = 4096;

/// The endless order of turns; what it answers does not depend on what was asked before.
#[derive(Debug)]
pub(super) struct Turns {
    /// Shares in units; they add up to [`UNIT`].
    shares: Vec<u64>,
    /// Rows of each source before row `i * STRIDE`.
    remembered: Mutex<Vec<Vec<u64>>>,
}

/// Some turns in a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Rows of each source before the first turn.
    pub before: Vec<u64>,
    /// The source of each turn.
    pub sources: Vec<usize>,
}

impl Turns {
    /// Turns in these shares, which add up to one.
    pub fn new(shares: &[f64]) -> Self {
        let mut units: Vec<u64> = shares.iter().map(|share| (share * UNIT as f64).round() as u64).collect();
        let sum: u64 = units.iter().sum();
        let largest = units.iter_mut().max().expect("a mixture has sources");
        *largest = *largest + UNIT - sum;
        Turns { remembered: Mutex::new(vec![vec![0; units.len()]]), shares: units }
    }

    /// The turns of rows `first..first + count`.
    pub fn stretch(&self, first: u64, count: usize) -> Stretch {
        let (mut n, mut counts) = self.remembered_before(first);
        while n < first {
            self.take(n, &mut counts);
            n += 1;
        }
        let before = counts.clone();
        let sources = (first..first + count as u64).map(|n| self.take(n, &mut counts));
        Stretch { sources: sources.collect(), before }
    }

    /// The counts before the last remembered row that is not after `row`.
    fn remembered_before(&self, row: u64) -> (u64, Vec<u64>) {
        let mut remembered = self.remembered.lock().expect("nothing panics while it holds the counts");
        while (remembered.len() as u64) <= row / STRIDE {
            let n = (remembered.len() as u64 - 1) * STRIDE;
            let mut counts = remembered[remembered.len() - 1].clone();
            for n in n..n + STRIDE {
                self.take(n, &mut counts);
            }
            remembered.push(counts);
        }
        (row / STRIDE * STRIDE, remembered[(row / STRIDE) as usize].clone())
    }

    /// Lets somebody take row `n`.
    fn take(&self, n: u64, counts: &mut [u64]) -> usize {
        let source = self.next(n, counts);
        counts[source] += 1;
        source
    }

    /// Who takes row `n` when each has taken `counts` of those before it.
    ///
    /// A source may take it if it has less than `(n + 1) share - slack` rows, and must at the latest when `share` times
    /// the row's number reaches `counts + 1 - slack`, with `slack = 1 / (2m - 2)`.
    fn next(&self, n: u64, counts: &[u64]) -> usize {
        let m = counts.len() as u128;
        if m == 1 {
            return 0;
        }
        // Everything times UNIT (2m - 2).
        let scale = 2 * m - 2;
        let unit = u128::from(UNIT);
        let may = |i: &usize| {
            u128::from(n + 1) * u128::from(self.shares[*i]) * scale
                >= u128::from(counts[*i]) * unit * scale + unit
        };
        let deadline = |i: usize| (u128::from(counts[i]) * scale + scale - 1) as f64 / self.shares[i] as f64;
        (0..counts.len())
            .filter(|i| self.shares[*i] > 0)
            .filter(may)
            .min_by(|a, b| deadline(*a).total_cmp(&deadline(*b)))
            .expect("the shares add up to one, so that somebody is behind")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.001f64..1.0, 1..9).prop_map(|weights| {
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        })
    }

    proptest! {
        #[test]
        fn no_source_is_ever_a_row_from_its_share(shares in shares()) {
            let turns = Turns::new(&shares);
            let mut counts = vec![0u64; shares.len()];
            for (n, source) in turns.stretch(0, 5000).sources.into_iter().enumerate() {
                counts[source] += 1;
                for (count, share) in counts.iter().zip(&shares) {
                    let due = (n + 1) as f64 * share;
                    prop_assert!((*count as f64 - due).abs() < 1.0, "{count} of {due} after {n}");
                }
            }
        }

        #[test]
        fn a_stretch_asked_for_alone_is_that_of_the_whole(shares in shares(), first in 0u64..9000) {
            let whole = Turns::new(&shares).stretch(0, 9100).sources;
            let alone = Turns::new(&shares).stretch(first, 100);
            prop_assert_eq!(&alone.sources[..], &whole[first as usize..first as usize + 100]);
            let before = (0..shares.len()).map(|i| whole[..first as usize].iter().filter(|s| **s == i).count() as u64);
            prop_assert_eq!(alone.before, before.collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_eighth_comes_once_in_eight_rows() {
        let turns = Turns::new(&[0.125, 0.875]).stretch(0, 64).sources;
        assert!(
            turns.chunks(8).all(|eight| eight.iter().filter(|source| **source == 0).count() == 1),
            "{turns:?}"
        );
    }

    #[test]
    fn a_source_without_a_share_has_no_turn_and_one_alone_has_all() {
        assert!(!Turns::new(&[0.0, 0.4, 0.6]).stretch(0, 1000).sources.contains(&0));
        assert_eq!(Turns::new(&[1.0]).stretch(5, 2), Stretch { before: vec![5], sources: vec![0, 0] });
    }
}
