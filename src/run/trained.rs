//! A trained model, ready to speak: from the folder of a finished run.

use burn::tensor::Device;

use super::folder::{MODEL, Run};
use crate::data::Language;
use crate::error::Result;
use crate::model::{Blueprint, Decoder, weights};

/// A trained model and what it speaks.
#[derive(Debug)]
pub struct Trained {
    /// How it is built.
    pub blueprint: Blueprint,
    /// The model.
    pub model: Decoder,
    /// How its tokens are read and written.
    pub language: Language,
}

impl Trained {
    /// The model of a finished run.
    ///
    /// # Errors
    /// The run is not finished or damaged, or its data cannot be read.
    pub fn of_run(run: &Run, device: &Device) -> Result<Self> {
        run.verify()?;
        let plan = run.plan()?;
        let (vocab_size, seq_len) = (plan.data.vocab_size()?, plan.data.seq_len());
        let blueprint = Blueprint { model: plan.model, vocab_size, seq_len };
        let path = run.file(MODEL);
        let model = blueprint.build(weights::read(&path)?.0, &path.display().to_string(), device)?;
        Ok(Trained { blueprint, model, language: plan.data.language()? })
    }
}
