//! `x_t ~ p(rank of x_t after x_(t-1) .. x_(t-k))`: symbols that depend on the last `k`, at an entropy set by hand.
//!
//! After each context the symbols stand in an order of their own, drawn once per seed, and the symbol of rank `r` comes
//! with a probability in proportion to `exp(-b r)`, where `b` is chosen for the entropy. So every context has the same
//! entropy, and no model loses less.

use serde::{Deserialize, Serialize};

use crate::data::random::{Draws, Streams};
use crate::data::{check_range, out_of_range};
use crate::error::Result;

/// Symbols that depend on the last one or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarkovConfig {
    /// k, how many symbols the next one depends on.
    pub order: u64,
    /// How many symbols there are.
    pub symbols: u64,
    /// Of a symbol given those before it, in nats; at most `ln symbols`.
    pub entropy: f64,
}

/// The largest table of contexts times symbols.
const MAX_TABLE: u64 = 1 << 22;

impl Default for MarkovConfig {
    fn default() -> Self {
        MarkovConfig { order: 1, symbols: 64, entropy: 1.0 }
    }
}

impl MarkovConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("language.order", self.order, 1..=8)?;
        check_range("language.symbols", self.symbols, 2..=1 << 11)?;
        let table = self.symbols.checked_pow(self.order as u32 + 1).filter(|&size| size <= MAX_TABLE);
        if table.is_none() {
            let expected = format!("symbols^(order + 1) up to {MAX_TABLE}");
            return Err(out_of_range("language.order", self.order, &expected));
        }
        let most = (self.symbols as f64).ln();
        if !(0.0..=most).contains(&self.entropy) {
            let expected = format!("0 to ln {} = {most:.4} nats", self.symbols);
            return Err(out_of_range("language.entropy", self.entropy, &expected));
        }
        Ok(())
    }

    /// Syllables: `ba be bi bo bu ca ..`, then those with a second one.
    pub(super) fn words(&self) -> Vec<String> {
        (0..self.symbols).map(word).collect()
    }
}

fn word(symbol: u64) -> String {
    const CONSONANTS: &[u8] = b"bcdfghjklmnprstvwz";
    const VOWELS: &[u8] = b"aeiou";
    let syllables = (CONSONANTS.len() * VOWELS.len()) as u64;
    let here = (symbol % syllables) as usize;
    let syllable = [CONSONANTS[here / VOWELS.len()] as char, VOWELS[here % VOWELS.len()] as char];
    let rest = if symbol < syllables { String::new() } else { word(symbol / syllables - 1) };
    rest + &String::from_iter(syllable)
}

/// The table of a seed.
#[derive(Debug)]
pub(super) struct Markov {
    symbols: usize,
    order: u32,
    /// Symbols by rank, context by context.
    ranked: Vec<u16>,
    /// Where each rank ends, in 2^-32.
    ends: Vec<u64>,
}

impl Markov {
    pub fn new(config: &MarkovConfig, seed: u64) -> Self {
        let streams = Streams::new(seed, "markov table");
        let mut ranked = Vec::new();
        for context in 0..config.symbols.pow(config.order as u32) {
            let start = ranked.len();
            ranked.extend(0..config.symbols as u16);
            streams.at(context).shuffle(&mut ranked[start..]);
        }
        let mut sum = 0.0;
        let ends = probabilities(config.symbols, config.entropy).into_iter().map(|p| {
            sum += p;
            (sum * (1u64 << 32) as f64).round() as u64
        });
        Markov { symbols: config.symbols as usize, order: config.order as u32, ends: ends.collect(), ranked }
    }

    pub fn write(&self, draws: &mut Draws, length: usize, out: &mut Vec<u32>) {
        let contexts = self.symbols.pow(self.order);
        let mut context = draws.below(contexts as u64) as usize;
        for _ in 0..length {
            let draw = draws.bits() >> 32;
            let rank = self.ends.partition_point(|end| *end <= draw).min(self.symbols - 1);
            let symbol = usize::from(self.ranked[context * self.symbols + rank]);
            out.push(symbol as u32);
            context = (context * self.symbols + symbol) % contexts;
        }
    }
}

/// `p_r` in proportion to `exp(-b r)` with that entropy in nats, by bisection of `b`.
fn probabilities(symbols: u64, entropy: f64) -> Vec<f64> {
    let of = |b: f64| {
        let weights: Vec<f64> = (0..symbols).map(|rank| (-b * rank as f64).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect::<Vec<f64>>()
    };
    let (mut low, mut high) = (0.0, 64.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if entropy_of(&of(middle)) > entropy { low = middle } else { high = middle }
    }
    of(high)
}

fn entropy_of(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_have_the_entropy_that_was_asked_for() {
        for (symbols, entropy) in [(2, 0.3), (64, 1.0), (64, 4.1), (7, 0.0), (5, 5f64.ln())] {
            let p = probabilities(symbols, entropy);
            assert!((entropy_of(&p) - entropy).abs() < 1e-6, "{symbols} {entropy}: {p:?}");
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn counted_contexts_have_that_entropy_too() {
        for (order, entropy) in [(1, 0.8), (2, 0.8)] {
            let config = MarkovConfig { order, symbols: 5, entropy };
            let mut text = Vec::new();
            Markov::new(&config, 3).write(&mut Streams::new(1, "test").at(0), 200_000, &mut text);
            let mut counts = std::collections::HashMap::<&[u32], [f64; 5]>::new();
            for window in text.windows(order as usize + 1) {
                let (next, context) = window.split_last().unwrap();
                counts.entry(context).or_default()[*next as usize] += 1.0;
            }
            for (context, counts) in counts {
                let n: f64 = counts.iter().sum();
                let found = entropy_of(&counts.map(|count| count / n));
                // Five standard errors of an entropy whose surprise has a standard deviation below 1.5 nats.
                assert!((found - entropy).abs() < 5.0 * 1.5 / n.sqrt() + 4.0 / n, "{context:?}: {found}");
            }
        }
    }

    #[test]
    fn words_are_letters_and_no_two_are_alike() {
        let words = MarkovConfig { symbols: 2048, ..MarkovConfig::default() }.words();
        let set: std::collections::HashSet<&String> = words.iter().collect();
        assert_eq!(set.len(), 2048);
        assert_eq!((&words[0][..], &words[89][..], &words[90][..]), ("ba", "zu", "baba"));
    }

    #[test]
    fn more_entropy_than_there_are_symbols_for_is_refused() {
        let error = MarkovConfig { entropy: 5.0, ..MarkovConfig::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "data.language.entropy: 5, expected 0 to ln 64 = 4.1589 nats");
        let error = MarkovConfig { order: 3, ..MarkovConfig::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "data.language.order: 3, expected symbols^(order + 1) up to 4194304");
    }
}
