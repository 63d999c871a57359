//! A vocabulary of somebody else's: any `tokenizer.json` of Hugging Face.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::bounds;
use crate::data::tokenizer::{FileConfig, unknown};
use crate::error::{Error, Problem, Result};
use crate::input;

/// The spellings of end-of-text that are looked for, in this order.
const ENDS_OF_TEXT: [&str; 8] = [
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|im_end|>",
    "<｜end▁of▁sentence｜>",
    "[SEP]",
    "<|end|>",
];
/// Texts that may stand before a piece, so that it is read as the middle of a text.
const BEFORE: [&str; 3] = ["a", "1", "\n"];

/// The file, read, and which of its tokens are kept.
#[derive(Debug, Clone)]
pub struct FileVocabulary {
    tokenizer: Box<tokenizers::Tokenizer>,
    end_of_text: Option<u32>,
    kept: Kept,
}

/// Which tokens of the file there are.
#[derive(Debug, Clone)]
enum Kept {
    /// All, by the file's ids.
    All,
    /// Some: our ids by theirs, and theirs by ours.
    Some { ours: Vec<Option<u32>>, theirs: Vec<u32> },
}

impl FileVocabulary {
    /// The file with all its tokens.
    pub(in crate::data::tokenizer) fn open(config: &FileConfig) -> Result<Self> {
        let vocabulary = FileVocabulary::read(&config.path, config.end_of_text.as_deref())?;
        if vocabulary.end_of_text.is_some() {
            return Ok(vocabulary);
        }
        let (found, expected) = match &config.end_of_text {
            Some(token) => (format!("{} has no token {token:?}", config.path.display()), None),
            None => (
                format!("{} has no end-of-text token", config.path.display()),
                Some(format!("one of {}", ENDS_OF_TEXT.join(" "))),
            ),
        };
        let problem = Problem { expected, ..Problem::new(found) }.key("data.tokenizer.end_of_text");
        Err(Error::data(problem.help("name a token of the file that opens each document")))
    }

    /// The file with end-of-text (id 0) and the tokens of `texts`, each of which goes on where another ends.
    pub(in crate::data::tokenizer) fn closed<'a>(
        config: &FileConfig,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut vocabulary = Self::open(config)?;
        let mut used = BTreeSet::new();
        for text in texts {
            used.extend(vocabulary.piece(text)?);
        }
        let end_of_text = vocabulary.end_of_text();
        used.remove(&end_of_text);
        let theirs: Vec<u32> = std::iter::once(end_of_text).chain(used).collect();
        let mut ours = vec![None; vocabulary.vocab_size()];
        for (id, &token) in theirs.iter().enumerate() {
            ours[token as usize] = Some(id as u32);
        }
        vocabulary.kept = Kept::Some { ours, theirs };
        Ok(vocabulary)
    }

    /// Reads a `tokenizer.json`, of which nothing larger is made than its size and its rules can account for.
    ///
    /// # Errors
    /// It cannot be read, or is none, or what it says to do with a text has no bounds.
    pub fn read(path: &Path, end_of_text: Option<&str>) -> Result<Self> {
        let text = input::read_at_most(path, bounds::MAX_BYTES).map_err(|e| Error::io("read", path, e))?;
        let refuse = |what: String| {
            let problem = Problem::new(format!("{}: {what}", path.display()));
            Error::data(
                problem
                    .expected("a tokenizer.json of Hugging Face")
                    .help("take it from where the model is published"),
            )
        };
        bounds::check(&text).map_err(refuse)?;
        let read = caught(|| tokenizers::Tokenizer::from_bytes(&text));
        let mut tokenizer = read.map_err(refuse)?;
        tokenizer.with_padding(None).with_truncation(None).expect("no truncation is always possible");
        let spelt = end_of_text.map_or(ENDS_OF_TEXT.to_vec(), |token| vec![token]);
        let end_of_text = spelt.iter().find_map(|token| tokenizer.token_to_id(token));
        let (tokens, vocabulary) = (
            tokenizer.get_vocab_size(true),
            FileVocabulary { tokenizer: Box::new(tokenizer), end_of_text, kept: Kept::All },
        );
        match vocabulary.vocab_size().saturating_sub(tokens) {
            0..=bounds::MAX_HOLES => Ok(vocabulary),
            _ => Err(refuse(format!("ids up to {} for {tokens} tokens", vocabulary.vocab_size() - 1))),
        }
    }

    /// How many tokens there are: the highest id and one.
    pub fn vocab_size(&self) -> usize {
        match &self.kept {
            Kept::All => self.tokenizer.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1),
            Kept::Some { theirs, .. } => theirs.len(),
        }
    }

    /// Our id of the token that ends a text; 0 where there is none.
    pub fn end_of_text(&self) -> u32 {
        match &self.kept {
            Kept::All => self.end_of_text.unwrap_or(0),
            Kept::Some { .. } => 0,
        }
    }

    /// Whether the file has a token that ends a text.
    pub fn has_end_of_text(&self) -> bool {
        self.end_of_text.is_some()
    }

    /// The tokens of a whole text with what its makers put around it, by the file's ids.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    /// How the file spells each token; an id without a token has a name that is no token's.
    pub(in crate::data) fn spellings(&self) -> Vec<Vec<u8>> {
        let theirs = |id: u32| match &self.kept {
            Kept::All => id,
            Kept::Some { theirs, .. } => theirs[id as usize],
        };
        let spelt = |id| self.tokenizer.id_to_token(id).unwrap_or_else(|| format!("<no token {id}>"));
        (0..self.vocab_size() as u32).map(|id| spelt(theirs(id)).into_bytes()).collect()
    }

    /// The tokens of a whole text.
    pub(in crate::data) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.keep(self.theirs(text)?)
    }

    /// The tokens of a text that goes on where another ends.
    pub(in crate::data::tokenizer) fn encode_piece(&self, text: &str) -> Result<Vec<u32>> {
        self.keep(self.piece(text)?)
    }

    fn theirs(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    fn ids(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let encoding = caught(|| self.tokenizer.encode(text, whole));
        let encoding =
            encoding.map_err(|e| Error::data(Problem::new(format!("cannot encode {text:?}: {e}"))))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// What `text` adds to a text before it: many files put a mark before the first word, and only there.
    fn piece(&self, text: &str) -> Result<Vec<u32>> {
        for before in BEFORE {
            let (alone, both) = (self.theirs(before)?, self.theirs(&format!("{before}{text}"))?);
            if let Some(piece) = both.strip_prefix(alone.as_slice()) {
                return Ok(piece.to_vec());
            }
        }
        let problem = Problem::new(format!("the tokens of {text:?} depend on what stands before it"));
        Err(Error::data(problem.key("data.tokenizer").help("use this tokenizer with a dataset of kind text")))
    }

    fn keep(&self, tokens: Vec<u32>) -> Result<Vec<u32>> {
        let Kept::Some { ours, .. } = &self.kept else { return Ok(tokens) };
        let spelling = |id: u32| self.tokenizer.id_to_token(id).unwrap_or_default();
        let ours = |id: u32| {
            ours.get(id as usize).copied().flatten().ok_or_else(|| unknown(spelling(id).as_bytes()))
        };
        tokens.into_iter().map(ours).collect()
    }

    /// What tokens read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let theirs = |id: &u32| match &self.kept {
            Kept::All => *id,
            Kept::Some { theirs, .. } => theirs.get(*id as usize).copied().unwrap_or(u32::MAX),
        };
        let theirs: Vec<u32> = tokens.iter().map(theirs).collect();
        caught(|| self.tokenizer.decode(&theirs, false)).unwrap_or_default()
    }

    /// The file itself, unless tokens were left out.
    pub(in crate::data) fn to_json(&self) -> Option<serde_json::Value> {
        match &self.kept {
            Kept::All => serde_json::to_value(&*self.tokenizer).ok(),
            Kept::Some { .. } => None,
        }
    }
}

/// What `work` gives, or what it says against it; tables of others can lead their readers out of bounds.
fn caught<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err("its tables contradict each other".to_string()),
    }
}
