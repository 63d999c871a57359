//! Several sources in stated shares: row `n` of the stream is the next row of the source whose turn it is.
//!
//! Domains of a data mixture (arXiv 2405.14908), and useful people among junk (arXiv 2404.05405, section 10): junk
//! that is never repeated is a source of very many people, junk that is repeated is one of few, and a domain token is a
//! marker. Sources of people share nobody: each takes the next stretch of the people that the seed can make. The shares
//! hold exactly, in rows and so in tokens (`turns`); tokens that are spelled alike are one token (`joint`).

mod joint;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dataset::Source;
use super::held_out::HeldOut;
use super::opening::{Marker, Opening};
use super::random::Streams;
use super::{Batch, DataConfig, Document, MAX_SEQ_LEN, check_range};
use crate::error::{Error, Problem, Result};
pub(super) use joint::END_OF_TEXT;
pub use joint::Joint;
use turns::Turns;

/// Several sources in stated shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixtureConfig {
    /// The sources by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// The source whose people are measured and whose exposures are counted; the only source of people, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub studied: Option<String>,
    /// Positions in a row of a batch; a row holds documents of one source.
    pub seq_len: usize,
}

/// One source of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its share of rows, and so of tokens.
    pub share: f64,
    /// What stands in front of its documents.
    #[serde(default)]
    pub marker: Marker,
    /// What it says.
    pub data: DataConfig,
}

/// A domain of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Domain {
    /// The name of the source.
    pub name: String,
    /// Its share of tokens.
    pub share: f64,
}

/// How far shares may be from adding up to one.
const TOLERANCE: f64 = 1e-6;
/// People of each source of people that training never reads, for its held-out loss.
const HELD_OUT_PEOPLE: u64 = 256;
/// How many names there are at least for each person of all sources together.
const NAMES_PER_PERSON: u64 = 10;

impl Default for MixtureConfig {
    fn default() -> Self {
        MixtureConfig { sources: BTreeMap::new(), studied: None, seq_len: 512 }
    }
}

impl MixtureConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("seq_len", self.seq_len as u64, 1..=MAX_SEQ_LEN)?;
        let problems: Vec<Problem> =
            self.sources.iter().flat_map(|(name, source)| self.check_source(name, source)).collect();
        if !problems.is_empty() {
            return Err(Error { problems, ..Error::config(Problem::default()) });
        }
        self.check_shares()?;
        self.check_studied()
    }

    fn check_source(&self, name: &str, source: &SourceConfig) -> Vec<Problem> {
        let at = |key: &str| format!("data.sources.{name}.{key}");
        let mut problems = Vec::new();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            let problem = Problem::new(format!("the name {name:?}")).key("data.sources");
            problems.push(problem.expected("small letters, digits and -"));
        }
        if !(0.0..=1.0).contains(&source.share) {
            problems.push(
                Problem::new(source.share.to_string()).key(at("share")).expected("a share from 0 to 1"),
            );
        }
        if let DataConfig::Mixture(_) | DataConfig::Reading(_) = source.data {
            let found = format!("a {} in a mixture", source.data.kind());
            problems.push(Problem::new(found).key(at("data")).expected("any other kind"));
        } else if let Err(error) = source.data.check() {
            let within = |problem: Problem| {
                let key = problem.key.as_deref().unwrap_or_default();
                let key = key.strip_prefix("data.").unwrap_or(key).to_string();
                problem.key(at("data") + "." + &key)
            };
            problems.extend(error.problems.into_iter().map(within));
        }
        if let Some(seq_len) = source.data.own_seq_len().filter(|own| *own != self.seq_len) {
            let problem = Problem::new(format!("rows of {seq_len} in a mixture of rows of {}", self.seq_len));
            problems.push(problem.key(at("data.seq_len")).help("leave it out, and set data.seq_len"));
        }
        problems
    }

    fn check_shares(&self) -> Result<()> {
        let sum: f64 = self.sources.values().map(|source| source.share).sum();
        let error = |found: String, expected: &str| {
            Err(Error::config(Problem::new(found).key("data.sources").expected(expected)))
        };
        match self.sources.len() {
            0 => error("no sources".into(), "at least one, for instance [data.sources.useful]"),
            _ if (sum - 1.0).abs() > TOLERANCE => {
                error(format!("shares that add up to {sum}"), "shares that add up to 1")
            }
            _ => Ok(()),
        }
    }

    fn check_studied(&self) -> Result<()> {
        let people: Vec<&str> = self.factual().map(|(name, _)| name.as_str()).collect();
        let problem = match (&self.studied, &people[..]) {
            (Some(name), people) if people.contains(&name.as_str()) => return self.check_studied_share(),
            (Some(name), []) => Problem::new(format!("{name:?}")).expected("nothing: no source has people"),
            (Some(name), people) => Problem::new(format!("{name:?}"))
                .expected(format!("a source of people: {}", people.join(", "))),
            (None, [] | [_]) => return self.check_studied_share(),
            (None, people) => Problem::new(format!("{} sources of people", people.len()))
                .expected(format!("the one to be measured: {}", people.join(", "))),
        };
        Err(Error::config(problem.key("data.studied")))
    }

    /// Exposures of people who never come cannot be counted.
    fn check_studied_share(&self) -> Result<()> {
        match self.studied() {
            Some((name, source)) if source.share == 0.0 => {
                let problem = Problem::new("a share of 0 of the source that is studied");
                Err(Error::config(
                    problem.key(format!("data.sources.{name}.share")).expected("a share above 0"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Sources with facts, which can be measured.
    fn factual(&self) -> impl Iterator<Item = (&String, &SourceConfig)> {
        self.sources.iter().filter(|(_, source)| source.data.has_facts())
    }

    /// Sources of people whom the seed makes.
    fn people(&self) -> impl Iterator<Item = (&String, &SourceConfig)> {
        self.sources.iter().filter(|(_, source)| source.data.people().is_some())
    }

    /// The source that is measured.
    pub(super) fn studied(&self) -> Option<(&String, &SourceConfig)> {
        match &self.studied {
            Some(name) => self.sources.get_key_value(name),
            None => self.factual().next(),
        }
    }

    /// Enough names for everybody, and ten times as many, so that a name can hardly be guessed.
    pub(super) fn verify(&self) -> Result<()> {
        for (_, source) in self.people() {
            let names = source.data.n_names()?;
            let mut needed = 0u64;
            for (_, other) in self.people() {
                if other.data.n_names()? == names {
                    needed = needed.saturating_add(other.data.people().unwrap_or_default() + HELD_OUT_PEOPLE);
                }
            }
            let most = names / NAMES_PER_PERSON;
            if needed > most {
                let found = format!("{needed} people, {HELD_OUT_PEOPLE} held out of each source among them");
                let expected = format!("at most {most}, a tenth of the names that there are");
                let help = "take fewer people or longer pools of names";
                let problem = Problem::new(found).key("data.sources").expected(expected).help(help);
                return Err(Error::config(problem));
            }
        }
        Ok(())
    }

    pub(super) fn vocab_size(&self) -> Result<usize> {
        Ok(self.joint()?.vocab_size())
    }

    pub(super) fn joint(&self) -> Result<Joint> {
        let languages =
            self.sources.values().map(|source| source.data.language()).collect::<Result<Vec<_>>>()?;
        let marker = |(name, source): (&'_ String, &SourceConfig)| match source.marker {
            Marker::None => None,
            Marker::Token => Some(name.clone()),
        };
        let markers: Vec<Option<String>> = self.sources.iter().map(marker).collect();
        Ok(Joint::new(languages, &markers.iter().map(Option::as_deref).collect::<Vec<_>>()))
    }

    /// Tokens of a document of any source, in the mean over documents.
    pub(super) fn tokens_per_document(&self) -> Result<f64> {
        let mut documents_per_token = 0.0;
        for source in self.sources.values() {
            documents_per_token += source.share / source.tokens_per_document()?;
        }
        Ok(1.0 / documents_per_token)
    }

    /// Tokens in which everything that is studied appears once; without it, all tokens that there are.
    pub(super) fn tokens_per_exposure(&self) -> Result<f64> {
        match self.studied() {
            Some((_, source)) => Ok(source.tokens_per_exposure()? / source.share),
            None => self.sources.values().map(SourceConfig::tokens_per_exposure).sum(),
        }
    }

    pub(super) fn open(&self, seed: u64, exposures: u64) -> Result<Mixture> {
        self.verify()?;
        let joint = self.joint()?;
        let tokens = exposures as f64 * self.tokens_per_exposure()?;
        let studied = self.studied().map(|(name, _)| name);
        // People given out of each number of names: the same number is the same order of names.
        let mut given: BTreeMap<u64, u64> = BTreeMap::new();
        let mut parts = Vec::with_capacity(self.sources.len());
        for (index, (name, source)) in self.sources.iter().enumerate() {
            let given = given.entry(source.data.n_names()?).or_default();
            let opening = Opening {
                seed: if source.data.people().is_some() { seed } else { seed_of(seed, name) },
                exposures: match studied {
                    Some(studied) if studied == name => exposures,
                    _ => (source.share * tokens / source.tokens_per_exposure()?).ceil().max(1.0) as u64,
                },
                first_person: *given,
                marker: source.marker,
                seq_len: self.seq_len,
            };
            *given += source.data.people().map_or(0, |people| people + HELD_OUT_PEOPLE);
            let domain = Domain { name: name.clone(), share: source.share };
            parts.push(Part::new(domain, source.data.open_source(&opening)?, index, &joint, self.seq_len));
        }
        let openings = |source: &SourceConfig| Ok(source.share * source.openings(self.seq_len)?);
        let all: f64 = self.sources.values().map(openings).sum::<Result<_>>()?;
        let studied = match self.studied() {
            None => None,
            Some((name, source)) => Some(Studied {
                part: parts
                    .iter()
                    .position(|part| part.domain.name == *name)
                    .expect("every source is a part"),
                source_bits: match source.marker {
                    Marker::None => (all / openings(source)?).log2(),
                    Marker::Token => 0.0,
                },
            }),
        };
        let shares: Vec<f64> = self.sources.values().map(|source| source.share).collect();
        Ok(Mixture { turns: Turns::new(&shares), joint, parts, studied, seq_len: self.seq_len })
    }
}

/// Sources that are no people differ in their seeds even if they are alike.
fn seed_of(seed: u64, name: &str) -> u64 {
    Streams::new(seed, &format!("mixture {name}")).at(0).bits()
}

impl SourceConfig {
    fn tokens_per_document(&self) -> Result<f64> {
        Ok(self.data.tokens_per_document()? + self.marker.len() as f64)
    }

    /// The share of its rows that open with a document. Documents of one length come back to the beginning of a row as
    /// often as both lengths have a divisor in common; others anywhere.
    fn openings(&self, seq_len: usize) -> Result<f64> {
        let length = self.tokens_per_document()?;
        Ok(match self.data {
            DataConfig::BioD(_) | DataConfig::Corpus(_) => {
                common(seq_len as u64, length as u64) as f64 / length
            }
            DataConfig::BioS(_)
            | DataConfig::BioR(_)
            | DataConfig::Text(_)
            | DataConfig::Reading(_)
            | DataConfig::Mixture(_) => 1.0 / length,
        })
    }

    fn tokens_per_exposure(&self) -> Result<f64> {
        Ok(self.tokens_per_document()? * self.data.documents_per_exposure()? as f64)
    }
}

/// The greatest common divisor.
fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}

/// A mixture, opened.
#[derive(Debug)]
pub(super) struct Mixture {
    parts: Vec<Part>,
    joint: Joint,
    turns: Turns,
    studied: Option<Studied>,
    seq_len: usize,
}

/// One source, opened.
#[derive(Debug)]
struct Part {
    domain: Domain,
    source: Source,
    held_out: HeldOut,
}

/// Which part is measured, and the bits that guessing it costs.
#[derive(Debug)]
struct Studied {
    part: usize,
    source_bits: f64,
}

impl Part {
    fn new(domain: Domain, source: Source, index: usize, joint: &Joint, seq_len: usize) -> Self {
        let own = source.held_out_tokens(HELD_OUT_PEOPLE);
        let tokens = own.into_iter().map(|id| joint.id(index, id)).collect();
        Part { domain, source, held_out: HeldOut { tokens, seq_len, end_of_text: END_OF_TEXT } }
    }
}

impl Mixture {
    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let stretch = self.turns.stretch(first, count);
        let of_part = |part: usize| {
            let count = stretch.sources.iter().filter(|source| **source == part).count();
            self.domain_rows(part, stretch.before[part], count)
        };
        let batches: Vec<Batch> = (0..self.parts.len()).map(of_part).collect();
        let mut next = vec![0; batches.len()];
        let mut mixed = Batch::with_capacity(count, self.seq_len);
        for part in stretch.sources {
            mixed.push_row_of(&batches[part], next[part]);
            next[part] += 1;
        }
        mixed
    }

    /// Rows of one source, in the joint vocabulary.
    pub fn domain_rows(&self, domain: usize, first: u64, count: usize) -> Batch {
        let mut batch = self.parts[domain].source.rows(first, count);
        self.joint.translate(domain, &mut batch.tokens);
        self.joint.translate(domain, &mut batch.targets);
        batch
    }

    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.parts.iter().map(|part| &part.domain)
    }

    /// The source of domain `domain`.
    pub fn source(&self, domain: usize) -> &Source {
        &self.parts[domain].source
    }

    pub fn held_out(&self, domain: usize) -> &HeldOut {
        &self.parts[domain].held_out
    }

    /// The source whose people are measured.
    pub fn studied(&self) -> Option<&Source> {
        self.studied.as_ref().map(|studied| &self.parts[studied.part].source)
    }

    /// What it costs to guess that a document is of the studied source, in bits.
    pub fn source_bits(&self) -> f64 {
        self.studied.as_ref().map_or(0.0, |studied| studied.source_bits)
    }

    /// A document of the studied source in the joint vocabulary.
    pub fn translated(&self, document: Document) -> Document {
        Document { tokens: self.translated_tokens(&document.tokens), ..document }
    }

    /// Tokens of the studied source in the joint vocabulary.
    pub fn translated_tokens(&self, tokens: &[u32]) -> Vec<u32> {
        let part = self.studied.as_ref().expect("a mixture without people has no documents").part;
        tokens.iter().map(|&id| self.joint.id(part, id)).collect()
    }

    pub fn vocab_size(&self) -> usize {
        self.joint.vocab_size()
    }

    pub fn decode(&self, tokens: &[u32]) -> String {
        self.joint.decode(tokens)
    }

    /// The tokens of `text` in the first source that can say it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.joint.encode(text)
    }
}
