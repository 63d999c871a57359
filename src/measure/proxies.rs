//! Entropies of the domains of a mixture, counted on their tokens, and the shares that follow from them.
//!
//! Ge et al. 2024 (arXiv 2405.14908), equations 12 and 13: `r_i = exp(H_i) / sum_j exp(H_j)` with entropies in nats. Their
//! von Neumann entropy compares FastText vectors of samples; ours compares counts of tokens, which need no other model.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::data::{Batch, DataConfig, Dataset};
use crate::error::Result;
use crate::laws::entropy::{Bigrams, cosine_kernel, proportions, von_neumann};

/// Rows that are compared with one another for the von Neumann entropy.
const COMPARED: usize = 128;
/// Rows that are read at once.
const ROWS: usize = 64;

/// The entropies of one domain in nats, as counted on some of its tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proxies {
    /// The domain, or the kind of data that has none.
    pub name: String,
    /// Tokens that were counted.
    pub tokens: u64,
    /// Of a token.
    pub shannon: f64,
    /// Of a token given the one before.
    pub conditional: f64,
    /// Of two tokens in a row.
    pub joint: f64,
    /// Of the cosines between rows, as counts of tokens.
    pub von_neumann: f64,
}

/// One of the entropies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// Of a token.
    Shannon,
    /// Of a token given the one before.
    Conditional,
    /// Of two tokens in a row.
    Joint,
    /// Of the similarity of rows.
    VonNeumann,
}

impl Proxy {
    /// All four.
    pub const ALL: [Proxy; 4] = [Proxy::Shannon, Proxy::Conditional, Proxy::Joint, Proxy::VonNeumann];

    /// Its value.
    pub fn of(self, proxies: &Proxies) -> f64 {
        match self {
            Proxy::Shannon => proxies.shannon,
            Proxy::Conditional => proxies.conditional,
            Proxy::Joint => proxies.joint,
            Proxy::VonNeumann => proxies.von_neumann,
        }
    }

    /// The share of each domain by this entropy.
    pub fn shares(self, domains: &[Proxies]) -> Vec<f64> {
        proportions(&domains.iter().map(|proxies| self.of(proxies)).collect::<Vec<_>>())
    }
}

/// Counts about `tokens` tokens of each domain of `data`, or of all of it if it is no mixture.
///
/// # Errors
/// The data is impossible or cannot be read.
pub fn proxies(data: &DataConfig, seed: u64, tokens: u64) -> Result<Vec<Proxies>> {
    let dataset = data.open(seed, 1)?;
    let domains = dataset.domains();
    if domains.is_empty() {
        let whole = count(data.kind().to_string(), tokens, |step| dataset.batch(step, ROWS))?;
        return Ok(vec![whole]);
    }
    let of = |(index, name)| count(name, tokens, |step| domain_batch(&dataset, index, step));
    domains.into_iter().map(|domain| domain.name).enumerate().map(of).collect()
}

fn domain_batch(dataset: &Dataset, domain: usize, step: u64) -> Batch {
    dataset.domain_batch(domain, step, ROWS)
}

fn count(name: String, tokens: u64, batch: impl Fn(u64) -> Batch) -> Result<Proxies> {
    let (mut counts, mut read, mut step) = (Bigrams::default(), 0, 0);
    let mut compared: Vec<Vec<u32>> = Vec::new();
    while read < tokens {
        let batch = batch(step);
        for row in batch.tokens.chunks(batch.seq_len) {
            let row: Vec<u32> = row.iter().map(|id| *id as u32).collect();
            counts.add(&row);
            if compared.len() < COMPARED {
                compared.push(row);
            }
        }
        read += batch.tokens.len() as u64;
        step += 1;
    }
    let entropies = counts.entropies();
    let kernel = cosine_kernel(&bags(&compared))?;
    Ok(Proxies {
        name,
        tokens: read,
        shannon: entropies.shannon,
        conditional: entropies.conditional,
        joint: entropies.joint,
        von_neumann: von_neumann(&kernel, compared.len())?,
    })
}

/// How often each token that occurs at all stands in each row.
fn bags(rows: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let mut places = BTreeMap::new();
    for id in rows.iter().flatten() {
        let next = places.len();
        places.entry(*id).or_insert(next);
    }
    let bag = |row: &Vec<u32>| {
        let mut bag = vec![0.0; places.len()];
        row.iter().for_each(|id| bag[places[id]] += 1.0);
        bag
    };
    rows.iter().map(bag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::generated::{LanguageConfig, MarkovConfig};
    use crate::data::{CorpusConfig, Marker, MixtureConfig, SourceConfig};

    fn markov(entropy: f64) -> SourceConfig {
        let language = LanguageConfig::Markov(MarkovConfig { order: 1, symbols: 16, entropy });
        let data = DataConfig::Corpus(CorpusConfig { language, ..CorpusConfig::default() });
        SourceConfig { share: 0.5, marker: Marker::None, data }
    }

    #[test]
    fn a_markov_domain_has_the_conditional_entropy_that_it_was_made_with() {
        let sources = [("calm", markov(0.5)), ("wild", markov(2.0))];
        let sources = sources.map(|(name, source)| (name.to_string(), source)).into();
        let config = DataConfig::Mixture(MixtureConfig { sources, ..MixtureConfig::default() });
        let found = proxies(&config, 1, 1 << 16).unwrap();
        assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["calm", "wild"]);
        for (proxies, entropy) in found.iter().zip([0.5, 2.0]) {
            // End-of-text every 512 tokens adds a little.
            assert!((proxies.conditional - entropy).abs() < 0.03, "{proxies:?}");
            assert!((proxies.joint - proxies.conditional - proxies.shannon).abs() < 0.01, "{proxies:?}");
            assert!(proxies.shannon < 17f64.ln() && proxies.tokens == 1 << 16);
        }
        let shares = Proxy::Conditional.shares(&found);
        assert!((shares[1] / shares[0] - (found[1].conditional - found[0].conditional).exp()).abs() < 1e-9);
        assert!(
            Proxy::ALL.iter().all(|proxy| (proxy.shares(&found).iter().sum::<f64>() - 1.0).abs() < 1e-12)
        );
    }

    #[test]
    fn data_without_domains_is_counted_as_a_whole() {
        let found = proxies(&markov(1.0).data, 1, 20_000).unwrap();
        assert_eq!((found.len(), found[0].name.as_str(), found[0].tokens), (1, "corpus", 32_768));
        assert!((found[0].conditional - 1.0).abs() < 0.05 && found[0].von_neumann > 0.0);
    }
}
