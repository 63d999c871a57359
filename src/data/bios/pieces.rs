//! Pools and templates as tokens, cut so that a biography is tokens laid end to end, never text encoded
//! again.
//!
//! Every piece but the end of a sentence begins with a space, where all our tokenizers cut anyway, so that
//! the tokens are those of the whole text. Only where a value ends in a mark and its sentence goes on with
//! one (`Yahoo!` and `.`, which none of our own values does) are the two kept apart though the tokenizer
//! would fuse them: the text is the same, and the place of the value stays exact.

use super::pools::{DAYS, MONTHS, Pools, YEARS};
use super::template::{Half, PRONOUNS};
use super::{Names, Rendering};
use crate::data::tokenizer::{Tokenizer, TokenizerConfig};
use crate::error::{Error, Problem, Result};

/// Token runs laid end to end.
#[derive(Debug, Default)]
pub(super) struct Runs {
    tokens: Vec<u32>,
    ends: Vec<u32>,
}

/// Everything that a biography is put together from.
#[derive(Debug)]
pub(in crate::data) struct Pieces {
    pub tokenizer: Tokenizer,
    pub(super) first_names: Runs,
    pub(super) middle_names: Runs,
    pub(super) last_names: Runs,
    pub(super) months: Runs,
    /// With the comma after it.
    pub(super) days: Runs,
    pub(super) years: Runs,
    pub(super) cities: Runs,
    pub(super) universities: Runs,
    pub(super) majors: Runs,
    pub(super) employers: Runs,
    pub(super) headquarters: Runs,
    pub(super) pronouns: Runs,
    pub(super) sentences: [Vec<Sentence>; 6],
}

/// A template for both genders.
#[derive(Debug)]
pub(super) struct Sentence {
    pub before: [Vec<u32>; 2],
    pub after: [Vec<u32>; 2],
    /// Where `his` or `her` stands.
    pub pronoun: Pronoun,
}

/// Where a sentence has its possessive pronoun, one token in all our tokenizers but bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pronoun {
    Nowhere,
    Before([std::ops::Range<usize>; 2]),
    After([std::ops::Range<usize>; 2]),
}

impl Runs {
    fn new(tokenizer: &Tokenizer, texts: &[String]) -> Result<Self> {
        let mut runs = Runs::default();
        for text in texts {
            runs.tokens.extend(tokenizer.encode_piece(text)?);
            runs.ends.push(runs.tokens.len() as u32);
        }
        Ok(runs)
    }

    pub fn get(&self, i: usize) -> &[u32] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.tokens[start as usize..self.ends[i] as usize]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tokens of the longest run.
    fn longest(&self) -> usize {
        (0..self.len()).map(|i| self.get(i).len()).max().unwrap_or(0)
    }

    /// Mean tokens of a run drawn uniformly.
    pub fn mean(&self) -> f64 {
        self.tokens.len() as f64 / self.ends.len() as f64
    }
}

/// The texts of all pieces, of which the vocabulary is made.
struct Texts {
    lists: [Vec<String>; 11],
    pronouns: Vec<String>,
    halves: Vec<String>,
}

impl Texts {
    fn new(pools: &Pools) -> Self {
        let spaced = |entries: &[String]| entries.iter().map(|entry| format!(" {entry}")).collect::<Vec<_>>();
        let lists = [
            spaced(&pools.first_names.entries),
            spaced(&pools.middle_names.entries),
            spaced(&pools.last_names.entries),
            MONTHS.map(|month| format!(" {month}")).to_vec(),
            (1..=DAYS).map(|day| format!(" {day},")).collect(),
            YEARS.map(|year| format!(" {year}")).collect(),
            spaced(&pools.cities.entries),
            spaced(&pools.universities.entries),
            spaced(&pools.majors.entries),
            spaced(&pools.employers.entries),
            spaced(&pools.headquarters),
        ];
        let templates = pools.sentences.iter().flatten();
        let halves = templates.flat_map(|template| [&template.before, &template.after]);
        let halves = halves.flat_map(|half| PRONOUNS.map(|(_, his)| half.pieces(his))).flatten().collect();
        Texts { lists, pronouns: PRONOUNS.map(|(he, _)| he.to_string()).to_vec(), halves }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().flatten().chain(&self.pronouns).chain(&self.halves).map(String::as_str)
    }
}

impl Pieces {
    pub(super) fn new(pools: &Pools, config: &TokenizerConfig) -> Result<Self> {
        let texts = Texts::new(pools);
        let tokenizer = config.closed(texts.all())?;
        let [
            first_names,
            middle_names,
            last_names,
            months,
            days,
            years,
            cities,
            universities,
            majors,
            employers,
            hq,
        ] = texts.lists.each_ref().map(|list| Runs::new(&tokenizer, list));
        let sentences = pools.sentences.each_ref().map(|sentences| {
            let templates = sentences.iter();
            templates.map(|template| Sentence::new(&tokenizer, &template.before, &template.after)).collect()
        });
        let [a, b, c, d, e, f]: [Result<Vec<Sentence>>; 6] = sentences;
        Ok(Pieces {
            first_names: first_names?,
            middle_names: middle_names?,
            last_names: last_names?,
            months: months?,
            days: days?,
            years: years?,
            cities: cities?,
            universities: universities?,
            majors: majors?,
            employers: employers?,
            headquarters: hq?,
            pronouns: Runs::new(&tokenizer, &texts.pronouns)?,
            sentences: [a?, b?, c?, d?, e?, f?],
            tokenizer,
        })
    }

    /// Mean tokens of a full name.
    pub fn mean_name(&self) -> f64 {
        self.first_names.mean() + self.middle_names.mean() + self.last_names.mean()
    }

    /// Mean tokens of the value of each sentence: birth date, birth city, university, major, employer,
    /// working city.
    pub fn mean_values(&self) -> [f64; 6] {
        let date = self.months.mean() + self.days.mean() + self.years.mean();
        let others = [&self.cities, &self.universities, &self.majors, &self.employers, &self.headquarters];
        let [city, university, major, employer, headquarters] = others.map(Runs::mean);
        [date, city, university, major, employer, headquarters]
    }

    /// Tokens of the longest biography that can be put together, end-of-text included.
    pub fn longest_document(&self, rendering: &Rendering) -> usize {
        let name = self.first_names.longest() + self.middle_names.longest() + self.last_names.longest();
        let subjects = match rendering.names {
            Names::FirstSentence => name + 5 * self.pronouns.longest(),
            Names::EverySentence => 6 * name,
        };
        let date = [&self.months, &self.days, &self.years];
        let others = [&self.cities, &self.universities, &self.majors, &self.employers, &self.headquarters];
        let values: usize = date.into_iter().chain(others).map(Runs::longest).sum();
        1 + subjects + values + self.sentences.iter().map(|sentences| most_words(sentences)).sum::<usize>()
    }

    /// Tokens of the longest question and its answer, end-of-text included.
    pub fn longest_question(&self) -> usize {
        let name = self.first_names.longest() + self.middle_names.longest() + self.last_names.longest();
        let date = [&self.months, &self.days, &self.years].map(Runs::longest).iter().sum();
        let others = [&self.cities, &self.universities, &self.majors, &self.employers].map(Runs::longest);
        let [city, university, major, employer] = others;
        let values = [date, city, university, major, employer];
        let each = values.iter().zip(&self.sentences).map(|(value, sentences)| value + most_words(sentences));
        1 + name + each.max().unwrap_or(0)
    }

    /// The expected tokens of a biography, end-of-text included; exact, because every choice is uniform and
    /// independent.
    pub fn mean_document(&self, rendering: &Rendering) -> f64 {
        let subjects = match rendering.names {
            Names::FirstSentence => self.mean_name() + 5.0 * self.pronouns.mean(),
            Names::EverySentence => 6.0 * self.mean_name(),
        };
        let values: f64 = self.mean_values().iter().sum();
        1.0 + subjects + values + self.sentences.iter().map(|sentences| mean_words(sentences)).sum::<f64>()
    }
}

fn most_words(sentences: &[Sentence]) -> usize {
    let words =
        |sentence: &Sentence, gender: usize| sentence.before[gender].len() + sentence.after[gender].len();
    sentences.iter().map(|sentence| words(sentence, 0).max(words(sentence, 1))).max().unwrap_or(0)
}

fn mean_words(sentences: &[Sentence]) -> f64 {
    let halves = sentences.iter().flat_map(|sentence| sentence.before.iter().chain(&sentence.after));
    halves.map(|half| half.len() as f64).sum::<f64>() / (2 * sentences.len()) as f64
}

impl Sentence {
    fn new(tokenizer: &Tokenizer, before: &Half, after: &Half) -> Result<Self> {
        let half = |half: &Half, gender: usize| half_tokens(tokenizer, half, PRONOUNS[gender].1);
        let [(before_he, he_before), (before_she, she_before)] = [half(before, 0)?, half(before, 1)?];
        let [(after_he, he_after), (after_she, she_after)] = [half(after, 0)?, half(after, 1)?];
        let pronoun = match (he_before.zip(she_before), he_after.zip(she_after)) {
            (Some((he, she)), _) => Pronoun::Before([he, she]),
            (None, Some((he, she))) => Pronoun::After([he, she]),
            (None, None) => Pronoun::Nowhere,
        };
        Ok(Sentence { before: [before_he, before_she], after: [after_he, after_she], pronoun })
    }
}

type HalfTokens = (Vec<u32>, Option<std::ops::Range<usize>>);

fn half_tokens(tokenizer: &Tokenizer, half: &Half, pronoun: &str) -> Result<HalfTokens> {
    let mut ends = Vec::new();
    let mut tokens = Vec::new();
    for piece in half.pieces(pronoun) {
        tokens.extend(tokenizer.encode_piece(&piece)?);
        ends.push(tokens.len());
    }
    Ok((tokens, half.after_pronoun.as_ref().map(|_| ends[0]..ends[1])))
}

/// An error that says how many people the names are enough for.
pub(super) fn too_few_names(people: u64, name_space: u64) -> Error {
    Error::config(
        Problem::new(people.to_string())
            .key("data.people")
            .expected(format!("at most {name_space}, the number of full names in the pools"))
            .help("take fewer people or longer lists of names"),
    )
}
