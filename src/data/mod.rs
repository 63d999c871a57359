//! People and facts to text to tokens to batches; the order is a pure function of seed and step.
//!
//! A [`DataConfig`] says what is learned; opened with a seed and a number of exposures it is a [`Dataset`],
//! whose batch number `step` is the same whenever, wherever and in whatever order it is asked for. The kinds:
//!
//! | kind | what | why |
//! |---|---|---|
//! | [`bio-s`](bios) | English biographies of invented people | the published laws of knowledge capacity (arXiv 2404.05405) |
//! | [`bio-d`](biod) | the same without English: one short row of symbols a person | every term of the law can be set by hand; cheap |
//! | [`bio-r`](bior) | prose about people, in which the facts are found again | the same for any wording |
//! | [`reading`] | strangers in every row, and questions about them | nothing can be known, everything must be read |
//! | [`text`] | a folder of the user's own files | language modelling with a held-out share |
//! | [`corpus`](generated) | documents from a small language with a known structure | the same without a download |
//! | [`mixture`] | any of these but `reading` in stated shares | data mixtures, and useful people among junk |

mod batch;
pub mod biod;
pub mod bior;
pub mod bios;
mod dataset;
pub mod describe;
mod document;
pub mod generated;
pub mod information;
mod held_out;
pub mod language;
mod list;
pub mod mixture;
mod opening;
pub mod permutation;
pub mod questions;
pub mod random;
pub mod reading;
mod stream;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tokenizer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use dataset::Source;
use opening::Opening;

pub use batch::{Batch, ChunkBatch};
pub use biod::BioDConfig;
pub use bior::BioRConfig;
pub use bios::BioSConfig;
pub use dataset::Dataset;
pub use describe::{Description, SourceDescription, describe};
pub use document::{Document, Fact, Span, Texts};
pub use generated::CorpusConfig;
pub use information::Information;
pub use language::Language;
pub use mixture::{Domain, MixtureConfig, SourceConfig};
pub use opening::Marker;
pub use reading::ReadingConfig;
pub use text::TextConfig;
pub use tokenizer::{FileVocabulary, Tokenizer, TokenizerConfig};

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
    /// Prose about people.
    BioR(BioRConfig),
    /// Biographies of strangers, and questions about them.
    Reading(ReadingConfig),
    /// A folder of text files.
    Text(TextConfig),
    /// Documents from a small language.
    Corpus(CorpusConfig),
    /// Several sources in stated shares.
    Mixture(MixtureConfig),
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::BioD(BioDConfig::default())
    }
}

/// A file outside the program that decides what a dataset says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
            DataConfig::BioR(_) => "bio-r",
            DataConfig::Reading(_) => "reading",
            DataConfig::Text(_) => "text",
            DataConfig::Corpus(_) => "corpus",
            DataConfig::Mixture(_) => "mixture",
        }
    }

    /// Checks every number without reading a file.
    pub fn check(&self) -> Result<()> {
        match self {
            DataConfig::BioS(config) => config.check(),
            DataConfig::BioD(config) => config.check(),
            DataConfig::BioR(config) => config.check(),
            DataConfig::Reading(config) => config.check(),
            DataConfig::Text(config) => config.check(),
            DataConfig::Corpus(config) => config.check(),
            DataConfig::Mixture(config) => config.check(),
        }
    }

    /// Checks what only the files can tell, too: that there are names enough.
    pub fn verify(&self) -> Result<()> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => config.information().map(drop),
            DataConfig::BioR(config) => config.information().map(drop),
            DataConfig::Mixture(config) => config.verify(),
            DataConfig::BioD(_) | DataConfig::Reading(_) | DataConfig::Text(_) | DataConfig::Corpus(_) => {
                Ok(())
            }
        }
    }

    /// Whether a row holds the longest biography, so that all of it can be measured.
    ///
    /// # Errors
    /// It does not, or the files of words cannot be read.
    pub fn verify_rows(&self) -> Result<()> {
        let longest = self.longest_measured()?;
        match self.seq_len() < longest {
            true => Err(out_of_range(
                "seq_len",
                self.seq_len(),
                &format!("at least {longest}, the longest biography"),
            )),
            false => Ok(()),
        }
    }

    /// Tokens of the longest biography that is measured; 0 where none is.
    fn longest_measured(&self) -> Result<usize> {
        Ok(match self {
            DataConfig::BioS(config) => config.pieces()?.longest_document(&config.rendering),
            DataConfig::BioD(config) => config.seq_len(),
            DataConfig::BioR(config) => config.longest_measured()?,
            DataConfig::Mixture(config) => match config.studied() {
                Some((_, source)) => source.data.longest_measured()? + source.marker.len(),
                None => 0,
            },
            DataConfig::Reading(_) | DataConfig::Text(_) | DataConfig::Corpus(_) => 0,
        })
    }

    /// The dataset in which everything is seen `exposures` times before a new cycle of fresh renderings
    /// begins.
    pub fn open(&self, seed: u64, exposures: u64) -> Result<Dataset> {
        self.check()?;
        let source = match self {
            DataConfig::Mixture(config) => Source::Mixture(Box::new(config.open(seed, exposures)?)),
            _ => self.open_source(&Opening::alone(seed, exposures, self.seq_len()))?,
        };
        Ok(Dataset { source, information: self.information()?, packed_row: self.packed_row() })
    }

    /// The stream of anything but a mixture.
    fn open_source(&self, opening: &Opening) -> Result<Source> {
        Ok(match self {
            DataConfig::BioS(config) => Source::BioS(Box::new(config.open(opening)?)),
            DataConfig::BioD(config) => Source::BioD(config.open(opening)?),
            DataConfig::BioR(config) => Source::BioR(Box::new(config.open(opening)?)),
            DataConfig::Reading(config) => Source::Reading(config.open(opening.seed)),
            DataConfig::Text(config) => Source::Text(config.open(opening)?),
            DataConfig::Corpus(config) => Source::Corpus(Box::new(config.open(opening)?)),
            DataConfig::Mixture(_) => unreachable!("a mixture is opened as a whole"),
        })
    }

    /// How many tokens the tokenizer knows, whatever seed and number of people.
    pub fn vocab_size(&self) -> Result<usize> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(config.pieces()?.tokenizer.vocab_size()),
            DataConfig::BioD(config) => Ok(config.vocab_size()),
            DataConfig::BioR(config) => Ok(config.tokenizer()?.vocab_size()),
            DataConfig::Reading(config) => Ok(config.vocab_size()),
            DataConfig::Text(config) => config.vocab_size(),
            DataConfig::Corpus(config) => Ok(config.tokenizer().vocab_size()),
            DataConfig::Mixture(config) => config.vocab_size(),
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
            DataConfig::BioR(config) => Ok(Language::Text(config.tokenizer()?)),
            DataConfig::Reading(config) => Ok(Language::Strangers(config.clone())),
            DataConfig::Text(config) => Ok(Language::Text(config.tokenizer()?)),
            DataConfig::Corpus(config) => Ok(Language::Text(config.tokenizer())),
            DataConfig::Mixture(config) => Ok(Language::Joint(Box::new(config.joint()?))),
        }
    }

    /// Positions in a row of a batch.
    pub fn seq_len(&self) -> usize {
        match self {
            DataConfig::BioS(config) => config.seq_len,
            DataConfig::BioD(config) => config.seq_len(),
            DataConfig::BioR(config) => config.seq_len,
            DataConfig::Reading(config) => config.seq_len(),
            DataConfig::Text(config) => config.seq_len,
            DataConfig::Corpus(config) => config.seq_len,
            DataConfig::Mixture(config) => config.seq_len,
        }
    }

    /// The length of rows that was asked for, if it is a setting and not the default.
    fn own_seq_len(&self) -> Option<usize> {
        let default = match self {
            DataConfig::BioS(_) => BioSConfig::default().seq_len,
            DataConfig::BioR(_) => BioRConfig::default().seq_len,
            DataConfig::Text(_) => TextConfig::default().seq_len,
            DataConfig::Corpus(_) => CorpusConfig::default().seq_len,
            DataConfig::BioD(_) | DataConfig::Reading(_) | DataConfig::Mixture(_) => return None,
        };
        Some(self.seq_len()).filter(|seq_len| *seq_len != default)
    }

    /// The exact expectation of a document's length in tokens over all seeds, end-of-text included; for text
    /// the mean over the files' training part.
    pub fn tokens_per_document(&self) -> Result<f64> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(config.pieces()?.mean_document(&config.rendering)),
            DataConfig::BioD(config) => Ok(config.seq_len() as f64),
            DataConfig::BioR(config) => config.tokens_per_document(),
            DataConfig::Reading(config) => Ok(config.seq_len() as f64),
            DataConfig::Text(config) => Ok(config.read()?.tokens_per_document()),
            DataConfig::Corpus(config) => Ok(config.length as f64),
            DataConfig::Mixture(config) => config.tokens_per_document(),
        }
    }

    /// Documents in one exposure: people, files of text, or documents of any source; of strangers, who never come
    /// again, one row.
    pub fn documents_per_exposure(&self) -> Result<u64> {
        match self {
            DataConfig::BioS(config) => Ok(config.people),
            DataConfig::BioD(config) => Ok(config.people),
            DataConfig::BioR(config) => config.people(),
            DataConfig::Reading(_) => Ok(1),
            DataConfig::Text(config) => Ok(config.files()?.len() as u64),
            DataConfig::Corpus(config) => Ok(config.documents),
            DataConfig::Mixture(config) => {
                Ok((config.tokens_per_exposure()? / config.tokens_per_document()?).round() as u64)
            }
        }
    }

    /// The expected number of tokens in which every document appears once; in a mixture, every document of the source
    /// that is studied, or as many tokens as all sources have together.
    ///
    /// # Errors
    /// The config is impossible or its files cannot be read.
    pub fn tokens_per_exposure(&self) -> Result<f64> {
        match self {
            DataConfig::Mixture(config) => {
                self.check()?;
                config.tokens_per_exposure()
            }
            _ => Ok(self.tokens_per_document()? * self.documents_per_exposure()? as f64),
        }
    }

    /// What a perfect model would have to store of what is measured; nothing is known of it for text.
    pub fn information(&self) -> Result<Option<Information>> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => config.information().map(Some),
            DataConfig::BioD(config) => Ok(Some(config.information())),
            DataConfig::BioR(config) => config.information().map(Some),
            DataConfig::Reading(_) | DataConfig::Text(_) | DataConfig::Corpus(_) => Ok(None),
            DataConfig::Mixture(config) => match config.studied() {
                Some((_, source)) => source.data.information(),
                None => Ok(None),
            },
        }
    }

    /// Tokens of the longest question about a person and its answer, end-of-text included; `None` where nobody can be
    /// asked about.
    ///
    /// # Errors
    /// The config is impossible or its files cannot be read.
    pub fn question_len(&self) -> Result<Option<usize>> {
        self.check()?;
        match self {
            DataConfig::BioS(config) => Ok(Some(config.pieces()?.longest_question())),
            DataConfig::BioD(config) => Ok(Some(config.question_len())),
            DataConfig::Mixture(config) => match config.studied() {
                Some((_, source)) => Ok(source.data.question_len()?.map(|len| len + source.marker.len())),
                None => Ok(None),
            },
            DataConfig::BioR(_) | DataConfig::Reading(_) | DataConfig::Text(_) | DataConfig::Corpus(_) => {
                Ok(None)
            }
        }
    }

    /// The data about whose people facts are counted: this, or a source of a mixture; none where there are no facts.
    pub fn studied(&self) -> Option<&DataConfig> {
        match self {
            DataConfig::Mixture(config) => config.studied().map(|(_, source)| &source.data),
            _ => self.has_facts().then_some(self),
        }
    }

    /// Positions of a row of training in which documents of the people who are studied follow each other; `None` where
    /// each has a row, and without people.
    pub fn packed_row(&self) -> Option<usize> {
        let mut marker = 0;
        if let DataConfig::Mixture(config) = self {
            marker = config.studied().map_or(0, |(_, source)| source.marker.len());
        }
        let studied = self.studied()?;
        let has_own_row =
            matches!(studied, DataConfig::BioD(config) if config.seq_len() + marker == self.seq_len());
        (!has_own_row).then(|| self.seq_len())
    }

    /// How many people there are, if they are made and not read.
    pub(crate) fn people(&self) -> Option<u64> {
        match self {
            DataConfig::BioS(config) => Some(config.people),
            DataConfig::BioD(config) => Some(config.people),
            DataConfig::BioR(_)
            | DataConfig::Reading(_)
            | DataConfig::Text(_)
            | DataConfig::Corpus(_)
            | DataConfig::Mixture(_) => None,
        }
    }

    /// Whether `data.people` says how many people there are.
    pub fn has_people(&self) -> bool {
        self.people().is_some()
    }

    /// Whether it has facts about people, which can be measured.
    fn has_facts(&self) -> bool {
        self.people().is_some() || matches!(self, DataConfig::BioR(_))
    }

    /// N0, how many names its people are drawn from; 0 where the seed makes no people.
    fn n_names(&self) -> Result<u64> {
        match self {
            DataConfig::BioS(config) => config.n_names(),
            DataConfig::BioD(config) => Ok(config.n_names()),
            DataConfig::BioR(_)
            | DataConfig::Reading(_)
            | DataConfig::Text(_)
            | DataConfig::Corpus(_)
            | DataConfig::Mixture(_) => Ok(0),
        }
    }

    /// The files outside the program that decide what is learned, with their hashes, sorted by path;
    /// the tokenizer's comes last.
    pub fn external_files(&self) -> Result<Vec<ExternalFile>> {
        self.external_paths()?.into_iter().map(ExternalFile::read).collect()
    }

    /// The paths of [`DataConfig::external_files`].
    ///
    /// # Errors
    /// A folder of texts cannot be listed.
    pub fn external_paths(&self) -> Result<Vec<PathBuf>> {
        let with = |mut paths: Vec<PathBuf>, tokenizer: Option<PathBuf>| {
            paths.extend(tokenizer);
            paths
        };
        Ok(match self {
            DataConfig::BioS(config) => with(config.pools.files(), config.tokenizer.file()),
            DataConfig::BioR(config) => with(config.files(), config.tokenizer.file()),
            DataConfig::BioD(_) | DataConfig::Reading(_) | DataConfig::Corpus(_) => Vec::new(),
            DataConfig::Text(config) => with(config.files()?, config.tokenizer.file()),
            DataConfig::Mixture(config) => {
                let mut paths = Vec::new();
                for source in config.sources.values() {
                    paths.extend(source.data.external_paths()?);
                }
                paths.sort();
                paths
            }
        })
    }
}

impl ExternalFile {
    fn read(path: PathBuf) -> Result<Self> {
        let content = crate::input::read(&path).map_err(|source| Error::io("read", &path, source))?;
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
