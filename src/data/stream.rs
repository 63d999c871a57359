//! The endless stream of documents: which comes when, and where each begins when they are packed end to end.

use std::sync::Mutex;

use rayon::prelude::*;

use super::permutation::Permutation;
use super::random::Streams;
use crate::error::{Error, Problem, Result};

/// Document number -> (person, exposure): each pair once in every cycle of `people * exposures`, shuffled as
/// a whole.
#[derive(Debug, Clone)]
pub(super) struct ExposureOrder {
    people: u64,
    exposures: u64,
    permutation: Permutation,
}

impl ExposureOrder {
    pub fn new(seed: u64, people: u64, exposures: u64) -> Result<Self> {
        let limit = (Permutation::MAX_LEN / people).min(u64::from(u32::MAX));
        if exposures == 0 || exposures > limit {
            let problem =
                Problem::new(exposures.to_string()).key("exposures").expected(format!("1 to {limit}"));
            return Err(Error::config(problem));
        }
        let permutation = Permutation::new(people * exposures, &mut Streams::new(seed, "order").at(0));
        Ok(ExposureOrder { people, exposures, permutation })
    }

    /// The person and the exposure of a document; later cycles go on counting exposures.
    pub fn pair(&self, document: u64) -> (u64, u64) {
        let cycle_len = self.people * self.exposures;
        let (cycle, index) = (document / cycle_len, document % cycle_len);
        let pair = self.permutation.apply(index, cycle);
        (pair % self.people, cycle * self.exposures + pair / self.people)
    }
}

/// Documents per entry of the index: few enough to be scanned, many enough for the index to stay small.
const BLOCK: u64 = 64;
/// Blocks measured in one go at most: bounds the work that two threads asking at once may do twice.
const STRIDE: u64 = 4096;

/// Where documents begin in the endless run of tokens: the sum of all lengths before every 64th document.
///
/// It grows on demand and is a cache: what it answers does not depend on what was asked before.
#[derive(Debug)]
pub(super) struct PackedIndex {
    starts: Mutex<Vec<u64>>,
}

impl PackedIndex {
    pub fn new() -> Self {
        PackedIndex { starts: Mutex::new(vec![0]) }
    }

    /// The document that holds token number `token`, and the token's place in it.
    pub fn locate(&self, token: u64, len: impl Fn(u64) -> u64 + Sync) -> (u64, u64) {
        let (block, start) = self.block_of(token, &len);
        let mut document = block * BLOCK;
        let mut left = token - start;
        loop {
            let length = len(document);
            if left < length {
                return (document, left);
            }
            left -= length;
            document += 1;
        }
    }

    fn block_of(&self, token: u64, len: &(impl Fn(u64) -> u64 + Sync)) -> (u64, u64) {
        loop {
            let (blocks, end) = {
                let starts = self.starts.lock().expect("no thread panics while it holds the index");
                let last = starts.len() - 1;
                if token < starts[last] {
                    let block = starts.partition_point(|&start| start <= token) - 1;
                    return (block as u64, starts[block]);
                }
                (last as u64, starts[last])
            };
            self.extend(blocks, blocks_to(token - end, blocks, end), len);
        }
    }

    /// Measures the `count` blocks after the first `blocks`; not under the lock, lest a thread pool wait for
    /// itself.
    fn extend(&self, blocks: u64, count: u64, len: &(impl Fn(u64) -> u64 + Sync)) {
        let sum = |block: u64| (block * BLOCK..(block + 1) * BLOCK).map(len).sum::<u64>();
        let sums: Vec<u64> = if count < 64 {
            (blocks..blocks + count).map(sum).collect()
        } else {
            (blocks..blocks + count).into_par_iter().map(sum).collect()
        };
        let mut starts = self.starts.lock().expect("no thread panics while it holds the index");
        if starts.len() as u64 == blocks + 1 {
            let mut end = starts[blocks as usize];
            starts.extend(sums.into_iter().map(|sum| {
                end += sum;
                end
            }));
        }
    }
}

/// How many blocks to measure to get past `distance` more tokens, judging by the `blocks` that took `end`
/// tokens.
fn blocks_to(distance: u64, blocks: u64, end: u64) -> u64 {
    let per_block = end.checked_div(blocks).unwrap_or(BLOCK);
    (distance / per_block + 1).min(STRIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(document: u64) -> u64 {
        1 + document * 7919 % 13
    }

    #[test]
    fn every_pair_comes_once_in_a_cycle_and_exposures_go_on_in_the_next() {
        let order = ExposureOrder::new(5, 11, 7).unwrap();
        for cycle in 0..3 {
            let mut pairs: Vec<_> = (cycle * 77..(cycle + 1) * 77).map(|i| order.pair(i)).collect();
            pairs.sort_unstable();
            let expected = (0..11).flat_map(|person| (0..7).map(move |e| (person, cycle * 7 + e)));
            assert!(pairs.into_iter().eq(expected));
        }
    }

    #[test]
    fn the_index_agrees_with_counting_whatever_was_asked_before() {
        let ends: Vec<u64> = (0..3000)
            .scan(0, |end, i| {
                *end += length(i);
                Some(*end)
            })
            .collect();
        let counted = |token: u64| {
            let document = ends.partition_point(|&end| end <= token) as u64;
            (document, token - (ends[document as usize] - length(document)))
        };
        let index = PackedIndex::new();
        for token in [17_000, 0, 1, 9_999, 12_345, 63, 64, 20_000, ends[2998] - 1, ends[2998]] {
            assert_eq!(index.locate(token, length), counted(token), "token {token}");
        }
    }

    #[test]
    fn exposures_beyond_what_can_be_shuffled_are_an_error_not_an_overflow() {
        let error = ExposureOrder::new(0, 1 << 60, 100).unwrap_err();
        assert_eq!(error.to_string(), "exposures: 100, expected 1 to 8");
        assert!(ExposureOrder::new(0, 5, 0).is_err());
    }
}
