//! GPT-2's byte pair encoding.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tiktoken_rs::{CoreBPE, r50k_base_singleton};

use crate::data::tokenizer::json::{Merge, Vocabulary};
use crate::data::tokenizer::{END_OF_TEXT, Numbers, unknown};
use crate::error::Result;

/// Which of GPT-2's tokens there are, and how numbers are read.
#[derive(Debug, Clone)]
pub(in crate::data::tokenizer) struct Gpt2 {
    /// From GPT-2's id to ours; `None` for tokens outside a closed vocabulary.
    ids: Vec<Option<u32>>,
    numbers: Numbers,
    end_of_text: u32,
}

impl Gpt2 {
    /// All tokens, by GPT-2's ids.
    pub(in crate::data::tokenizer) fn open(numbers: Numbers) -> Result<Self> {
        let end_of_text = end_of_text(r50k_base_singleton());
        Ok(Gpt2 { ids: (0..end_of_text).map(Some).collect(), numbers, end_of_text })
    }

    /// End-of-text (id 0) and the tokens of `texts`.
    pub(in crate::data::tokenizer) fn closed<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        numbers: Numbers,
    ) -> Result<Self> {
        let used: BTreeSet<u32> = texts.into_iter().flat_map(|text| numbers.encode(text)).collect();
        let mut ids = vec![None; end_of_text(r50k_base_singleton()) as usize];
        for (id, ours) in used.into_iter().zip(1..) {
            ids[id as usize] = Some(ours);
        }
        Ok(Gpt2 { ids, numbers, end_of_text: 0 })
    }

    /// How each token is spelled.
    pub(in crate::data::tokenizer) fn spellings(&self) -> Vec<Vec<u8>> {
        let bpe = r50k_base_singleton();
        let kept = (0..).zip(&self.ids).filter(|(_, ours)| ours.is_some());
        let mut spellings: Vec<Vec<u8>> = kept.map(|(id, _)| spelling(bpe, id)).collect();
        spellings.insert(self.end_of_text as usize, END_OF_TEXT.into());
        spellings
    }

    pub(in crate::data::tokenizer) fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    pub(in crate::data::tokenizer) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let bpe = r50k_base_singleton();
        let found = self.numbers.encode(text).into_iter();
        found.map(|id| self.ids[id as usize].ok_or_else(|| unknown(&spelling(bpe, id)))).collect()
    }

    pub(in crate::data::tokenizer) fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Tokens and merges, in GPT-2's order, of a vocabulary of `vocab_size` tokens.
    pub(in crate::data::tokenizer) fn merges(&self, vocab_size: usize) -> (Vocabulary, Vec<Merge>) {
        let bpe = r50k_base_singleton();
        let spelling: Vec<Vec<u8>> = (0..end_of_text(bpe)).map(|id| spelling(bpe, id)).collect();
        let rank: HashMap<&[u8], usize> = spelling.iter().map(Vec::as_slice).zip(0..).collect();
        let mut needed: BTreeMap<usize, Option<Merge>> = BTreeMap::new();
        let kept = (0..spelling.len()).filter(|id| self.ids[*id].is_some() || spelling[*id].len() == 1);
        let mut open: Vec<usize> = kept.collect();
        while let Some(id) = open.pop() {
            if needed.contains_key(&id) {
                continue;
            }
            let halves = halves(&spelling[id], &rank);
            open.extend(halves.iter().flatten().map(|half| rank[half.as_slice()]));
            needed.insert(id, halves);
        }
        let mut behind = vocab_size as u32..;
        let mut id =
            |token: usize| self.ids[token].unwrap_or_else(|| behind.next().expect("there are few tokens"));
        let vocab = needed.keys().map(|token| (spelling[*token].clone(), id(*token))).collect();
        (vocab, needed.into_values().flatten().collect())
    }
}

impl Numbers {
    /// GPT-2's ids.
    fn encode(self, text: &str) -> Vec<u32> {
        let bpe = r50k_base_singleton();
        match self {
            Numbers::Whole => bpe.encode_ordinary(text),
            Numbers::Digits => split_digits(text).flat_map(|part| bpe.encode_ordinary(part)).collect(),
        }
    }
}

/// Digits one by one, and what is between them.
fn split_digits(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_numeric).flat_map(|part| {
        let digit = part.char_indices().next_back().filter(|(_, last)| last.is_numeric());
        let (before, digit) = part.split_at(digit.map_or(part.len(), |(at, _)| at));
        [before, digit]
    })
}

fn end_of_text(bpe: &CoreBPE) -> u32 {
    bpe.encode_with_special_tokens(END_OF_TEXT)[0]
}

fn spelling(bpe: &CoreBPE, id: u32) -> Vec<u8> {
    bpe.decode_bytes(&[id]).expect("every id up to end-of-text has a spelling")
}

/// The pair that a token is merged from last; none for a byte.
fn halves(token: &[u8], rank: &HashMap<&[u8], usize>) -> Option<Merge> {
    let own = rank[token];
    let mut ends: Vec<usize> = (0..=token.len()).collect();
    loop {
        let pair = |i: usize| rank.get(&token[ends[i]..ends[i + 2]]).filter(|rank| **rank < own);
        let next = (0..ends.len().saturating_sub(2)).filter_map(|i| Some((*pair(i)?, i))).min();
        let Some((_, i)) = next else { break };
        ends.remove(i + 1);
    }
    match ends.as_slice() {
        [0, middle, end] => Some([token[..*middle].to_vec(), token[*middle..*end].to_vec()]),
        _ => None,
    }
}
