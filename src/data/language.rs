//! What a trained model says and hears: text to tokens and back, without the data that it was trained on.

use super::biod::{self, BioDConfig};
use super::tokenizer::Tokenizer;
use crate::error::Result;

/// How tokens are read and written.
#[derive(Debug, Clone)]
pub enum Language {
    /// Text, through a tokenizer.
    Text(Tokenizer),
    /// Symbols of bio-d, as words between spaces.
    Symbols(BioDConfig),
}

impl Language {
    /// The tokens of a document that begins with `text`.
    ///
    /// # Errors
    /// A word that is not in the vocabulary.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = vec![self.end_of_text()];
        tokens.extend(match self {
            Language::Text(tokenizer) => tokenizer.encode(text)?,
            Language::Symbols(config) => config.encode(text)?,
        });
        Ok(tokens)
    }

    /// What `tokens` read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Language::Text(tokenizer) => tokenizer.decode(tokens),
            Language::Symbols(config) => config.decode(tokens),
        }
    }

    /// The token that opens a document, and so ends the one before it.
    pub fn end_of_text(&self) -> u32 {
        match self {
            Language::Text(tokenizer) => tokenizer.end_of_text(),
            Language::Symbols(_) => biod::END_OF_TEXT,
        }
    }
}
