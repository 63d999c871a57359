//! Our vocabularies as `tokenizer.json`, the form that Hugging Face's `tokenizers` reads.
//!
//! A text opens with end-of-text there, as our documents do. A closed vocabulary of GPT-2 tokens needs the pairs that
//! its tokens are merged from; those that it lacks get the ids behind its own, and no text of the dataset ends in them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use super::{END_OF_TEXT, Ids, Numbers, Tokenizer};

/// The marks of [`super::words::Words`] as a regular expression: letters, numbers, other marks, spaces.
const WORDS: &str =
    r" ?\p{Alphabetic}+| ?(?:(?!\p{Alphabetic})\p{N})+| ?[^\s\p{Alphabetic}\p{N}]+|\s+(?= \S)|\s+";

impl Tokenizer {
    /// As `tokenizer.json`, if it can be said there.
    pub fn to_json(&self) -> Option<Json> {
        let (splits, model, decoder) = match &self.ids {
            Ids::Gpt2(gpt2) => {
                let (vocab, merges) = gpt2.merges(self.spelling.len());
                (gpt2_splits(gpt2.numbers()), self.bpe(vocab, merges), byte_level(true))
            }
            Ids::Words(_) => {
                let split = json!({"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": false});
                let words = self.spelling.iter().map(|word| String::from_utf8_lossy(word).into_owned());
                let vocab: HashMap<String, usize> = words.zip(0..).collect();
                // No word is called <unk>: a word that is not in the vocabulary is an error, here as there.
                (
                    split,
                    json!({"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}),
                    json!({"type": "Fuse"}),
                )
            }
            Ids::Bytes => {
                let vocab = (0..=255).map(|byte: u8| (vec![byte], u32::from(byte) + 1)).collect();
                (byte_level(false), self.bpe(vocab, Vec::new()), byte_level(true))
            }
            Ids::File(file) => {
                let mut json = file.to_json()?;
                // Whatever its makers put around a text: training opened each with end-of-text, and did no more.
                let end = String::from_utf8_lossy(&self.spelling[self.end_of_text as usize]).into_owned();
                json["post_processor"] = opening(&end, self.end_of_text);
                return Some(json);
            }
        };
        let end = self.end_of_text;
        Some(json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [{
                "id": end, "content": END_OF_TEXT, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            }],
            "normalizer": null,
            "pre_tokenizer": splits,
            "post_processor": opening(END_OF_TEXT, end),
            "decoder": decoder,
            "model": model,
        }))
    }

    /// Byte pair encoding over bytes that are written as letters.
    fn bpe(&self, vocab: Vocabulary, merges: Vec<Merge>) -> Json {
        let mut vocab: BTreeMap<String, u32> =
            vocab.iter().map(|(bytes, id)| (letters(bytes), *id)).collect();
        vocab.insert(END_OF_TEXT.to_string(), self.end_of_text);
        let merges: Vec<String> =
            merges.iter().map(|[a, b]| format!("{} {}", letters(a), letters(b))).collect();
        json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges,
        })
    }
}

/// Puts `token` before each text.
fn opening(token: &str, id: u32) -> Json {
    let opening = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "type": "TemplateProcessing",
        "single": [opening, text("A")],
        "pair": [opening, text("A"), opening, text("B")],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

fn byte_level(use_regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn gpt2_splits(numbers: Numbers) -> Json {
    match numbers {
        Numbers::Whole => byte_level(true),
        Numbers::Digits => json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level(true)],
        }),
    }
}

/// Ids of tokens by their bytes.
pub(super) type Vocabulary = BTreeMap<Vec<u8>, u32>;
/// The two halves that make a token.
pub(super) type Merge = [Vec<u8>; 2];

/// Bytes as GPT-2's vocabulary writes them: those that are no printable letter as letters from U+0100 on.
fn letters(bytes: &[u8]) -> String {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let letter = |&byte: &u8| match is_printable(byte) {
        true => char::from(byte),
        false => {
            let before = (0..byte).filter(|byte| !is_printable(*byte)).count() as u32;
            char::from_u32(0x100 + before).expect("a letter of Latin Extended-A")
        }
    };
    bytes.iter().map(letter).collect()
}

#[cfg(all(test, feature = "tokenizers"))]
mod tests {
    use super::super::TokenizerConfig;
    use super::*;

    const TEXT: &str =
        " Ada Lovelace was born on December 10, 1815.\n\n  It isn't the naïve end: 3x½, \"ok\" \t\n x Ⅳ٣.";

    #[test]
    fn tokens_are_the_same_through_the_file() {
        use TokenizerConfig::*;
        for config in [Gpt2, Gpt2Digits, Words, Bytes] {
            for tokenizer in [config.closed([TEXT]).unwrap(), config.open([TEXT]).unwrap()] {
                let json = tokenizer.to_json().unwrap().to_string();
                let theirs = tokenizers::Tokenizer::from_bytes(json.as_bytes()).unwrap();
                for text in [TEXT, "Ada", " 1815. the", ""] {
                    let Ok(ours) = tokenizer.encode(text) else { continue };
                    let ours: Vec<u32> = std::iter::once(tokenizer.end_of_text()).chain(ours).collect();
                    let encoding = theirs.encode(text, true).unwrap();
                    assert_eq!(encoding.get_ids(), ours, "{config:?} {text:?}");
                    assert_eq!(theirs.decode(&ours, true).unwrap(), text, "{config:?}");
                }
            }
        }
    }

    #[test]
    fn words_outside_a_closed_vocabulary_are_no_word_of_it() {
        let read = |tokenizer: Tokenizer| {
            tokenizers::Tokenizer::from_bytes(tokenizer.to_json().unwrap().to_string().as_bytes()).unwrap()
        };
        let words = read(TokenizerConfig::Words.closed([" red"]).unwrap());
        assert!(words.encode(" green", false).is_err());
        let gpt2 = read(TokenizerConfig::Gpt2.closed([" red"]).unwrap());
        assert!(gpt2.encode(" green", false).unwrap().get_ids().iter().all(|id| *id >= 2));
        assert_eq!(gpt2.encode(" red", false).unwrap().get_ids(), [1]);
    }
}
