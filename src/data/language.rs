//! What a trained model says and hears: text to tokens and back, without the data that it was trained on.

use serde_json::Value as Json;

use super::biod::{self, BioDConfig};
use super::mixture::{self, Joint};
use super::reading::{self, ReadingConfig};
use super::tokenizer::{FileVocabulary, Tokenizer};
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
    /// Text, through the `tokenizer.json` of an imported model.
    File(FileVocabulary),
}

impl Language {
    /// The tokens of a document that begins with `text`.
    ///
    /// # Errors
    /// A word that is not in the vocabulary.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        if let Language::File(file) = self {
            return file.prompt(text);
        }
        let mut tokens = Vec::from_iter(self.end_of_text());
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
            Language::File(file) => file.encode(text),
        }
    }

    /// How each token is spelled.
    pub(super) fn spellings(&self) -> Vec<Vec<u8>> {
        match self {
            Language::Text(tokenizer) => tokenizer.spellings().to_vec(),
            Language::Symbols(config) => config.spellings(),
            Language::Strangers(config) => config.spellings(),
            Language::Joint(joint) => joint.spellings().to_vec(),
            Language::File(file) => file.spellings(),
        }
    }

    /// What `tokens` read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Language::Text(tokenizer) => tokenizer.decode(tokens),
            Language::Symbols(config) => config.decode(tokens),
            Language::Strangers(config) => config.decode(tokens),
            Language::Joint(joint) => joint.decode(tokens),
            Language::File(file) => file.decode(tokens),
        }
    }

    /// The token that opens a document, and so ends the one before it, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        match self {
            Language::Text(tokenizer) => Some(tokenizer.end_of_text()),
            Language::Symbols(_) => Some(biod::END_OF_TEXT),
            Language::Strangers(_) => Some(reading::END_OF_TEXT),
            Language::Joint(_) => Some(mixture::END_OF_TEXT),
            Language::File(file) => file.has_end_of_text().then(|| file.end_of_text()),
        }
    }

    /// The vocabulary as `tokenizer.json`, where it has that form.
    pub fn tokenizer_json(&self) -> Option<Json> {
        match self {
            Language::Text(tokenizer) => tokenizer.to_json(),
            Language::Symbols(_) | Language::Strangers(_) | Language::Joint(_) => None,
            Language::File(file) => file.to_json(),
        }
    }
}
