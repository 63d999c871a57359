//! `( [ ] ) { }`: brackets that close in order (a Dyck language of bounded depth).
//!
//! At depth 0 a bracket opens, at the greatest depth one closes, and in between each happens half of the time; which
//! kind opens is uniform, and which closes follows from all that stand open.

use serde::{Deserialize, Serialize};

use crate::data::check_range;
use crate::data::random::Draws;
use crate::error::Result;

/// Brackets that close in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BracketsConfig {
    /// How many kinds of brackets there are, 1 to 4.
    pub kinds: u64,
    /// How many may stand open.
    pub depth: u64,
}

const PAIRS: [[&str; 2]; 4] = [["(", ")"], ["[", "]"], ["{", "}"], ["<", ">"]];

impl Default for BracketsConfig {
    fn default() -> Self {
        BracketsConfig { kinds: 4, depth: 16 }
    }
}

impl BracketsConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("language.kinds", self.kinds, 1..=PAIRS.len() as u64)?;
        check_range("language.depth", self.depth, 1..=1 << 12)
    }

    /// Opening kind `i` is word `2 i`, and what closes it the next.
    pub(super) fn words(&self) -> Vec<String> {
        PAIRS[..self.kinds as usize].iter().flatten().map(|bracket| bracket.to_string()).collect()
    }

    /// Mean over the brackets of a document, in nats.
    pub(super) fn entropy(&self, length: usize) -> f64 {
        let (depth, kinds) = (self.depth as usize, (self.kinds as f64).ln());
        let coin = if depth > 1 { std::f64::consts::LN_2 + 0.5 * kinds } else { 0.0 };
        let mut at = vec![0.0; depth + 1];
        at[0] = 1.0;
        let mut nats = 0.0;
        for _ in 0..length {
            nats += at[0] * kinds + at[1..depth].iter().sum::<f64>() * coin;
            let mut next = vec![0.0; depth + 1];
            for (open, p) in at.iter().enumerate() {
                match open {
                    0 => next[1] += p,
                    open if open == depth => next[depth - 1] += p,
                    open => [open - 1, open + 1].into_iter().for_each(|there| next[there] += p / 2.0),
                }
            }
            at = next;
        }
        nats / length as f64
    }

    pub(super) fn write(&self, draws: &mut Draws, length: usize, out: &mut Vec<u32>) {
        let mut open = Vec::new();
        for _ in 0..length {
            let opens = match open.len() as u64 {
                0 => true,
                depth => depth < self.depth && draws.below(2) == 0,
            };
            if opens {
                let kind = draws.below(self.kinds) as u32;
                open.push(kind);
                out.push(2 * kind);
            } else {
                out.push(2 * open.pop().expect("brackets close only what is open") + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Streams;

    #[test]
    fn every_bracket_closes_the_last_that_is_open_and_no_depth_is_exceeded() {
        let config = BracketsConfig { kinds: 3, depth: 4 };
        let (mut text, mut open, mut deepest) = (Vec::new(), Vec::new(), 0);
        config.write(&mut Streams::new(2, "test").at(0), 3000, &mut text);
        for bracket in text {
            if bracket % 2 == 0 {
                open.push(bracket)
            } else {
                assert_eq!(open.pop(), Some(bracket - 1))
            }
            deepest = deepest.max(open.len());
        }
        assert_eq!(deepest, 4);
    }

    #[test]
    fn the_entropy_is_that_of_the_choices_made() {
        // Depth 1: open (ln kinds), close (nothing), in turn.
        let config = BracketsConfig { kinds: 4, depth: 1 };
        assert!((config.entropy(100) - 4f64.ln() / 2.0).abs() < 1e-12);
        // A long walk is at 0 and at the top half as often as in between.
        let config = BracketsConfig { kinds: 2, depth: 3 };
        let (coin, kind) = (2f64.ln(), 2f64.ln());
        let expected = kind / 6.0 + (coin + kind / 2.0) * 2.0 / 3.0;
        assert!((config.entropy(100_000) - expected).abs() < 1e-4);
    }
}
