//! Vocabularies that others published: GPT-2's, and any `tokenizer.json`. `absent.rs` stands for them without the feature.

mod bounds;
mod file;
mod gpt2;

use crate::error::Result;
pub use file::FileVocabulary;
pub(super) use gpt2::Gpt2;

/// Whether these vocabularies are compiled in.
pub(super) fn check() -> Result<()> {
    Ok(())
}
