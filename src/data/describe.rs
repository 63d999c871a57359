//! What a dataset is, in numbers and samples: the text of `zoo data NAME`.

use serde::Serialize;

use super::{DataConfig, Dataset, Document, Fact, Information, Source};
use crate::error::Result;

/// How many samples a description shows.
const SAMPLES: u64 = 3;
/// How many tokens a sample of plain text shows.
const OPENING: usize = 96;

/// A dataset in numbers and samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// As in `kind = "bio-s"`.
    pub kind: String,
    /// Tokens that the tokenizer knows.
    pub vocab_size: usize,
    /// Positions in a row of a batch.
    pub seq_len: usize,
    /// People, or files of text.
    pub documents: u64,
    /// Expected tokens of a document, end-of-text included.
    pub tokens_per_document: f64,
    /// Bits of one person: `log2(N0/N) + log2 S0`.
    pub bits_per_person: Option<f64>,
    /// Bits of everything.
    pub total_bits: Option<f64>,
    /// The terms of these bits.
    pub information: Option<Information>,
    /// Mean tokens of a name and of each value; for text the tokens of each part.
    pub tokens: Vec<TokenCount>,
    /// Documents of the first people, each fact as `[fact: value]`; for text its beginning.
    pub samples: Vec<String>,
}

/// How many tokens something has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenCount {
    /// What was counted, for instance `birth date`.
    pub what: String,
    /// The mean or the count.
    pub tokens: f64,
}

/// Describes the dataset of `config` and `seed`.
pub fn describe(config: &DataConfig, seed: u64) -> Result<Description> {
    let dataset = config.open(seed, 1)?;
    let information = dataset.information().cloned();
    Ok(Description {
        kind: config.kind().to_string(),
        vocab_size: dataset.vocab_size(),
        seq_len: config.seq_len(),
        documents: config.documents_per_exposure()?,
        tokens_per_document: config.tokens_per_document()?,
        bits_per_person: information.as_ref().map(Information::bits_per_person),
        total_bits: information.as_ref().map(Information::total_bits),
        tokens: token_counts(&dataset, information.as_ref()),
        samples: samples(&dataset, information.as_ref()),
        information,
    })
}

fn token_counts(dataset: &Dataset, information: Option<&Information>) -> Vec<TokenCount> {
    let count = |(what, tokens): (&str, f64)| TokenCount { what: what.into(), tokens };
    match (&dataset.source, information) {
        (Source::BioS(source), _) => source.mean_tokens().map(count).into(),
        (Source::BioD(source), Some(information)) => {
            let config = source.config();
            let value = (config.chunks * config.length) as f64;
            let values = information.attributes.iter().map(|attribute| (attribute.name.as_str(), value));
            std::iter::once(("name", config.name_parts as f64)).chain(values).map(count).collect()
        }
        (Source::BioD(_), None) => Vec::new(),
        (Source::Text(source), _) => {
            let [training, held_out] = source.n_tokens();
            [("training", training as f64), ("held out", held_out as f64)].map(count).into()
        }
    }
}

fn samples(dataset: &Dataset, information: Option<&Information>) -> Vec<String> {
    match (&dataset.source, information) {
        (Source::Text(source), _) => vec![dataset.decode(&source.opening(OPENING)[1..])],
        (_, Some(information)) => (0..SAMPLES.min(information.people))
            .map(|person| marked(dataset, information, &dataset.document(person, 0)))
            .collect(),
        (_, None) => Vec::new(),
    }
}

/// The text of a document with its facts marked.
fn marked(dataset: &Dataset, information: &Information, document: &Document) -> String {
    let mut text = String::new();
    let mut done = 1; // after end-of-text
    for span in &document.spans {
        let fact = match span.fact {
            Fact::Name => "name",
            Fact::Value(attribute) => &information.attributes[attribute].name,
        };
        let value = dataset.decode(&document.tokens[span.range.clone()]);
        text += &dataset.decode(&document.tokens[done..span.range.start]);
        text += &format!(" [{fact}: {}] ", value.trim_start());
        done = span.range.end;
    }
    text += &dataset.decode(&document.tokens[done..]);
    text.trim().replace("]  ", "] ").replace("] .", "].").replace("] ,", "],")
}

#[cfg(test)]
mod tests {
    use super::super::{BioDConfig, BioSConfig, TextConfig, TokenizerConfig};
    use super::*;

    #[test]
    fn biographies_are_shown_with_every_fact_marked_once() {
        let description = describe(&DataConfig::BioS(BioSConfig::default()), 0).unwrap();
        assert_eq!(description.samples.len(), 3);
        for sample in &description.samples {
            for fact in ["name", "birth date", "birth city", "university", "major", "employer", "gender"] {
                assert_eq!(sample.matches(&format!("[{fact}: ")).count(), 1, "{fact} in {sample}");
            }
            assert!(sample.starts_with("[name: ") && !sample.contains("  "), "{sample}");
        }
        let bits = description.bits_per_person.unwrap();
        assert!((bits - 59.24).abs() < 0.01, "{bits}: the published pools at 50,000 people");
    }

    #[test]
    fn text_is_shown_from_its_beginning_with_its_size() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "To be, or not to be").unwrap();
        let path = folder.path().into();
        let config = TextConfig { path, tokenizer: TokenizerConfig::Bytes, seq_len: 4, held_out: 0.25 };
        let description = describe(&DataConfig::Text(config), 0).unwrap();
        assert_eq!(description.samples, ["To be, or not t"]);
        assert_eq!(description.tokens.iter().map(|count| count.tokens).collect::<Vec<_>>(), [16.0, 5.0]);
        assert_eq!((description.documents, description.bits_per_person), (1, None));
    }

    #[test]
    fn rows_of_symbols_are_shown_as_words() {
        let description =
            describe(&DataConfig::BioD(BioDConfig { people: 2, ..BioDConfig::default() }), 0).unwrap();
        assert_eq!(description.samples.len(), 2);
        assert!(description.samples[0].starts_with("[name: n1."), "{}", description.samples[0]);
        assert!(serde_json::to_string(&description).unwrap().contains("\"tokens_per_document\":16.0"));
    }
}
