//! Keys that a table may have, and what an unknown one most likely means.

use serde::de::DeserializeOwned;

use super::reader;
use super::resolve::defaults;
use super::tree::{Node, dotted, path_of};
use crate::error::Problem;

/// The tables of a plan: what an overlay may hold.
pub(super) const PLAN_KEYS: [&str; 8] =
    ["model", "data", "training", "prediction", "context", "growth", "adapt", "measure"];

/// Complains about every key of the table under `path` that is not `known`.
pub(super) fn known_keys(node: &Node, path: &[&str], known: &[&str]) -> Result<(), Vec<Problem>> {
    let Some(table) = node.as_table() else {
        let problem = Problem::new("not a table").key(dotted(path)).at_origin(node.origin.as_ref());
        return Err(vec![problem]);
    };
    let wrong = table.iter().filter(|entry| !known.contains(&entry.key.as_str()));
    let problems: Vec<Problem> = wrong
        .map(|entry| {
            let key = dotted(&[path, &[entry.key.as_str()]].concat());
            elsewhere(reader::unknown("key", &entry.key, known).key(key).at_origin(entry.origin.as_ref()))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Reads the value under `key`, or its default when it is absent.
pub(super) fn read_or_default<T: DeserializeOwned + Default>(
    node: &Node,
    path: &[&str],
    problems: &mut Vec<Problem>,
) -> T {
    match node.get(path).map(|value| reader::read(value, path)) {
        Some(Ok(value)) => value,
        Some(Err(wrong)) => {
            problems.extend(wrong);
            T::default()
        }
        None => T::default(),
    }
}

/// An unknown key that has no near neighbour may be known in another table.
pub(super) fn elsewhere(problem: Problem) -> Problem {
    let Some(key) = problem.key.as_deref().and_then(path_of).and_then(|path| path.last().cloned()) else {
        return problem;
    };
    if problem.help.is_some() || !problem.found.starts_with("unknown key") {
        return problem;
    }
    match find(&defaults(), &key, &mut Vec::new()) {
        Some(path) if problem.key != Some(dotted(&path)) => {
            problem.help(format!("did you mean {}?", dotted(&path)))
        }
        _ => problem,
    }
}

/// The first path in a tree that ends in `key`.
fn find(node: &Node, key: &str, path: &mut Vec<String>) -> Option<Vec<String>> {
    for entry in node.as_table()?.iter() {
        path.push(entry.key.clone());
        if entry.key == key {
            return Some(path.clone());
        }
        if let Some(found) = find(&entry.node, key, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}
