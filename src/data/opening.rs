//! How a source is opened: by itself, or as one part of a mixture.

use serde::{Deserialize, Serialize};

/// What stands in front of the documents of a source, after end-of-text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// Nothing: where a document comes from has to be guessed.
    #[default]
    None,
    /// A token of the source's own.
    Token,
}

impl Marker {
    /// Tokens that it adds to a document.
    pub(super) fn len(self) -> usize {
        match self {
            Marker::None => 0,
            Marker::Token => 1,
        }
    }
}

/// Which stream of a source is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub seed: u64,
    /// How often each document comes in a cycle of the stream.
    pub exposures: u64,
    /// Number of the first person among all that the seed can make, so that parts of a mixture share nobody.
    pub first_person: u64,
    pub marker: Marker,
    /// Positions in a row.
    pub seq_len: usize,
}

impl Opening {
    /// Of a source that is a whole dataset.
    pub fn alone(seed: u64, exposures: u64, seq_len: usize) -> Self {
        Opening { seed, exposures, first_person: 0, marker: Marker::None, seq_len }
    }

    /// The marker as the source's own vocabulary of `vocab_size` tokens numbers it: the token after the last.
    pub fn marker_token(&self, vocab_size: usize) -> Option<u32> {
        match self.marker {
            Marker::None => None,
            Marker::Token => Some(vocab_size as u32),
        }
    }
}
