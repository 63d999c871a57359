//! Files to a plan: defaults in code < model < its size < dataset < common < arm < profile < `--set`.

use std::sync::Arc;

use super::ablation_file::{AblationFile, ArmPatch};
use super::keys::known_keys;
use super::preset::{PresetKind, Presets};
use super::resolved::Resolved;
use super::sets::parse_sets;
use super::tree::{Node, Source, Table};
use super::{Plan, reader, writer};
use crate::error::{Error, Kind, Problem, Result};

/// The tables of a dataset's file: what is learned, and how it is measured.
const DATASET_KEYS: [&str; 2] = ["data", "measure"];

/// The parts that make the plan of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// A model, by name or path; absent: the control's of `with`.
    pub model: Option<&'a str>,
    /// The name of one of the model's sizes.
    pub size: Option<&'a str>,
    /// A dataset, by name or path; absent: the control's of `with`.
    pub dataset: Option<&'a str>,
    /// An ablation and one of its arms, or `control`.
    pub with: Option<(&'a str, &'a str)>,
    /// A profile of that ablation.
    pub profile: Option<&'a str>,
    /// Overrides `key=value`, which win over all files.
    pub sets: &'a [String],
    /// The random seed.
    pub seed: u64,
}

/// Resolves a model by itself, unchecked when no size is named: the rest of the plan is defaults.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn resolve_model(presets: &Presets, name: &str, size: Option<&str>) -> Result<Resolved> {
    let model = parse(&presets.load(PresetKind::Models, name)?)?;
    let mut tree = defaults();
    let size = size.map(|size| Named { name: size, node: None });
    let laid = model_layer(&model, size).map(|layer| tree.merge(layer));
    laid.and_then(|()| Resolved::unchecked(tree)).map_err(config)
}

/// Resolves a dataset by itself; the rest of the plan is defaults.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn resolve_dataset(presets: &Presets, name: &str) -> Result<Resolved> {
    resolve_dataset_with(presets, name, &[])
}

/// Resolves a dataset by itself, with keys set.
///
/// # Errors
/// Everything that is wrong with the file and the keys.
pub fn resolve_dataset_with(presets: &Presets, name: &str, sets: &[String]) -> Result<Resolved> {
    let dataset = parse(&presets.load(PresetKind::Datasets, name)?)?;
    let mut tree = defaults();
    known_keys(&dataset, &[], &DATASET_KEYS).map_err(config)?;
    tree.merge(dataset);
    let mut problems = Vec::new();
    for set in parse_sets(sets, &mut problems) {
        tree.merge(set);
    }
    finish(Resolved::unchecked(tree), problems)
}

/// Resolves one run: a model, a dataset, and perhaps one arm of an ablation.
///
/// # Errors
/// Everything that is wrong with its files and `sets`, at once.
pub fn resolve_single(presets: &Presets, request: &Request) -> Result<Resolved> {
    let mut resolved = match request.with {
        Some((ablation, arm)) => {
            let mut question = AblationFile::load(presets, ablation, request.profile, request.sets)?;
            let problems = std::mem::take(&mut question.problems);
            let layers = question.layers(presets, request.model, request.dataset);
            let layers = layers.map_err(|error| error.and(&problems))?;
            let asked = question.control.size.0.first().map(String::as_str);
            let size = request.size.or(asked).map(|name| Named { name, node: None });
            finish(question.arm(&layers, size, arm), problems)?
        }
        None => {
            let absent =
                |what: &str| Error::config(Problem::new(format!("no {what}")).help(format!("name a {what}")));
            let model = request.model.ok_or_else(|| absent("model"))?;
            let dataset = request.dataset.ok_or_else(|| absent("dataset"))?;
            let mut problems = Vec::new();
            let layers = Layers {
                model: parse(&presets.load(PresetKind::Models, model)?)?,
                dataset: parse(&presets.load(PresetKind::Datasets, dataset)?)?,
                common: Node::table(),
                beside: Node::table(),
                end: None,
                last: parse_sets(request.sets, &mut problems),
            };
            let size = request.size.map(|name| Named { name, node: None });
            finish(layers.lay(size, None), problems)?
        }
    };
    resolved.plan.seed = request.seed;
    Ok(resolved)
}

/// What was laid, unless something was wrong with it or before it.
fn finish(laid: Result<Resolved, Vec<Problem>>, mut problems: Vec<Problem>) -> Result<Resolved> {
    match laid {
        Ok(resolved) if problems.is_empty() => Ok(resolved),
        laid => {
            problems.extend(laid.err().into_iter().flatten());
            Err(config(problems))
        }
    }
}

/// The entries of a model's `[sizes]`, in the order of the file.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn sizes(presets: &Presets, name: &str) -> Result<Vec<String>> {
    Ok(size_names(&parse(&presets.load(PresetKind::Models, name)?)?))
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

/// `[model]` with the settings of its size merged into it.
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

/// The layers that all arms share.
#[derive(Clone)]
pub(super) struct Layers {
    pub model: Node,
    pub dataset: Node,
    pub common: Node,
    /// The settings that an end of a one-at-a-time path has beside its model.
    pub beside: Node,
    /// The model at the other end of a one-at-a-time path, and the settings beside it.
    pub end: Option<(Node, Node)>,
    pub last: Vec<Node>,
}

impl Layers {
    /// The layers of the other end of a one-at-a-time path, if there is one.
    pub fn other_end(&self) -> Option<Layers> {
        let end = self.end.clone();
        end.map(|(model, beside)| Layers { model, beside, ..self.clone() })
    }

    /// Defaults in code < model < its size < dataset < common < end of a path < arm < profile < `--set`.
    pub fn lay(&self, size: Option<Named>, change: Option<&ArmPatch>) -> Result<Resolved, Vec<Problem>> {
        known_keys(&self.dataset, &[], &DATASET_KEYS)?;
        let mut tree = defaults();
        tree.merge(model_layer(&self.model, size)?);
        tree.merge(self.dataset.clone());
        tree.merge(self.common.clone());
        tree.merge(self.beside.clone());
        change.iter().for_each(|change| tree.merge(change.overlay.clone()));
        self.last.iter().for_each(|last| tree.merge(last.clone()));
        Resolved::of(tree)
    }
}
