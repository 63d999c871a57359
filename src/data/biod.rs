//! bioD(N, K, C, D, L, T): people as rows of symbols, so that every term of the capacity law can be set by
//! hand.
//!
//! Definition 2.2 of arXiv 2404.05405 in a compact form: end-of-text, the parts of the name, then the K
//! attributes in an order that is fresh at each exposure (or always the same), each as one attribute token and C chunks of L
//! symbols. A chunk is one of the D distinct strings of its attribute, chosen uniformly for each person. One
//! person fills one row.

use serde::{Deserialize, Serialize};

use super::information::{Attribute, Diversity, Information};
use super::opening::Opening;
use super::permutation::Permutation;
use super::questions::Form;
use super::random::{Draws, Streams};
use super::stream::ExposureOrder;
use super::{Batch, Document, Fact, MAX_SEQ_LEN, Span, check_range, out_of_range};
use crate::error::{Error, Problem, Result};

/// The token that opens every row.
pub(super) const END_OF_TEXT: u32 = 0;

/// The numbers of bioD; the default is small enough for two CPU cores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BioDConfig {
    /// N, how many people.
    pub people: u64,
    /// K, attributes of a person.
    pub attributes: u64,
    /// C, chunks in a value.
    pub chunks: u64,
    /// D, distinct strings that a chunk of an attribute is drawn from.
    pub diversity: u64,
    /// L, symbols in a string.
    pub length: u64,
    /// T, symbols to choose from.
    pub alphabet: u64,
    /// Words in a name.
    pub name_parts: u64,
    /// Words that each part of a name is drawn from; log2 N0 = `name_parts` log2 `name_pool`.
    pub name_pool: u64,
    /// Whether the order of attributes changes between exposures.
    #[serde(skip_serializing_if = "AttributeOrder::is_permuted")]
    pub order: AttributeOrder,
}

/// The order of a person's attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeOrder {
    /// A fresh order at each exposure.
    #[default]
    Permuted,
    /// Always from the first to the last.
    Fixed,
}

impl AttributeOrder {
    fn is_permuted(&self) -> bool {
        *self == AttributeOrder::Permuted
    }
}

impl Default for BioDConfig {
    fn default() -> Self {
        BioDConfig {
            people: 3072,
            attributes: 4,
            chunks: 2,
            diversity: 64,
            length: 1,
            alphabet: 64,
            name_parts: 3,
            name_pool: 64,
            order: AttributeOrder::Permuted,
        }
    }
}

impl BioDConfig {
    pub(super) fn check(&self) -> Result<()> {
        let max_token = i32::MAX as u64;
        for (key, value, most) in [
            ("attributes", self.attributes, MAX_SEQ_LEN),
            ("chunks", self.chunks, MAX_SEQ_LEN),
            ("length", self.length, MAX_SEQ_LEN),
            ("name_parts", self.name_parts, 63),
            ("alphabet", self.alphabet, max_token),
            ("name_pool", self.name_pool, max_token),
        ] {
            check_range(key, value, 1..=most)?;
        }
        let name_space = self.name_space().filter(|&space| space <= Permutation::MAX_LEN);
        let name_space = name_space.ok_or_else(|| {
            out_of_range(
                "name_pool",
                self.name_pool,
                &format!("at most 2^63 names of {} parts", self.name_parts),
            )
        })?;
        check_range("people", self.people, 1..=name_space)?;
        let strings = power(self.alphabet, self.length).unwrap_or(u64::MAX);
        check_range("diversity", self.diversity, 1..=strings)?;
        let value = self.chunks.checked_mul(self.length).and_then(|n| (n + 1).checked_mul(self.attributes));
        let row = value.map_or(u64::MAX, |n| n.saturating_add(1 + self.name_parts));
        if row > MAX_SEQ_LEN {
            return Err(out_of_range("attributes", self.attributes, "at most 2^20 tokens in a row"));
        }
        if self.tokens() > max_token {
            return Err(out_of_range("alphabet", self.alphabet, "at most 2^31 tokens in the vocabulary"));
        }
        Ok(())
    }

    /// N0, how many names there are; `None` beyond 64 bits.
    fn name_space(&self) -> Option<u64> {
        power(self.name_pool, self.name_parts)
    }

    /// N0 within the limits of [`BioDConfig::check`].
    pub(super) fn n_names(&self) -> u64 {
        self.name_space().unwrap_or(u64::MAX)
    }

    /// 1 + `name_parts` `name_pool` + K + T; cannot overflow within the limits of [`BioDConfig::check`].
    fn tokens(&self) -> u64 {
        self.first_symbol() + self.alphabet
    }

    fn first_attribute(&self) -> u64 {
        1 + self.name_parts * self.name_pool
    }

    fn first_symbol(&self) -> u64 {
        self.first_attribute() + self.attributes
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.tokens() as usize
    }

    pub(super) fn seq_len(&self) -> usize {
        let value = self.chunks.saturating_mul(self.length).saturating_add(1);
        self.attributes.saturating_mul(value).saturating_add(self.name_parts).saturating_add(1) as usize
    }

    /// End-of-text, a name, an attribute, its value.
    pub(super) fn question_len(&self) -> usize {
        (2 + self.name_parts + self.chunks * self.length) as usize
    }

    /// Definition 4.1 of the paper.
    pub(super) fn information(&self) -> Information {
        let bits = self.chunks as f64 * (self.diversity as f64).log2();
        let attribute = |k| Attribute { name: format!("attribute {k}"), bits };
        Information {
            people: self.people,
            name_bits: self.name_parts as f64 * (self.name_pool as f64).log2(),
            attributes: (1..=self.attributes).map(attribute).collect(),
            diversity: Some(Diversity {
                attributes: self.attributes,
                chunks: self.chunks,
                distinct: self.diversity,
                length: self.length,
                alphabet: self.alphabet,
            }),
        }
    }

    pub(super) fn open(&self, opening: &Opening) -> Result<BioD> {
        let &Opening { seed, exposures, first_person, seq_len, .. } = opening;
        let name_space = self.name_space().expect("the names were counted by check");
        Ok(BioD {
            first_person,
            seq_len,
            marker: opening.marker_token(self.vocab_size()),
            order: ExposureOrder::new(seed, self.people, exposures)?,
            names: Permutation::new(name_space, &mut Streams::new(seed, "bio-d names").at(0)),
            strings: Strings::new(self, seed),
            choices: Streams::new(seed, "bio-d people"),
            training: Streams::new(seed, "bio-d order"),
            measurement: Streams::new(seed, "bio-d measurement"),
            config: self.clone(),
        })
    }

    /// Tokens as words: `n2.17` is word 17 of the second part of a name, `a3` an attribute, `s5` a symbol.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let word = |&token: &u32| match u64::from(token) {
            0 => super::tokenizer::END_OF_TEXT.to_string(),
            t if t < self.first_attribute() => {
                format!("n{}.{}", (t - 1) / self.name_pool + 1, (t - 1) % self.name_pool)
            }
            t if t < self.first_symbol() => format!("a{}", t - self.first_attribute() + 1),
            t => format!("s{}", t - self.first_symbol()),
        };
        tokens.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// How each token is spelled, with a space before it, as data that shares a vocabulary has its words.
    pub(super) fn spellings(&self) -> Vec<Vec<u8>> {
        (0..self.vocab_size() as u32).map(|token| format!(" {}", self.decode(&[token])).into()).collect()
    }

    /// The tokens of words such as [`BioDConfig::decode`] writes; an error for any other word.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        text.split_whitespace().map(|word| self.token(word).ok_or_else(|| self.unknown(word))).collect()
    }

    fn token(&self, word: &str) -> Option<u32> {
        let number = |text: &str| text.parse::<u64>().ok();
        let below = |value: u64, end: u64| (value < end).then_some(value);
        let token = match word.split_at_checked(1)? {
            ("n", rest) => {
                let (part, name) = rest.split_once('.')?;
                let part = below(number(part)?.checked_sub(1)?, self.name_parts)?;
                1 + part * self.name_pool + below(number(name)?, self.name_pool)?
            }
            ("a", rest) => self.first_attribute() + below(number(rest)?.checked_sub(1)?, self.attributes)?,
            ("s", rest) => self.first_symbol() + below(number(rest)?, self.alphabet)?,
            _ => return (word == super::tokenizer::END_OF_TEXT).then_some(END_OF_TEXT),
        };
        Some(token as u32)
    }

    fn unknown(&self, word: &str) -> Error {
        let (parts, pool) = (self.name_parts, self.name_pool - 1);
        let (attributes, symbols) = (self.attributes, self.alphabet - 1);
        let problem = Problem::new(format!("token {word:?} is not in the vocabulary"));
        Error::data(problem.expected(format!(
            "words of names n1.0 to n{parts}.{pool}, attributes a1 to a{attributes}, symbols s0 to s{symbols}"
        )))
    }
}

fn power(base: u64, exponent: u64) -> Option<u64> {
    base.checked_pow(u32::try_from(exponent).ok()?)
}

/// Rows of symbols, opened.
#[derive(Debug)]
pub(super) struct BioD {
    config: BioDConfig,
    first_person: u64,
    seq_len: usize,
    marker: Option<u32>,
    order: ExposureOrder,
    names: Permutation,
    strings: Strings,
    choices: Streams,
    training: Streams,
    measurement: Streams,
}

impl BioD {
    pub fn config(&self) -> &BioDConfig {
        &self.config
    }

    /// Rows of the stream; one person fills a row when it is as long as a person, and else they are packed.
    pub fn rows(&self, first: u64, count: usize) -> Batch {
        let n = count * self.seq_len;
        let (start, length) = (first * self.seq_len as u64, self.document_len() as u64);
        let (mut document, skip) = (start / length, (start % length) as usize);
        let tokens = Vec::with_capacity(skip + n + 1 + length as usize);
        let mut run = Document { tokens, spans: Vec::new() };
        while run.tokens.len() <= skip + n {
            let (person, exposure) = self.order.pair(document);
            run.spans.clear();
            self.write(person, self.training(person, exposure), &mut run);
            document += 1;
        }
        Batch::from_run(&run.tokens[skip..=skip + n], count, self.seq_len)
    }

    fn document_len(&self) -> usize {
        self.config.seq_len() + self.marker.iter().len()
    }

    pub fn document(&self, person: u64, exposure: u64) -> Document {
        self.written(person, self.training(person, exposure))
    }

    /// People that the names are enough for, those of other parts of a mixture left out.
    pub fn n_names(&self) -> u64 {
        self.config.name_space().map_or(0, |names| names - self.first_person)
    }

    /// End-of-text, name and attribute, and the value.
    pub fn question(&self, person: u64, attribute: usize, form: Form) -> (Vec<u32>, Vec<u32>) {
        let Document { tokens, spans } = self.document(person, 0);
        let value =
            spans.iter().find(|span| span.fact == Fact::Value(attribute)).expect("an attribute of bio-d");
        let name = spans[0].range.clone();
        let prompt = form.prompt(&tokens[..name.start], &tokens[name], &[tokens[value.range.start - 1]]);
        (prompt, tokens[value.range.clone()].to_vec())
    }

    fn training(&self, person: u64, exposure: u64) -> Draws {
        self.training.at_turn(self.first_person + person, exposure)
    }

    pub fn measurement_document(&self, person: u64, rendering: u64) -> Document {
        self.written(person, self.measurement.at_turn(self.first_person + person, rendering))
    }

    fn written(&self, person: u64, draws: Draws) -> Document {
        let mut document = Document::default();
        self.write(person, draws, &mut document);
        document
    }

    fn write(&self, person: u64, mut draws: Draws, out: &mut Document) {
        let config = &self.config;
        let start = out.tokens.len();
        out.tokens.push(END_OF_TEXT);
        out.tokens.extend(self.marker);
        let name_start = out.tokens.len() - start;
        let mut name = self.names.apply(self.first_person + person, 0);
        for part in 0..config.name_parts {
            out.tokens.push((1 + part * config.name_pool + name % config.name_pool) as u32);
            name /= config.name_pool;
        }
        out.spans.push(Span::whole(Fact::Name, name_start..out.tokens.len() - start));
        let mut attributes: Vec<u64> = (0..config.attributes).collect();
        if config.order == AttributeOrder::Permuted {
            draws.shuffle(&mut attributes);
        }
        let picks = self.picks(person);
        for attribute in attributes {
            out.tokens.push((config.first_attribute() + attribute) as u32);
            let value = out.tokens.len() - start;
            let (chunks, length) = (config.chunks as usize, config.length as usize);
            for pick in &picks[attribute as usize * chunks..][..chunks] {
                self.strings.write(attribute, *pick, config.first_symbol(), &mut out.tokens);
            }
            let fact = Fact::Value(attribute as usize);
            out.spans.push(Span {
                fact,
                range: value..value + chunks * length,
                first_chunk: value..value + length,
            });
        }
    }

    /// Which string of its attribute each chunk of a person is, attribute by attribute.
    fn picks(&self, person: u64) -> Vec<u64> {
        let mut draws = self.choices.at(self.first_person + person);
        (0..self.config.attributes * self.config.chunks).map(|_| draws.below(self.config.diversity)).collect()
    }
}

/// For each attribute D distinct strings of L symbols out of T, without a table.
///
/// String `i` is place `i` of a permutation of all strings, read as digits of base T. Where T^L exceeds 2^63
/// the permutation covers the longest head that does not, which keeps strings apart, and the tail is drawn
/// freely.
#[derive(Debug)]
struct Strings {
    alphabet: u64,
    head: u64,
    tail: u64,
    heads: Vec<Permutation>,
    tails: Streams,
}

impl Strings {
    fn new(config: &BioDConfig, seed: u64) -> Self {
        let fits = |&length: &u64| power(config.alphabet, length).is_some_and(|n| n <= Permutation::MAX_LEN);
        let head = (1..=config.length.min(63)).take_while(fits).last().unwrap_or(1);
        let space = power(config.alphabet, head).expect("the head was chosen to fit");
        let keys = Streams::new(seed, "bio-d strings");
        Strings {
            alphabet: config.alphabet,
            head,
            tail: config.length - head,
            heads: (0..config.attributes).map(|k| Permutation::new(space, &mut keys.at(k))).collect(),
            tails: Streams::new(seed, "bio-d tails"),
        }
    }

    fn write(&self, attribute: u64, i: u64, first_symbol: u64, out: &mut Vec<u32>) {
        let mut string = self.heads[attribute as usize].apply(i, 0);
        for _ in 0..self.head {
            out.push((first_symbol + string % self.alphabet) as u32);
            string /= self.alphabet;
        }
        if self.tail > 0 {
            let mut draws = self.tails.at_turn(attribute, i);
            out.extend((0..self.tail).map(|_| (first_symbol + draws.below(self.alphabet)) as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_tokens_and_back() {
        let config = BioDConfig::default();
        let all: Vec<u32> = (0..config.vocab_size() as u32).collect();
        assert_eq!(config.encode(&config.decode(&all)).unwrap(), all);
        let pool = config.name_pool;
        for word in
            ["n0.0", "n1", &format!("n1.{pool}"), "a0", "a99", "s", "sé", "x1", "n18446744073709551615.1"]
        {
            let message = config.encode(&format!("n1.0 {word}")).unwrap_err().to_string();
            assert!(message.starts_with(&format!("token {word:?} is not in the vocabulary")), "{message}");
        }
    }

    #[test]
    fn a_row_of_the_pilot_is_sixteen_tokens_of_261() {
        let config = BioDConfig::default();
        assert_eq!((config.seq_len(), config.vocab_size()), (16, 261));
        let bits = config.information().bits_per_person();
        assert!((bits - (48.0 + 18.0 - 3072f64.log2())).abs() < 1e-12);
        assert_eq!(config.information().diversity.map(|d| d.bits()), Some(0.0));
    }

    fn odd() -> BioDConfig {
        BioDConfig {
            people: 23,
            attributes: 3,
            chunks: 2,
            diversity: 7,
            length: 4,
            alphabet: 5,
            name_parts: 2,
            name_pool: 5,
            order: AttributeOrder::Permuted,
        }
    }

    #[test]
    fn values_come_from_sets_of_just_as_many_strings() {
        let config = BioDConfig { people: 1000, name_pool: 40, ..odd() };
        let data = config.open(&Opening::alone(3, 1, 16)).unwrap();
        let mut sets = vec![HashSet::new(); 3];
        for person in 0..1000 {
            let document = data.document(person, 0);
            for span in &document.spans[1..] {
                let Fact::Value(attribute) = span.fact else { panic!("a second name") };
                assert_eq!(span.first_chunk, span.range.start..span.range.start + 4);
                assert_eq!(document.tokens[span.range.start - 1], 1 + 80 + attribute as u32);
                sets[attribute].extend(document.tokens[span.range.clone()].chunks(4).map(<[u32]>::to_vec));
            }
        }
        assert_eq!(sets.iter().map(HashSet::len).collect::<Vec<_>>(), [7, 7, 7]);
        assert_ne!(sets[0], sets[1]);
    }

    #[test]
    fn names_are_unique_even_when_all_are_taken() {
        let data = BioDConfig { people: 25, ..odd() }.open(&Opening::alone(9, 1, 16)).unwrap();
        let names: HashSet<_> =
            (0..25).map(|person| data.document(person, 0).tokens[1..3].to_vec()).collect();
        assert_eq!(names.len(), 25);
    }

    #[test]
    fn values_stay_and_only_the_order_changes_between_exposures_and_measurements() {
        let data = odd().open(&Opening::alone(1, 4, 16)).unwrap();
        let values = |document: Document| {
            let mut values: Vec<_> = document
                .spans
                .iter()
                .map(|s| (format!("{:?}", s.fact), document.tokens[s.range.clone()].to_vec()))
                .collect();
            values.sort();
            values
        };
        let documents: HashSet<_> = (0..20).map(|e| data.document(5, e).tokens).collect();
        assert_eq!(documents.len(), 6, "all orders of three attributes");
        for e in 0..20 {
            assert_eq!(values(data.document(5, e)), values(data.measurement_document(5, 0)));
        }
    }

    #[test]
    fn a_fixed_order_is_the_same_in_every_text_and_of_the_same_people() {
        let fixed = BioDConfig { order: AttributeOrder::Fixed, ..odd() };
        let (data, permuted) =
            (fixed.open(&Opening::alone(1, 4, 16)).unwrap(), odd().open(&Opening::alone(1, 4, 16)).unwrap());
        let first = data.document(5, 0);
        let facts: Vec<Fact> = first.spans.iter().map(|span| span.fact).collect();
        assert_eq!(facts, [Fact::Name, Fact::Value(0), Fact::Value(1), Fact::Value(2)]);
        assert!((0..20).all(|exposure| data.document(5, exposure) == first));
        assert_eq!(data.measurement_document(5, 3), first);
        let values = |data: &BioD| (0..3).map(|k| data.question(5, k, Form::Statement).1).collect::<Vec<_>>();
        assert_eq!(values(&data), values(&permuted));
    }

    #[test]
    fn long_strings_over_large_alphabets_need_no_table() {
        let config = BioDConfig { length: 50, alphabet: 40_000, diversity: 10_000, ..odd() };
        config.check().unwrap();
        let document = config.open(&Opening::alone(0, 1, 16)).unwrap().document(22, 0);
        assert_eq!(document.tokens.len(), config.seq_len());
        assert!(document.tokens.iter().all(|&t| (t as usize) < config.vocab_size()));
    }

    #[test]
    fn impossible_numbers_are_errors_that_name_the_key() {
        let message = |config: BioDConfig| config.check().unwrap_err().to_string();
        let base = BioDConfig::default;
        assert_eq!(message(BioDConfig { people: 0, ..base() }), "data.people: 0, expected 1 to 262144");
        assert_eq!(message(BioDConfig { diversity: 65, ..base() }), "data.diversity: 65, expected 1 to 64");
        assert!(message(BioDConfig { people: 1 << 60, ..base() }).starts_with("data.people: "));
        assert!(message(BioDConfig { alphabet: 1 << 40, ..base() }).starts_with("data.alphabet: "));
        assert!(message(BioDConfig { name_parts: 60, ..base() }).starts_with("data.name_pool: 64"));
        assert!(message(BioDConfig { attributes: 1 << 19, length: 1 << 19, ..base() }).contains("2^20"));
        assert!(message(BioDConfig { chunks: 0, ..base() }).starts_with("data.chunks: 0"));
    }

    #[test]
    fn the_target_after_a_row_is_end_of_text() {
        let data = BioDConfig::default().open(&Opening::alone(0, 2, 16)).unwrap();
        let batch = data.rows(15, 5);
        assert_eq!((batch.rows, batch.seq_len, batch.tokens.len()), (5, 16, 80));
        for (tokens, targets) in batch.tokens.chunks(16).zip(batch.targets.chunks(16)) {
            assert_eq!((tokens[0], targets[15], &tokens[1..]), (0, 0, &targets[..15]));
        }
    }
}
