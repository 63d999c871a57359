//! A plan, and where each of its keys was written.

use super::check::check;
use super::keys::elsewhere;
use super::tree::{KIND, Node, Origin, path_of};
use super::{Plan, reader, writer};
use crate::error::Problem;

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

    pub(super) fn unchecked(tree: Node) -> Result<Self, Vec<Problem>> {
        let plan = reader::read(&tree, &[])
            .map_err(|problems| problems.into_iter().map(elsewhere).collect::<Vec<_>>())?;
        Ok(Resolved { plan, tree })
    }

    /// The plan with another value under `path`, read but not checked.
    pub(super) fn with(&self, path: &[String], value: Node) -> Result<Self, Vec<Problem>> {
        let mut tree = self.tree.clone();
        tree.set(path, value);
        Resolved::unchecked(tree)
    }

    /// The plan with other values under some paths, or with none there, read but not checked.
    pub(super) fn edited(
        &self,
        edits: impl Iterator<Item = (Vec<String>, Option<Node>)>,
    ) -> Result<Self, Vec<Problem>> {
        let mut tree = self.tree.clone();
        for (path, value) in edits {
            match value {
                Some(value) => tree.set(&path, value),
                None => drop(tree.remove(&path)),
            }
        }
        Resolved::unchecked(tree)
    }

    /// The node that was written under a path.
    pub(super) fn node(&self, path: &[String]) -> Option<&Node> {
        self.tree.get(path)
    }

    /// The plan, if it passes its checks.
    pub(super) fn checked(self) -> Result<Self, Vec<Problem>> {
        let problems = self.placed(check(&self.plan));
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    /// Where a key was written, if it was: the key itself, or the bare kind that stands for it.
    pub fn origin(&self, path: &[&str]) -> Option<&Origin> {
        let exact = self.tree.get(path).and_then(|node| node.origin.as_ref());
        let bare = || match path.split_last() {
            Some((&KIND, parent)) => self.tree.get(parent).filter(|node| node.as_str().is_some()),
            _ => None,
        };
        exact.or_else(|| bare()?.origin.as_ref())
    }

    /// Adds the places of their keys to problems, or that a value stands nowhere because it is a default.
    fn placed(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let written = if problems.is_empty() { Node::table() } else { writer::write(&self.plan) };
        let place = |mut problem: Problem| {
            let path = problem.key.as_deref().and_then(path_of).unwrap_or_default();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let place = problem.place.clone().or_else(|| self.origin(&path).map(Origin::place));
            let default = written.get(&path).filter(|node| place.is_none() && node.as_table().is_none());
            if let (Some(node), Some(key)) = (default, &problem.key) {
                problem.found = format!("{} ({} is the default)", problem.found, writer::inline(node));
                problem.help.get_or_insert(format!("set {key}"));
            }
            Problem { place, ..problem }
        };
        problems.into_iter().map(place).collect()
    }

    /// These tables of the plan as TOML; each line says where its keys were written.
    pub fn annotated(&self, tables: &[&str]) -> String {
        let written = writer::write(&self.plan).only(tables);
        writer::annotated(&written, &|path| Some(self.places(&written, path)))
    }

    /// The files that the keys under `path` come from, with their first and last lines.
    fn places(&self, written: &Node, path: &[&str]) -> String {
        let mut places: Vec<(String, usize, usize)> = Vec::new();
        let mut note = |path: &[&str]| {
            let Some(place) = self.origin(path).map(Origin::place) else { return };
            match places.iter_mut().find(|(file, ..)| *file == place.file) {
                Some((_, first, last)) => (*first, *last) = (place.line.min(*first), place.line.max(*last)),
                None => places.push((place.file, place.line, place.line)),
            }
        };
        match written.get(path).and_then(Node::as_table) {
            Some(table) => table.iter().for_each(|entry| note(&[path, &[entry.key.as_str()]].concat())),
            None => note(path),
        }
        let place = |(file, first, last): &(String, usize, usize)| match first == last {
            true => format!("{file}:{first}"),
            false => format!("{file}:{first}-{last}"),
        };
        match places.is_empty() {
            true => "default".to_string(),
            false => places.iter().map(place).collect::<Vec<_>>().join(", "),
        }
    }
}
