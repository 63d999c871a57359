//! The two numbers that a plan must know of its data, remembered per config: tokenizing all pools of words takes a
//! tenth of a second, and an ablation asks for every arm.

use std::collections::HashMap;
use std::sync::Mutex;

use super::writer;
use crate::Result;
use crate::data::DataConfig;

/// How large the data is for the model and for the schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DataSize {
    /// The size of the vocabulary.
    pub vocab_size: usize,
    /// Expected tokens in which each document appears once.
    pub tokens_per_exposure: f64,
    /// The people whose facts are counted, if there are any.
    pub facts: Option<Facts>,
}

/// The people whose facts are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Facts {
    /// The number of people.
    pub people: u64,
    /// The expected tokens of one biography.
    pub tokens_per_document: f64,
}

impl DataSize {
    /// The size of `data`, read once per process.
    ///
    /// # Errors
    /// If the context length is too short for what is measured, or a file cannot be read.
    pub fn of(data: &DataConfig) -> Result<Self> {
        static KNOWN: Mutex<Option<HashMap<String, DataSize>>> = Mutex::new(None);
        let key = writer::inline(&writer::write(data));
        let known = |size: Option<DataSize>| {
            let mut sizes = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let sizes = sizes.get_or_insert_default();
            match size {
                Some(size) => sizes.insert(key.clone(), size).or(Some(size)),
                None => sizes.get(&key).copied(),
            }
        };
        if let Some(size) = known(None) {
            return Ok(size);
        }
        data.verify()?;
        data.verify_rows()?;
        let facts = data.studied().map(|studied| {
            let (people, tokens_per_document) =
                (studied.documents_per_exposure()?, studied.tokens_per_document()?);
            Ok(Facts { people, tokens_per_document })
        });
        let (vocab_size, tokens_per_exposure) = (data.vocab_size()?, data.tokens_per_exposure()?);
        let size = DataSize { vocab_size, tokens_per_exposure, facts: facts.transpose()? };
        known(Some(size));
        Ok(size)
    }
}
