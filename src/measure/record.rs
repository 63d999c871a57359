//! What is measured and how it is kept: the `[measure]` table of a plan, and `measurements.json` of a run.

use serde::{Deserialize, Serialize};

use super::answers::{Answers, QaTestConfig};
use super::extraction::Extraction;
use super::quantize::{QuantizeConfig, Storage};
use crate::data::Texts;

/// How knowledge is measured after training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasureConfig {
    /// Freshly sampled texts of each biography over which losses are averaged.
    pub paraphrases: u64,
    /// Whose biographies.
    pub people: People,
    /// In which texts.
    #[serde(skip_serializing_if = "is_default")]
    pub texts: Texts,
    /// What stands before a biography.
    #[serde(skip_serializing_if = "is_default")]
    pub context: MeasureContext,
    /// Whether weights are rounded first.
    #[serde(skip_serializing_if = "QuantizeConfig::is_none")]
    pub quantize: QuantizeConfig,
    /// Questions about held-out people, where the data asks any.
    #[serde(skip_serializing_if = "is_default")]
    pub qa_test: QaTestConfig,
}

/// What stands before a biography while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasureContext {
    /// Nothing: it begins its sequence.
    #[default]
    Alone,
    /// Biographies of others, as in training: they fill sequences of the training length. Where in training each person
    /// begins a sequence, this is the same as alone.
    Packed,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whose biographies are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum People {
    /// Everybody's.
    #[default]
    All,
    /// An evenly spread sample.
    Sample(Sample),
}

impl People {
    /// How many those are of so many.
    pub fn of(self, people: u64) -> u64 {
        match self {
            People::All => people,
            People::Sample(sample) => sample.count.min(people),
        }
    }
}

/// A sample of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// How many people.
    pub count: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Sample { count: 5000 }
    }
}

impl Default for MeasureConfig {
    fn default() -> Self {
        MeasureConfig {
            paraphrases: 4,
            people: People::All,
            texts: Texts::default(),
            context: MeasureContext::default(),
            quantize: QuantizeConfig::None,
            qa_test: QaTestConfig::default(),
        }
    }
}

/// Everything that was measured on a trained model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measurements {
    /// Bits of knowledge, if the data is made of facts.
    pub capacity: Option<Capacity>,
    /// Loss on held-out text, if there is any; of a mixture the plain mean over its domains.
    pub held_out: Option<Loss>,
    /// Loss on what each domain of a mixture keeps from training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainLoss>,
    /// How the weights would be stored, if they were rounded before all this was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Storage>,
    /// Answers to questions, if the data asks any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// Answers about people whom nobody asked about in training, if the model was taught to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction: Option<Extraction>,
}

impl Measurements {
    /// Share of questions answered right, if any were asked.
    pub fn right_answers(&self) -> Option<f64> {
        let extracted = self.extraction.as_ref().map(|extraction| extraction.accuracy);
        extracted.or(self.answers.as_ref().map(|answers| answers.accuracy))
    }
}

/// The held-out loss of one domain of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainLoss {
    /// The name of its source.
    pub name: String,
    /// Mean over tokens, in nats.
    pub nats_per_token: f64,
    /// Tokens averaged over.
    pub tokens: u64,
}

/// A loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Mean over tokens, in nats.
    pub nats_per_token: f64,
    /// Tokens averaged over.
    pub tokens: u64,
}

/// Bits of knowledge (arXiv 2404.05405, Definitions 4.1 and 4.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Bits stored: names + values (+ diversity for bioD).
    pub bits: f64,
    /// Bits of the names, `N log2(N0 / e^p1)`.
    pub name_bits: f64,
    /// Bits of the values, `N log2(S0 / e^p2)`.
    pub value_bits: f64,
    /// Bits of the diversity sets (bioD only; never above zero when `D = T^L`).
    pub diversity_bits: f64,
    /// Bits of a model that knows everything.
    pub max_bits: f64,
    /// `R`: bits per parameter, of all parameters.
    pub bits_per_param: f64,
    /// `R_max`: bits per parameter of a model of this size that knows everything.
    pub max_bits_per_param: f64,
    /// Parameters `P` that bits are divided by.
    pub params: u64,
    /// `p1`: loss of the whole name in nats, mean over people and renderings.
    pub name_nats: f64,
    /// `p2`: loss of all values together in nats, mean over people and renderings.
    pub value_nats: f64,
    /// Bits per attribute, in the data's order.
    pub attributes: Vec<AttributeBits>,
    /// Share of people each of whose values has a probability above one half in every rendering.
    pub fully_known: f64,
    /// Standard error of `bits_per_param` from the choice of renderings (and of people, when sampled).
    pub measurement_error: f64,
    /// People and renderings that were read.
    pub people: u64,
    /// Renderings of each.
    pub renderings: u64,
    /// What stood before the biographies.
    #[serde(default, skip_serializing_if = "is_default")]
    pub context: MeasureContext,
    /// The same without the cost of guessing the source, where a mixture makes it cost something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_source: Option<GivenSource>,
}

/// Bits of knowledge when a reader is told that a document is of the source that is measured.
///
/// In a mixture, whoever reads the beginning of a document has to guess its source before the name. That costs `-log2`
/// of the source's share of the rows that open with a document, in bits a person, which no model can save unless a
/// marker tells it. They are given back here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GivenSource {
    /// What guessing the source costs, in bits a person.
    pub source_bits: f64,
    /// Bits of the names.
    pub name_bits: f64,
    /// Bits stored.
    pub bits: f64,
    /// Bits per parameter.
    pub bits_per_param: f64,
}

/// Bits stored of one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeBits {
    /// For instance `birth city`.
    pub name: String,
    /// Bits stored per person.
    pub bits: f64,
    /// Bits per person of a model that knows it.
    pub max_bits: f64,
}
