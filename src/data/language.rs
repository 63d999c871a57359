//! What a trained model says and hears: text to tokens and back, without the data that it was trained on.

use super::biod::{self, BioDConfig};
use super::mixture::{self, Joint};
use super::reading::{self, ReadingConfig};
use super::tokenizer::Tokenizer;
use crate::error::Result;

/// How tokens are read and written.
#[derive(Debug, Clone)]
pub enum Language {
    /// Text, through a tokenizer.
    Text(Tokenizer),
    /// Symbols of bio-d, as words between spaces.
    Symbols(BioDConfig),
    /// Symbols of reading, as words between spaces.
    Strangers(ReadingConfig),
    /// The languages of all sources of a mixture, with one vocabulary.
    Joint(Box<Joint>),
}

impl Language {
    /// The tokens of a document that begins with `text`.
    ///
    /// # Errors
    /// A word that is not in the vocabulary.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = vec![self.end_of_text()];
        tokens.extend(self.encode(text)?);
        Ok(tokens)
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// A word that is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Language::Text(tokenizer) => tokenizer.encode(text),
            Language::Strangers(config) => config.encode(text),
            Language::Symbols(config) => config.encode(text),
            Language::Joint(joint) => joint.encode(text),
        }
    }

    /// How each token is spelled.
    pub(super) fn spellings(&self) -> Vec<Vec<u8>> {
        match self {
            Language::Text(tokenizer) => tokenizer.spellings().to_vec(),
            Language::Symbols(config) => config.spellings(),
            Language::Strangers(config) => config.spellings(),
            Language::Joint(joint) => joint.spellings().to_vec(),
        }
    }

    /// What `tokens` read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Language::Text(tokenizer) => tokenizer.decode(tokens),
            Language::Symbols(config) => config.decode(tokens),
            Language::Strangers(config) => config.decode(tokens),
            Language::Joint(joint) => joint.decode(tokens),
        }
    }

    /// The token that opens a document, and so ends the one before it.
    pub fn end_of_text(&self) -> u32 {
        match self {
            Language::Text(tokenizer) => tokenizer.end_of_text(),
            Language::Symbols(_) => biod::END_OF_TEXT,
            Language::Strangers(_) => reading::END_OF_TEXT,
            Language::Joint(_) => mixture::END_OF_TEXT,
        }
    }
}
