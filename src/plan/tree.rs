//! A TOML tree that remembers where each key and value was written, and how two of them combine.
//!
//! Merging: **a choice replaces, a value merges**. A choice is a table with `kind`, or a bare string for a kind
//! without settings. A differing kind replaces the whole table; the same kind, or no kind, merges key by key; arrays
//! replace.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::renamed;
use crate::error::{Place, Problem};

/// The key that tells which variant a table is.
pub const KIND: &str = "kind";

/// How deep tables may lie in one another.
const MAX_DEPTH: usize = 32;

/// A text that values come from.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Name to print: a path, `models/llama.toml (built in)` or `--set`.
    pub name: String,
    /// The whole text of the source.
    pub text: String,
}

/// Where a key or value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    source: Arc<Source>,
    span: Range<usize>,
}

/// A value and where it was written; no origin means a default in code.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub origin: Option<Origin>,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// Values in order.
    Array(Vec<Node>),
    /// Keys with values.
    Table(Table),
}

/// Keys with values, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

/// One key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub origin: Option<Origin>,
    /// The value.
    pub node: Node,
}

impl Origin {
    /// The bytes `span` of `source`.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Origin { source: source.clone(), span }
    }

    /// The place to print.
    pub fn place(&self) -> Place {
        Place::of(&self.source.name, &self.source.text, self.span.clone())
    }

    /// The name of the source.
    pub fn file(&self) -> &str {
        &self.source.name
    }
}

impl Problem {
    /// Adds the place of a value, if it was written in a file.
    pub(super) fn at_origin(self, origin: Option<&Origin>) -> Self {
        match origin {
            Some(origin) => self.at(origin.place()),
            None => self,
        }
    }
}

impl Source {
    /// A text with the name that messages call it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Source { name: name.into(), text: text.into() })
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Node { value, origin: None }
    }
}

impl Node {
    /// An empty table.
    pub fn table() -> Self {
        Value::Table(Table::default()).into()
    }

    /// Parses a TOML document; what it calls by an earlier name has today's in the tree.
    pub fn parse(source: &Arc<Source>) -> Result<Node, Vec<Problem>> {
        let mut node = Node::parse_as_written(source)?;
        renamed::to_now(&mut node)?;
        Ok(node)
    }

    /// Parses a TOML document and leaves all names as they are.
    pub(super) fn parse_as_written(source: &Arc<Source>) -> Result<Node, Vec<Problem>> {
        let syntax = |error: &toml::de::Error| {
            let span = error.span().unwrap_or_else(|| deepest_line(&source.text));
            let problem = match error.message().trim() {
                // Met by the parser before it is met here, and without a place.
                "recursion limit" => too_deep(),
                message => Problem::new(message.replace('\n', ", ")),
            };
            problem.at(Place::of(&source.name, &source.text, span))
        };
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        if !errors.is_empty() {
            return Err(errors.iter().map(syntax).collect());
        }
        let span = table.span();
        let value = convert_table(table.into_inner(), source, 0)?;
        Ok(Node { value, origin: Some(Origin::new(source, span)) })
    }

    /// The table in it, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text in it, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value under a path of keys; an item of an array stands under its number.
    pub fn get(&self, path: &[impl AsRef<str>]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| match &node.value {
            Value::Table(table) => table.get(key.as_ref()),
            Value::Array(items) => items.get(key.as_ref().parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Puts a value under a path of keys; tables on the way are made, and what is no table is replaced by one.
    pub fn set(&mut self, path: &[impl AsRef<str>], node: Node) {
        match path.split_first() {
            None => *self = node,
            Some((key, rest)) => self.table_mut().entry(key.as_ref()).node.set(rest, node),
        }
    }

    /// Says of every key without a place that it was written there.
    pub fn set_key_origins(&mut self, origin: &Origin) {
        if let Value::Table(table) = &mut self.value {
            for entry in &mut table.entries {
                entry.origin.get_or_insert_with(|| origin.clone());
                entry.node.set_key_origins(origin);
            }
        }
    }

    /// Takes the value under a path of keys away.
    pub fn remove(&mut self, path: &[impl AsRef<str>]) -> Option<Node> {
        let (key, rest) = path.split_first()?;
        match (&mut self.value, rest.is_empty()) {
            (Value::Table(table), true) => table.remove(key.as_ref()),
            (Value::Table(table), false) => table.get_mut(key.as_ref())?.remove(rest),
            (Value::Array(items), last) => {
                let index: usize = key.as_ref().parse().ok().filter(|&i| i < items.len())?;
                if last { Some(items.remove(index)) } else { items[index].remove(rest) }
            }
            _ => None,
        }
    }

    /// The table with only these keys.
    pub fn only(&self, keys: &[&str]) -> Node {
        let entries = self.as_table().into_iter().flat_map(Table::iter);
        let kept = entries.filter(|entry| keys.contains(&entry.key.as_str())).cloned();
        Node { value: Value::Table(kept.collect()), origin: self.origin.clone() }
    }

    /// The kind, if it is a choice.
    pub fn kind(&self) -> Option<&str> {
        match &self.value {
            Value::String(kind) => Some(kind),
            Value::Table(table) => table.get(KIND)?.as_str(),
            _ => None,
        }
    }

    /// Lays `overlay` over this value.
    pub fn merge(&mut self, overlay: Node) {
        let same_kind = overlay.kind().is_none() || self.kind().is_none() || self.kind() == overlay.kind();
        match (&mut self.value, overlay.value) {
            (Value::Table(table), Value::Table(over)) if same_kind => table.merge(over),
            (Value::Table(table), Value::String(_)) if same_kind && table.get(KIND).is_some() => {}
            (Value::String(_), Value::Table(over)) if same_kind => self.table_mut().merge(over),
            (_, value) => *self = Node { value, origin: overlay.origin },
        }
    }

    /// The table in it; a bare kind becomes a table with `kind`, anything else an empty table.
    fn table_mut(&mut self) -> &mut Table {
        if !matches!(self.value, Value::Table(_)) {
            let mut table = Table::default();
            if let Value::String(_) = self.value {
                table.entry(KIND).node = self.clone();
            }
            self.value = Value::Table(table);
        }
        match &mut self.value {
            Value::Table(table) => table,
            _ => unreachable!("it was made a table above"),
        }
    }
}

impl Table {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Takes `key` away.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }

    /// Adds a key at the end, or replaces its value.
    pub fn insert(&mut self, key: &str, node: Node) {
        self.entry(key).node = node;
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// All values.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.entries.iter_mut().map(|entry| &mut entry.node)
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts the keys into the order of the alphabet, `kind` first.
    pub fn sort(&mut self) {
        self.entries.sort_by(|a, b| (a.key != KIND, &a.key).cmp(&(b.key != KIND, &b.key)));
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// The entry of `key`, made if absent.
    fn entry(&mut self, key: &str) -> &mut Entry {
        let found = self.entries.iter().position(|entry| entry.key == key);
        let index = found.unwrap_or_else(|| {
            self.entries.push(Entry { key: key.to_string(), origin: None, node: Node::table() });
            self.entries.len() - 1
        });
        &mut self.entries[index]
    }

    fn merge(&mut self, overlay: Table) {
        for over in overlay.entries {
            match self.entries.iter_mut().find(|entry| entry.key == over.key) {
                Some(entry) => {
                    entry.node.merge(over.node);
                    entry.origin = over.origin;
                }
                None => self.entries.push(over),
            }
        }
    }
}

impl IntoIterator for Table {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<Entry> for Table {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Table { entries: entries.into_iter().collect() }
    }
}

/// `model.block.mixer` as keys; quotes protect a key that has a point in it.
pub fn dotted(path: &[impl AsRef<str>]) -> String {
    path.iter().map(|key| quote_key(key.as_ref())).collect::<Vec<_>>().join(".")
}

/// A key as TOML writes it.
pub fn quote_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !key.is_empty() && key.chars().all(bare) {
        true => key.to_string(),
        false => quote(key),
    }
}

/// A text as TOML writes it: as Rust does, but for characters that have no letter.
pub fn quote(text: &str) -> String {
    let (debug, mut quoted) = (format!("{text:?}"), String::new());
    let mut rest = debug.as_str();
    while let Some((plain, escape)) = rest.split_once('\\') {
        quoted.push_str(plain);
        rest = &escape[1..];
        match &escape[..1] {
            "0" => quoted.push_str("\\u0000"),
            "u" => {
                let (hex, after) = rest[1..].split_once('}').expect("Rust closes it");
                quoted.push_str(&format!("\\U{hex:0>8}"));
                rest = after;
            }
            letter => quoted.extend(["\\", letter]),
        }
    }
    quoted + rest
}

/// The path of keys that `model.block."a.b"` means, by today's names.
pub fn path_of(key: &str) -> Option<Vec<String>> {
    let mut node = as_written(key)?;
    renamed::to_now(&mut node).ok()?;
    Some(only_path(&node))
}

/// The path of keys that `model.block."a.b"` means, by the names that it uses.
pub(super) fn path_as_written(key: &str) -> Option<Vec<String>> {
    as_written(key).map(|node| only_path(&node))
}

fn as_written(key: &str) -> Option<Node> {
    Node::parse_as_written(&Source::new("", format!("{key} = 0"))).ok()
}

fn only_path(mut node: &Node) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(entry) = node.as_table().and_then(|table| table.iter().next()) {
        path.push(entry.key.clone());
        node = &entry.node;
    }
    path
}

/// The line with the most keys or brackets: what is too deep to be read has no place of its own.
fn deepest_line(text: &str) -> Range<usize> {
    let depth = |line: &str| line.matches(['.', '[', '{']).count();
    let deepest =
        text.split_inclusive('\n').enumerate().max_by_key(|(i, line)| (depth(line), usize::MAX - i));
    let index = deepest.map_or(0, |(index, _)| index);
    let start = text.split_inclusive('\n').take(index).map(str::len).sum();
    start..start
}

fn convert(value: Spanned<DeValue<'_>>, source: &Arc<Source>, depth: usize) -> Result<Node, Vec<Problem>> {
    let origin = Origin::new(source, value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        DeValue::Integer(value) => match i128::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => return Err(vec![too_large(value.as_str()).at(origin.place())]),
        },
        DeValue::Float(value) => match value.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => return Err(vec![too_large(value.as_str()).at(origin.place())]),
        },
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| convert(item, source, depth + 1));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => convert_table(table, source, depth + 1).map_err(|mut problems| {
            problems.iter_mut().for_each(|p| p.place = p.place.take().or(Some(origin.place())));
            problems
        })?,
    };
    Ok(Node { value, origin: Some(origin) })
}

fn convert_table(table: DeTable<'_>, source: &Arc<Source>, depth: usize) -> Result<Value, Vec<Problem>> {
    if depth > MAX_DEPTH {
        return Err(vec![too_deep()]);
    }
    let mut entries = Vec::new();
    for (key, value) in table {
        let origin = Some(Origin::new(source, key.span()));
        entries.push(Entry {
            key: key.into_inner().into_owned(),
            origin,
            node: convert(value, source, depth)?,
        });
    }
    entries.sort_by_key(|entry| entry.origin.as_ref().map(|origin| origin.span.start));
    Ok(Value::Table(Table { entries }))
}

fn too_deep() -> Problem {
    Problem::new("tables within tables").expected(format!("at most {MAX_DEPTH} deep"))
}

fn too_large(found: &str) -> Problem {
    Problem::new(found).expected("a number of at most 38 digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::writer;

    fn parse(text: &str) -> Node {
        Node::parse(&Source::new("t.toml", text)).unwrap()
    }

    #[test]
    fn whatever_is_written_is_read_again() {
        for text in
            ["plain", "a\"b'\\u{c}\n\t\r", "\0\u{1b}\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}\\", "größer 日本"]
        {
            let read = parse(&format!("{} = {}", quote_key(text), quote(text)));
            let entry = read.as_table().unwrap().iter().next().unwrap();
            assert_eq!((entry.key.as_str(), entry.node.as_str()), (text, Some(text)));
        }
        assert_eq!(quote("a\"b"), "\"a\\\"b\"");
    }

    fn merged(base: &str, overlay: &str) -> String {
        let mut base = parse(base);
        base.merge(parse(overlay));
        writer::inline(&base)
    }

    #[test]
    fn another_kind_replaces_the_whole_table() {
        assert_eq!(
            merged("n = { kind = 'a', x = 1 }", "n = { kind = 'b', y = 2 }"),
            "{ n = { kind = \"b\", y = 2 } }"
        );
        assert_eq!(merged("n = { kind = 'a', x = 1 }", "n = 'b'"), "{ n = \"b\" }");
        assert_eq!(merged("n = 'a'", "n = { kind = 'b', y = 2 }"), "{ n = { kind = \"b\", y = 2 } }");
    }

    #[test]
    fn the_same_kind_or_none_merges_key_by_key() {
        let both = "{ n = { kind = \"a\", x = 1, y = 2 } }";
        assert_eq!(merged("n = { kind = 'a', x = 1 }", "n = { kind = 'a', y = 2 }"), both);
        assert_eq!(merged("n = { kind = 'a', x = 1 }", "n.y = 2"), both);
        assert_eq!(merged("n = { kind = 'a', x = 1 }", "n = 'a'"), "{ n = { kind = \"a\", x = 1 } }");
        assert_eq!(merged("n = 'a'", "n.y = 2"), "{ n = { kind = \"a\", y = 2 } }");
    }

    #[test]
    fn arrays_and_values_replace() {
        assert_eq!(
            merged("a = [1, 2]\nb = 'with'", "a = [3]\nb = 'without'"),
            "{ a = [3], b = \"without\" }"
        );
    }

    #[test]
    fn merging_an_empty_overlay_changes_nothing_and_merging_twice_is_merging_once() {
        let base = parse("a = 1\n[n]\nkind = 'x'\ny = [1]");
        let overlay = parse("n = { kind = 'z' }\nb = 2");
        let mut empty = base.clone();
        empty.merge(Node::table());
        assert_eq!(empty, base);
        let mut once = base.clone();
        once.merge(overlay.clone());
        let mut twice = once.clone();
        twice.merge(overlay);
        assert_eq!(once, twice);
    }

    #[test]
    fn values_keep_their_place_through_a_merge() {
        let mut base = parse("[n]\nkind = 'a'\nx = 1");
        base.merge(Node::parse(&Source::new("over.toml", "n.x = 22")).unwrap());
        let place = base.get(&["n", "x"]).unwrap().origin.as_ref().unwrap().place();
        assert_eq!((place.file.as_str(), place.line, place.column, place.width), ("over.toml", 1, 7, 2));
        assert_eq!(base.get(&["n", "kind"]).unwrap().origin.as_ref().unwrap().file(), "t.toml");
    }

    #[test]
    fn a_key_with_a_point_is_quoted_and_read_back() {
        let path = ["tune", "training.peak_lr"];
        assert_eq!(dotted(&path), "tune.\"training.peak_lr\"");
        assert_eq!(path_of(&dotted(&path)).unwrap(), path);
    }

    #[test]
    fn deep_nesting_and_huge_numbers_are_refused_with_a_place() {
        let deep = vec!["a"; 70].join(".") + " = 1";
        let problems = Node::parse(&Source::new("deep.toml", deep)).unwrap_err();
        assert!(problems[0].to_string().starts_with("deep.toml:1:"), "{}", problems[0]);
        let very_deep = "b.c = 1\n".to_string() + &vec!["a"; 200_000].join(".") + " = 1";
        let problems = Node::parse(&Source::new("deep.toml", very_deep)).unwrap_err();
        let said = problems[0].to_string();
        assert!(said.starts_with("deep.toml:2:") && said.len() < 200, "{said}");
        assert_eq!(problems[0].place.as_ref().unwrap().text, "", "a line of 400,000 letters is not shown");
        let brackets = format!("a = {}", "[".repeat(100_000));
        assert!(Node::parse(&Source::new("deep.toml", brackets)).is_err());
        let digits = format!("a = {}", "9".repeat(60));
        let problems = Node::parse(&Source::new("n.toml", digits)).unwrap_err();
        assert!(problems[0].to_string().ends_with("expected a number of at most 38 digits"));
    }
}
