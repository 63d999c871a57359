//! One vocabulary for all sources: tokens that are spelled alike are the same token.

use std::collections::HashMap;

use crate::data::Language;
use crate::data::tokenizer;
use crate::error::Result;

/// The tokens of all sources, end-of-text (id 0) first, the markers last.
#[derive(Debug, Clone)]
pub struct Joint {
    languages: Vec<Language>,
    spellings: Vec<Vec<u8>>,
    /// Per source: from its token to ours, its marker included.
    ids: Vec<Vec<u32>>,
}

/// The token that opens every document.
pub(in crate::data) const END_OF_TEXT: u32 = 0;

impl Joint {
    /// Unites the languages of sources; those with a name in `markers` have a marker.
    pub(super) fn new(languages: Vec<Language>, markers: &[Option<&str>]) -> Self {
        let mut spellings = vec![Vec::from(tokenizer::END_OF_TEXT)];
        let mut known = HashMap::from([(spellings[0].clone(), END_OF_TEXT)]);
        let mut id_of = |spelling: Vec<u8>| {
            *known.entry(spelling).or_insert_with_key(|spelling| {
                spellings.push(spelling.clone());
                spellings.len() as u32 - 1
            })
        };
        let mut ids: Vec<Vec<u32>> = Vec::with_capacity(languages.len());
        for language in &languages {
            let own = language.spellings().into_iter().zip(0..);
            let end = language.end_of_text();
            ids.push(
                own.map(|(spelling, id)| if Some(id) == end { END_OF_TEXT } else { id_of(spelling) })
                    .collect(),
            );
        }
        for (ids, name) in ids.iter_mut().zip(markers) {
            ids.extend(name.map(|name| id_of(format!("<|{name}|>").into())));
        }
        Joint { languages, spellings, ids }
    }

    /// How many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.spellings.len()
    }

    pub(in crate::data) fn spellings(&self) -> &[Vec<u8>] {
        &self.spellings
    }

    /// Our id of token `id` of a source.
    pub(super) fn id(&self, source: usize, id: u32) -> u32 {
        self.ids[source][id as usize]
    }

    /// Replaces a source's ids by ours.
    pub(super) fn translate(&self, source: usize, ids: &mut [i32]) {
        ids.iter_mut().for_each(|id| *id = self.ids[source][*id as usize] as i32);
    }

    /// The tokens of `text` in the first source that can say it.
    ///
    /// # Errors
    /// No source can; what the first one misses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut refusal = None;
        for (source, language) in self.languages.iter().enumerate() {
            match language.encode(text) {
                Ok(tokens) => return Ok(tokens.into_iter().map(|id| self.id(source, id)).collect()),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.expect("a mixture has sources"))
    }

    /// What `tokens` read as; ids beyond the vocabulary show as U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let spelled = tokens
            .iter()
            .map(|&id| self.spellings.get(id as usize).map_or("\u{fffd}".as_bytes(), Vec::as_slice));
        String::from_utf8_lossy(&spelled.collect::<Vec<_>>().concat()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TokenizerConfig;

    #[test]
    fn what_is_spelled_alike_is_one_token_and_every_source_ends_its_text_alike() {
        let language = |text: &str| Language::Text(TokenizerConfig::Words.closed([text]).unwrap());
        let joint = Joint::new(vec![language(" x y"), language(" y z")], &[None, Some("b")]);
        assert_eq!(joint.vocab_size(), 5);
        assert_eq!((0..3).map(|id| joint.id(0, id)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((0..4).map(|id| joint.id(1, id)).collect::<Vec<_>>(), [0, 2, 3, 4]);
        assert_eq!(joint.decode(&[0, 4, 2, 3, 9]), "<|endoftext|><|b|> y z\u{fffd}");
        assert_eq!(joint.encode(" z y").unwrap(), [3, 2]);
        assert!(joint.encode(" x z").is_err(), "no source says both");
    }

    #[test]
    fn an_end_of_text_elsewhere_is_ours() {
        let gpt2 = Language::Text(TokenizerConfig::Gpt2.open([]).unwrap());
        let joint = Joint::new(vec![gpt2], &[None]);
        assert_eq!((joint.vocab_size(), joint.id(0, 50256), joint.id(0, 0)), (50257, 0, 1));
    }
}
