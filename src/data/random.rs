//! Random streams with random access: (seed, domain) names a family, an index names a stream in it.
//!
//! Every stream is SplitMix64 (Steele, Lea and Flood 2014), a hash of a counter: its start is a hash of index
//! and turn under a key that blake3 derives from seed and domain. Nothing has to be drawn in order or
//! remembered, and a fresh stream for every document costs as much as one more draw.

/// A family of independent streams; two families differ when seed or domain differ.
#[derive(Debug, Clone)]
pub struct Streams {
    keys: [u64; 2],
}

/// One stream of draws.
#[derive(Debug, Clone)]
pub struct Draws {
    counter: u64,
}

/// 2^64 over the golden ratio, odd: multiples of it are spread evenly.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Streams {
    /// The family of `seed` for the purpose `domain`, for instance `"bio-s people"`.
    pub fn new(seed: u64, domain: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ablation-zoo data streams");
        hasher.update(&seed.to_le_bytes()).update(domain.as_bytes());
        let mut output = hasher.finalize_xof();
        let mut key = || {
            let mut bytes = [0; 8];
            output.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        };
        Streams { keys: [key(), key()] }
    }

    /// The stream of `index`.
    pub fn at(&self, index: u64) -> Draws {
        self.at_turn(index, 0)
    }

    /// The stream of `index` at its `turn`.
    pub fn at_turn(&self, index: u64, turn: u64) -> Draws {
        let [a, b] = self.keys;
        Draws { counter: mix(mix(index ^ a).wrapping_add(turn.wrapping_mul(STEP)) ^ b) }
    }
}

impl Draws {
    /// Uniform on 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(STEP);
        mix(self.counter)
    }

    /// Uniform on `0..n`, without bias (Lemire's multiplication with rejection; arXiv 1805.10941).
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "nothing is below zero");
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            let low = product as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts `items` in uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A bijection of 64 bits in which every input bit reaches every output bit (Stafford's variant 13).
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_pinned_for_ever() {
        let mut draws = Streams::new(7, "test").at_turn(3, 11);
        let first: Vec<u64> = (0..4).map(|_| draws.below(1_000_000)).collect();
        assert_eq!(first, [526_667, 343_540, 745_679, 516_745]);
    }

    #[test]
    fn seed_domain_index_and_turn_each_change_the_stream() {
        let first = |seed, domain, index, turn| Streams::new(seed, domain).at_turn(index, turn).bits();
        let all = [first(1, "a", 0, 0), first(2, "a", 0, 0), first(1, "b", 0, 0), first(1, "a", 1, 0)];
        let turned = first(1, "a", 0, 1);
        for (i, x) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(x) && *x != turned);
        }
    }

    #[test]
    fn neighbouring_streams_do_not_resemble_each_other() {
        let streams = Streams::new(4, "neighbours");
        let mut counts = [[0u32; 100]; 2];
        for (index, turn) in (0..1000).flat_map(|index| (0..100).map(move |turn| (index, turn))) {
            let digit = |index, turn| streams.at_turn(index, turn).below(10) as usize;
            let here = digit(index, turn);
            counts[0][here * 10 + digit(index, turn + 1)] += 1;
            counts[1][here * 10 + digit(index + 1, turn)] += 1;
        }
        // 1000 expected in each, standard deviation 31: five of them.
        assert!(counts.iter().flatten().all(|&c| c.abs_diff(1000) < 158), "{counts:?}");
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut draws = Streams::new(0, "uniform").at(0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7) as usize] += 1;
        }
        // 10,000 expected in each, standard deviation 93: five of them.
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 465), "{counts:?}");
        assert_eq!(draws.below(1), 0);
    }

    #[test]
    fn below_does_not_favour_small_values_near_the_top_of_the_range() {
        let n = (1u64 << 63) + (1 << 62); // a plain remainder would land in the lower third half of the time
        let mut draws = Streams::new(0, "top").at(0);
        let low = (0..30_000).filter(|_| draws.below(n) < n / 3).count();
        assert!(low.abs_diff(10_000) < 410, "{low}");
    }

    #[test]
    fn a_shuffle_reaches_every_order_equally_often() {
        let mut draws = Streams::new(0, "shuffle").at(0);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            draws.shuffle(&mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|&c| c.abs_diff(1000) < 160), "{counts:?}");
    }
}
