//! `H = -sum p ln p`: entropies of a corpus in nats, and shares of domains made of them,
//! `r_i = exp(H_i) / sum_j exp(H_j)`.
//!
//! Ge et al. 2024 (arXiv 2405.14908), equations 12 and 13 and appendix A: Shannon entropy of tokens, joint
//! and conditional entropy of neighbouring tokens, von Neumann entropy of a similarity kernel. Counted
//! entropies of a small sample are too low, joint ones most of all.

use std::collections::BTreeMap;

use super::linear::{Symmetric, dot};
use crate::error::{Error, Problem, Result};

/// Counts of tokens and of neighbouring tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bigrams {
    tokens: BTreeMap<u32, u64>,
    pairs: BTreeMap<(u32, u32), u64>,
}

/// Entropies of a text, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropies {
    /// The entropy of tokens, `SE = -sum p(x) ln p(x)`.
    pub shannon: f64,
    /// The entropy of pairs of neighbours, `JE = -sum p(x, x') ln p(x, x')`.
    pub joint: f64,
    /// Of a token given the one before, `CE = -sum p(x, x') ln p(x' | x)`: `JE` less the entropy of first
    /// tokens of pairs, which differs from `SE` by the last token of each sequence.
    pub conditional: f64,
}

/// How far a similarity may be from symmetric, or its diagonal from 1.
const KERNEL_TOLERANCE: f64 = 1e-6;

impl Bigrams {
    /// Counts of several sequences; no pair spans two of them.
    pub fn of<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Self {
        let mut counts = Bigrams::default();
        for sequence in sequences {
            counts.add(sequence.as_ref());
        }
        counts
    }

    /// Counts one more sequence.
    pub fn add(&mut self, sequence: &[u32]) {
        for &token in sequence {
            *self.tokens.entry(token).or_default() += 1;
        }
        for pair in sequence.windows(2) {
            *self.pairs.entry((pair[0], pair[1])).or_default() += 1;
        }
    }

    /// Entropies of what was counted; 0 of nothing.
    pub fn entropies(&self) -> Entropies {
        let joint = shannon(self.pairs.values().copied());
        let mut firsts = BTreeMap::<u32, u64>::new();
        for (&(first, _), &count) in &self.pairs {
            *firsts.entry(first).or_default() += count;
        }
        let conditional = joint - shannon(firsts.into_values());
        Entropies { shannon: shannon(self.tokens.values().copied()), joint, conditional }
    }
}

/// Entropy in nats of counts: `ln n - sum c ln c / n`.
pub fn shannon(counts: impl IntoIterator<Item = u64>) -> f64 {
    let (mut n, mut sum) = (0.0, 0.0);
    for count in counts.into_iter().filter(|count| *count > 0).map(|count| count as f64) {
        n += count;
        sum += count * count.ln();
    }
    if n > 0.0 { (n.ln() - sum / n).max(0.0) } else { 0.0 }
}

/// Von Neumann entropy in nats, `-sum l ln l` over the eigenvalues `l` of `K / n`, of a similarity kernel `K`
/// of `n` rows (row by row): `ln n` when no two samples are alike, 0 when all are the same. Takes time in
/// `n^3`; a thousand is much.
///
/// # Errors
/// Not `n` times `n` finite values, not symmetric, a diagonal other than 1, or an eigenvalue below 0.
pub fn von_neumann(kernel: &[f64], n: usize) -> Result<f64> {
    let bad = |found: String| {
        Err(Error::data(Problem::new(found).expected("a similarity kernel with unit diagonal")))
    };
    if n == 0 || kernel.len() != n * n || kernel.iter().any(|v| !v.is_finite()) {
        return bad(format!("{} values for a kernel of {n} rows, or some that are not finite", kernel.len()));
    }
    for i in 0..n {
        if (kernel[i * n + i] - 1.0).abs() > KERNEL_TOLERANCE {
            return bad(format!("a similarity of {} of sample {i} with itself", kernel[i * n + i]));
        }
        if let Some(j) = (0..i).find(|&j| (kernel[i * n + j] - kernel[j * n + i]).abs() > KERNEL_TOLERANCE) {
            return bad(format!(
                "similarities {} and {} of {i} and {j}",
                kernel[i * n + j],
                kernel[j * n + i]
            ));
        }
    }
    let spectrum = Symmetric::from_lower(n, |i, j| kernel[i * n + j] / n as f64).eigenvalues();
    if spectrum[0] < -KERNEL_TOLERANCE {
        return bad(format!("a kernel with the eigenvalue {}", spectrum[0] * n as f64));
    }
    Ok(spectrum.iter().filter(|l| **l > 0.0).map(|l| -l * l.ln()).sum::<f64>().max(0.0))
}

/// The kernel of cosines between vectors, row by row, for [`von_neumann`].
///
/// # Errors
/// Vectors of different length, or one without direction.
pub fn cosine_kernel(vectors: &[Vec<f64>]) -> Result<Vec<f64>> {
    let mut unit = Vec::new();
    for (index, vector) in vectors.iter().enumerate() {
        let length = dot(vector, vector).sqrt();
        if vector.len() != vectors[0].len() || !(length > 0.0 && length.is_finite()) {
            let found = format!("vector {index} of {} numbers and length {length}", vector.len());
            return Err(Error::data(Problem::new(found).expected("vectors of one size with a direction")));
        }
        unit.push(vector.iter().map(|v| v / length).collect::<Vec<f64>>());
    }
    Ok(unit.iter().flat_map(|a| unit.iter().map(|b| dot(a, b))).collect())
}

/// Shares in proportion to `exp(H_i)`, with the entropies in nats.
pub fn proportions(entropies: &[f64]) -> Vec<f64> {
    let highest = entropies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = entropies.iter().map(|h| (h - highest).exp()).sum();
    entropies.iter().map(|h| (h - highest).exp() / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uniform_tokens_have_the_logarithm_of_their_number() {
        assert!((shannon([5; 11]) - 11.0_f64.ln()).abs() < 1e-14);
        assert_eq!(shannon([7, 0]), 0.0);
        assert_eq!(shannon([]), 0.0);
    }

    #[test]
    fn a_cycle_is_all_entropy_at_first_and_none_given_the_token_before() {
        let text: Vec<u32> = (0..3001).map(|i| i % 3).collect();
        let found = Bigrams::of([text]).entropies();
        assert!(
            (found.shannon - 3.0_f64.ln()).abs() < 1e-6 && (found.joint - 3.0_f64.ln()).abs() < 1e-12,
            "{found:?}"
        );
        assert!(found.conditional.abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn no_pair_spans_two_sequences() {
        assert_eq!(Bigrams::of([vec![1, 2], vec![3, 4]]).pairs.len(), 2);
    }

    proptest! {
        #[test]
        fn the_conditional_entropy_is_joint_less_first(text in prop::collection::vec(0u32..5, 2..60)) {
            let counts = Bigrams::of([&text]);
            let n = (text.len() - 1) as f64;
            let first = |x: u32| text[..text.len() - 1].iter().filter(|t| **t == x).count() as f64;
            let direct: f64 =
                counts.pairs.iter().map(|(&(x, _), &c)| -(c as f64 / n) * (c as f64 / first(x)).ln()).sum();
            let found = counts.entropies();
            prop_assert!((found.conditional - direct).abs() < 1e-12);
            prop_assert!(found.conditional <= found.joint + 1e-12 && found.conditional > -1e-12);
        }

        #[test]
        fn proportions_add_up_and_keep_the_order(entropies in prop::collection::vec(0.0f64..900.0, 1..8)) {
            let shares = proportions(&entropies);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (i, j) in (0..shares.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                prop_assert!(entropies[i] < entropies[j] || shares[i] >= shares[j]);
            }
        }
    }

    #[test]
    fn proportions_are_ratios_of_exponentials() {
        let shares = proportions(&[2.0, 2.0 + 3.0_f64.ln()]);
        assert!((shares[0] - 0.25).abs() < 1e-12 && (shares[1] - 0.75).abs() < 1e-12);
    }

    #[test]
    fn unlike_samples_have_the_logarithm_and_equal_ones_nothing() {
        let unlike =
            cosine_kernel(&[vec![2.0, 0.0, 0.0], vec![0.0, -1.0, 0.0], vec![0.0, 0.0, 5.0]]).unwrap();
        assert!((von_neumann(&unlike, 3).unwrap() - 3.0_f64.ln()).abs() < 1e-12);
        let alike = cosine_kernel(&[vec![1.0, 2.0], vec![2.0, 4.0], vec![0.5, 1.0]]).unwrap();
        assert!(von_neumann(&alike, 3).unwrap() < 1e-9);
        // Two samples at similarity c: eigenvalues (1 +- c) / 2.
        let found = von_neumann(&[1.0, 0.6, 0.6, 1.0], 2).unwrap();
        assert!((found - (-0.8 * 0.8_f64.ln() - 0.2 * 0.2_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        for (kernel, n) in [
            (vec![1.0, 0.5, 0.4, 1.0], 2),
            (vec![1.0, 0.5, 0.5, 0.9], 2),
            (vec![1.0, 1.5, 1.5, 1.0], 2),
            (vec![1.0, 0.5, 0.5], 2),
            (vec![1.0, f64::NAN, f64::NAN, 1.0], 2),
            (vec![], 0),
        ] {
            assert!(von_neumann(&kernel, n).is_err(), "{kernel:?}");
        }
        assert!(cosine_kernel(&[vec![1.0], vec![0.0]]).is_err());
    }
}
