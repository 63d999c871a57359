//! One document, and where its facts stand in it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One document and where its facts stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Token ids, the first of them end-of-text.
    pub tokens: Vec<u32>,
    /// The facts in the order of the text, each once.
    pub spans: Vec<Span>,
}

/// Where a fact stands in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which fact.
    pub fact: Fact,
    /// The positions of all its tokens.
    pub range: Range<usize>,
    /// The positions of its first chunk, whose loss measures the diversity term; all of `range` without
    /// chunks.
    pub first_chunk: Range<usize>,
}

/// A fact about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The full name, once at the beginning.
    Name,
    /// The value of an attribute, by its index in
    /// [`Information::attributes`](super::Information::attributes).
    Value(usize),
}

/// The texts in which knowledge is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Texts {
    /// In the format of training, but no fact stands after another that tells it.
    #[default]
    Unprompted,
    /// As in training, where for instance a working city that stands first tells most of the employer.
    AsTrained,
}

impl Span {
    /// The same fact so many tokens further on.
    pub fn shifted(&self, by: usize) -> Self {
        let shift = |range: &Range<usize>| range.start + by..range.end + by;
        Span { fact: self.fact, range: shift(&self.range), first_chunk: shift(&self.first_chunk) }
    }

    /// A fact without chunks.
    pub(super) fn whole(fact: Fact, range: Range<usize>) -> Self {
        Span { fact, first_chunk: range.clone(), range }
    }
}
