//! A tree to a typed value, strictly, with everything that is wrong with it at once.
//!
//! A choice (an enum) is a table with `kind`, whose other keys are the settings of that kind, or a bare string. Every
//! unknown key is a problem, with the nearest known one as a suggestion. Serde stops at the first mismatch: it is
//! noted, its value is taken away, and the rest is read again, so that nothing is hidden behind it.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::synonyms;
use super::tree::{Entry, KIND, Node, Value, dotted};
use crate::error::Problem;
use crate::kernels::is_said_in_f32;

/// How many problems are worth reading at once.
const MAX_PROBLEMS: usize = 25;

/// Reads `node` as a `T`; `at` is the path of keys that leads to it, for messages.
pub fn read<T: DeserializeOwned>(node: &Node, at: &[&str]) -> Result<T, Vec<Problem>> {
    let mut node = node.clone();
    let mut problems = Vec::new();
    loop {
        let unknown = RefCell::new(Vec::new());
        let reader = Reader { node: &node, path: Path::Root(at), settings_of: None, unknown: &unknown };
        let outcome = T::deserialize(reader);
        let mut wrong = match outcome {
            Ok(value) if problems.is_empty() && unknown.borrow().is_empty() => return Ok(value),
            Ok(_) => None,
            Err(Mismatch { problem, path }) => {
                problems.push(*problem);
                Some(path.unwrap_or_default())
            }
        };
        let removed = wrong.take().is_some_and(|path| node.remove(&path).is_some());
        if !removed || problems.len() >= MAX_PROBLEMS {
            problems.extend(unknown.into_inner());
            problems.truncate(MAX_PROBLEMS);
            sort(&mut problems);
            return Err(problems);
        }
    }
}

/// Puts problems into the order of files and lines, each once; those without a place come last.
pub fn sort(problems: &mut Vec<Problem>) {
    let place = |p: &Problem| p.place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
    problems.sort_by_key(|p| (p.place.is_none(), place(p)));
    problems.dedup();
}

/// The candidate that a misspelt word most likely means.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase().replace('_', "-");
        let contained = word.len() >= 2 && candidate.split('-').any(|part| part == word);
        if contained { 1 } else { strsim::damerau_levenshtein(&word, &candidate) }
    };
    let near = candidates.into_iter().map(|c| (distance(c), c)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= (word.chars().count() / 3).max(1)).then_some(near.1)
}

/// So many names are listed whole; of more the nearest are.
const SHOWN_WHOLE: usize = 20;
const SHOWN: usize = 8;

/// The problem of a word that is none of `known`.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> Problem {
    let problem = Problem::new(format!("unknown {what} {word:?}"));
    let problem = match known {
        [] => problem,
        known => problem.expected(one_of(word, known)),
    };
    match (closest(word, known.iter().copied()), synonyms::meant(word)) {
        (Some(near), None) => problem.help(format!("did you mean {near:?}?")),
        (_, Some(meant)) => problem.help(format!("{word} here: {meant}")),
        (None, None) => problem,
    }
}

/// The names that there are, or the nearest of many.
fn one_of(word: &str, known: &[&str]) -> String {
    match known {
        [only] => only.to_string(),
        known if known.len() <= SHOWN_WHOLE => format!("one of {}", known.join(", ")),
        known => {
            let mut near = known.to_vec();
            near.sort_by_key(|name| strsim::damerau_levenshtein(word, name));
            format!("one of {} and {} more", near[..SHOWN].join(", "), known.len() - SHOWN)
        }
    }
}

/// What stopped serde: the problem, and the path of the value to take away before reading on.
#[derive(Debug)]
struct Mismatch {
    problem: Box<Problem>,
    path: Option<Vec<String>>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Mismatch {}

impl From<Problem> for Mismatch {
    fn from(problem: Problem) -> Self {
        Mismatch { problem: Box::new(problem), path: None }
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::new(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected, expected: &dyn de::Expected) -> Self {
        Problem::new(found.to_string()).expected(expected.to_string()).into()
    }

    fn invalid_value(found: Unexpected, expected: &dyn de::Expected) -> Self {
        Mismatch::invalid_type(found, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Problem::new(format!("{field} is missing")).into()
    }
}

/// The keys that lead to a value.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root(&'a [&'a str]),
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// From the place where reading began.
    fn relative(&self) -> Vec<String> {
        match self {
            Path::Root(_) => Vec::new(),
            Path::Key(parent, key) => {
                let mut path = parent.relative();
                path.push(key.to_string());
                path
            }
            Path::Item(parent, index) => {
                let mut path = parent.relative();
                path.push(index.to_string());
                path
            }
        }
    }

    /// As a message names it; the place tells which item of an array.
    fn dotted(&self) -> String {
        match self {
            Path::Root(at) => dotted(at),
            Path::Item(parent, _) => parent.dotted(),
            Path::Key(Path::Root([]), key) => dotted(&[key]),
            Path::Key(parent, key) => format!("{}.{}", parent.dotted(), dotted(&[key])),
        }
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    path: Path<'a>,
    /// The kind whose settings these are, when the table is a choice.
    settings_of: Option<&'a str>,
    /// Unknown keys so far.
    unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    /// The problem with its key and place.
    fn located(&self, problem: Problem) -> Problem {
        let problem = problem.key(self.path.dotted());
        match &self.node.origin {
            Some(origin) => problem.at(origin.place()),
            None => problem,
        }
    }

    /// An error that comes from inside a visitor gets the place of this value.
    fn place(&self, mismatch: Mismatch) -> Mismatch {
        match mismatch.path {
            Some(_) => mismatch,
            None => Mismatch {
                problem: Box::new(self.located(*mismatch.problem)),
                path: Some(self.path.relative()),
            },
        }
    }

    fn expected<T>(&self, expected: impl Into<String>) -> Result<T, Mismatch> {
        Err(self.place(Problem::new(describe(&self.node.value)).expected(expected).into()))
    }

    /// Entries of a table without the `kind` of a choice; a bare kind has no settings.
    fn entries(&self) -> Result<Vec<&'a Entry>, Mismatch> {
        match (&self.node.value, self.settings_of) {
            (Value::Table(table), None) => Ok(table.iter().collect()),
            (Value::Table(table), Some(_)) => Ok(table.iter().filter(|entry| entry.key != KIND).collect()),
            (Value::String(_), Some(_)) => Ok(Vec::new()),
            _ => self.expected("a table"),
        }
    }

    /// Notes a key that the type does not have.
    fn note_unknown(&self, entry: &Entry, fields: &[&str]) {
        let mut problem = unknown("key", &entry.key, fields).key(Path::Key(&self.path, &entry.key).dotted());
        if let (Some(kind), []) = (self.settings_of, fields) {
            problem = problem.expected(format!("no settings: {kind:?} has none"));
        }
        let place = entry.origin.as_ref().or(entry.node.origin.as_ref()).map(|origin| origin.place());
        self.unknown.borrow_mut().push(Problem { place, ..problem });
    }

    fn whole_number(&self, min: i128, max: i128) -> Result<i128, Mismatch> {
        match self.node.value {
            Value::Integer(value) if (min..=max).contains(&value) => Ok(value),
            _ if min == 0 && max >= i64::MAX as i128 => self.expected("a whole number from 0 up"),
            _ if max >= i64::MAX as i128 => self.expected("a whole number"),
            _ => self.expected(format!("a whole number from {min} to {max}")),
        }
    }

    fn number(&self) -> Result<f64, Mismatch> {
        match self.node.value {
            Value::Float(value) if is_said_in_f32(value) => Ok(value),
            Value::Integer(value) => Ok(value as f64),
            Value::Float(value) if value.is_finite() => self.expected(format!(
                "a number that f32, which computes, can tell from 0, 1 and infinity: {F32}"
            )),
            Value::Float(_) => self.expected("a finite number"),
            _ => self.expected("a number"),
        }
    }
}

/// The sizes of numbers of f32.
const F32: &str = "0, or 1.2e-38 to 3.4e38";

/// A value in a few words.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the string {text:?}"),
        Value::Integer(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value:?}"),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(value) => format!("the date {value}"),
        Value::Array(_) => "an array".to_string(),
        Value::Table(_) => "a table".to_string(),
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            let value = self.whole_number($type::MIN as i128, $type::MAX as i128)?;
            visitor.$visit(value as $type).map_err(|e| self.place(e))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::String(text) | Value::Datetime(text) => visitor.visit_str(text).map_err(|e| self.place(e)),
            Value::Integer(_) => self.deserialize_i64(visitor),
            Value::Float(_) => self.deserialize_f64(visitor),
            Value::Boolean(_) => self.deserialize_bool(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Table(_) => self.deserialize_map(visitor),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_f32(self.number()? as f32).map_err(|e| self.place(e))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_f64(self.number()?).map_err(|e| self.place(e))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node.value {
            Value::Boolean(value) => visitor.visit_bool(value).map_err(|e| self.place(e)),
            _ => self.expected("true or false"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node.as_str() {
            Some(text) => visitor.visit_str(text).map_err(|e| self.place(e)),
            None => self.expected("a string"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Array(items) => {
                visitor.visit_seq(Items { reader: self, items, next: 0 }).map_err(|e| self.place(e))
            }
            _ => self.expected("an array"),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let entries = self.entries()?;
        visitor.visit_map(Entries { reader: self, entries, next: 0 }).map_err(|e| self.place(e))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let known = |entry: &&Entry| fields.contains(&entry.key.as_str());
        let (entries, unknown): (Vec<_>, Vec<_>) = self.entries()?.into_iter().partition(known);
        unknown.iter().for_each(|entry| self.note_unknown(entry, fields));
        visitor.visit_map(Entries { reader: self, entries, next: 0 }).map_err(|e| self.place(e))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let kind = match &self.node.value {
            Value::String(_) => self.node,
            Value::Table(table) => match table.get(KIND) {
                Some(kind) => kind,
                None => {
                    let problem =
                        Problem::new("a table without kind").expected(format!("kind = {}", quoted(variants)));
                    return Err(self.place(problem.into()));
                }
            },
            _ => return self.expected(quoted(variants)),
        };
        let at_kind = Reader { node: kind, ..self };
        let Some(name) = kind.as_str() else { return at_kind.expected(quoted(variants)) };
        if !variants.contains(&name) {
            return Err(at_kind.place(unknown("kind", name, variants).into()));
        }
        visitor.visit_enum(Choice { name, settings: Reader { settings_of: Some(name), ..self } })
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

fn quoted(variants: &[&str]) -> String {
    match variants {
        [only] => format!("{only:?}"),
        all => format!("one of {}", all.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(", ")),
    }
}

struct Items<'a> {
    reader: Reader<'a>,
    items: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(node) = self.items.get(self.next) else { return Ok(None) };
        let parent = self.reader.path;
        let reader = Reader { node, path: Path::Item(&parent, self.next), settings_of: None, ..self.reader };
        self.next += 1;
        seed.deserialize(reader).map(Some)
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    entries: Vec<&'a Entry>,
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        match self.entries.get(self.next) {
            Some(entry) => seed.deserialize(entry.key.as_str().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let entry = self.entries[self.next];
        self.next += 1;
        let parent = self.reader.path;
        let reader = Reader {
            node: &entry.node,
            path: Path::Key(&parent, &entry.key),
            settings_of: None,
            ..self.reader
        };
        seed.deserialize(reader)
    }
}

/// A kind and the settings that belong to it.
struct Choice<'a> {
    name: &'a str,
    settings: Reader<'a>,
}

impl<'a, 'de> EnumAccess<'de> for Choice<'a> {
    type Error = Mismatch;
    type Variant = Reader<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Reader<'a>), Mismatch> {
        let variant =
            seed.deserialize(self.name.into_deserializer()).map_err(|e: Mismatch| self.settings.place(e));
        Ok((variant?, self.settings))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        self.entries()?.iter().for_each(|entry| self.note_unknown(entry, &[]));
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Mismatch> {
        self.expected("settings with names")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::layers::feed_forward::FeedForwardConfig;
    use crate::layers::norm::NormConfig;
    use crate::plan::tree::Source;
    use crate::plan::{Plan, writer};
    use crate::training::Clip;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Toy {
        norm: NormConfig,
        feed_forward: FeedForwardConfig,
        clip: Option<Clip>,
        rates: Vec<f64>,
        small: u8,
    }

    fn toy(text: &str) -> Result<Toy, Vec<String>> {
        let node = Node::parse(&Source::new("t.toml", text)).unwrap();
        read(&node, &[]).map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn a_bare_string_and_a_table_with_kind_are_the_same_choice() {
        assert_eq!(toy("norm = 'rms'"), toy("norm = { kind = 'rms' }"));
        assert_eq!(toy("clip = 'none'").unwrap().clip, Some(Clip::None));
        assert_eq!(toy("clip = { kind = 'none' }").unwrap().clip, Some(Clip::None));
    }

    #[test]
    fn whole_numbers_are_taken_where_numbers_are_expected() {
        assert_eq!(toy("rates = [1, 0.5]").unwrap().rates, [1.0, 0.5]);
    }

    #[test]
    fn a_misspelt_key_names_the_nearest_one() {
        let problems = toy("[norm]\nkind = 'rms'\nepss = 1e-6").unwrap_err();
        assert_eq!(
            problems,
            ["t.toml:3:1: norm.epss: unknown key \"epss\", expected eps; did you mean \"eps\"?"]
        );
    }

    #[test]
    fn a_misspelt_kind_names_the_nearest_one() {
        let problems = toy("feed_forward = 'gated_mpl'").unwrap_err();
        assert_eq!(
            problems,
            [
                "t.toml:1:16: feed_forward: unknown kind \"gated_mpl\", expected one of mlp, gated-mlp, moe, none; \
              did you mean \"gated-mlp\"?"
            ]
        );
    }

    #[test]
    fn a_table_without_kind_lists_the_kinds() {
        let problems = toy("norm = { eps = 1e-6 }").unwrap_err();
        assert_eq!(
            problems,
            ["t.toml:1:8: norm: a table without kind, expected kind = one of \"layer\", \"rms\", \"none\""]
        );
    }

    #[test]
    fn a_kind_without_settings_refuses_them() {
        let problems = toy("feed_forward = { kind = 'none', expansion = 2 }").unwrap_err();
        assert_eq!(
            problems,
            [
                "t.toml:1:33: feed_forward.expansion: unknown key \"expansion\", expected no settings: \"none\" has none"
            ]
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once_in_the_order_of_the_file() {
        let text = "norm = 3\nrates = [1, 'x', 2, 'y']\nsmall = 300\nsmal = 1\n\
                    [feed_forward]\nkind = 'mlp'\nexpansion = 'wide'\nactivation = 'gelo'\n";
        assert_eq!(
            toy(text).unwrap_err(),
            [
                "t.toml:1:8: norm: the number 3, expected one of \"layer\", \"rms\", \"none\"",
                "t.toml:2:13: rates: the string \"x\", expected a number",
                "t.toml:2:21: rates: the string \"y\", expected a number",
                "t.toml:3:9: small: the number 300, expected a whole number from 0 to 255",
                "t.toml:4:1: smal: unknown key \"smal\", expected one of norm, feed_forward, clip, rates, small; \
                 did you mean \"small\"?",
                "t.toml:7:13: feed_forward.expansion: the string \"wide\", expected a number",
                "t.toml:8:14: feed_forward.activation: unknown kind \"gelo\", expected one of gelu, gelu-tanh, silu, \
                 relu, relu-squared; did you mean \"gelu\"?",
            ]
        );
    }

    #[test]
    fn numbers_that_are_not_finite_or_not_whole_are_refused() {
        assert!(toy("rates = [nan]").unwrap_err()[0].contains("a finite number"));
        assert!(toy("rates = [inf]").unwrap_err()[0].contains("a finite number"));
        assert!(toy("small = -1").unwrap_err()[0].contains("a whole number from 0 to 255"));
        assert!(toy("small = 1.5").unwrap_err()[0].contains("a whole number from 0 to 255"));
    }

    #[test]
    fn numbers_that_f32_does_not_tell_from_others_are_refused() {
        for rate in ["1e-320", "-1e-39", "1e300", "-4e38", "0.99999999"] {
            let said = &toy(&format!("rates = [{rate}]")).unwrap_err()[0];
            assert!(said.starts_with("t.toml:1:10: rates: the number ") && said.contains("f32"), "{said}");
        }
        assert_eq!(toy("rates = [0.0, -0.0, 2e-38, 3e38, 0.999999]").unwrap().rates.len(), 5);
    }

    #[test]
    fn a_word_far_from_all_gets_no_suggestion() {
        assert_eq!(closest("banana", ["gelu", "silu"]), None);
        assert_eq!(closest("lr", ["peak_lr", "batch"]), Some("peak_lr"));
        assert_eq!(closest("gated_mlp", ["mlp", "gated-mlp"]), Some("gated-mlp"));
    }

    #[test]
    fn a_hundred_problems_are_cut_short() {
        let keys: String = (0..100).map(|i| format!("k{i} = 1\n")).collect();
        assert_eq!(toy(&keys).unwrap_err().len(), MAX_PROBLEMS);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let plan = Plan::default();
        assert_eq!(read::<Plan>(&writer::write(&plan), &[]).unwrap(), plan);
    }
}
