//! What stands for published vocabularies without the feature `tokenizers`: there is none.

use std::path::Path;

use serde_json::Value as Json;

use super::json::{Merge, Vocabulary};
use super::{FileConfig, Numbers};
use crate::error::{Error, Problem, Result};

/// GPT-2's, of which there is none.
#[derive(Debug, Clone)]
pub(super) enum Gpt2 {}

/// A `tokenizer.json`, of which none is read without the feature `tokenizers`.
#[derive(Debug, Clone)]
pub enum FileVocabulary {}

/// Whether these vocabularies are compiled in.
pub(super) fn check() -> Result<()> {
    none()
}

fn none<T>() -> Result<T> {
    let problem = Problem::new("GPT-2's tokenizer and files of tokenizers are not compiled in");
    Err(Error::config(
        problem
            .key("data.tokenizer")
            .expected("words or bytes")
            .help("build ablation-zoo with its feature \"tokenizers\""),
    ))
}

impl Gpt2 {
    pub(super) fn open(_: Numbers) -> Result<Self> {
        none()
    }

    pub(super) fn closed<'a>(_: impl IntoIterator<Item = &'a str>, _: Numbers) -> Result<Self> {
        none()
    }

    pub(super) fn spellings(&self) -> Vec<Vec<u8>> {
        match *self {}
    }

    pub(super) fn end_of_text(&self) -> u32 {
        match *self {}
    }

    pub(super) fn encode(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    pub(super) fn numbers(&self) -> Numbers {
        match *self {}
    }

    pub(super) fn merges(&self, _: usize) -> (Vocabulary, Vec<Merge>) {
        match *self {}
    }
}

impl FileVocabulary {
    /// Reads no file.
    ///
    /// # Errors
    /// Always: the feature is absent.
    pub fn read(_: &Path, _: Option<&str>) -> Result<Self> {
        none()
    }

    pub(super) fn open(_: &FileConfig) -> Result<Self> {
        none()
    }

    pub(super) fn closed<'a>(_: &FileConfig, _: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        none()
    }

    /// There is nothing to ask.
    pub fn end_of_text(&self) -> u32 {
        match *self {}
    }

    /// There is nothing to ask.
    pub fn has_end_of_text(&self) -> bool {
        match *self {}
    }

    /// There is nothing to ask.
    pub fn prompt(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    pub(in crate::data) fn spellings(&self) -> Vec<Vec<u8>> {
        match *self {}
    }

    pub(in crate::data) fn encode(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    pub(super) fn encode_piece(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    /// There is nothing to ask.
    pub fn decode(&self, _: &[u32]) -> String {
        match *self {}
    }

    pub(in crate::data) fn to_json(&self) -> Option<Json> {
        match *self {}
    }
}
