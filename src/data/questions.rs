//! Questions about people: a name and how a sentence on one attribute begins, to be gone on with by the value.
//!
//! The words are those of the training text, so that no token is needed that a trained model has never seen: of bio-d
//! the name and the attribute, of bio-s the first sentence of an attribute that does not tell the gender. Turned round,
//! with the name behind the words, it is nothing that a model has read, and nothing but the facts helps. What a model
//! has stored can be asked for directly; or biographies stand before the question, one to a chunk, and it is to be read
//! off the one that is about the person. Question number `index` is a pure function of seed and index.

use std::ops::Range;

use super::Dataset;
use super::random::{Draws, Streams};
use crate::error::{Error, Problem, Result};

/// Who is asked about, and what stands before the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionsConfig {
    /// The people; those from the dataset's number of people on are never trained on.
    pub people: Range<u64>,
    /// Biographies before the question, of different people.
    pub chunks: usize,
    /// Whether one of them is about the person.
    pub gold: Gold,
    /// How the question is put.
    pub form: Form,
}

/// How a question is put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// The name, and the words before the value: as a text begins.
    #[default]
    Statement,
    /// The words before the value, and the name: as no text goes.
    Turned,
}

impl Form {
    /// Whatever opens a document, and the two in their order.
    pub(super) fn prompt(self, opening: &[u32], name: &[u32], words: &[u32]) -> Vec<u32> {
        match self {
            Form::Statement => [opening, name, words].concat(),
            Form::Turned => [opening, words, name].concat(),
        }
    }
}

/// Whether a biography of the person stands before the question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gold {
    /// At a random place.
    #[default]
    Present,
    /// Only biographies of others.
    Absent,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom it is about.
    pub person: u64,
    /// Which attribute, by its index in [`Information::attributes`](super::Information::attributes).
    pub attribute: usize,
    /// Biographies, each opened by end-of-text.
    pub chunks: Vec<Vec<u32>>,
    /// Which of them is about the person.
    pub gold: Option<usize>,
    /// End-of-text, the name, and the words before the value; name and words the other way if turned.
    pub prompt: Vec<u32>,
    /// The tokens of the value.
    pub answer: Vec<u32>,
}

/// Questions in an endless order.
#[derive(Debug)]
pub struct Questions<'a> {
    data: &'a Dataset,
    config: QuestionsConfig,
    streams: Streams,
    attributes: usize,
}

impl Question {
    /// Chunks, prompt and answer in one row, and where the answer stands in it.
    pub fn row(&self) -> (Vec<u32>, Range<usize>) {
        let mut row = self.chunks.concat();
        row.extend(&self.prompt);
        let start = row.len();
        row.extend(&self.answer);
        (row, start..start + self.answer.len())
    }
}

impl Dataset {
    /// Questions about the people of this dataset.
    ///
    /// # Errors
    /// There are no people, none is asked about, or there are fewer names than that.
    pub fn questions(&self, seed: u64, config: QuestionsConfig) -> Result<Questions<'_>> {
        let refused =
            |found: String, expected: String| Err(Error::config(Problem::new(found).expected(expected)));
        let Some((attributes, names)) = self.source.askable() else {
            return refused(
                "questions about data without people".into(),
                "bio-s, bio-d or a mixture with them".into(),
            );
        };
        let (start, end) = (config.people.start, config.people.end);
        if start >= end || end > names {
            return refused(
                format!("questions about people {start} to {end}"),
                format!("some of 0 to {names}"),
            );
        }
        let needed = config.chunks as u64 + u64::from(config.gold == Gold::Absent);
        if needed > end - start {
            let expected = format!("at most {} people, who are asked about", end - start);
            return refused(format!("{needed} biographies of different people"), expected);
        }
        Ok(Questions { data: self, config, streams: Streams::new(seed, "questions"), attributes })
    }

    /// The prompt and the answer of a question about `attribute` of `person`, whoever the seed can make.
    ///
    /// # Panics
    /// If there is no such attribute, or nobody of that number.
    pub fn question(&self, person: u64, attribute: usize, form: Form) -> (Vec<u32>, Vec<u32>) {
        self.source.question(person, attribute, form)
    }
}

impl Questions<'_> {
    /// Question number `index`.
    pub fn get(&self, index: u64) -> Question {
        let mut draws = self.streams.at(index);
        let QuestionsConfig { people, chunks, gold, form } = &self.config;
        let person = people.start + draws.below(people.end - people.start);
        let attribute = draws.below(self.attributes as u64) as usize;
        let (prompt, answer) = self.data.question(person, attribute, *form);
        let gold = (*gold == Gold::Present && *chunks > 0).then(|| draws.below(*chunks as u64) as usize);
        let mut chosen = vec![person];
        let mut written = Vec::with_capacity(*chunks);
        for place in 0..*chunks {
            let who = if gold == Some(place) { person } else { self.stranger(&mut chosen, &mut draws) };
            let exposure = draws.below(1 << 32);
            written.push(self.data.source.document(who, exposure).tokens);
        }
        Question { person, attribute, chunks: written, gold, prompt, answer }
    }

    /// Somebody who was not chosen yet.
    fn stranger(&self, chosen: &mut Vec<u64>, draws: &mut Draws) -> u64 {
        let people = &self.config.people;
        loop {
            let who = people.start + draws.below(people.end - people.start);
            if !chosen.contains(&who) {
                chosen.push(who);
                return who;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{
        BioDConfig, BioSConfig, CorpusConfig, DataConfig, Fact, Marker, MixtureConfig, SourceConfig,
    };

    fn datasets() -> Vec<Dataset> {
        configs().iter().map(|config| config.open(3, 2).unwrap()).collect()
    }

    fn configs() -> [DataConfig; 3] {
        let bios = DataConfig::BioS(BioSConfig { people: 60, ..BioSConfig::default() });
        let biod = DataConfig::BioD(BioDConfig { people: 60, ..BioDConfig::default() });
        let source = |share, marker, data: &DataConfig| SourceConfig { share, marker, data: data.clone() };
        let sources = [
            ("a".to_string(), source(0.5, Marker::Token, &bios)),
            ("b".to_string(), source(0.5, Marker::None, &DataConfig::Corpus(CorpusConfig::default()))),
        ];
        let mixture =
            DataConfig::Mixture(MixtureConfig { sources: sources.into(), ..MixtureConfig::default() });
        [bios, biod, mixture]
    }

    fn config(chunks: usize, gold: Gold) -> QuestionsConfig {
        QuestionsConfig { people: 0..60, chunks, gold, form: Form::Statement }
    }

    #[test]
    fn the_answer_is_the_value_that_the_biography_states_and_the_prompt_ends_before_it() {
        for data in datasets() {
            let questions = data.questions(1, config(5, Gold::Present)).unwrap();
            let mut places = [0; 5];
            for index in 0..100 {
                let question = questions.get(index);
                let document = data.document(question.person, 0);
                let value = Fact::Value(question.attribute);
                let span = document.spans.iter().find(|span| span.fact == value).unwrap();
                assert_eq!(question.answer, document.tokens[span.range.clone()]);
                let name = &document.tokens[..document.spans[0].range.end];
                assert!(question.prompt.starts_with(name));
                places[question.gold.unwrap()] += 1;
                for (place, chunk) in question.chunks.iter().enumerate() {
                    assert_eq!(chunk.starts_with(name), question.gold == Some(place));
                }
                let (row, range) = question.row();
                assert_eq!((row.len(), &row[range.clone()]), (range.end, &question.answer[..]));
            }
            assert!(places.iter().all(|&count| count > 5), "{places:?}");
        }
    }

    #[test]
    fn a_question_is_a_sentence_of_the_training_text() {
        let data = &datasets()[0];
        let (prompt, answer) = data.question(7, 0, Form::Statement);
        let text = data.decode(&[&prompt[1..], &answer].concat());
        assert!(!text.contains(" his") && !text.contains(" her"), "{text}");
        assert_eq!(data.encode(&text).unwrap(), [&prompt[1..], &answer].concat());
    }

    #[test]
    fn turned_round_it_has_the_same_words_and_is_no_sentence_of_any_text() {
        for (data, config) in datasets().iter().zip(configs()) {
            let (mut longest, bound) = (0, config.question_len().unwrap().unwrap());
            for (person, attribute) in (0..60).flat_map(|person| (0..4).map(move |k| (person, k))) {
                let [said, turned] =
                    [Form::Statement, Form::Turned].map(|form| data.question(person, attribute, form));
                assert_eq!(said.1, turned.1);
                assert_ne!(said.0, turned.0);
                let sorted = |mut tokens: Vec<u32>| {
                    tokens.sort_unstable();
                    tokens
                };
                assert_eq!(sorted(said.0), sorted(turned.0.clone()));
                longest = longest.max(turned.0.len() + turned.1.len());
                let name = data.document(person, 0);
                let opening = name.spans[0].range.clone();
                assert!(turned.0.ends_with(&name.tokens[opening]), "the name comes last");
            }
            assert!(longest <= bound, "{longest} of {bound}");
        }
    }

    #[test]
    fn without_gold_everybody_before_the_question_is_another() {
        for data in datasets() {
            let questions = data.questions(1, config(8, Gold::Absent)).unwrap();
            for index in 0..30 {
                let question = questions.get(index);
                let name = data.document(question.person, 0).tokens
                    [..data.document(question.person, 0).spans[0].range.end]
                    .to_vec();
                assert!(
                    question.gold.is_none() && question.chunks.iter().all(|chunk| !chunk.starts_with(&name))
                );
                assert_eq!(question, data.questions(1, config(8, Gold::Absent)).unwrap().get(index));
            }
        }
    }

    #[test]
    fn people_who_are_never_trained_on_can_be_asked_about() {
        let data = &datasets()[1];
        let questions =
            data.questions(2, QuestionsConfig { people: 60..160, ..config(3, Gold::Present) }).unwrap();
        assert!((0..50).all(|index| (60..160).contains(&questions.get(index).person)));
    }

    #[test]
    fn impossible_questions_are_refused() {
        let datasets = datasets();
        let message = |config| datasets[1].questions(1, config).unwrap_err().to_string();
        assert_eq!(
            message(QuestionsConfig { people: 9..9, ..config(1, Gold::Present) }),
            "questions about people 9 to 9, expected some of 0 to 262144"
        );
        assert_eq!(
            message(config(60, Gold::Absent)),
            "61 biographies of different people, expected at most 60 people, who are asked about"
        );
        let corpus = DataConfig::Corpus(CorpusConfig::default()).open(1, 1).unwrap();
        let error = corpus.questions(1, config(1, Gold::Present)).unwrap_err().to_string();
        assert_eq!(
            error,
            "questions about data without people, expected bio-s, bio-d or a mixture with them"
        );
    }
}
