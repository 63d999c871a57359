//! Renamed keys and values: read under either name, written under today's, hashed under
//! the first.
//!
//! One table holds them all. [`Node::parse`] goes through it, so every file, `--set` and stored plan may keep the
//! earlier word; the fingerprint is of the earlier word, so that a run is found under either.

#[cfg(feature = "cli")]
pub(crate) mod json;

use super::tree::{Entry, KIND, Node, Table, Value, path_as_written};
use crate::error::Problem;

/// A key of the tables whose path ends with `within`, and those of its values that have other names too.
struct Renamed {
    within: &'static [&'static str],
    before: &'static str,
    now: &'static str,
    values: &'static [(Word, Word)],
}

/// The root of the tree, before all keys of a path.
const ROOT: &str = "";

/// Any key of a path.
const ANY: &str = "*";

/// A value that has two names.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Text(&'static str),
    Flag(bool),
}

use Word::{Flag, Text};

const fn key(within: &'static [&'static str], before: &'static str, now: &'static str) -> Renamed {
    Renamed { within, before, now, values: &[] }
}

const RENAMED: [Renamed; 17] = [
    key(&["position"], "share", "rotary_fraction"),
    key(&["scaling"], "trained_len", "original_max_position"),
    key(&["scaling"], "most_turns", "beta_fast"),
    key(&["scaling"], "least_turns", "beta_slow"),
    key(&["mixer"], "head_width", "d_head"),
    key(&["mixer"], "score_cap", "logit_softcap"),
    Renamed {
        values: &[(Text("window"), Text("sliding-window")), (Text("both"), Text("bidirectional"))],
        ..key(&["mixer"], "reach", "mask")
    },
    Renamed {
        values: &[
            (Text("pre-norm"), Text("pre")),
            (Text("post-norm"), Text("post")),
            (Text("output-norm"), Text("output")),
        ],
        ..key(&["block"], "arrangement", "norm_placement")
    },
    key(&["feed_forward"], "balance", "load_balance_coef"),
    Renamed {
        values: &[(Text("score"), Flag(false)), (Text("normalised"), Flag(true))],
        ..key(&["feed_forward"], "gate", "norm_topk_prob")
    },
    Renamed {
        values: &[(Text("stored"), Flag(false)), (Text("recomputed"), Flag(true))],
        ..key(&["training"], "activations", "gradient_checkpointing")
    },
    key(&["measure"], "renderings", "paraphrases"),
    key(&["measure"], "exam", "qa_test"),
    key(&["arms", ANY], "holds", "match_on"),
    key(&["one_at_a_time"], "holds", "match_on"),
    key(&[ROOT], "walk", "one_at_a_time"),
    key(&["profiles", ANY], "walk", "one_at_a_time"),
];

/// The direction of a renaming.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToNow,
    ToBefore,
}

/// Puts today's names for earlier ones.
///
/// # Errors
/// If a key stands there under both names.
pub(super) fn to_now(node: &mut Node) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    rename(node, &mut vec![ROOT.to_string()], Way::ToNow, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Puts the first names for today's: what is hashed.
pub(super) fn to_before(node: &mut Node) {
    rename(node, &mut vec![ROOT.to_string()], Way::ToBefore, &mut Vec::new());
}

/// Renames below `path`, whose keys have today's names.
fn rename(node: &mut Node, path: &mut Vec<String>, way: Way, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, path, way, problems)),
        Value::Table(table) => {
            let entries = std::mem::take(table).into_iter();
            *table = entries.map(|entry| rename_entry(entry, path, way, problems)).collect();
            if way == Way::ToNow {
                problems.extend(twice(table));
            }
        }
        _ => {}
    }
}

/// An entry under its other name; a key may be a whole path, as those of `[tune]` are.
fn rename_entry(entry: Entry, path: &mut Vec<String>, way: Way, problems: &mut Vec<Problem>) -> Entry {
    let Entry { key, origin, mut node } = entry;
    let depth = path.len();
    let written = if key.contains('.') { path_as_written(&key) } else { None };
    path.extend(written.unwrap_or_else(|| vec![key.clone()]));
    let known = RENAMED.iter().find(|known| known.is_at(path, way));
    let key = match known {
        Some(known) => {
            rename_value(&mut node, known.values, way);
            let last = path.pop().map_or(0, |last| last.len());
            path.push(known.now.to_string());
            let name = if way == Way::ToNow { known.now } else { known.before };
            format!("{}{name}", &key[..key.len() - last])
        }
        None => key,
    };
    rename(&mut node, path, way, problems);
    path.truncate(depth);
    Entry { key, origin, node }
}

impl Renamed {
    /// Whether it is the last key of `path`.
    fn is_at(&self, path: &[String], way: Way) -> bool {
        let Some((last, tables)) = path.split_last() else { return false };
        let name = if way == Way::ToNow { self.before } else { self.now };
        let same = |(key, pattern): (&String, &&str)| *pattern == ANY || key == pattern;
        last == name
            && tables.len() >= self.within.len()
            && tables[tables.len() - self.within.len()..].iter().zip(self.within).all(same)
    }
}

/// A value, the kind of a table or each of a list by its other name.
fn rename_value(node: &mut Node, values: &[(Word, Word)], way: Way) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| rename_value(item, values, way)),
        Value::Table(table) => {
            if let Some(kind) = table.get_mut(KIND) {
                rename_value(kind, values, way);
            }
        }
        value => {
            let is = |word: Word| match (word, &*value) {
                (Text(word), Value::String(text)) => word == text,
                (Flag(word), Value::Boolean(flag)) => word == *flag,
                _ => false,
            };
            let pairs = values
                .iter()
                .map(|&(before, now)| if way == Way::ToNow { (before, now) } else { (now, before) });
            let Some((_, other)) = pairs.into_iter().find(|(this, _)| is(*this)) else { return };
            *value = match other {
                Text(text) => Value::String(text.to_string()),
                Flag(flag) => Value::Boolean(flag),
            };
        }
    }
}

/// The keys of a table that stand there under both names.
fn twice(table: &Table) -> Vec<Problem> {
    let entries: Vec<&Entry> = table.iter().collect();
    let later =
        entries.iter().enumerate().filter(|(i, entry)| entries[..*i].iter().any(|e| e.key == entry.key));
    let problem = |entry: &Entry| {
        let known = RENAMED.iter().find(|known| entry.key.ends_with(known.now));
        let before = known.map_or("", |known| known.before);
        let problem = Problem::new(format!("{} twice, once by its earlier name {before}", entry.key));
        problem.at_origin(entry.origin.as_ref()).help("leave one of the two out")
    };
    later.map(|(_, entry)| problem(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Source;
    use super::super::writer;
    use super::*;

    /// As version 1 wrote it, and as it is written now.
    const BOTH: [(&str, &str); 11] = [
        (
            "model.block.mixer = { reach = { kind = \"window\", size = 3 }, position = { share = 0.5 } }",
            "model.block.mixer = { mask = { kind = \"sliding-window\", size = 3 }, position = { rotary_fraction = 0.5 } }",
        ),
        (
            "model.layers = [{ mixer.reach = \"both\" }]",
            "model.layers = [{ mixer.mask = \"bidirectional\" }]",
        ),
        ("model.block.arrangement = \"post-norm\"", "model.block.norm_placement = \"post\""),
        ("model.block.arrangement.kind = \"parallel\"", "model.block.norm_placement.kind = \"parallel\""),
        (
            "model.block.feed_forward = { gate = \"normalised\", balance = 0.1 }",
            "model.block.feed_forward = { norm_topk_prob = true, load_balance_coef = 0.1 }",
        ),
        ("training.activations = \"recomputed\"", "training.gradient_checkpointing = true"),
        (
            "tune.\"model.block.mixer.reach\" = [\"both\", \"causal\"]",
            "tune.\"model.block.mixer.mask\" = [\"bidirectional\", \"causal\"]",
        ),
        ("arms.a.holds = \"parameters\"", "arms.a.match_on = \"parameters\""),
        ("walk.holds = \"nothing\"", "one_at_a_time.match_on = \"nothing\""),
        ("arms.walk.data.share = 0.5", "arms.walk.data.share = 0.5"),
        ("data.sources.holds.share = 0.5", "data.sources.holds.share = 0.5"),
    ];

    fn read(text: &str) -> Node {
        Node::parse(&Source::new("t.toml", text)).unwrap()
    }

    #[test]
    fn either_name_reads_as_todays_and_hashes_as_the_first() {
        for (before, now) in BOTH {
            assert_eq!(writer::inline(&read(before)), writer::inline(&read(now)), "{before}");
            let mut hashed = read(now);
            to_before(&mut hashed);
            let words = |text: &str| -> Vec<String> {
                let mut words: Vec<String> = text
                    .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                    .map(str::to_string)
                    .collect();
                words.sort();
                words.dedup();
                words
            };
            assert_eq!(words(&writer::inline(&hashed)), words(&format!(" {before} ")), "{now}");
        }
    }

    #[test]
    fn a_key_under_both_names_is_refused() {
        let source =
            Source::new("t.toml", "[training]\ngradient_checkpointing = true\nactivations = \"stored\"");
        let problems = Node::parse(&source).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].found, "gradient_checkpointing twice, once by its earlier name activations");
        assert_eq!(problems[0].place.as_ref().map(|place| place.line), Some(3));
    }
}
