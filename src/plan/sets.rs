//! `--set key=value`: overrides that win over all files.

use super::renamed;
use super::tree::{Node, Origin, Source, Value, path_as_written};
use crate::error::{Place, Problem};

/// The name of the source of keys that `--set` gives.
pub(super) const SETS: &str = "--set";

/// `key=value` as a tree; a value that is no TOML is taken for a bare word.
pub fn parse_set(text: &str) -> Result<Node, Vec<Problem>> {
    let source = Source::new(SETS, text);
    let place = |span| Place::of(SETS, text, span);
    let Some(equals) = text.find('=') else {
        let problem = Problem::new(format!("{text:?}")).at(place(0..text.len()));
        return Err(vec![problem.expected("key=value").help("for instance training.batch=32")]);
    };
    let (key, value) = (text[..equals].trim(), text[equals + 1..].trim());
    let structured = value.is_empty() || value.starts_with(['"', '\'', '[', '{']);
    match (Node::parse(&source), path_as_written(key)) {
        (Ok(node), _) => Ok(node),
        (Err(problems), Some(_)) if structured => Err(problems),
        (Err(_), Some(path)) => {
            let start = text.len() - text[equals + 1..].trim_start().len();
            let origin = Some(Origin::new(&source, start..start + value.len()));
            let mut tree = Node::table();
            tree.set(&path, Node { value: Value::String(value.to_string()), origin });
            tree.set_key_origins(&Origin::new(&source, 0..key.len()));
            renamed::to_now(&mut tree)?;
            Ok(tree)
        }
        (Err(_), None) => {
            let problem = Problem::new(format!("the key {key:?}")).at(place(0..equals));
            Err(vec![
                problem.expected("keys with points between them").help("for instance training.batch=32"),
            ])
        }
    }
}

/// All `--set`, in order. They are laid over the rest one by one: joined first, a kind would not replace what was set
/// before it.
pub(super) fn parse_sets(sets: &[String], problems: &mut Vec<Problem>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for set in sets {
        match parse_set(set) {
            Ok(node) => nodes.push(node),
            Err(wrong) => problems.extend(wrong),
        }
    }
    nodes
}
