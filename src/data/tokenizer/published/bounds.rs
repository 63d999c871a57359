//! What a `tokenizer.json` may cost, found out before anything is built from it: rules of a few bytes can ask for texts
//! of terabytes, and a table of a few bytes for one of gigabytes.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The largest file, in bytes; the largest that are published have half of that.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// How many ids there may be that no token has.
pub(super) const MAX_HOLES: usize = 1 << 20;
/// The longest text that added tokens may make together, in bytes: what looks for them takes a hundred times as much.
const MAX_ADDED: usize = 2 << 20;
/// Rules in a part.
const MAX_RULES: usize = 100;
/// The longest pattern of a rule, in bytes.
const MAX_PATTERN: usize = 8 << 10;
/// How many times as long rules may make a text; those that are published make it at most twelve times as long.
const MAX_TIMES: f64 = 32.0;
/// The same with Unicode's own normal forms.
const MAX_TIMES_COMPOSED: f64 = 1024.0;
/// How much rules may add to any text, in bytes or tokens.
const MAX_MORE: f64 = 4096.0;
/// How many times as long a normal form of Unicode can be: U+FDFA is 3 bytes, and 33 when it is taken apart.
const COMPOSED: f64 = 11.0;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    #[serde(default)]
    post_processor: Json,
    #[serde(default)]
    decoder: Json,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

/// How much longer the rules so far can make a text.
struct Growth {
    times: f64,
    more: f64,
    composed: f64,
    /// Whether a normal form can still make it longer.
    is_open: bool,
    rules: usize,
}

/// What is too large about a file, or that it is none.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    let file: File = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let added: usize = file.added_tokens.iter().map(|token| token.content.len()).sum();
    if added > MAX_ADDED {
        return Err(format!("added tokens of {added} bytes, more than {MAX_ADDED}"));
    }
    let parts = [
        ("normalizer and pre_tokenizer", vec![&file.normalizer, &file.pre_tokenizer]),
        ("post_processor", vec![&file.post_processor]),
        ("decoder", vec![&file.decoder]),
    ];
    for (name, rules) in parts {
        let mut growth = Growth { times: 1.0, more: 0.0, composed: 1.0, is_open: true, rules: 0 };
        rules
            .into_iter()
            .try_for_each(|rules| growth.add(rules))
            .map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

impl Growth {
    /// A rule, or rules in rules; they are known by their keys, because `type` may be left out.
    fn add(&mut self, rule: &Json) -> Result<(), String> {
        match rule {
            Json::Array(rules) => rules.iter().try_for_each(|rule| self.add(rule)),
            Json::Object(rule) => self.add_rule(rule),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
        }
    }

    fn add_rule(&mut self, rule: &Map<String, Json>) -> Result<(), String> {
        self.rules += 1;
        let text = |key: &str| rule.get(key).and_then(Json::as_str);
        let (literal, regex) = rule.get("pattern").map_or((None, None), |pattern| {
            (pattern["String"].as_str().or(pattern.as_str()), pattern["Regex"].as_str())
        });
        if let Some(pattern) = literal.or(regex).filter(|pattern| pattern.len() > MAX_PATTERN) {
            return Err(format!("a pattern of {} bytes, more than {MAX_PATTERN}", pattern.len()));
        }
        if let (Some(content), Some(_)) = (text("content"), rule.get("pattern")) {
            let n = content.len() as f64;
            // What matches nothing is put between all letters; of other patterns the shortest match is one byte.
            match literal.or(regex.filter(|regex| !may_be_empty(regex)).and(Some("."))) {
                None | Some("") => self.grow(1.0 + n, n),
                Some(shortest) => self.grow((n / shortest.len() as f64).max(1.0), 0.0),
            }
            self.is_open |= !content.is_ascii();
        } else if let Some(before) = text("prepend") {
            self.grow(1.0, before.len() as f64);
        } else if let Some(charsmap) = text("precompiled_charsmap") {
            self.composed *= (longest_entry(charsmap)? as f64 / 3.0).max(1.0);
            self.is_open = true;
        } else if let Some(single) = rule.get("single") {
            let pieces = single.as_array().map_or(0, Vec::len);
            let texts =
                single.as_array().into_iter().flatten().filter(|piece| piece.get("Sequence").is_some());
            let texts = single.as_str().map_or(texts.count(), |single| single.matches('$').count());
            self.grow(texts.max(1) as f64, pieces as f64);
        } else {
            match text("type").unwrap_or_default() {
                "Metaspace" => self.grow(text("replacement").unwrap_or("▁").len() as f64, 4.0),
                "ByteLevel" => self.grow(2.0, 2.0),
                _ if rule.contains_key("trim_offsets") => self.grow(2.0, 2.0),
                "NFC" | "NFD" | "NFKC" | "NFKD" | "BertNormalizer" | "Lowercase" => {
                    self.composed *= if self.is_open { COMPOSED } else { 1.0 };
                    self.is_open = false;
                }
                _ => rule.values().try_for_each(|rules| self.add(rules))?,
            }
        }
        self.check()
    }

    fn grow(&mut self, times: f64, more: f64) {
        self.times *= times;
        self.more = self.more * times + more;
    }

    fn check(&self) -> Result<(), String> {
        let whole = self.times * self.composed;
        if self.rules > MAX_RULES {
            return Err(format!("more than {MAX_RULES} rules"));
        }
        if self.times > MAX_TIMES || whole > MAX_TIMES_COMPOSED {
            return Err(format!(
                "rules that can make a text {whole:.0} times as long, more than {MAX_TIMES} times (or {MAX_TIMES_COMPOSED} with Unicode's normal forms)"
            ));
        }
        match self.more > MAX_MORE {
            true => {
                Err(format!("rules that can put {:.0} bytes into any text, more than {MAX_MORE}", self.more))
            }
            false => Ok(()),
        }
    }
}

/// Whether a pattern may match no letter at all; some that cannot are taken for such.
fn may_be_empty(pattern: &str) -> bool {
    let signs = ["*", "?", "|", "^", "$", "{0", "{,", "()", r"\b", r"\B", r"\A", r"\z", r"\Z", r"\G", r"\K"];
    pattern.is_empty() || signs.iter().any(|sign| pattern.contains(sign))
}

/// The longest text that a table of SentencePiece puts for a letter: 4 bytes for the length of its tree, the tree, and
/// texts that end with a zero.
fn longest_entry(charsmap: &str) -> Result<usize, String> {
    let bytes = base64(charsmap).ok_or("a precompiled_charsmap that is not base64")?;
    let tree = bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize);
    // A letter is looked for along the tree without asking where it ends.
    let texts = tree.filter(|tree| *tree >= 4).and_then(|tree| bytes.get(4 + tree..));
    let texts = texts.ok_or("a precompiled_charsmap that is cut short")?;
    Ok(texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit = |letter: &u8| DIGITS.iter().position(|digit| digit == letter);
        let value = four.iter().try_fold(0, |value, letter| Some(value << 6 | digit(letter)?))?
            << (6 * (4 - four.len()));
        bytes.extend_from_slice(&(value as u32).to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalizer(rules: Json) -> Result<(), String> {
        check(json!({"normalizer": {"type": "Sequence", "normalizers": rules}}).to_string().as_bytes())
    }

    fn replace(pattern: Json, content: &str) -> Json {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    #[test]
    fn rules_that_published_files_have_are_taken() {
        let charsmap = [&4u32.to_le_bytes()[..], &[0; 4], "\0ﷺ صلى الله عليه وسلم\0".as_bytes()].concat();
        let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": encode(&charsmap)});
        let llama = [json!({"type": "Prepend", "prepend": "▁"}), replace(json!({"String": " "}), "▁")];
        let albert = [
            replace(json!({"String": "``"}), "\""),
            replace(json!({"String": "''"}), "\""),
            json!({"type": "NFKD"}),
            json!({"type": "StripAccents"}),
            json!({"type": "Lowercase"}),
            charsmap,
            replace(json!({"Regex": " {2,}"}), " "),
        ];
        assert_eq!(normalizer(json!(llama)), Ok(()));
        assert_eq!(normalizer(json!(albert)), Ok(()));
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"});
        let both =
            json!({"normalizer": {"type": "Sequence", "normalizers": albert}, "pre_tokenizer": metaspace});
        assert_eq!(check(both.to_string().as_bytes()), Ok(()));
    }

    #[test]
    fn rules_that_make_terabytes_are_refused_however_they_are_written() {
        let ten = "a".repeat(10);
        let a = || json!({"String": "a"});
        let refused = |rules: Json| normalizer(rules).unwrap_err();
        let said = refused(json!(vec![replace(a(), &ten); 12]));
        assert!(
            said.contains("normalizer and pre_tokenizer: rules that can make a text 100 times as long"),
            "{said}"
        );
        refused(json!([vec![vec![replace(json!({"Regex": "a"}), &ten); 3]]]));
        refused(json!(vec![json!({"pattern": a(), "content": ten}); 2]));
        refused(json!([replace(json!({"Regex": "x*"}), "12345678"), replace(a(), "aaaa")]));
        refused(json!([replace(a(), &"a".repeat(33))]));
        refused(json!([json!({"type": "Prepend", "prepend": "a".repeat(5000)})]));
        refused(json!([json!({"type": "Prepend", "prepend": "a".repeat(1000)}), replace(a(), &ten)]));
        refused(json!(vec![json!({"type": "ByteLevel"}); 6]));
        refused(json!(vec![json!([replace(json!({"String": "ل"}), "ﷺ"), {"type": "NFKD"}]); 3]));
        refused(json!(vec![json!({"type": "NFC"}); 101]));
        refused(json!([replace(json!({"Regex": "a".repeat(9000)}), "")]));
        let decoder = json!({"decoder": {"type": "Sequence", "decoders": vec![replace(a(), &ten); 2]}});
        assert!(check(decoder.to_string().as_bytes()).unwrap_err().starts_with("decoder: "));
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let template = json!({"type": "TemplateProcessing", "single": vec![text; 10]});
        let processor = json!({"post_processor": {"type": "Sequence", "processors": vec![template; 2]}});
        assert!(check(processor.to_string().as_bytes()).unwrap_err().starts_with("post_processor: "));
        let added = json!({"added_tokens": [{"content": "a".repeat(MAX_ADDED + 1)}]});
        assert!(check(added.to_string().as_bytes()).unwrap_err().contains("added tokens of"));
    }

    #[test]
    fn a_table_of_letters_may_not_speak_of_more_than_it_holds() {
        let table = |bytes: &[u8]| json!([{"type": "Precompiled", "precompiled_charsmap": encode(bytes)}]);
        assert!(normalizer(table(&u32::MAX.to_le_bytes())).unwrap_err().contains("cut short"));
        assert!(normalizer(table(b"")).unwrap_err().contains("cut short"));
        let long = [&4u32.to_le_bytes()[..], &[0; 4], &[b'a'; 9999]].concat();
        assert!(normalizer(table(&long)).unwrap_err().contains("3333 times as long"));
        assert!(normalizer(json!([{"type": "Precompiled", "precompiled_charsmap": "?"}])).is_err());
    }

    fn encode(bytes: &[u8]) -> String {
        let value = |three: &[u8]| {
            three.iter().fold(0usize, |value, byte| value << 8 | *byte as usize) << (8 * (3 - three.len()))
        };
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = |three: &[u8]| {
            let value = value(three);
            (0..=three.len()).map(move |i| char::from(DIGITS[value >> (18 - 6 * i) & 63])).collect::<String>()
        };
        let text: String = bytes.chunks(3).map(digits).collect();
        assert_eq!(base64(&text).unwrap(), bytes);
        text
    }
}
