//! A typed value to a tree, and a tree to TOML text: the other direction of [`reader`](super::reader).
//!
//! A choice is written as a table with `kind` first, or as a bare string when its kind has no settings at all. Absent
//! options are left out. The form is canonical: the same value always gives the same text.

use std::fmt::Write;

use serde::ser::{self, Serialize};

use super::tree::{Entry, KIND, Node, Table, Value, quote, quote_key};

/// How long a table may be to stand on one line.
const MAX_INLINE: usize = 100;

/// The tree of a value.
///
/// # Panics
/// If the type has a shape that TOML cannot hold; the types of a plan have none.
pub fn write<T: Serialize>(value: &T) -> Node {
    let node = value.serialize(Writer).expect("the types of a plan are tables, choices, text and numbers");
    node.unwrap_or_else(Node::table)
}

/// The tree on one line.
pub fn inline(node: &Node) -> String {
    match &node.value {
        Value::String(text) => quote(text),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => "nan".to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(value) => value.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) if table.is_empty() => "{}".to_string(),
        Value::Table(table) => {
            let pairs = table.iter().map(|e| format!("{} = {}", quote_key(&e.key), inline(&e.node)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The tree as a document of sections.
pub fn document(node: &Node) -> String {
    annotated(node, &|_| None)
}

/// The tree as a document of sections; `note` may say something about the line of an entry.
pub fn annotated(node: &Node, note: &dyn Fn(&[&str]) -> Option<String>) -> String {
    let mut text = String::new();
    section(&mut text, node, &mut Vec::new(), note);
    text
}

/// Writes what stands on lines of its own, then the sections below.
fn section<'a>(
    text: &mut String,
    node: &'a Node,
    path: &mut Vec<&'a str>,
    note: &dyn Fn(&[&str]) -> Option<String>,
) {
    let entries: Vec<&Entry> = node.as_table().into_iter().flat_map(Table::iter).collect();
    let is_section = |entry: &&&Entry| needs_section(&entry.node, path.is_empty());
    let (below, lines): (Vec<&&Entry>, Vec<&&Entry>) = entries.iter().partition(is_section);
    if !path.is_empty() && !lines.is_empty() {
        let gap = if text.is_empty() { "" } else { "\n" };
        let name = super::tree::dotted(path);
        let _ = writeln!(text, "{gap}[{name}]");
    }
    for entry in lines {
        path.push(&entry.key);
        let line = format!("{} = {}", quote_key(&entry.key), inline(&entry.node));
        let _ = match note(path) {
            Some(note) => writeln!(text, "{line:<44} # {note}"),
            None => writeln!(text, "{line}"),
        };
        path.pop();
    }
    for entry in below {
        path.push(&entry.key);
        section(text, &entry.node, path, note);
        path.pop();
    }
}

/// Tables at the top, tables of tables and long tables get a section of their own.
fn needs_section(node: &Node, at_top: bool) -> bool {
    let Some(table) = node.as_table() else { return false };
    let holds_tables = table.iter().any(|entry| entry.node.as_table().is_some());
    !table.is_empty() && (at_top || holds_tables || inline(node).len() > MAX_INLINE)
}

/// Makes trees; an absent option makes none.
struct Writer;

type Written = Result<Option<Node>, Unwritable>;

/// A table in the making.
struct Fields {
    table: Table,
    /// Of a map: the key whose value comes next.
    key: Option<String>,
    /// Of a choice: its kind.
    kind: Option<&'static str>,
}

impl Fields {
    fn new(kind: Option<&'static str>) -> Self {
        Fields { table: Table::default(), key: None, kind }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Unwritable> {
        if let Some(node) = value.serialize(Writer)? {
            self.table.insert(key, node);
        }
        Ok(())
    }

    fn finish(self) -> Written {
        let table: Node = Value::Table(self.table).into();
        Ok(Some(match self.kind {
            Some(kind) => choice(kind, &table),
            None => table,
        }))
    }
}

/// A kind with its settings.
fn choice(kind: &str, settings: &Node) -> Node {
    let settings = settings.as_table().cloned().unwrap_or_default();
    let kind: Node = Value::String(kind.to_string()).into();
    if settings.is_empty() {
        return kind;
    }
    let first = Entry { key: KIND.to_string(), origin: None, node: kind };
    Value::Table(std::iter::once(first).chain(settings.iter().cloned()).collect()).into()
}

/// A value whose shape a tree cannot hold.
#[derive(Debug)]
pub struct Unwritable(String);

impl std::fmt::Display for Unwritable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Unwritable(message.to_string())
    }
}

macro_rules! values {
    ($($method:ident $type:ty => $value:expr;)*) => {$(
        fn $method(self, value: $type) -> Written {
            let make: fn($type) -> Value = $value;
            Ok(Some(make(value).into()))
        }
    )*};
}

impl ser::Serializer for Writer {
    type Ok = Option<Node>;
    type Error = Unwritable;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = ser::Impossible<Option<Node>, Unwritable>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    values! {
        serialize_bool bool => Value::Boolean;
        serialize_i8 i8 => |v| Value::Integer(v.into());
        serialize_i16 i16 => |v| Value::Integer(v.into());
        serialize_i32 i32 => |v| Value::Integer(v.into());
        serialize_i64 i64 => |v| Value::Integer(v.into());
        serialize_u8 u8 => |v| Value::Integer(v.into());
        serialize_u16 u16 => |v| Value::Integer(v.into());
        serialize_u32 u32 => |v| Value::Integer(v.into());
        serialize_u64 u64 => |v| Value::Integer(v.into());
        serialize_f32 f32 => |v| Value::Float(v.into());
        serialize_f64 f64 => Value::Float;
        serialize_char char => |v| Value::String(v.into());
        serialize_str &str => |v| Value::String(v.into());
    }

    fn serialize_bytes(self, _value: &[u8]) -> Written {
        Err(ser::Error::custom("bytes"))
    }

    fn serialize_none(self) -> Written {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(None)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        Ok(Some(Node::table()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(Some(Value::String(variant.to_string()).into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let settings = value.serialize(self)?.unwrap_or_else(Node::table);
        Ok(Some(choice(variant, &settings)))
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Items, Unwritable> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Items, Unwritable> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Items, Unwritable> {
        Ok(Items(Vec::new()))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritable> {
        Err(ser::Error::custom("a choice with settings that have no names"))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Fields, Unwritable> {
        Ok(Fields::new(None))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Fields, Unwritable> {
        Ok(Fields::new(None))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Fields, Unwritable> {
        Ok(Fields::new(Some(variant)))
    }
}

/// An array in the making.
struct Items(Vec<Node>);

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        let absent = || ser::Error::custom("an array with a hole");
        self.0.push(value.serialize(Writer)?.ok_or_else(absent)?);
        Ok(())
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident)*) => {$(
        impl ser::$trait for Items {
            type Ok = Option<Node>;
            type Error = Unwritable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
                self.push(value)
            }

            fn end(self) -> Written {
                Ok(Some(Value::Array(self.0).into()))
            }
        }
    )*};
}

sequences! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
}

macro_rules! structs {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Fields {
            type Ok = Option<Node>;
            type Error = Unwritable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Unwritable> {
                self.push(key, value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Fields {
    type Ok = Option<Node>;
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        let key = key.serialize(Writer)?;
        self.key = key.and_then(|key| key.as_str().map(str::to_string));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        let key =
            self.key.take().ok_or_else(|| <Unwritable as ser::Error>::custom("a key that is no text"))?;
        self.push(&key, value)
    }

    fn end(self) -> Written {
        self.finish()
    }
}
