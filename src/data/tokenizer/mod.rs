//! Text to token ids and back: GPT-2's byte pair encoding, one token per word, bytes, or a file of somebody else's.
//!
//! A *closed* vocabulary holds only the tokens of the texts that a dataset can print, because the published
//! counts of parameters hold only those rows of the embedding. Every vocabulary has an end-of-text token,
//! which opens each document.

#[cfg(not(feature = "tokenizers"))]
mod absent;
mod json;
#[cfg(feature = "tokenizers")]
mod published;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
#[cfg(not(feature = "tokenizers"))]
use absent as published;
pub use published::FileVocabulary;
use published::Gpt2;
use words::Words;

/// How the end of a text is spelt.
pub(crate) const END_OF_TEXT: &str = "<|endoftext|>";

/// How text becomes tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerConfig {
    /// GPT-2's byte pair encoding (50,257 tokens, or those that occur).
    #[default]
    Gpt2,
    /// The same with every digit a token of its own, as in Llama's tokenizer.
    Gpt2Digits,
    /// One token per word, number or run of punctuation, with the space before it.
    Words,
    /// One token per byte.
    Bytes,
    /// The vocabulary of a `tokenizer.json`.
    File(FileConfig),
}

/// A `tokenizer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileConfig {
    /// The file.
    pub path: PathBuf,
    /// The token that opens each document; absent: the end of a text, as the file's special tokens spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_text: Option<String>,
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
    Gpt2(Gpt2),
    Words(HashMap<Vec<u8>, u32>),
    Bytes,
    File(FileVocabulary),
}

/// How GPT-2's encoding reads numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// As any other text.
    Whole,
    /// Digit by digit.
    Digits,
}

impl TokenizerConfig {
    /// The tokenizer whose vocabulary is end-of-text (id 0) and the tokens of `texts`; bytes always keep all
    /// 256.
    ///
    /// # Errors
    /// A file cannot be read, is no tokenizer, or cannot read the texts piece by piece.
    pub fn closed<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<Tokenizer> {
        Ok(match self {
            TokenizerConfig::Gpt2 => Tokenizer::of_gpt2(Gpt2::closed(texts, Numbers::Whole)?),
            TokenizerConfig::Gpt2Digits => Tokenizer::of_gpt2(Gpt2::closed(texts, Numbers::Digits)?),
            TokenizerConfig::Words => Tokenizer::words(texts),
            TokenizerConfig::Bytes => Tokenizer::bytes(),
            TokenizerConfig::File(config) => Tokenizer::of_file(FileVocabulary::closed(config, texts)?),
        })
    }

    /// The tokenizer for any text; words have no such vocabulary and take that of `texts`.
    ///
    /// # Errors
    /// A file cannot be read or is no tokenizer.
    pub fn open<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<Tokenizer> {
        Ok(match self {
            TokenizerConfig::Gpt2 => Tokenizer::of_gpt2(Gpt2::open(Numbers::Whole)?),
            TokenizerConfig::Gpt2Digits => Tokenizer::of_gpt2(Gpt2::open(Numbers::Digits)?),
            TokenizerConfig::Words => Tokenizer::words(texts),
            TokenizerConfig::Bytes => Tokenizer::bytes(),
            TokenizerConfig::File(config) => Tokenizer::of_file(FileVocabulary::open(config)?),
        })
    }

    /// Whether it is compiled in, and its file, if it has one, is there.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            TokenizerConfig::File(config) => published::check().and_then(|()| config.check()),
            TokenizerConfig::Gpt2 | TokenizerConfig::Gpt2Digits => published::check(),
            TokenizerConfig::Words | TokenizerConfig::Bytes => Ok(()),
        }
    }

    /// Its file, if it has one.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match self {
            TokenizerConfig::File(config) => Some(config.path.clone()),
            TokenizerConfig::Gpt2
            | TokenizerConfig::Gpt2Digits
            | TokenizerConfig::Words
            | TokenizerConfig::Bytes => None,
        }
    }
}

impl FileConfig {
    fn check(&self) -> Result<()> {
        match self.path.is_file() {
            true => Ok(()),
            false => {
                let problem = Problem::new(format!("no file {:?}", self.path.display().to_string()));
                Err(Error::config(problem.key("data.tokenizer.path").expected("a tokenizer.json")))
            }
        }
    }
}

impl Tokenizer {
    fn of_gpt2(gpt2: Gpt2) -> Self {
        let (spelling, end_of_text) = (gpt2.spellings(), gpt2.end_of_text());
        Tokenizer { ids: Ids::Gpt2(gpt2), spelling, end_of_text }
    }

    fn of_file(file: FileVocabulary) -> Self {
        let (spelling, end_of_text) = (file.spellings(), file.end_of_text());
        Tokenizer { ids: Ids::File(file), spelling, end_of_text }
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
            Ids::Gpt2(gpt2) => gpt2.encode(text),
            Ids::Words(ids) => Words(text)
                .map(|word| ids.get(word.as_bytes()).copied().ok_or_else(|| unknown(word.as_bytes())))
                .collect(),
            Ids::Bytes => Ok(text.bytes().map(|byte| u32::from(byte) + 1).collect()),
            Ids::File(file) => file.encode(text),
        }
    }

    /// The tokens of a text that goes on where another ends, at a place where all our own tokenizers cut.
    pub(super) fn encode_piece(&self, text: &str) -> Result<Vec<u32>> {
        match &self.ids {
            Ids::File(file) => file.encode_piece(text),
            Ids::Gpt2(_) | Ids::Words(_) | Ids::Bytes => self.encode(text),
        }
    }

    /// The text of `tokens`; bytes that are no UTF-8 and ids beyond the vocabulary show as U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        if let Ids::File(file) = &self.ids {
            return file.decode(tokens);
        }
        let spelled = tokens
            .iter()
            .map(|&id| self.spelling.get(id as usize).map_or("\u{fffd}".as_bytes(), Vec::as_slice));
        String::from_utf8_lossy(&spelled.collect::<Vec<_>>().concat()).into_owned()
    }
}

fn unknown(token: &[u8]) -> Error {
    let token = String::from_utf8_lossy(token);
    Error::data(
        Problem::new(format!("token {token:?} is not in the vocabulary"))
            .expected("words that the dataset can print"),
    )
}

#[cfg(all(test, feature = "tokenizers"))]
mod tests {
    use super::*;

    const TEXT: &str = "Ada Lovelace was born on December 10, 1815.\n\n  It isn't the naïve end: 3x, \"ok\".";

    #[test]
    fn every_tokenizer_gives_the_text_back() {
        use TokenizerConfig::*;
        for config in [Gpt2, Gpt2Digits, Words, Bytes] {
            for tokenizer in [config.closed([TEXT]).unwrap(), config.open([TEXT]).unwrap()] {
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
        let tokenizer = TokenizerConfig::Gpt2.open([]).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (50257, 50256));
        assert_eq!(tokenizer.encode("Hello world").unwrap(), [15496, 995]);
    }

    #[test]
    fn a_closed_vocabulary_holds_only_what_occurs_and_names_what_it_lacks() {
        let tokenizer = TokenizerConfig::Gpt2.closed([" red", " blue"]).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (3, 0));
        let error = tokenizer.encode(" green").unwrap_err().to_string();
        assert_eq!(
            error,
            "token \" green\" is not in the vocabulary, expected words that the dataset can print"
        );
    }

    #[test]
    fn digits_are_tokens_of_their_own_and_the_rest_is_gpt2() {
        let (whole, digits) =
            (TokenizerConfig::Gpt2.open([]).unwrap(), TokenizerConfig::Gpt2Digits.open([]).unwrap());
        let spelt = |tokenizer: &Tokenizer, text: &str| -> Vec<String> {
            tokenizer.encode(text).unwrap().iter().map(|token| tokenizer.decode(&[*token])).collect()
        };
        assert_eq!(spelt(&digits, "in 1815, x2"), ["in", " ", "1", "8", "1", "5", ",", " x", "2"]);
        assert_eq!(spelt(&whole, "in 1815, x2"), ["in", " 18", "15", ",", " x", "2"]);
        assert_eq!(digits.encode("no numbers here").unwrap(), whole.encode("no numbers here").unwrap());
    }

    /// A file with a mark before the first word, as those of Llama have it.
    const MARKED: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"</s>",
        "single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":null,
        "pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},
        "post_processor":null,"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},
        "model":{"type":"WordLevel","vocab":{"</s>":0,"▁a":1,"▁red":2,"▁1":3,"▁blue":9,"a":4,"red":5},"unk_token":"?"}}"#;

    #[test]
    fn a_file_is_read_whole_or_closed_and_piece_by_piece() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, MARKED).unwrap();
        let config = |end_of_text: Option<&str>| {
            let end_of_text = end_of_text.map(str::to_string);
            TokenizerConfig::File(FileConfig { path: path.clone(), end_of_text })
        };
        let open = config(None).open([]).unwrap();
        assert_eq!((open.vocab_size(), open.end_of_text()), (10, 0));
        assert_eq!(open.encode("red blue").unwrap(), [2, 9]);
        assert_eq!(open.encode_piece(" red").unwrap(), [2], "no mark of its own");
        assert_eq!(open.decode(&[2, 9]), "red blue");
        let closed = config(Some("▁1")).closed([" blue", " a"]).unwrap();
        assert_eq!((closed.vocab_size(), closed.end_of_text()), (3, 0));
        assert_eq!(closed.encode_piece(" blue a").unwrap(), [2, 1]);
        assert!(closed.encode(" red").unwrap_err().to_string().contains("▁red"));
        let message = config(Some("<x>")).open([]).unwrap_err().to_string();
        assert!(message.contains("has no token \"<x>\""), "{message}");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(config(None).open([]).unwrap_err().exit_code(), 65);
        std::fs::remove_file(&path).unwrap();
        assert!(config(None).check().unwrap_err().to_string().starts_with("data.tokenizer.path: no file"));
    }
}
