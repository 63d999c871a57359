//! Files to a plan: defaults in code < model < its size row < dataset < common < arm < profile < `--set`.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::check::check;
use super::preset::{Presets, Shelf};
use super::tree::{Node, Origin, Source, Table, Value, dotted, path_of};
use super::{Plan, reader, writer};
use crate::error::{Error, Kind, Place, Problem, Result};

/// The tables of a plan: what an overlay may hold.
pub(super) const PLAN_KEYS: [&str; 4] = ["model", "data", "training", "measure"];

/// A plan, and where each of its keys was written.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The plan.
    pub plan: Plan,
    tree: Node,
}

impl Resolved {
    /// Reads and checks a merged tree.
    pub(super) fn of(tree: Node) -> Result<Self, Vec<Problem>> {
        Resolved::unchecked(tree)?.checked()
    }

    fn unchecked(tree: Node) -> Result<Self, Vec<Problem>> {
        let plan = reader::read(&tree, &[])
            .map_err(|problems| problems.into_iter().map(elsewhere).collect::<Vec<_>>())?;
        Ok(Resolved { plan, tree })
    }

    /// The same with another value under `path`, read but not checked.
    pub(super) fn with(&self, path: &[String], value: Node) -> Result<Self, Vec<Problem>> {
        let mut tree = self.tree.clone();
        tree.set(path, value);
        Resolved::unchecked(tree)
    }

    /// The same, if nothing about it is impossible.
    pub(super) fn checked(self) -> Result<Self, Vec<Problem>> {
        let problems = self.placed(check(&self.plan));
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    /// Where a key was written, if it was: the key itself, or the bare kind that stands for it.
    pub fn origin(&self, path: &[&str]) -> Option<&Origin> {
        let exact = self.tree.get(path).and_then(|node| node.origin.as_ref());
        let bare = || match path.split_last() {
            Some((&super::tree::KIND, parent)) => {
                self.tree.get(parent).filter(|node| node.as_str().is_some())
            }
            _ => None,
        };
        exact.or_else(|| bare()?.origin.as_ref())
    }

    /// Adds the places of their keys to problems.
    fn placed(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let place = |problem: Problem| {
            let path = problem.key.as_deref().and_then(path_of).unwrap_or_default();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let place = problem.place.clone().or_else(|| self.origin(&path).map(Origin::place));
            Problem { place, ..problem }
        };
        problems.into_iter().map(place).collect()
    }

    /// These tables of the plan as TOML; each line says where its keys were written.
    pub fn annotated(&self, tables: &[&str]) -> String {
        let written = writer::write(&self.plan).only(tables);
        writer::annotated(&written, &|path| Some(self.places(&written, path)))
    }

    /// The files and lines that the keys under `path` come from.
    fn places(&self, written: &Node, path: &[&str]) -> String {
        let mut places: Vec<String> = Vec::new();
        let mut note = |path: &[&str]| {
            let place = self.origin(path).map(Origin::place);
            let place = place.map_or("default".to_string(), |place| format!("{}:{}", place.file, place.line));
            if !places.contains(&place) {
                places.push(place);
            }
        };
        match written.get(path).and_then(Node::as_table) {
            Some(table) => table.iter().for_each(|entry| note(&[path, &[entry.key.as_str()]].concat())),
            None => note(path),
        }
        if places.len() > 1 {
            places.retain(|place| place != "default");
        }
        places.join(", ")
    }
}

/// What to put together for one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// A model, by name or path; absent: the control's of `with`.
    pub model: Option<&'a str>,
    /// A row of the model's sizes.
    pub size: Option<&'a str>,
    /// A dataset, by name or path; absent: the control's of `with`.
    pub dataset: Option<&'a str>,
    /// An ablation and one of its arms, or `control`.
    pub with: Option<(&'a str, &'a str)>,
    /// A profile of that ablation.
    pub profile: Option<&'a str>,
    /// `key=value`, last word.
    pub sets: &'a [String],
    /// The seed.
    pub seed: u64,
}

/// A model by itself, unchecked when no size is named: the rest of the plan is defaults.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn resolve_model(presets: &Presets, name: &str, size: Option<&str>) -> Result<Resolved> {
    let model = parse(&presets.load(Shelf::Models, name)?)?;
    let mut tree = defaults();
    let size = size.map(|size| Named { name: size, node: None });
    let laid = model_layer(&model, size).map(|layer| tree.merge(layer));
    laid.and_then(|()| Resolved::unchecked(tree)).map_err(config)
}

/// A dataset by itself; the rest of the plan is defaults.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn resolve_dataset(presets: &Presets, name: &str) -> Result<Resolved> {
    let dataset = parse(&presets.load(Shelf::Datasets, name)?)?;
    let mut tree = defaults();
    known_keys(&dataset, &[], &["data"]).map_err(config)?;
    tree.merge(dataset);
    Resolved::unchecked(tree).map_err(config)
}

/// The rows of a model's `[sizes]`, in the order of the file.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn sizes(presets: &Presets, name: &str) -> Result<Vec<String>> {
    Ok(size_names(&parse(&presets.load(Shelf::Models, name)?)?))
}

pub(super) fn size_names(model: &Node) -> Vec<String> {
    let rows = model.get(&["sizes"]).and_then(Node::as_table);
    rows.into_iter().flat_map(Table::iter).map(|row| row.key.clone()).collect()
}

/// The plan that the code alone makes.
pub(super) fn defaults() -> Node {
    writer::write(&Plan::default())
}

pub(super) fn parse(source: &Arc<Source>) -> Result<Node> {
    Node::parse(source).map_err(config)
}

pub(super) fn config(mut problems: Vec<Problem>) -> Error {
    reader::sort(&mut problems);
    Error { kind: Kind::Config, problems }
}

impl Error {
    /// The error with more problems.
    pub(super) fn and(mut self, problems: &[Problem]) -> Self {
        self.problems.extend_from_slice(problems);
        reader::sort(&mut self.problems);
        self
    }
}

/// A name, and where it was written.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    /// The name.
    pub name: &'a str,
    /// The value that holds it, if it stands in a file.
    pub node: Option<(&'a Node, &'a str)>,
}

impl Named<'_> {
    /// The problem with the place and key of the name.
    pub fn located(&self, problem: Problem) -> Problem {
        match self.node {
            Some((node, key)) => problem.key(key).at_origin(node.origin.as_ref()),
            None => problem,
        }
    }
}

/// `[model]` with the row of its size laid over it.
pub(super) fn model_layer(file: &Node, size: Option<Named>) -> Result<Node, Vec<Problem>> {
    known_keys(file, &[], &["model", "sizes"])?;
    let mut model = file.get(&["model"]).cloned().unwrap_or_else(Node::table);
    if let Some(size) = size {
        let names = size_names(file);
        match file.get(&["sizes", size.name]) {
            Some(row) => model.merge(row.clone()),
            None => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(vec![size.located(reader::unknown("size", size.name, &names))]);
            }
        }
    }
    let mut layer = Node::table();
    layer.set(&["model"], model);
    Ok(layer)
}

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

/// `key=value` as a tree; a value that is no TOML is taken for a bare word.
pub fn parse_set(text: &str) -> Result<Node, Vec<Problem>> {
    let source = Source::new("--set", text);
    let place = |span| Place::of("--set", text, span);
    let Some(equals) = text.find('=') else {
        let problem = Problem::new(format!("{text:?}")).at(place(0..text.len()));
        return Err(vec![problem.expected("key=value").remedy("for instance training.batch=32")]);
    };
    let (key, value) = (text[..equals].trim(), text[equals + 1..].trim());
    let structured = value.is_empty() || value.starts_with(['"', '\'', '[', '{']);
    match (Node::parse(&source), path_of(key)) {
        (Ok(node), _) => Ok(node),
        (Err(problems), Some(_)) if structured => Err(problems),
        (Err(_), Some(path)) => {
            let start = text.len() - text[equals + 1..].trim_start().len();
            let origin = Some(Origin::new(&source, start..start + value.len()));
            let mut tree = Node::table();
            tree.set(&path, Node { value: Value::String(value.to_string()), origin });
            tree.set_key_origins(&Origin::new(&source, 0..key.len()));
            Ok(tree)
        }
        (Err(_), None) => {
            let problem = Problem::new(format!("the key {key:?}")).at(place(0..equals));
            Err(vec![
                problem.expected("keys with points between them").remedy("for instance training.batch=32"),
            ])
        }
    }
}

/// All `--set` in one tree, later ones over earlier ones.
pub(super) fn parse_sets(sets: &[String]) -> Result<Node, Vec<Problem>> {
    let mut tree = Node::table();
    let mut problems = Vec::new();
    for set in sets {
        match parse_set(set) {
            Ok(node) => tree.merge(node),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(tree) } else { Err(problems) }
}

/// An unknown key that has no near neighbour may be known in another table.
fn elsewhere(problem: Problem) -> Problem {
    let Some(key) = problem.key.as_deref().and_then(path_of).and_then(|path| path.last().cloned()) else {
        return problem;
    };
    if problem.remedy.is_some() || !problem.got.starts_with("unknown key") {
        return problem;
    }
    match find(&defaults(), &key, &mut Vec::new()) {
        Some(path) => problem.remedy(format!("did you mean {}?", dotted(&path))),
        None => problem,
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
