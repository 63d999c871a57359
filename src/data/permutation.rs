//! A keyed permutation of `0..n` without a table: `i -> walk(feistel(i))`.
//!
//! The Feistel network works on the smallest grid `a x b >= n` with `a ~ b`, adding to each coordinate in
//! turn a hash of the other; a result outside `0..n` is sent through again (cycle walking), which is rare
//! because the grid exceeds `n` by less than one row. Used for the order of a stream, for names drawn without
//! replacement and for sets of distinct values: all of them random access, none of them with memory.

use super::random::{Draws, mix};

const ROUNDS: usize = 4;

/// A pseudo-random bijection of `0..len`, one per key and turn.
#[derive(Debug, Clone)]
pub struct Permutation {
    len: u64,
    rows: u64,
    columns: u64,
    keys: [[u64; 2]; ROUNDS],
}

impl Permutation {
    /// The longest range that can be permuted.
    pub const MAX_LEN: u64 = 1 << 63;

    /// A bijection of `0..len`, keyed by `draws`.
    pub fn new(len: u64, draws: &mut Draws) -> Self {
        assert!((1..=Self::MAX_LEN).contains(&len), "a permutation needs 1 to 2^63 items, not {len}");
        let rows = (len - 1).isqrt() + 1;
        let keys = std::array::from_fn(|_| [draws.bits(), draws.bits()]);
        Permutation { len, rows, columns: len.div_ceil(rows), keys }
    }

    /// Where `index` goes; each `turn` is another bijection.
    pub fn apply(&self, index: u64, turn: u64) -> u64 {
        assert!(index < self.len, "{index} is not below {}", self.len);
        let tweak = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut image = index;
        loop {
            image = self.feistel(image, tweak);
            if image < self.len {
                return image;
            }
        }
    }

    fn feistel(&self, index: u64, tweak: u64) -> u64 {
        let (mut row, mut column) = (index / self.columns, index % self.columns);
        for [row_key, column_key] in self.keys {
            row = shift(row, mix(column ^ tweak ^ row_key), self.rows);
            column = shift(column, mix(row ^ tweak ^ column_key), self.columns);
        }
        row * self.columns + column
    }
}

/// `x + hash scaled to 0..modulus`, modulo `modulus`.
fn shift(x: u64, hash: u64, modulus: u64) -> u64 {
    let sum = x + ((u128::from(hash) * u128::from(modulus)) >> 64) as u64;
    if sum >= modulus { sum - modulus } else { sum }
}

#[cfg(test)]
mod tests {
    use super::super::random::Streams;
    use super::*;
    use proptest::prelude::*;

    fn permutation(len: u64, seed: u64) -> Permutation {
        Permutation::new(len, &mut Streams::new(seed, "test").at(0))
    }

    proptest! {
        #[test]
        fn it_is_a_bijection(len in 1u64..5000, seed: u64, turn: u64) {
            let permutation = permutation(len, seed);
            let mut images: Vec<u64> = (0..len).map(|i| permutation.apply(i, turn)).collect();
            images.sort_unstable();
            prop_assert!(images.into_iter().eq(0..len));
        }

        #[test]
        fn large_ranges_stay_in_range(len in 1u64..=Permutation::MAX_LEN, seed: u64, at: u64) {
            prop_assert!(permutation(len, seed).apply(at % len, 0) < len);
        }
    }

    #[test]
    fn the_first_hundred_thousand_images_are_pinned() {
        let permutation = permutation(5_000_000, 42);
        let mut hasher = blake3::Hasher::new();
        (0..100_000).for_each(|i| {
            hasher.update(&permutation.apply(i, 0).to_le_bytes());
        });
        assert_eq!(hasher.finalize().to_hex()[..16], *"2348f8a4d01573a1");
    }

    #[test]
    fn turns_and_keys_give_orders_that_do_not_resemble_each_other() {
        let (n, a, b) = (10_000, permutation(10_000, 1), permutation(10_000, 2));
        let agree = |f: &dyn Fn(u64) -> u64, g: &dyn Fn(u64) -> u64| (0..n).filter(|&i| f(i) == g(i)).count();
        // One agreement is expected by chance; ten or more have a probability of about 1e-7.
        assert!(agree(&|i| a.apply(i, 0), &|i| b.apply(i, 0)) < 10);
        assert!(agree(&|i| a.apply(i, 0), &|i| a.apply(i, 1)) < 10);
        assert!(agree(&|i| a.apply(i, 0), &|i| i) < 10);
    }

    #[test]
    fn neighbours_are_spread_evenly() {
        let permutation = permutation(100_000, 3);
        let mut counts = [0u32; 100];
        for i in 0..99_999 {
            let step = (permutation.apply(i + 1, 0) + 100_000 - permutation.apply(i, 0)) % 100_000;
            counts[(step / 1000) as usize] += 1;
        }
        // 1000 expected in each, standard deviation 31: five of them.
        assert!(counts.iter().all(|&c| c.abs_diff(1000) < 158), "{counts:?}");
    }
}
