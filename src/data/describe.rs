//! What a dataset is, in numbers and samples: the text of `zoo data NAME`.

use serde::Serialize;

use super::bior::Missing;
use super::dataset::Source;
use super::information::Attribute;
use super::{DataConfig, Document, Fact, Information, Marker};
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
    /// Documents of the first people, each fact as `[fact: value]`; for text its beginning; for a mixture one of each
    /// source in turn.
    pub samples: Vec<String>,
    /// Of a generated language: the entropy of a token given all before it, in nats, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// Of prose: what some texts do not state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The source of a mixture that is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub studied: Option<String>,
    /// The sources of a mixture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceDescription>,
}

/// One source of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceDescription {
    /// Its name.
    pub name: String,
    /// Its share of tokens.
    pub share: f64,
    /// What stands in front of its documents.
    pub marker: Marker,
    /// What it is by itself.
    pub description: Description,
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
    config.verify()?;
    let dataset = config.open(seed, 1)?;
    let mut description = describe_source(config, &dataset.source, "")?;
    if let (DataConfig::Mixture(config), Source::Mixture(mixture)) = (config, &dataset.source) {
        description.studied = config.studied().map(|(name, _)| name.clone());
        for (index, (name, source)) in config.sources.iter().enumerate() {
            let marker = match source.marker {
                Marker::None => String::new(),
                Marker::Token => format!("<|{name}|>"),
            };
            let described = describe_source(&source.data, mixture.source(index), &marker)?;
            description.samples.extend(described.samples.first().map(|sample| format!("{name}: {sample}")));
            description.sources.push(SourceDescription {
                name: name.clone(),
                share: source.share,
                marker: source.marker,
                description: described,
            });
        }
    }
    Ok(description)
}

fn describe_source(config: &DataConfig, source: &Source, marker: &str) -> Result<Description> {
    let information = config.information()?;
    Ok(Description {
        kind: config.kind().to_string(),
        vocab_size: config.vocab_size()?,
        seq_len: config.seq_len(),
        documents: config.documents_per_exposure()?,
        tokens_per_document: config.tokens_per_document()?,
        bits_per_person: information.as_ref().map(Information::bits_per_person),
        total_bits: information.as_ref().map(Information::total_bits),
        tokens: token_counts(source, information.as_ref()),
        samples: samples(source, information.as_ref(), marker),
        entropy: match config {
            DataConfig::Corpus(config) => config.entropy(),
            DataConfig::BioS(_)
            | DataConfig::BioD(_)
            | DataConfig::BioR(_)
            | DataConfig::Reading(_)
            | DataConfig::Text(_)
            | DataConfig::Mixture(_) => None,
        },
        missing: match config {
            DataConfig::BioR(config) => config.missing()?,
            DataConfig::BioS(_)
            | DataConfig::BioD(_)
            | DataConfig::Reading(_)
            | DataConfig::Text(_)
            | DataConfig::Corpus(_)
            | DataConfig::Mixture(_) => Vec::new(),
        },
        information,
        studied: None,
        sources: Vec::new(),
    })
}

fn token_counts(source: &Source, information: Option<&Information>) -> Vec<TokenCount> {
    let count = |(what, tokens): (&str, f64)| TokenCount { what: what.into(), tokens };
    let parts = |[training, held_out]: [u64; 2]| {
        [("training", training as f64), ("held out", held_out as f64)].map(count).to_vec()
    };
    match (source, information) {
        (Source::BioS(source), _) => source.mean_tokens().map(count).into(),
        (Source::BioD(source), Some(information)) => {
            let config = source.config();
            let value = (config.chunks * config.length) as f64;
            let values = information.attributes.iter().map(|attribute| (attribute.name.as_str(), value));
            std::iter::once(("name", config.name_parts as f64)).chain(values).map(count).collect()
        }
        (Source::BioR(source), Some(information)) => {
            let value = |(index, attribute): (usize, &'_ Attribute)| {
                count((attribute.name.as_str(), source.mean_tokens(Fact::Value(index))))
            };
            let name = count(("name", source.mean_tokens(Fact::Name)));
            std::iter::once(name).chain(information.attributes.iter().enumerate().map(value)).collect()
        }
        (Source::Reading(source), _) => {
            let config = source.config();
            let (biography, questions) = (config.chunk_len() as f64, config.questions_len() as f64);
            [("biography", biography), ("questions of a row", questions)].map(count).into()
        }
        (Source::Text(source), _) => parts(source.n_tokens()),
        (Source::Corpus(source), _) => parts(source.n_tokens()),
        (Source::BioD(_) | Source::BioR(_) | Source::Mixture(_), _) => Vec::new(),
    }
}

fn samples(source: &Source, information: Option<&Information>, marker: &str) -> Vec<String> {
    match (source, information) {
        (Source::Mixture(_), _) => Vec::new(),
        (Source::Reading(reading), _) => {
            let row =
                |row: u64| reading.rows(row, 1).tokens.iter().map(|&token| token as u32).collect::<Vec<_>>();
            (0..SAMPLES).map(|i| source.decode(&row(i))).collect()
        }
        (Source::Text(text), _) => {
            vec![source.decode(&text.opening(OPENING)[1 + usize::from(!marker.is_empty())..])]
        }
        (Source::Corpus(corpus), _) => {
            let document = corpus.document(0);
            let shown = OPENING.min(document.len());
            vec![source.decode(&document[1 + usize::from(!marker.is_empty())..shown]).trim().to_string()]
        }
        (Source::BioS(_) | Source::BioD(_) | Source::BioR(_), Some(information)) => (0..SAMPLES
            .min(information.people))
            .map(|person| marked(source, information, &source.document(person, 0), marker))
            .collect(),
        (Source::BioS(_) | Source::BioD(_) | Source::BioR(_), None) => Vec::new(),
    }
}

/// The text of a document with its facts marked.
fn marked(dataset: &Source, information: &Information, document: &Document, marker: &str) -> String {
    let mut text = marker.to_string();
    let mut done = 1 + usize::from(!marker.is_empty()); // after end-of-text and the marker
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
