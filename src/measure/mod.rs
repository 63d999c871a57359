//! One file per measurement; what they find is kept in [`Measurements`].

pub mod answers;
pub mod capacity;
pub mod extraction;
pub mod loss;
pub mod primary;
pub mod proxies;
pub mod quantize;
pub mod reading_speed;
pub mod record;
pub mod sequences;
pub mod speed;

pub use answers::{AnswerPoint, Answers, DocumentPoint, QaTestConfig, RelevantPoint};
pub use extraction::{AttributeAnswers, Extraction};
pub use primary::Measure;
pub use quantize::QuantizeConfig;
pub use record::{
    AttributeBits, Capacity, DomainLoss, GivenSource, Loss, MeasureConfig, MeasureContext, Measurements,
    People,
};

/// Rows of a forward pass of a measurement hold about so many tokens together: as many as keep a core busy. More would
/// make measuring, not training, decide how much memory a small model needs.
pub const TOKENS_PER_PASS: usize = 2048;
