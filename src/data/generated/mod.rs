//! Documents from a small language whose structure is known: text without a download.
//!
//! | language | what a model must find | entropy |
//! |---|---|---|
//! | [`chronicle`] | facts, lists and songs that come back long after they were stated | falls with the context |
//! | [`markov`] | a table of the next symbol given the last one or more | set by hand |
//! | [`brackets`] | which bracket is still open | falls with the depth that is remembered |
//! | [`arithmetic`] | sums, differences and products | the operands alone |
//!
//! Document number `i` is a pure function of seed and `i` and has a fixed length, so that every token of the stream can
//! be found without counting those before it. Held-out documents come from a stream that training never reads.

pub mod arithmetic;
pub mod brackets;
pub mod chronicle;
pub mod markov;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::held_out::HeldOut;
use super::opening::Opening;
use super::random::{Draws, Streams};
use super::stream::ExposureOrder;
use super::tokenizer::{Tokenizer, TokenizerConfig};
use super::{Batch, MAX_SEQ_LEN, check_range};
use crate::error::Result;

pub use arithmetic::ArithmeticConfig;
pub use brackets::BracketsConfig;
pub use chronicle::ChronicleConfig;
pub use markov::MarkovConfig;

/// Documents from a small language, packed end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorpusConfig {
    /// How the documents are made.
    pub language: LanguageConfig,
    /// How many there are; an exposure reads each of them once.
    pub documents: u64,
    /// Tokens of a document, end-of-text included.
    pub length: usize,
    /// Documents that training never reads, for the held-out loss.
    pub held_out: u64,
    /// Positions in a row of a batch.
    pub seq_len: usize,
}

/// How documents are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LanguageConfig {
    /// Chronicles of invented villagers.
    Chronicle(ChronicleConfig),
    /// Symbols that depend on the last one or more.
    Markov(MarkovConfig),
    /// Brackets that close in order.
    Brackets(BracketsConfig),
    /// Equations in digits.
    Arithmetic(ArithmeticConfig),
}

impl Default for LanguageConfig {
    fn default() -> Self {
        LanguageConfig::Chronicle(ChronicleConfig::default())
    }
}

impl Default for CorpusConfig {
    fn default() -> Self {
        CorpusConfig {
            language: LanguageConfig::default(),
            documents: 8192,
            length: 512,
            held_out: 64,
            seq_len: 512,
        }
    }
}

impl CorpusConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("documents", self.documents, 1..=1 << 40)?;
        check_range("length", self.length as u64, 2..=MAX_SEQ_LEN)?;
        check_range("held_out", self.held_out, 0..=1 << 16)?;
        check_range("seq_len", self.seq_len as u64, 1..=MAX_SEQ_LEN)?;
        match &self.language {
            LanguageConfig::Chronicle(config) => config.check(),
            LanguageConfig::Markov(config) => config.check(),
            LanguageConfig::Brackets(config) => config.check(),
            LanguageConfig::Arithmetic(config) => config.check(),
        }
    }

    pub(super) fn tokenizer(&self) -> Tokenizer {
        let text: String = self.language.words().iter().map(|word| format!(" {word}")).collect();
        TokenizerConfig::Words.closed([text.as_str()]).expect("words need no file")
    }

    /// The entropy of a token given all before it, in nats: what a perfect model loses, where it is known.
    pub fn entropy(&self) -> Option<f64> {
        match &self.language {
            LanguageConfig::Chronicle(_) => None,
            LanguageConfig::Markov(config) => Some(config.entropy),
            LanguageConfig::Brackets(config) => Some(config.entropy(self.length - 1)),
            LanguageConfig::Arithmetic(config) => Some(config.entropy()),
        }
    }

    pub(super) fn open(&self, opening: &Opening) -> Result<Corpus> {
        let &Opening { seed, exposures, seq_len, .. } = opening;
        let tokenizer = self.tokenizer();
        let language = Language::new(&self.language, seed);
        let id = |word: &String| Ok(tokenizer.encode(&format!(" {word}"))?[0]);
        let ids = self.language.words().iter().map(id).collect::<Result<Vec<_>>>()?;
        let writer = Writer {
            end_of_text: tokenizer.end_of_text(),
            marker: opening.marker_token(tokenizer.vocab_size()),
            words: self.length - 1,
            language,
            ids,
        };
        let mut tokens = Vec::new();
        let held_out = Streams::new(seed, "corpus held out");
        (0..self.held_out).for_each(|document| writer.write(&mut held_out.at(document), &mut tokens));
        Ok(Corpus {
            order: ExposureOrder::new(seed, self.documents, exposures)?,
            training: Streams::new(seed, "corpus documents"),
            held_out: HeldOut { tokens, seq_len, end_of_text: tokenizer.end_of_text() },
            n_training: self.documents.saturating_mul(self.length as u64),
            seq_len,
            tokenizer,
            writer,
        })
    }
}

impl LanguageConfig {
    /// All words; a document is written as their numbers.
    fn words(&self) -> Vec<String> {
        match self {
            LanguageConfig::Chronicle(_) => chronicle::words(),
            LanguageConfig::Markov(config) => config.words(),
            LanguageConfig::Brackets(config) => config.words(),
            LanguageConfig::Arithmetic(_) => arithmetic::words(),
        }
    }
}

/// A language, ready to write documents.
#[derive(Debug)]
enum Language {
    Chronicle(chronicle::Chronicle),
    Markov(markov::Markov),
    Brackets(BracketsConfig),
    Arithmetic(ArithmeticConfig),
}

impl Language {
    fn new(config: &LanguageConfig, seed: u64) -> Self {
        match config {
            LanguageConfig::Chronicle(config) => Language::Chronicle(chronicle::Chronicle::new(config)),
            LanguageConfig::Markov(config) => Language::Markov(markov::Markov::new(config, seed)),
            LanguageConfig::Brackets(config) => Language::Brackets(config.clone()),
            LanguageConfig::Arithmetic(config) => Language::Arithmetic(config.clone()),
        }
    }

    /// Appends at least `length` words by their numbers.
    fn write(&self, draws: &mut Draws, length: usize, out: &mut Vec<u32>) {
        match self {
            Language::Chronicle(language) => language.write(draws, length, out),
            Language::Markov(language) => language.write(draws, length, out),
            Language::Brackets(language) => language.write(draws, length, out),
            Language::Arithmetic(language) => language.write(draws, length, out),
        }
    }
}

/// Writes documents as tokens.
#[derive(Debug)]
struct Writer {
    language: Language,
    /// Token of each word.
    ids: Vec<u32>,
    end_of_text: u32,
    marker: Option<u32>,
    /// Words in a document.
    words: usize,
}

impl Writer {
    fn write(&self, draws: &mut Draws, out: &mut Vec<u32>) {
        out.push(self.end_of_text);
        out.extend(self.marker);
        let start = out.len();
        self.language.write(draws, self.words, out);
        out.truncate(start + self.words);
        out[start..].iter_mut().for_each(|word| *word = self.ids[*word as usize]);
    }
}

/// A corpus, opened.
#[derive(Debug)]
pub(super) struct Corpus {
    tokenizer: Tokenizer,
    writer: Writer,
    order: ExposureOrder,
    training: Streams,
    held_out: HeldOut,
    n_training: u64,
    seq_len: usize,
}

impl Corpus {
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn held_out(&self) -> &HeldOut {
        &self.held_out
    }

    /// Tokens to train on and tokens held out.
    pub fn n_tokens(&self) -> [u64; 2] {
        [self.n_training, self.held_out.tokens.len() as u64]
    }

    /// Document number `document` of the training part.
    pub fn document(&self, document: u64) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(self.writer.words + 64);
        self.writer.write(&mut self.training.at(document), &mut tokens);
        tokens
    }

    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let length = (self.writer.words + 1 + self.writer.marker.iter().len()) as u64;
        let (n, start) = (count * self.seq_len, first * self.seq_len as u64);
        let (mut place, skip) = (start / length, (start % length) as usize);
        let mut run = Vec::with_capacity(skip + n + 2 * length as usize);
        while run.len() <= skip + n {
            let (document, _) = self.order.pair(place);
            self.writer.write(&mut self.training.at(document), &mut run);
            place += 1;
        }
        Batch::from_run(&run[skip..=skip + n], count, self.seq_len)
    }
}
