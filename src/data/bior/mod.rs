//! bioR: real prose about people, of which it is said who they are, and in which the facts are found again.
//!
//! The paper's bioR (arXiv 2404.05405, section 2.2) is 40 biographies of each person, written by a language model. Here
//! they come from a file of one JSON object a line: `{"person": id, "name": .., "attributes": {..}, "texts": [..]}`. Each
//! value is looked for in each text as it is written (a letter with its marks may be written in NFC or NFD); what is not found is reported, and a value that no text states is
//! refused. One text of a person that states everything, after the name, is kept from training and measured.

mod find;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::information::{Attribute, Information};
use super::opening::Opening;
use super::random::Streams;
use super::stream::{ExposureOrder, PackedIndex};
use super::tokenizer::{Tokenizer, TokenizerConfig};
use super::{Batch, Document, Fact, MAX_SEQ_LEN, Span, check_range, out_of_range};
use crate::error::{Error, Problem, Result};
use read::{Prose, Told};

pub use read::Missing;

/// Prose about people, packed end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BioRConfig {
    /// Where the prose is.
    pub prose: ProseConfig,
    /// How text becomes tokens; the vocabulary holds only what the texts have.
    pub tokenizer: TokenizerConfig,
    /// Positions in a row of a batch.
    pub seq_len: usize,
}

/// Where the prose is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProseConfig {
    /// 48 invented people of five texts each, which are part of the program: enough to see that everything works.
    #[default]
    Sample,
    /// The user's own.
    File(ProseFile),
}

/// A file of one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProseFile {
    /// The file.
    pub path: PathBuf,
    /// N0, how many names there could have been; those of the built-in pools, if not given.
    pub names: u64,
    /// How many values each attribute could have had; as many as occur, for those that are not given.
    pub choices: BTreeMap<String, u64>,
}

const SAMPLE: &str = include_str!("../../../datasets/bior/sample.jsonl");

impl Default for BioRConfig {
    fn default() -> Self {
        BioRConfig { prose: ProseConfig::default(), tokenizer: TokenizerConfig::default(), seq_len: 512 }
    }
}

/// Names that the built-in pools make: 400 first, 400 middle and 1000 last ones.
const NAMES: u64 = 160_000_000;
/// What the sample draws from: the built-in pools, and dates from 1900 to 2099 with 28 days a month.
const SAMPLE_CHOICES: [(&str, u64); 5] =
    [("birth date", 67_200), ("birth city", 200), ("university", 300), ("major", 100), ("employer", 263)];

impl Default for ProseFile {
    fn default() -> Self {
        ProseFile { path: PathBuf::new(), names: NAMES, choices: BTreeMap::new() }
    }
}

impl ProseConfig {
    /// How many names there could have been, and how many values of each attribute where that is known.
    fn space(&self) -> (u64, BTreeMap<String, u64>) {
        match self {
            ProseConfig::Sample => (NAMES, SAMPLE_CHOICES.map(|(name, n)| (name.to_string(), n)).into()),
            ProseConfig::File(file) => (file.names, file.choices.clone()),
        }
    }
}

impl BioRConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_range("seq_len", self.seq_len as u64, 1..=MAX_SEQ_LEN)?;
        check_range("prose.names", self.prose.space().0, 1..=1 << 63)?;
        self.tokenizer.check()?;
        match &self.prose {
            ProseConfig::File(ProseFile { path, .. }) if !path.is_file() => {
                let found = format!("no file {:?}", path.display().to_string());
                let expected = "a file of one JSON object a line: person, name, attributes, texts";
                Err(Error::config(Problem::new(found).key("data.prose.path").expected(expected)))
            }
            ProseConfig::File(_) | ProseConfig::Sample => Ok(()),
        }
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &self.prose {
            ProseConfig::Sample => Vec::new(),
            ProseConfig::File(ProseFile { path, .. }) => vec![path.clone()],
        }
    }

    fn read(&self) -> Result<Prose> {
        match &self.prose {
            ProseConfig::Sample => Prose::parse("datasets/bior/sample.jsonl (built in)", SAMPLE),
            ProseConfig::File(ProseFile { path, .. }) => {
                Prose::parse(&path.display().to_string(), &crate::input::read_text(path)?)
            }
        }
    }

    pub(super) fn people(&self) -> Result<u64> {
        Ok(self.read()?.people.len() as u64)
    }

    /// What could not be found in the texts.
    pub fn missing(&self) -> Result<Vec<Missing>> {
        self.check()?;
        Ok(self.read()?.missing)
    }

    pub(super) fn tokenizer(&self) -> Result<Tokenizer> {
        self.tokenizer_of(&self.read()?)
    }

    fn tokenizer_of(&self, prose: &Prose) -> Result<Tokenizer> {
        let texts = prose.people.iter().flat_map(|person| person.training.iter().chain([&person.measured]));
        let pieces: Vec<&str> = texts.flat_map(Told::pieces).map(|(piece, _)| piece).collect();
        self.tokenizer.closed(pieces)
    }

    /// Tokens of a document in the mean over people.
    pub(super) fn tokens_per_document(&self) -> Result<f64> {
        let prose = self.read()?;
        let tokenizer = self.tokenizer_of(&prose)?;
        let mut sum = 0.0;
        for person in &prose.people {
            let mut tokens = 0;
            for told in &person.training {
                tokens += document(told, &tokenizer, None)?.tokens.len();
            }
            sum += tokens as f64 / person.training.len() as f64;
        }
        Ok(sum / prose.people.len() as f64)
    }

    /// Tokens of the longest text that is measured.
    pub(super) fn longest_measured(&self) -> Result<usize> {
        let prose = self.read()?;
        let tokenizer = self.tokenizer_of(&prose)?;
        let mut longest = 0;
        for person in &prose.people {
            longest = longest.max(document(&person.measured, &tokenizer, None)?.tokens.len());
        }
        Ok(longest)
    }

    /// As Definition 4.3: names out of all that there could have been, values uniform.
    pub(super) fn information(&self) -> Result<Information> {
        let prose = self.read()?;
        let people = prose.people.len() as u64;
        let (names, known) = self.prose.space();
        if people > names {
            return Err(out_of_range(
                "prose.names",
                names,
                &format!("at least {people}, the people of the file"),
            ));
        }
        if let Some(name) = known.keys().find(|name| !prose.attributes.contains_key(*name)) {
            let stated: Vec<&str> = prose.attributes.keys().map(String::as_str).collect();
            let problem = Problem::new(format!("no attribute {name:?}")).key("data.prose.choices");
            return Err(Error::config(problem.expected(format!("one of {}", stated.join(", ")))));
        }
        let mut attributes = Vec::new();
        for (name, &distinct) in &prose.attributes {
            let choices = *known.get(name).unwrap_or(&distinct);
            if choices < distinct {
                let expected = format!("at least {distinct}, the values that occur");
                return Err(out_of_range(&format!("prose.choices.{name:?}"), choices, &expected));
            }
            attributes.push(Attribute { name: name.clone(), bits: (choices as f64).log2() });
        }
        Ok(Information { people, name_bits: (names as f64).log2(), attributes, diversity: None })
    }

    pub(super) fn open(&self, opening: &Opening) -> Result<BioR> {
        let &Opening { seed, exposures, seq_len, .. } = opening;
        let prose = self.read()?;
        let tokenizer = self.tokenizer_of(&prose)?;
        let marker = opening.marker_token(tokenizer.vocab_size());
        let (mut training, mut measured) = (Vec::new(), Vec::new());
        for person in &prose.people {
            let documents = person.training.iter().map(|told| document(told, &tokenizer, marker));
            training.push(documents.collect::<Result<Vec<_>>>()?);
            measured.push(document(&person.measured, &tokenizer, marker)?);
        }
        Ok(BioR {
            order: ExposureOrder::new(seed, training.len() as u64, exposures)?,
            first_text: Streams::new(seed, "bio-r first text"),
            index: PackedIndex::new(),
            tokenizer,
            training,
            measured,
            seq_len,
        })
    }
}

/// The tokens of a text, cut at its facts, so that each stands where it should.
fn document(told: &Told, tokenizer: &Tokenizer, marker: Option<u32>) -> Result<Document> {
    let mut document = Document { tokens: vec![tokenizer.end_of_text()], spans: Vec::new() };
    document.tokens.extend(marker);
    for (piece, fact) in told.pieces() {
        let start = document.tokens.len();
        document.tokens.extend(tokenizer.encode_piece(piece)?);
        document.spans.extend(fact.map(|fact| Span::whole(fact, start..document.tokens.len())));
    }
    Ok(document)
}

/// Prose, read and tokenised.
#[derive(Debug)]
pub(super) struct BioR {
    tokenizer: Tokenizer,
    /// Per person, the texts to train on.
    training: Vec<Vec<Document>>,
    /// Per person, the text to measure on.
    measured: Vec<Document>,
    order: ExposureOrder,
    first_text: Streams,
    index: PackedIndex,
    seq_len: usize,
}

impl BioR {
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let n = count * self.seq_len;
        let start = first * self.seq_len as u64;
        let (mut place, skip) = self.index.locate(start, |place| self.at(place).tokens.len() as u64);
        let skip = skip as usize;
        let mut run = Vec::with_capacity(skip + n + 256);
        while run.len() <= skip + n {
            run.extend_from_slice(&self.at(place).tokens);
            place += 1;
        }
        Batch::from_run(&run[skip..=skip + n], count, self.seq_len)
    }

    fn at(&self, place: u64) -> &Document {
        let (person, exposure) = self.order.pair(place);
        self.text(person, exposure)
    }

    /// All texts of a person come in turn, from a random one on.
    fn text(&self, person: u64, exposure: u64) -> &Document {
        let texts = &self.training[person as usize];
        let first = self.first_text.at(person).below(texts.len() as u64);
        &texts[((first + exposure) % texts.len() as u64) as usize]
    }

    pub fn document(&self, person: u64, exposure: u64) -> Document {
        self.text(person, exposure).clone()
    }

    /// The one text of a person that states everything and is not trained on, if there is more than one text.
    pub fn measurement_document(&self, person: u64) -> Document {
        self.measured[person as usize].clone()
    }

    /// The texts that are measured, end to end.
    pub fn held_out_tokens(&self) -> Vec<u32> {
        self.measured.iter().flat_map(|document| document.tokens.iter().copied()).collect()
    }

    /// Mean tokens of a fact over the texts that are measured.
    pub fn mean_tokens(&self, fact: Fact) -> f64 {
        let lengths = self.measured.iter().flat_map(|document| &document.spans);
        let sum: usize = lengths.filter(|span| span.fact == fact).map(|span| span.range.len()).sum();
        sum as f64 / self.measured.len() as f64
    }
}
