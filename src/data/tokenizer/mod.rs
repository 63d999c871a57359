//! Text to token ids and back: GPT-2's byte pair encoding, one token per word, or bytes.
//!
//! A *closed* vocabulary holds only the tokens of the texts that a dataset can print, because the published
//! counts of parameters hold only those rows of the embedding. Every vocabulary has an end-of-text token,
//! which opens each document.

mod words;

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tiktoken_rs::{CoreBPE, r50k_base_singleton};

use crate::error::{Error, Problem, Result};
use words::Words;

/// How the end of a text is spelt.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";

/// How text becomes tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerConfig {
    /// GPT-2's byte pair encoding (50,257 tokens, or those that occur).
    #[default]
    Gpt2,
    /// One token per word, number or run of punctuation, with the space before it.
    Words,
    /// One token per byte.
    Bytes,
}

/// A vocabulary and the way into it.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    ids: Ids,
    spelling: Vec<Vec<u8>>,
    end_of_text: u32,
}

#[derive(Debug, Clone)]
enum Ids {
    /// From GPT-2's id to ours; `None` for tokens outside a closed vocabulary.
    Gpt2(Vec<Option<u32>>),
    Words(HashMap<Vec<u8>, u32>),
    Bytes,
}

impl TokenizerConfig {
    /// The tokenizer whose vocabulary is end-of-text (id 0) and the tokens of `texts`; bytes always keep all
    /// 256.
    pub fn closed<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Tokenizer {
        match self {
            TokenizerConfig::Gpt2 => Tokenizer::gpt2_cut(texts),
            TokenizerConfig::Words => Tokenizer::words(texts),
            TokenizerConfig::Bytes => Tokenizer::bytes(),
        }
    }

    /// The tokenizer for any text; words have no such vocabulary and take that of `texts`.
    pub fn open<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Tokenizer {
        match self {
            TokenizerConfig::Gpt2 => Tokenizer::gpt2(),
            TokenizerConfig::Words => Tokenizer::words(texts),
            TokenizerConfig::Bytes => Tokenizer::bytes(),
        }
    }
}

impl Tokenizer {
    fn gpt2() -> Self {
        let bpe = r50k_base_singleton();
        let end_of_text = gpt2_end_of_text(bpe);
        let spelling = (0..=end_of_text).map(|id| gpt2_spelling(bpe, id)).collect();
        Tokenizer { ids: Ids::Gpt2((0..end_of_text).map(Some).collect()), spelling, end_of_text }
    }

    fn gpt2_cut<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let bpe = r50k_base_singleton();
        let used: BTreeSet<u32> = texts.into_iter().flat_map(|text| bpe.encode_ordinary(text)).collect();
        let mut ids = vec![None; gpt2_end_of_text(bpe) as usize];
        let mut spelling = vec![END_OF_TEXT.into()];
        for id in used {
            ids[id as usize] = Some(spelling.len() as u32);
            spelling.push(gpt2_spelling(bpe, id));
        }
        Tokenizer { ids: Ids::Gpt2(ids), spelling, end_of_text: 0 }
    }

    fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let used: BTreeSet<&str> = texts.into_iter().flat_map(Words).collect();
        let spelling: Vec<Vec<u8>> = std::iter::once(END_OF_TEXT).chain(used).map(Vec::from).collect();
        let ids = spelling.iter().cloned().zip(0..).skip(1).collect();
        Tokenizer { ids: Ids::Words(ids), spelling, end_of_text: 0 }
    }

    fn bytes() -> Self {
        let spelling = std::iter::once(END_OF_TEXT.into()).chain((0..=255).map(|byte| vec![byte])).collect();
        Tokenizer { ids: Ids::Bytes, spelling, end_of_text: 0 }
    }

    /// How many tokens there are, end-of-text included.
    pub fn vocab_size(&self) -> usize {
        self.spelling.len()
    }

    /// How each token is spelled.
    pub(super) fn spellings(&self) -> &[Vec<u8>] {
        &self.spelling
    }

    /// The token that opens every document.
    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// The tokens of `text`; an error if the vocabulary is closed and lacks one of them.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &self.ids {
            Ids::Gpt2(ids) => {
                let bpe = r50k_base_singleton();
                let found = bpe.encode_ordinary(text).into_iter();
                found.map(|id| ids[id as usize].ok_or_else(|| unknown(&gpt2_spelling(bpe, id)))).collect()
            }
            Ids::Words(ids) => Words(text)
                .map(|word| ids.get(word.as_bytes()).copied().ok_or_else(|| unknown(word.as_bytes())))
                .collect(),
            Ids::Bytes => Ok(text.bytes().map(|byte| u32::from(byte) + 1).collect()),
        }
    }

    /// The text of `tokens`; bytes that are no UTF-8 and ids beyond the vocabulary show as U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let spelled = tokens
            .iter()
            .map(|&id| self.spelling.get(id as usize).map_or("\u{fffd}".as_bytes(), Vec::as_slice));
        String::from_utf8_lossy(&spelled.collect::<Vec<_>>().concat()).into_owned()
    }
}

fn gpt2_end_of_text(bpe: &CoreBPE) -> u32 {
    bpe.encode_with_special_tokens(END_OF_TEXT)[0]
}

fn gpt2_spelling(bpe: &CoreBPE, id: u32) -> Vec<u8> {
    bpe.decode_bytes(&[id]).expect("every id up to end-of-text has a spelling")
}

fn unknown(token: &[u8]) -> Error {
    let token = String::from_utf8_lossy(token);
    Error::data(
        Problem::new(format!("token {token:?} is not in the vocabulary"))
            .expected("words that the dataset can print"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Ada Lovelace was born on December 10, 1815.\n\n  It isn't the naïve end: 3x, \"ok\".";

    #[test]
    fn every_tokenizer_gives_the_text_back() {
        use TokenizerConfig::*;
        for config in [Gpt2, Words, Bytes] {
            for tokenizer in [config.closed([TEXT]), config.open([TEXT])] {
                let tokens = tokenizer.encode(TEXT).unwrap();
                assert_eq!(tokenizer.decode(&tokens), TEXT);
                assert!(
                    tokens
                        .iter()
                        .all(|&t| (t as usize) < tokenizer.vocab_size() && t != tokenizer.end_of_text())
                );
            }
        }
    }

    #[test]
    fn gpt2_ids_are_the_published_ones() {
        let tokenizer = TokenizerConfig::Gpt2.open([]);
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (50257, 50256));
        assert_eq!(tokenizer.encode("Hello world").unwrap(), [15496, 995]);
    }

    #[test]
    fn a_closed_vocabulary_holds_only_what_occurs_and_names_what_it_lacks() {
        let tokenizer = TokenizerConfig::Gpt2.closed([" red", " blue"]);
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (3, 0));
        let error = tokenizer.encode(" green").unwrap_err().to_string();
        assert_eq!(
            error,
            "token \" green\" is not in the vocabulary, expected words that the dataset can print"
        );
    }
}
