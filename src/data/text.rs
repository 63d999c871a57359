//! Plain text: a folder of the user's files, packed end to end, with the end of each file held out.
//!
//! Files are read in the order of their paths. Each epoch cuts the training part at another offset and takes
//! the windows in another order, both pure functions of the seed; the held-out part is read once, in order.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::held_out::HeldOut;
use super::opening::Opening;
use super::permutation::Permutation;
use super::random::Streams;
use super::tokenizer::{Tokenizer, TokenizerConfig};
use super::{Batch, MAX_SEQ_LEN, check_range, out_of_range};
use crate::error::{Error, Problem, Result};
use crate::input::read_text;

/// A folder of text files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// The folder; its subfolders are read too, hidden files are not.
    pub path: PathBuf,
    /// How text becomes tokens.
    pub tokenizer: TokenizerConfig,
    /// Positions in a row of a batch.
    pub seq_len: usize,
    /// The share of each file's tokens, at its end, that is kept from training.
    pub held_out: f64,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig { path: PathBuf::new(), tokenizer: TokenizerConfig::Gpt2, seq_len: 512, held_out: 0.05 }
    }
}

impl TextConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("seq_len", self.seq_len as u64, 1..=MAX_SEQ_LEN)?;
        if !(0.0..1.0).contains(&self.held_out) {
            return Err(out_of_range("held_out", self.held_out, "a share from 0 to below 1"));
        }
        if !self.path.is_dir() {
            let found = format!("no folder {:?}", self.path.display().to_string());
            return Err(Error::config(
                Problem::new(found).key("data.path").expected("a folder of text files"),
            ));
        }
        self.tokenizer.check()
    }

    /// The files, sorted by path.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        self.check()?;
        let mut files = Vec::new();
        collect_files(&self.path, &mut files)?;
        files.sort();
        if files.is_empty() {
            let found = format!("no files in {}", self.path.display());
            return Err(Error::data(Problem::new(found).key("data.path").help("put text files there")));
        }
        Ok(files)
    }

    pub(super) fn vocab_size(&self) -> Result<usize> {
        Ok(self.tokenizer()?.vocab_size())
    }

    /// The tokenizer; one of words has those of the files.
    pub(super) fn tokenizer(&self) -> Result<Tokenizer> {
        match self.tokenizer {
            TokenizerConfig::Gpt2
            | TokenizerConfig::Gpt2Digits
            | TokenizerConfig::Bytes
            | TokenizerConfig::File(_) => self.tokenizer.open([]),
            TokenizerConfig::Words => Ok(self.read()?.tokenizer),
        }
    }

    /// Reads everything, to be counted.
    pub(super) fn read(&self) -> Result<Text> {
        self.open(&Opening::alone(0, 1, self.seq_len))
    }

    pub(super) fn open(&self, opening: &Opening) -> Result<Text> {
        let &Opening { seed, seq_len, .. } = opening;
        let texts = self.files()?.iter().map(read_text).collect::<Result<Vec<_>>>()?;
        let tokenizer = self.tokenizer.open(texts.iter().map(String::as_str))?;
        let marker = opening.marker_token(tokenizer.vocab_size());
        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for text in &texts {
            let tokens = tokenizer.encode(text)?;
            let (head, tail) = tokens.split_at(tokens.len() - (tokens.len() as f64 * self.held_out) as usize);
            for (part, tokens) in [(&mut training, head), (&mut held_out, tail)] {
                if !tokens.is_empty() {
                    part.push(tokenizer.end_of_text());
                    part.extend(marker);
                    part.extend_from_slice(tokens);
                }
            }
        }
        if training.len() <= seq_len {
            let found = format!("{} has {} tokens to train on", self.path.display(), training.len());
            let problem =
                Problem::new(found).key("data.path").expected(format!("more than seq_len = {seq_len}"));
            return Err(Error::data(problem.help("add text, or lower data.seq_len or data.held_out")));
        }
        let windows = (training.len() - 1) as u64 / seq_len as u64;
        Ok(Text {
            order: Permutation::new(windows, &mut Streams::new(seed, "text order").at(0)),
            offsets: Streams::new(seed, "text offsets"),
            seq_len,
            n_files: texts.len(),
            windows,
            held_out: HeldOut { tokens: held_out, seq_len, end_of_text: tokenizer.end_of_text() },
            tokenizer,
            training,
        })
    }
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |source| Error::io("read", folder, source);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a folder is not followed: it could lead in a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            collect_files(&path, files)?;
        } else if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(())
}

/// Files, read and tokenised.
#[derive(Debug)]
pub(super) struct Text {
    tokenizer: Tokenizer,
    training: Vec<u32>,
    held_out: HeldOut,
    n_files: usize,
    seq_len: usize,
    windows: u64,
    order: Permutation,
    offsets: Streams,
}

impl Text {
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Mean tokens of a file's training part.
    pub fn tokens_per_document(&self) -> f64 {
        self.training.len() as f64 / self.n_files as f64
    }

    /// Tokens to train on and tokens held out.
    pub fn n_tokens(&self) -> [u64; 2] {
        [self.training.len() as u64, self.held_out.tokens.len() as u64]
    }

    /// The first tokens of the training part.
    pub fn opening(&self, n: usize) -> &[u32] {
        &self.training[..n.min(self.training.len())]
    }

    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let mut batch = Batch::with_capacity(count, self.seq_len);
        for window in first..first + count as u64 {
            let (epoch, index) = (window / self.windows, window % self.windows);
            let slack = self.training.len() as u64 - self.windows * self.seq_len as u64;
            let offset = self.offsets.at(epoch).below(slack);
            let start = (offset + self.order.apply(index, epoch) * self.seq_len as u64) as usize;
            batch.push_row(&self.training[start..=start + self.seq_len], 0);
        }
        batch
    }

    pub fn held_out(&self) -> &HeldOut {
        &self.held_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn config(folder: &tempfile::TempDir) -> TextConfig {
        TextConfig {
            path: folder.path().into(),
            tokenizer: TokenizerConfig::Bytes,
            seq_len: 3,
            held_out: 0.25,
        }
    }

    #[test]
    fn files_are_sorted_and_their_ends_are_held_out() {
        let folder = folder(&[("b.txt", b"ijklmnop"), ("a/x.txt", b"abcdefgh"), (".hidden", b"no")]);
        let text = config(&folder).read().unwrap();
        let read = |tokens: &[u32]| text.tokenizer.decode(tokens).replace("<|endoftext|>", "|");
        assert_eq!(
            (read(&text.training), read(&text.held_out.tokens)),
            ("|abcdef|ijklmn".into(), "|gh|op".into())
        );
        assert_eq!((text.tokens_per_document(), config(&folder).vocab_size().unwrap()), (7.0, 257));
    }

    #[test]
    fn every_epoch_takes_every_window_once_in_its_own_order() {
        let folder = folder(&[("a", (b'A'..b'z').collect::<Vec<_>>().as_slice())]);
        let text = config(&folder).open(&Opening::alone(4, 1, 3)).unwrap();
        let starts = |epoch: u64| -> Vec<i32> {
            let first = |w| text.rows(epoch * text.windows + w, 1).tokens[0];
            // End-of-text stands where the token before that of 'A' would.
            (0..text.windows).map(|w| first(w).max(i32::from(b'A'))).collect()
        };
        let (first, second) = (starts(0), starts(1));
        assert_ne!(first, second);
        for mut starts in [first, second] {
            starts.sort_unstable();
            assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 3), "{starts:?}");
            assert_eq!(starts.len() as u64, text.windows);
        }
    }

    #[test]
    fn held_out_batches_score_every_token_once() {
        let folder = folder(&[("a", &[b'x'; 44])]);
        let text = TextConfig { held_out: 0.5, ..config(&folder) }.read().unwrap();
        let batches: Vec<Batch> = (0..).map_while(|i| text.held_out.batch(i, 2)).collect();
        assert_eq!(text.held_out.tokens.len(), 23);
        assert_eq!(batches.iter().map(|b| b.rows).collect::<Vec<_>>(), [2, 2, 2, 2]);
        assert_eq!(batches.iter().flat_map(|b| &b.weights).sum::<f32>(), 22.0);
        assert_eq!(batches[3].weights, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(batches[3].targets[4..], [0, 0]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let nothing = TextConfig { path: "/nowhere".into(), ..TextConfig::default() };
        let message = nothing.check().unwrap_err().to_string();
        assert_eq!(message, "data.path: no folder \"/nowhere\", expected a folder of text files");
        let empty = folder(&[]);
        assert!(config(&empty).read().unwrap_err().to_string().starts_with("data.path: no files in "));
        let short = folder(&[("a", b"ab"), ("b", b"")]);
        let message = config(&short).read().unwrap_err().to_string();
        assert!(message.contains("has 3 tokens to train on, expected more than seq_len = 3"), "{message}");
        let binary = folder(&[("a", b"ok\n\xff\xfe")]);
        let error = config(&binary).read().unwrap_err();
        assert!(error.to_string().contains("a: line 2: bytes that are not UTF-8"), "{error}");
        assert_eq!(error.exit_code(), 65);
        let wrong = TextConfig { held_out: 1.0, ..config(&short) };
        assert_eq!(
            wrong.check().unwrap_err().to_string(),
            "data.held_out: 1, expected a share from 0 to below 1"
        );
    }
}
