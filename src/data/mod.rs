//! People and facts to text to tokens to batches; the order is a pure function of seed and step.
//!
//! A [`DataConfig`] says what is learned; opened with a seed and a number of exposures it is a [`Dataset`],
//! whose batch number `step` is the same whenever, wherever and in whatever order it is asked for. Three
//! kinds:
//!
//! | kind | what | why |
//! |---|---|---|
//! | [`bio-s`](bios) | English biographies of invented people | the published laws of knowledge capacity (arXiv 2404.05405) |
//! | [`bio-d`](biod) | the same without English: one short row of symbols a person | every term of the law can be set by hand; cheap |
//! | [`text`] | a folder of the user's own files | language modelling with a held-out share |

mod batch;
pub mod biod;
pub mod bios;
pub mod describe;
mod document;
pub mod information;
pub mod language;
mod list;
pub mod permutation;
pub mod random;
mod stream;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tokenizer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};

pub use batch::Batch;
pub use biod::BioDConfig;
pub use bios::BioSConfig;
pub use describe::{Description, describe};
pub use document::{Document, Fact, Span};
pub use information::Information;
pub use language::Language;
pub use text::TextConfig;
pub use tokenizer::{Tokenizer, TokenizerConfig};

/// The longest sequence a dataset will cut, a guard against typing errors.
const MAX_SEQ_LEN: u64 = 1 << 20;

/// What is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataConfig {
    /// English biographies of invented people.
    BioS(BioSConfig),
    /// Invented people as rows of symbols.
    BioD(BioDConfig),
    /// A folder of text files.
    Text(TextConfig),
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::BioD(BioDConfig::default())
    }
}

/// A dataset ready to be read: a pure function of its config, seed and number of exposures.
#[derive(Debug)]
pub struct Dataset {
    source: Source,
    information: Option<Information>,
}

#[derive(Debug)]
enum Source {
    BioS(Box<bios::BioS>),
    BioD(biod::BioD),
    Text(text::Text),
}

/// A file outside the program that decides what a dataset says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalFile {
    /// Its path.
    pub path: PathBuf,
    /// The blake3 hash of its content, in hexadecimal.
    pub blake3: String,
}

impl DataConfig {
    /// The name of the kind, as in `kind = "bio-s"`.
    pub fn kind(&self) -> &'static str {
        match self {
            DataConfig::BioS(_) => "bio-s",
            DataConfig::BioD(_) => "bio-d",
            DataConfig::Text(_) => "text",
        }
    }

    /// Checks every number without reading a file.
    pub fn check(&self) -> Result<()> {
        match self {
            DataConfig::BioS(config) => config.check(),
            DataConfig::BioD(config) => config.check(),
            DataConfig::Text(config) => config.check(),
        }
    }

    /// The dataset in which everything is seen `exposures` times before a new cycle of fresh renderings
    /// begins.
    pub fn open(&self, seed: u64, exposures: u64) -> Result<Dataset> {
        self.check()?;
        let source = match self {
            DataConfig::BioS(config) => Source::BioS(Box::new(config.open(seed, exposures)?)),
            DataConfig::BioD(config) => Source::BioD(config.open(seed, exposures)?),
            DataConfig::Text(config) => Source::Text(config.open(seed)?),
        };
        Ok(Dataset { source, information: self.information()? })
    }

    /// How many tokens the tokenizer knows, whatever seed and number of people.
    pub fn vocab_size(&self) -> Result<usize> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(config.pieces()?.tokenizer.vocab_size()),
            DataConfig::BioD(config) => Ok(config.vocab_size()),
            DataConfig::Text(config) => config.vocab_size(),
        }
    }

    /// How its tokens are read and written, without the people or texts themselves.
    ///
    /// # Errors
    /// The config is impossible or its files cannot be read.
    pub fn language(&self) -> Result<Language> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(Language::Text(config.pieces()?.tokenizer)),
            DataConfig::BioD(config) => Ok(Language::Symbols(config.clone())),
            DataConfig::Text(config) => Ok(Language::Text(config.open(0)?.tokenizer().clone())),
        }
    }

    /// Positions in a row of a batch.
    pub fn seq_len(&self) -> usize {
        match self {
            DataConfig::BioS(config) => config.seq_len,
            DataConfig::BioD(config) => config.seq_len(),
            DataConfig::Text(config) => config.seq_len,
        }
    }

    /// The exact expectation of a document's length in tokens over all seeds, end-of-text included; for text
    /// the mean over the files' training part.
    pub fn tokens_per_document(&self) -> Result<f64> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(config.pieces()?.mean_document(&config.rendering)),
            DataConfig::BioD(config) => Ok(config.seq_len() as f64),
            DataConfig::Text(config) => Ok(config.open(0)?.tokens_per_document()),
        }
    }

    /// Documents in one exposure: people, or files of text.
    pub fn documents_per_exposure(&self) -> Result<u64> {
        match self {
            DataConfig::BioS(config) => Ok(config.people),
            DataConfig::BioD(config) => Ok(config.people),
            DataConfig::Text(config) => Ok(config.files()?.len() as u64),
        }
    }

    /// The expected number of tokens in which every document appears once.
    ///
    /// # Errors
    /// The config is impossible or its files cannot be read.
    pub fn tokens_per_exposure(&self) -> Result<f64> {
        Ok(self.tokens_per_document()? * self.documents_per_exposure()? as f64)
    }

    /// What a perfect model would have to store; nothing is known of it for text.
    pub fn information(&self) -> Result<Option<Information>> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => config.information().map(Some),
            DataConfig::BioD(config) => Ok(Some(config.information())),
            DataConfig::Text(_) => Ok(None),
        }
    }

    /// The files outside the program that decide what is learned, with their hashes, sorted by path.
    pub fn external_files(&self) -> Result<Vec<ExternalFile>> {
        let paths = match self {
            DataConfig::BioS(config) => config.pools.files(),
            DataConfig::BioD(_) => Vec::new(),
            DataConfig::Text(config) => config.files()?,
        };
        paths.into_iter().map(ExternalFile::read).collect()
    }
}

impl Dataset {
    /// Batch number `step` of the stream in batches of `rows`: random access, the same at every call.
    pub fn batch(&self, step: u64, rows: usize) -> Batch {
        match &self.source {
            Source::BioS(source) => source.batch(step, rows),
            Source::BioD(source) => source.batch(step, rows),
            Source::Text(source) => source.batch(step, rows),
        }
    }

    /// The document of `person` at an exposure of the training stream.
    ///
    /// # Panics
    /// If `person` is not below the number of people, as always for plain text.
    pub fn document(&self, person: u64, exposure: u64) -> Document {
        match &self.source {
            Source::BioS(source) => source.document(person, exposure),
            Source::BioD(source) => source.document(person, exposure),
            Source::Text(_) => panic!("plain text has no people"),
        }
    }

    /// A document of `person` in the training format, from a stream of draws that training never reads, in
    /// which no fact stands after another that tells it (the employer after the working city). Where a person
    /// has only one text, with `single` sentences in `fixed` order, it is that text.
    ///
    /// # Panics
    /// As [`Dataset::document`].
    pub fn measurement_document(&self, person: u64, rendering: u64) -> Document {
        match &self.source {
            Source::BioS(source) => source.measurement_document(person, rendering),
            Source::BioD(source) => source.measurement_document(person, rendering),
            Source::Text(_) => panic!("plain text has no people"),
        }
    }

    /// Batch number `index` of the held-out text, in order and without shuffling; `None` past its end, and
    /// always for people. The last window is padded with end-of-text of weight 0, the last batch may have
    /// fewer rows.
    pub fn held_out_batch(&self, index: u64, rows: usize) -> Option<Batch> {
        match &self.source {
            Source::BioS(_) | Source::BioD(_) => None,
            Source::Text(source) => source.held_out_batch(index, rows),
        }
    }

    /// What a perfect model would have to store; `None` for text.
    pub fn information(&self) -> Option<&Information> {
        self.information.as_ref()
    }

    /// How many tokens the tokenizer knows.
    pub fn vocab_size(&self) -> usize {
        match &self.source {
            Source::BioS(source) => source.tokenizer().vocab_size(),
            Source::BioD(source) => source.config().vocab_size(),
            Source::Text(source) => source.tokenizer().vocab_size(),
        }
    }

    /// The token that opens every document.
    pub fn end_of_text(&self) -> u32 {
        match &self.source {
            Source::BioS(source) => source.tokenizer().end_of_text(),
            Source::BioD(_) => biod::END_OF_TEXT,
            Source::Text(source) => source.tokenizer().end_of_text(),
        }
    }

    /// The tokens of `text`; an error for words outside the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &self.source {
            Source::BioS(source) => source.tokenizer().encode(text),
            Source::BioD(source) => source.config().encode(text),
            Source::Text(source) => source.tokenizer().encode(text),
        }
    }

    /// What `tokens` read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match &self.source {
            Source::BioS(source) => source.tokenizer().decode(tokens),
            Source::BioD(source) => source.config().decode(tokens),
            Source::Text(source) => source.tokenizer().decode(tokens),
        }
    }
}

impl ExternalFile {
    fn read(path: PathBuf) -> Result<Self> {
        let content = std::fs::read(&path).map_err(|source| Error::io("read", &path, source))?;
        Ok(ExternalFile { path, blake3: blake3::hash(&content).to_hex().to_string() })
    }
}

/// An error unless `value` lies in `range`; `key` is a key of `[data]`.
fn check_range(key: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(out_of_range(key, value, &format!("{} to {}", range.start(), range.end())))
}

fn out_of_range(key: &str, value: impl std::fmt::Display, expected: &str) -> Error {
    Error::config(Problem::new(value.to_string()).key(format!("data.{key}")).expected(expected))
}
