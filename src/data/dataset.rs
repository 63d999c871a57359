//! A dataset, opened: batches by number, documents by person, the held-out part.

use super::held_out::HeldOut;
use super::mixture::{self, Domain, Mixture};
use super::questions::Form;
use super::{Batch, Document, Information, Texts, biod, bior, bios, generated, reading, text};
use crate::error::Result;

/// A dataset ready to be read: a pure function of its config, seed and number of exposures.
#[derive(Debug)]
pub struct Dataset {
    pub(super) source: Source,
    pub(super) information: Option<Information>,
    pub(super) packed_row: Option<usize>,
}

/// One kind of data, opened.
#[derive(Debug)]
pub(super) enum Source {
    BioS(Box<bios::BioS>),
    BioD(biod::BioD),
    BioR(Box<bior::BioR>),
    Reading(reading::Reading),
    Text(text::Text),
    Corpus(Box<generated::Corpus>),
    Mixture(Box<Mixture>),
}

impl Dataset {
    /// Batch number `step` of the stream in batches of `rows`: random access, the same at every call.
    pub fn batch(&self, step: u64, rows: usize) -> Batch {
        self.source.rows(step * rows as u64, rows)
    }

    /// The document of `person` at an exposure of the training stream; in a mixture, of the source that is studied.
    ///
    /// # Panics
    /// If `person` is not below the number of people, as always where there are none.
    pub fn document(&self, person: u64, exposure: u64) -> Document {
        self.assert_person(person);
        self.source.document(person, exposure)
    }

    /// A document of `person` in the training format, from a stream of draws that training never reads;
    /// [`Texts`] says whether a fact may stand after another that tells it (the employer after the working
    /// city). Where a person has only one text, with `single` sentences in `fixed` order, it is that text.
    ///
    /// # Panics
    /// As [`Dataset::document`].
    pub fn measurement_document(&self, person: u64, rendering: u64, texts: Texts) -> Document {
        self.assert_person(person);
        self.source.measurement_document(person, rendering, texts)
    }

    fn assert_person(&self, person: u64) {
        let people = self.information.as_ref().map_or(0, |information| information.people);
        assert!(person < people, "person {person} is not below {people}");
    }

    /// Batch number `index` of the held-out text, in order and without shuffling; `None` past its end, and always for
    /// people and for mixtures. The last window is padded with end-of-text of weight 0, the last batch may have fewer
    /// rows.
    pub fn held_out_batch(&self, index: u64, rows: usize) -> Option<Batch> {
        self.source.held_out()?.batch(index, rows)
    }

    /// The domains of a mixture; none of anything else.
    pub fn domains(&self) -> Vec<Domain> {
        match &self.source {
            Source::Mixture(mixture) => mixture.domains().cloned().collect(),
            Source::BioS(_)
            | Source::BioD(_)
            | Source::BioR(_)
            | Source::Reading(_)
            | Source::Text(_)
            | Source::Corpus(_) => Vec::new(),
        }
    }

    /// Batch number `step` of the training stream of domain number `domain` of a mixture alone, in the joint vocabulary.
    ///
    /// # Panics
    /// If there is no such domain.
    pub fn domain_batch(&self, domain: usize, step: u64, rows: usize) -> Batch {
        match &self.source {
            Source::Mixture(mixture) => mixture.domain_rows(domain, step * rows as u64, rows),
            Source::BioS(_)
            | Source::BioD(_)
            | Source::BioR(_)
            | Source::Reading(_)
            | Source::Text(_)
            | Source::Corpus(_) => {
                panic!("domain {domain} of something that is no mixture")
            }
        }
    }

    /// Batch number `index` of what domain number `domain` of a mixture keeps from training; people whom nobody was
    /// told of, for a source of people. Else as [`Dataset::held_out_batch`].
    pub fn domain_held_out_batch(&self, domain: usize, index: u64, rows: usize) -> Option<Batch> {
        match &self.source {
            Source::Mixture(mixture) => mixture.held_out(domain).batch(index, rows),
            Source::BioS(_)
            | Source::BioD(_)
            | Source::BioR(_)
            | Source::Reading(_)
            | Source::Text(_)
            | Source::Corpus(_) => None,
        }
    }

    /// Strangers and questions about them, if that is what it is made of.
    pub fn reading(&self) -> Option<&reading::Reading> {
        match &self.source {
            Source::Reading(source) => Some(source),
            Source::BioS(_)
            | Source::BioD(_)
            | Source::BioR(_)
            | Source::Text(_)
            | Source::Corpus(_)
            | Source::Mixture(_) => None,
        }
    }

    /// How many attributes can be asked for; `None` where nobody can be asked about.
    pub fn askable(&self) -> Option<usize> {
        self.source.askable().map(|(attributes, _)| attributes)
    }

    /// Positions of a row of training in which documents of people follow each other; `None` where each person has a row,
    /// and without people.
    pub fn packed_row(&self) -> Option<usize> {
        self.packed_row
    }

    /// What a perfect model would have to store; `None` without facts.
    pub fn information(&self) -> Option<&Information> {
        self.information.as_ref()
    }

    /// The bits that it costs to guess, at the beginning of a document, that it is one of those that are measured:
    /// `-log2` of their share of the rows of a mixture that open with a document; 0 where a marker tells it, or where
    /// there is nothing else.
    pub fn source_bits(&self) -> f64 {
        match &self.source {
            Source::Mixture(mixture) => mixture.source_bits(),
            Source::BioS(_)
            | Source::BioD(_)
            | Source::BioR(_)
            | Source::Reading(_)
            | Source::Text(_)
            | Source::Corpus(_) => 0.0,
        }
    }

    /// How many tokens the tokenizer knows.
    pub fn vocab_size(&self) -> usize {
        match &self.source {
            Source::BioS(source) => source.tokenizer().vocab_size(),
            Source::BioD(source) => source.config().vocab_size(),
            Source::BioR(source) => source.tokenizer().vocab_size(),
            Source::Reading(source) => source.config().vocab_size(),
            Source::Text(source) => source.tokenizer().vocab_size(),
            Source::Corpus(source) => source.tokenizer().vocab_size(),
            Source::Mixture(mixture) => mixture.vocab_size(),
        }
    }

    /// The token that opens every document.
    pub fn end_of_text(&self) -> u32 {
        match &self.source {
            Source::BioS(source) => source.tokenizer().end_of_text(),
            Source::BioD(_) => biod::END_OF_TEXT,
            Source::BioR(source) => source.tokenizer().end_of_text(),
            Source::Reading(_) => reading::END_OF_TEXT,
            Source::Text(source) => source.tokenizer().end_of_text(),
            Source::Corpus(source) => source.tokenizer().end_of_text(),
            Source::Mixture(_) => mixture::END_OF_TEXT,
        }
    }

    /// The tokens of `text`; an error for words outside the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.source.encode(text)
    }

    /// What `tokens` read as.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.source.decode(tokens)
    }
}

impl Source {
    /// Rows `first..first + count` of the training stream.
    pub fn rows(&self, first: u64, count: usize) -> Batch {
        match self {
            Source::BioS(source) => source.rows(first, count),
            Source::BioD(source) => source.rows(first, count),
            Source::BioR(source) => source.rows(first, count),
            Source::Reading(source) => source.rows(first, count),
            Source::Text(source) => source.rows(first, count),
            Source::Corpus(source) => source.rows(first, count),
            Source::Mixture(mixture) => mixture.rows(first, count),
        }
    }

    /// A document of the training stream, of anybody whom the seed can make.
    pub fn document(&self, person: u64, exposure: u64) -> Document {
        match self {
            Source::BioS(source) => source.document(person, exposure),
            Source::BioD(source) => source.document(person, exposure),
            Source::BioR(source) => source.document(person, exposure),
            Source::Mixture(mixture) => mixture.translated(studied(mixture).document(person, exposure)),
            Source::Reading(_) | Source::Text(_) | Source::Corpus(_) => panic!("nobody in it can be known"),
        }
    }

    pub fn measurement_document(&self, person: u64, rendering: u64, texts: Texts) -> Document {
        match self {
            Source::BioS(source) => source.measurement_document(person, rendering, texts),
            Source::BioD(source) => source.measurement_document(person, rendering),
            Source::BioR(source) => source.measurement_document(person),
            Source::Mixture(mixture) => {
                mixture.translated(studied(mixture).measurement_document(person, rendering, texts))
            }
            Source::Reading(_) | Source::Text(_) | Source::Corpus(_) => panic!("nobody in it can be known"),
        }
    }

    /// Attributes that can be asked for, and people that the names are enough for; `None` without people.
    pub fn askable(&self) -> Option<(usize, u64)> {
        match self {
            Source::BioS(source) => Some((bios::ASKABLE, source.n_names())),
            Source::BioD(source) => Some((source.config().attributes as usize, source.n_names())),
            Source::Mixture(mixture) => mixture.studied()?.askable(),
            Source::BioR(_) | Source::Reading(_) | Source::Text(_) | Source::Corpus(_) => None,
        }
    }

    /// A prompt about an attribute of a person, and the answer.
    pub fn question(&self, person: u64, attribute: usize, form: Form) -> (Vec<u32>, Vec<u32>) {
        match self {
            Source::BioS(source) => source.question(person, attribute, form),
            Source::BioD(source) => source.question(person, attribute, form),
            Source::Mixture(mixture) => {
                let (prompt, answer) = studied(mixture).question(person, attribute, form);
                (mixture.translated_tokens(&prompt), mixture.translated_tokens(&answer))
            }
            Source::BioR(_) | Source::Reading(_) | Source::Text(_) | Source::Corpus(_) => {
                panic!("nobody in it can be asked about")
            }
        }
    }

    fn held_out(&self) -> Option<&HeldOut> {
        match self {
            Source::Text(source) => Some(source.held_out()),
            Source::Corpus(source) => Some(source.held_out()),
            Source::BioS(_) | Source::BioD(_) | Source::BioR(_) | Source::Reading(_) | Source::Mixture(_) => {
                None
            }
        }
    }

    /// What a part of a mixture keeps from training: its held-out text, or the `people` after its own.
    pub fn held_out_tokens(&self, people: u64) -> Vec<u32> {
        let after =
            |first: u64| (first..first + people).flat_map(|person| self.document(person, 0).tokens).collect();
        match self {
            Source::BioS(source) => after(source.n_people()),
            Source::BioD(source) => after(source.config().people),
            Source::BioR(source) => source.held_out_tokens(),
            Source::Text(source) => source.held_out().tokens.clone(),
            Source::Corpus(source) => source.held_out().tokens.clone(),
            Source::Reading(_) | Source::Mixture(_) => panic!("it is no part of a mixture"),
        }
    }

    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Source::BioS(source) => source.tokenizer().encode(text),
            Source::BioD(source) => source.config().encode(text),
            Source::BioR(source) => source.tokenizer().encode(text),
            Source::Reading(source) => source.config().encode(text),
            Source::Text(source) => source.tokenizer().encode(text),
            Source::Corpus(source) => source.tokenizer().encode(text),
            Source::Mixture(mixture) => mixture.encode(text),
        }
    }

    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Source::BioS(source) => source.tokenizer().decode(tokens),
            Source::BioD(source) => source.config().decode(tokens),
            Source::BioR(source) => source.tokenizer().decode(tokens),
            Source::Reading(source) => source.config().decode(tokens),
            Source::Text(source) => source.tokenizer().decode(tokens),
            Source::Corpus(source) => source.tokenizer().decode(tokens),
            Source::Mixture(mixture) => mixture.decode(tokens),
        }
    }
}

fn studied(mixture: &Mixture) -> &Source {
    mixture.studied().unwrap_or_else(|| panic!("a mixture without people has no documents"))
}
