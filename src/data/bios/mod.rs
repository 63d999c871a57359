//! bioS: biographies of invented people in six English sentences, every fact uniform and independent.
//!
//! The data of "Knowledge Capacity Scaling Laws" (arXiv 2404.05405, section 2.2) with pools and templates of
//! our own in the same sizes. A person has a unique full name, a birth date and city, a university, a major,
//! an employer and a gender; the working city follows from the employer and is not counted. At every exposure
//! the sentences are written and ordered afresh, so that a model can only do well by storing the facts.

mod person;
mod pieces;
mod pools;
mod render;
mod template;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::information::{Attribute, Information};
use super::opening::Opening;
use super::tokenizer::TokenizerConfig;
use super::{MAX_SEQ_LEN, check_range, out_of_range};
use crate::error::Result;

pub(super) use pieces::Pieces;
pub use pools::{FolderConfig, PoolsConfig};
pub(super) use render::{ASKABLE, BioS};

/// Biographies of `people` invented people, packed end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BioSConfig {
    /// N, how many people.
    pub people: u64,
    /// How a person's facts become text.
    pub rendering: Rendering,
    /// How text becomes tokens; the vocabulary holds only what the pools and templates can print.
    pub tokenizer: TokenizerConfig,
    /// Positions in a row of a batch.
    pub seq_len: usize,
    /// Where words and sentences come from.
    pub pools: PoolsConfig,
}

/// How a person's facts become text. The default is the published `bioS`; `single` and `fixed` make
/// `bioS-simple`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rendering {
    /// Whether the wording changes between exposures.
    pub sentences: Sentences,
    /// Whether the order of sentences changes between exposures.
    pub order: SentenceOrder,
    /// Where the full name stands.
    pub names: Names,
}

/// The wording of a person's six sentences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sentences {
    /// Fresh templates at each exposure.
    #[default]
    Multi,
    /// One choice of templates per person for ever.
    Single,
}

/// The order of a person's six sentences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentenceOrder {
    /// A fresh order at each exposure.
    #[default]
    Permuted,
    /// Birth date, birth city, university, major, employer, working city.
    Fixed,
}

/// Where the full name stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// In the first sentence; the others open with the pronoun.
    #[default]
    FirstSentence,
    /// In every sentence. The gender is then not counted, because not every text shows it.
    EverySentence,
}

impl Default for BioSConfig {
    fn default() -> Self {
        BioSConfig {
            people: 50_000,
            rendering: Rendering::default(),
            tokenizer: TokenizerConfig::default(),
            seq_len: 512,
            pools: PoolsConfig::default(),
        }
    }
}

impl BioSConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self.people == 0 {
            return Err(out_of_range("people", self.people, "at least 1"));
        }
        check_range("seq_len", self.seq_len as u64, 1..=MAX_SEQ_LEN)?;
        self.tokenizer.check()?;
        self.pools.check()
    }

    pub(super) fn open(&self, opening: &Opening) -> Result<BioS> {
        BioS::new(self, opening)
    }

    pub(super) fn pieces(&self) -> Result<Pieces> {
        Pieces::new(&self.pools.load()?, &self.tokenizer)
    }

    /// Where names come from.
    pub(super) fn n_names(&self) -> Result<u64> {
        self.pools.load()?.name_space()
    }

    /// Definition 4.3 of the paper: the pools themselves count as known.
    pub(super) fn information(&self) -> Result<Information> {
        let pools = self.pools.load()?;
        let name_space = pools.name_space()?;
        if self.people > name_space {
            return Err(pieces::too_few_names(self.people, name_space));
        }
        let dates = pools::MONTHS.len() as u64 * pools::DAYS * (pools::YEARS.end - pools::YEARS.start);
        let mut choices = vec![
            ("birth date", dates),
            ("birth city", pools.cities.len() as u64),
            ("university", pools.universities.len() as u64),
            ("major", pools.majors.len() as u64),
            ("employer", pools.employers.len() as u64),
        ];
        if self.rendering.names == Names::FirstSentence {
            choices.push(("gender", 2));
        }
        let attribute = |(name, n): (&str, u64)| Attribute { name: name.into(), bits: (n as f64).log2() };
        let attributes = choices.into_iter().map(attribute).collect();
        Ok(Information {
            people: self.people,
            name_bits: (name_space as f64).log2(),
            attributes,
            diversity: None,
        })
    }
}
