//! A question with one control and the arms that change one thing: an ablation file, resolved to plans.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::preset::{Presets, Shelf};
use super::resolve::{
    Named, PLAN_KEYS, Request, Resolved, config, defaults, known_keys, model_layer, parse, parse_sets,
    read_or_default,
};
use super::tree::{Node, Table, Value, dotted, path_of};
use super::{reader, writer};
use crate::Result;
use crate::error::{Error, Problem};
use crate::model::ParamCount;

/// The name of the arm that all others are compared with.
pub const CONTROL: &str = "control";

/// The profile that is meant when none is named.
const DEFAULT_PROFILE: &str = "quick";

/// How far apart two arms may be that hold something fixed.
const TOLERANCE: f64 = 0.02;

/// The most runs that an ablation may ask for.
const MAX_RUNS: u128 = 10_000;

/// Keys of an ablation file.
const FILE_KEYS: [&str; 8] = ["about", "control", "common", "arms", "repeat", "tune", "compare", "profiles"];

/// Keys of a profile, besides those of a plan.
const PROFILE_KEYS: [&str; 7] = ["expect", "size", "dataset", "arms", "repeat", "tune", "compare"];

/// A question, resolved: what is compared, how it is tuned and how often it is repeated.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// Its name, or the path it was read from.
    pub name: String,
    /// The profile, if the file has any.
    pub profile: Option<String>,
    /// The question and what is published about it.
    pub about: About,
    /// What the profile expects: time and result.
    pub expect: Option<String>,
    /// The model that all arms start from.
    pub model: String,
    /// What all arms learn.
    pub dataset: String,
    /// Size by size, the control first.
    pub arms: Vec<Arm>,
    /// Each arm is reported over the seeds 1 to this.
    pub seeds: u64,
    /// What is tuned per arm before anything is reported.
    pub tune: Option<Tune>,
}

/// The question and what is published about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The question.
    pub question: String,
    /// Where it was asked before.
    pub source: String,
    /// What was found there, by arm.
    pub published: BTreeMap<String, Published>,
}

/// What is published about an arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    /// In words.
    pub text: String,
    /// The arm's bits per parameter over the control's.
    pub ratio: Option<f64>,
}

/// One arm at one size.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Its name; the control's is [`CONTROL`].
    pub name: String,
    /// The row of the model's sizes; empty when no size is named.
    pub size: String,
    /// What it has in common with the control besides the rest of the plan.
    pub holds: Holds,
    /// The plan and where its keys come from; its seed is not set.
    pub resolved: Resolved,
    /// Parameters.
    pub params: ParamCount,
    /// Training FLOPs per token, exact counting.
    pub flops_per_token: u64,
}

/// What an arm keeps equal to the control, within 2 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// All parameters.
    Parameters,
    /// FLOPs per token.
    ActiveFlops,
    /// Neither; it is the difference that is asked about.
    #[default]
    Nothing,
}

/// What is tuned per arm: one setting, over one grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Tune {
    /// The key of the plan.
    pub key: String,
    /// Values, ascending; one value means that nothing is tuned.
    pub grid: Vec<f64>,
    /// Seeds of each trial; they are never reported.
    pub seeds: u64,
}

/// `[control]`, with what a profile says instead.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct Control {
    model: String,
    dataset: String,
    size: Sizes,
}

/// One size, or several.
#[derive(Debug, Clone, PartialEq, Default)]
struct Sizes(Vec<String>);

/// `[repeat]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
struct Repeat {
    seeds: u64,
}

/// `[compare]`: secondary comparisons.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Compare {
    equal_rmax: EqualRmax,
}

/// Whether each arm also runs with people in proportion to its parameters, so that it is as full as the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EqualRmax {
    /// It does, as `ARM@equal-rmax`.
    Run,
    /// It does not.
    #[default]
    Skip,
}

impl Default for Repeat {
    fn default() -> Self {
        Repeat { seeds: 3 }
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a size or an array of sizes")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Sizes, E> {
                Ok(Sizes(vec![name.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sizes, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(Sizes(names))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// An arm as its file has it.
struct Change {
    name: String,
    holds: Holds,
    /// Where `holds` was written.
    said: Option<super::tree::Origin>,
    overlay: Node,
}

/// The files of an ablation, parsed and chosen from, before they are laid over each other.
struct Question {
    about: About,
    profile: Option<String>,
    /// `control`, `repeat`, `tune`, `compare`, `arms`, `expect`, with the profile and `--set` over them.
    settings: Node,
    control: Control,
    common: Node,
    changes: Vec<Change>,
    /// What the profile and `--set` say about the plan.
    last: Node,
    /// What is wrong with all this; the rest is read nevertheless, so that everything is said at once.
    problems: Vec<Problem>,
}

/// The layers that all arms share.
struct Layers {
    model: Node,
    dataset: Node,
    common: Node,
    last: Node,
}

impl Ablation {
    /// Reads an ablation by name or path and resolves every arm.
    ///
    /// # Errors
    /// Everything that is wrong with its files and `sets`, at once.
    pub fn load(presets: &Presets, name: &str, profile: Option<&str>, sets: &[String]) -> Result<Self> {
        let mut question = Question::load(presets, name, profile, sets)?;
        let mut problems = std::mem::take(&mut question.problems);
        let layers = question.layers(presets, None, None).map_err(|error| error.and(&problems))?;
        let seeds = read_or_default::<Repeat>(&question.settings, &["repeat"], &mut problems).seeds;
        let compare = read_or_default::<Compare>(&question.settings, &["compare"], &mut problems);
        let expect = read_or_default::<Option<String>>(&question.settings, &["expect"], &mut problems);
        let tune = question.tune(&mut problems);
        let few = question.check_count(seeds, tune.as_ref(), compare.equal_rmax, &mut problems);
        let arms =
            if few { question.resolve(&layers, compare.equal_rmax, &mut problems) } else { Vec::new() };
        if !problems.is_empty() {
            return Err(config(problems));
        }
        let ablation = Ablation {
            name: name.to_string(),
            profile: question.profile,
            about: question.about,
            expect,
            model: question.control.model,
            dataset: question.control.dataset,
            arms,
            seeds,
            tune,
        };
        ablation.check_tune(&question.settings)?;
        Ok(ablation)
    }

    /// The sizes, in order.
    pub fn sizes(&self) -> Vec<&str> {
        let mut sizes: Vec<&str> = self.arms.iter().map(|arm| arm.size.as_str()).collect();
        sizes.dedup();
        sizes
    }

    /// The arms of one size, the control first.
    pub fn arms_of<'a>(&'a self, size: &'a str) -> impl Iterator<Item = &'a Arm> {
        self.arms.iter().filter(move |arm| arm.size == size)
    }

    /// The control of one size.
    ///
    /// # Panics
    /// If `size` is not one of [`Ablation::sizes`].
    pub fn control(&self, size: &str) -> &Arm {
        let control = self.arms.iter().find(|arm| arm.size == size && arm.name == CONTROL);
        control.expect("every size has a control")
    }

    /// The tuned key must be one of the plan, and all its values possible.
    fn check_tune(&self, settings: &Node) -> Result<()> {
        let Some(tune) = &self.tune else { return Ok(()) };
        let path = path_of(&tune.key).unwrap_or_default();
        let node = settings.get(&[&["tune".to_string()], path.as_slice()].concat());
        let origin = node.and_then(|node| node.origin.as_ref());
        let place = |problem: Problem| match problem.place {
            Some(_) => problem,
            None => problem.at_origin(origin),
        };
        let mut problems = Vec::new();
        for (arm, value) in self.arms.iter().flat_map(|arm| tune.grid.iter().map(move |value| (arm, *value)))
        {
            let wrong = arm.with_value(&path, value).err().into_iter().flatten();
            problems.extend(wrong.map(place));
        }
        if problems.is_empty() { Ok(()) } else { Err(config(problems)) }
    }
}

/// One run: a model, a dataset, and perhaps one arm of an ablation.
///
/// # Errors
/// Everything that is wrong with its files and `sets`, at once.
pub fn resolve_single(presets: &Presets, request: &Request) -> Result<Resolved> {
    let mut resolved = match request.with {
        Some((ablation, arm)) => {
            let mut question = Question::load(presets, ablation, request.profile, request.sets)?;
            let mut problems = std::mem::take(&mut question.problems);
            let layers = question.layers(presets, request.model, request.dataset);
            let layers = layers.map_err(|error| error.and(&problems))?;
            let change = question.change(arm)?;
            let asked = question.control.size.0.first().map(String::as_str);
            let size = request.size.or(asked).map(|name| Named { name, node: None });
            match layers.lay(size, change) {
                Ok(resolved) if problems.is_empty() => resolved,
                outcome => {
                    problems.extend(outcome.err().into_iter().flatten());
                    return Err(config(problems));
                }
            }
        }
        None => {
            let absent = |what: &str| {
                Error::config(Problem::new(format!("no {what}")).remedy(format!("name a {what}")))
            };
            let model = request.model.ok_or_else(|| absent("model"))?;
            let dataset = request.dataset.ok_or_else(|| absent("dataset"))?;
            let layers = Layers {
                model: parse(&presets.load(Shelf::Models, model)?)?,
                dataset: parse(&presets.load(Shelf::Datasets, dataset)?)?,
                common: Node::table(),
                last: parse_sets(request.sets).map_err(config)?,
            };
            let size = request.size.map(|name| Named { name, node: None });
            layers.lay(size, None).map_err(config)?
        }
    };
    resolved.plan.seed = request.seed;
    Ok(resolved)
}

impl Question {
    fn load(presets: &Presets, name: &str, profile: Option<&str>, sets: &[String]) -> Result<Self> {
        let file = parse(&presets.load(Shelf::Ablations, name)?)?;
        let mut problems = Vec::new();
        problems.extend(known_keys(&file, &[], &FILE_KEYS).err().into_iter().flatten());
        let sets = parse_sets(sets).unwrap_or_else(|wrong| {
            problems.extend(wrong);
            Node::table()
        });
        let (profile, overlay) = choose_profile(&file, profile, &mut problems);
        check_overlay(&sets, &[], &mut problems);
        let mut settings = Node::table();
        for key in ["control", "repeat", "tune", "compare"] {
            file.get(&[key]).iter().for_each(|node| settings.set(&[key], (*node).clone()));
        }
        spread_keys(&mut settings);
        let mut last = Node::table();
        for overlay in [overlay, sets] {
            let (about_runs, about_plan) = split_overlay(&overlay);
            settings.merge(about_runs);
            last.merge(about_plan);
        }
        let common = file.get(&["common"]).cloned().unwrap_or_else(Node::table);
        problems.extend(known_keys(&common, &["common"], &PLAN_KEYS).err().into_iter().flatten());
        let common = common.only(&PLAN_KEYS);
        let changes = read_changes(&file, &settings, &mut problems);
        let about = read_about(&file, &mut problems);
        match read_control(&settings, &mut problems) {
            Some(control) => {
                Ok(Question { about, profile, settings, control, common, changes, last, problems })
            }
            None => Err(config(problems)),
        }
    }

    /// Parses the files of the control, or those named instead.
    fn layers(&self, presets: &Presets, model: Option<&str>, dataset: Option<&str>) -> Result<Layers> {
        let load = |shelf: Shelf, key: &str, asked: Option<&str>, own: &str| {
            let place = |mut error: Error| {
                let key = format!("{CONTROL}.{key}");
                let node = path_of(&key).and_then(|path| self.settings.get(&path));
                if let (None, Some(node), [problem]) = (asked, node, error.problems.as_mut_slice()) {
                    *problem = std::mem::take(problem).key(key).at_origin(node.origin.as_ref());
                }
                error
            };
            parse(&presets.load(shelf, asked.unwrap_or(own)).map_err(place)?)
        };
        let model = load(Shelf::Models, "model", model, &self.control.model);
        let dataset = load(Shelf::Datasets, "dataset", dataset, &self.control.dataset);
        match (model, dataset) {
            (Ok(model), Ok(dataset)) => {
                Ok(Layers { model, dataset, common: self.common.clone(), last: self.last.clone() })
            }
            (Err(mut both), Err(other)) => {
                both.problems.extend(other.problems);
                Err(both)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The change of an arm; none for the control.
    fn change(&self, name: &str) -> Result<Option<&Change>> {
        if name == CONTROL {
            return Ok(None);
        }
        let found = self.changes.iter().find(|change| change.name == name);
        found.map(Some).ok_or_else(|| {
            let names = self.changes.iter().map(|change| change.name.as_str());
            let names: Vec<&str> = std::iter::once(CONTROL).chain(names).collect();
            Error::config(reader::unknown("arm", name, &names))
        })
    }

    /// The tuned key with its grid, ascending.
    fn tune(&self, problems: &mut Vec<Problem>) -> Option<Tune> {
        let table = self.settings.get(&["tune"])?.as_table()?;
        let seeds = read_or_default::<Option<u64>>(&self.settings, &["tune", "seeds"], problems).unwrap_or(1);
        let mut keys = Vec::new();
        table.iter().filter(|entry| entry.key != "seeds").for_each(|e| leaves(&e.key, &e.node, &mut keys));
        let (key, node) = match keys.as_slice() {
            [] => return None,
            [only] => only.clone(),
            [first, second, ..] => {
                let problem = Problem::new(format!("a second key beside {}", first.0));
                let problem = problem.key(format!("tune.{}", second.0)).at_origin(second.1.origin.as_ref());
                problems.push(problem.expected("one tuned key"));
                return None;
            }
        };
        let at = format!("tune.{key}");
        let mut grid: Vec<f64> = match reader::read(node, &[&at]) {
            Ok(grid) => grid,
            Err(wrong) => {
                problems.extend(wrong.into_iter().map(|problem| problem.key(at.clone())));
                return None;
            }
        };
        grid.sort_by(f64::total_cmp);
        grid.dedup();
        let possible = !grid.is_empty() && grid[0] > 0.0 && seeds > 0;
        if !possible {
            let problem = Problem::new(writer::inline(node)).key(at).at_origin(node.origin.as_ref());
            problems.push(problem.expected("values above 0, and at least one seed"));
        }
        possible.then_some(Tune { key, grid, seeds })
    }

    /// Refuses more runs than anybody means, before any of them is made.
    fn check_count(
        &self,
        seeds: u64,
        tune: Option<&Tune>,
        equal: EqualRmax,
        problems: &mut Vec<Problem>,
    ) -> bool {
        let sizes = self.control.size.0.len().max(1) as u128;
        let arms = match equal {
            EqualRmax::Run => 1 + 2 * self.changes.len(),
            EqualRmax::Skip => 1 + self.changes.len(),
        };
        let trials = tune.map_or(0, |tune| tune.grid.len() as u128 * u128::from(tune.seeds));
        let reports = u128::from(seeds) * if tune.is_some() { 2 } else { 1 };
        let runs = sizes * arms as u128 * (trials + reports);
        let at = |path: &[&str]| self.settings.get(path).and_then(|node| node.origin.as_ref());
        if seeds == 0 {
            let problem = Problem::new("0").key("repeat.seeds").at_origin(at(&["repeat", "seeds"]));
            problems.push(problem.expected("at least 1"));
        }
        if runs > MAX_RUNS {
            let seeds = at(&["repeat", "seeds"]).filter(|_| reports > MAX_RUNS / (sizes * arms as u128));
            let problem = Problem::new(format!("{runs} runs")).at_origin(seeds.or(at(&["tune"])));
            let problem = problem.expected(format!("at most {MAX_RUNS}"));
            problems.push(problem.remedy("ask for fewer seeds, sizes or values"));
        }
        runs <= MAX_RUNS
    }

    /// Lays every arm over the control at every size, and verifies what it holds fixed.
    fn resolve(&self, layers: &Layers, equal: EqualRmax, problems: &mut Vec<Problem>) -> Vec<Arm> {
        let mut arms = Vec::new();
        let size_node = self.settings.get(&[CONTROL, "size"]);
        let mut sizes: Vec<Option<&str>> =
            self.control.size.0.iter().map(|size| Some(size.as_str())).collect();
        if sizes.is_empty() {
            sizes.push(None);
        }
        for size in sizes {
            let named = size.map(|name| Named { name, node: size_node.map(|node| (node, "control.size")) });
            let control = Arm::new(CONTROL, size, Holds::Nothing, layers.lay(named, None));
            let control = match control {
                Ok(control) => control,
                Err(wrong) => {
                    problems.extend(wrong);
                    continue;
                }
            };
            let mut of_size = vec![control];
            for change in &self.changes {
                let arm = Arm::new(&change.name, size, change.holds, layers.lay(named, Some(change)));
                match arm.and_then(|arm| verify(&of_size[0], &arm, change).map(|()| arm)) {
                    Ok(arm) => of_size.push(arm),
                    Err(wrong) => problems.extend(wrong),
                }
            }
            if equal == EqualRmax::Run {
                let place = self.settings.get(&["compare", "equal-rmax"]);
                equal_rmax(&mut of_size, place, problems);
            }
            arms.extend(of_size);
        }
        arms
    }
}

impl Layers {
    /// Defaults in code < model < its size row < dataset < common < arm < profile < `--set`.
    fn lay(&self, size: Option<Named>, change: Option<&Change>) -> Result<Resolved, Vec<Problem>> {
        known_keys(&self.dataset, &[], &["data"])?;
        let mut tree = defaults();
        tree.merge(model_layer(&self.model, size)?);
        tree.merge(self.dataset.clone());
        tree.merge(self.common.clone());
        change.iter().for_each(|change| tree.merge(change.overlay.clone()));
        tree.merge(self.last.clone());
        Resolved::of(tree)
    }
}

impl Arm {
    fn new(
        name: &str,
        size: Option<&str>,
        holds: Holds,
        resolved: Result<Resolved, Vec<Problem>>,
    ) -> Result<Self, Vec<Problem>> {
        let resolved = resolved?;
        let data = &resolved.plan.data;
        let vocab_size = data.vocab_size().map_err(|error| error.problems)?;
        let model = &resolved.plan.model;
        Ok(Arm {
            name: name.to_string(),
            size: size.unwrap_or_default().to_string(),
            holds,
            params: model.num_params(vocab_size, data.seq_len()),
            flops_per_token: model.flops_per_token(vocab_size, data.seq_len()).exact,
            resolved,
        })
    }

    /// The arm with a value of the tuned key, if that is possible.
    pub(super) fn with_value(&self, path: &[String], value: f64) -> Result<Resolved, Vec<Problem>> {
        self.resolved.with(path, Value::Float(value).into())?.checked()
    }

    /// Parameters over those of `control`.
    pub fn relative_params(&self, control: &Arm) -> f64 {
        self.params.total as f64 / control.params.total as f64
    }

    /// FLOPs per token over those of `control`.
    pub fn relative_flops(&self, control: &Arm) -> f64 {
        self.flops_per_token as f64 / control.flops_per_token as f64
    }
}

/// Whether the arm holds what it says.
fn verify(control: &Arm, arm: &Arm, change: &Change) -> Result<(), Vec<Problem>> {
    let (what, ours, theirs, ratio) = match arm.holds {
        Holds::Parameters => {
            ("parameters", arm.params.total, control.params.total, arm.relative_params(control))
        }
        Holds::ActiveFlops => {
            ("FLOPs per token", arm.flops_per_token, control.flops_per_token, arm.relative_flops(control))
        }
        Holds::Nothing => return Ok(()),
    };
    if (ratio - 1.0).abs() <= TOLERANCE {
        return Ok(());
    }
    let at_size = if arm.size.is_empty() { String::new() } else { format!(" at size {}", arm.size) };
    let got =
        format!("{ours} {what} against {theirs} of the control{at_size}, {:+.1} %", (ratio - 1.0) * 100.0);
    let problem = Problem::new(got).key(format!("arms.{}.holds", dotted(&[&arm.name])));
    let problem = problem.at_origin(change.said.as_ref()).expected("a difference of at most 2 %");
    Err(vec![problem.remedy("change the arm's widths, or say holds = \"nothing\"")])
}

/// Adds each arm of other size than the control once more, with people in proportion to its parameters.
fn equal_rmax(arms: &mut Vec<Arm>, said: Option<&Node>, problems: &mut Vec<Problem>) {
    let people = ["data".to_string(), "people".to_string()];
    for index in 1..arms.len() {
        let (control, arm) = (&arms[0], &arms[index]);
        let ratio = arm.relative_params(control);
        if (ratio - 1.0).abs() <= TOLERANCE {
            continue;
        }
        let written = writer::write(&arm.resolved.plan);
        let Some(Value::Integer(count)) = written.get(&people).map(|node| &node.value) else {
            let problem = Problem::new("the dataset has no people").key("compare.equal-rmax");
            problems.push(problem.at_origin(said.and_then(|node| node.origin.as_ref())));
            return;
        };
        let count = ((*count as f64 * ratio).round() as i128).max(1);
        let resolved = arm.resolved.with(&people, Value::Integer(count).into()).and_then(Resolved::checked);
        let size = (!arm.size.is_empty()).then_some(arm.size.as_str());
        match Arm::new(&format!("{}@equal-rmax", arm.name), size, Holds::Nothing, resolved) {
            Ok(arm) => arms.push(arm),
            Err(wrong) => problems.extend(wrong),
        }
    }
}

/// The profile that is asked for, or `quick`, with its table.
fn choose_profile(file: &Node, asked: Option<&str>, problems: &mut Vec<Problem>) -> (Option<String>, Node) {
    let profiles: Vec<_> =
        file.get(&["profiles"]).and_then(Node::as_table).into_iter().flat_map(Table::iter).collect();
    for profile in &profiles {
        check_overlay(&profile.node, &["profiles", &profile.key], problems);
    }
    let name = asked.unwrap_or(DEFAULT_PROFILE);
    match profiles.iter().find(|profile| profile.key == name) {
        Some(profile) => (Some(name.to_string()), profile.node.clone()),
        None => {
            if asked.is_some() {
                let names: Vec<&str> = profiles.iter().map(|profile| profile.key.as_str()).collect();
                problems.push(reader::unknown("profile", name, &names));
            }
            (None, Node::table())
        }
    }
}

fn check_overlay(overlay: &Node, path: &[&str], problems: &mut Vec<Problem>) {
    let known = [&PROFILE_KEYS[..], &PLAN_KEYS[..]].concat();
    problems.extend(known_keys(overlay, path, &known).err().into_iter().flatten());
}

/// What a profile or `--set` says about the runs, in the form of the file's own tables, and about the plan.
fn split_overlay(overlay: &Node) -> (Node, Node) {
    let (mut about_runs, mut about_plan) = (Node::table(), Node::table());
    for entry in overlay.as_table().into_iter().flat_map(Table::iter) {
        let key = entry.key.as_str();
        match key {
            "size" | "dataset" => about_runs.set(&[CONTROL, key], entry.node.clone()),
            _ if PROFILE_KEYS.contains(&key) => about_runs.set(&[key], entry.node.clone()),
            _ if PLAN_KEYS.contains(&key) => about_plan.set(&[key], entry.node.clone()),
            _ => {}
        }
    }
    spread_keys(&mut about_runs);
    (about_runs, about_plan)
}

/// `tune."a.b"` and `tune.a.b` are the same key.
fn spread_keys(settings: &mut Node) {
    let Some(tune) = settings.get(&["tune"]).and_then(Node::as_table).cloned() else { return };
    let mut spread = Node::table();
    for entry in tune.iter() {
        let path = path_of(&entry.key).unwrap_or_else(|| vec![entry.key.clone()]);
        spread.set(&path, entry.node.clone());
    }
    settings.set(&["tune"], spread);
}

/// The arrays under a table, with their keys.
fn leaves<'a>(key: &str, node: &'a Node, found: &mut Vec<(String, &'a Node)>) {
    match node.as_table() {
        Some(table) => {
            table.iter().for_each(|e| leaves(&format!("{key}.{}", dotted(&[&e.key])), &e.node, found))
        }
        None => found.push((key.to_string(), node)),
    }
}

/// The arms of the file, or those of them that the profile names.
fn read_changes(file: &Node, settings: &Node, problems: &mut Vec<Problem>) -> Vec<Change> {
    let mut changes = Vec::new();
    for entry in file.get(&["arms"]).and_then(Node::as_table).into_iter().flat_map(Table::iter) {
        let path = ["arms", entry.key.as_str()];
        let known = [&["holds"][..], &PLAN_KEYS[..]].concat();
        problems.extend(known_keys(&entry.node, &path, &known).err().into_iter().flatten());
        if entry.key == CONTROL || entry.key.contains('@') {
            let problem = Problem::new(format!("an arm of the name {:?}", entry.key)).key(dotted(&path));
            problems.push(problem.at_origin(entry.origin.as_ref()).expected("a name of its own"));
        }
        let mut overlay = entry.node.clone();
        let said = overlay.remove(&["holds"]);
        let holds = match &said {
            Some(said) => reader::read(said, &[&path[..], &["holds"]].concat()).unwrap_or_else(|wrong| {
                problems.extend(wrong);
                Holds::Nothing
            }),
            None => {
                let problem =
                    Problem::new("holds is missing").key(dotted(&path)).at_origin(entry.origin.as_ref());
                let expected = "holds = one of \"parameters\", \"active-flops\", \"nothing\"";
                problems.push(problem.expected(expected));
                Holds::Nothing
            }
        };
        let said = said.and_then(|node| node.origin);
        changes.push(Change { name: entry.key.clone(), holds, said, overlay: overlay.only(&PLAN_KEYS) });
    }
    let Some(node) = settings.get(&["arms"]) else { return changes };
    let chosen: Vec<String> = read_or_default(settings, &["arms"], problems);
    let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
    for name in chosen.iter().filter(|name| !names.contains(&name.as_str())) {
        problems.push(reader::unknown("arm", name, &names).key("arms").at_origin(node.origin.as_ref()));
    }
    changes.retain(|change| chosen.contains(&change.name));
    changes
}

/// `[about]`; what is published may be text alone.
fn read_about(file: &Node, problems: &mut Vec<Problem>) -> About {
    let mut file = file.clone();
    let path = ["about", "published"];
    let published: Vec<_> =
        file.get(&path).and_then(Node::as_table).into_iter().flat_map(Table::iter).cloned().collect();
    for entry in published {
        if entry.node.as_str().is_some() {
            let mut table = Node { value: Value::Table(Table::default()), origin: entry.node.origin.clone() };
            table.set(&["text"], entry.node.clone());
            file.set(&[path[0], path[1], &entry.key], table);
        }
        if file.get(&["arms", &entry.key]).is_none() {
            let arms = file.get(&["arms"]).and_then(Node::as_table).into_iter().flat_map(Table::iter);
            let names: Vec<&str> = arms.map(|arm| arm.key.as_str()).collect();
            let key = dotted(&[path[0], path[1], &entry.key]);
            let problem = reader::unknown("arm", &entry.key, &names).key(key);
            problems.push(problem.at_origin(entry.origin.as_ref()));
        }
    }
    read_or_default(&file, &["about"], problems)
}

fn read_control(settings: &Node, problems: &mut Vec<Problem>) -> Option<Control> {
    let control: Control = read_or_default(settings, &[CONTROL], problems);
    let mut complete = true;
    for (key, value) in [("model", &control.model), ("dataset", &control.dataset)] {
        if value.is_empty() {
            let problem = Problem::new(format!("no {key}")).key(format!("{CONTROL}.{key}"));
            let origin = settings.get(&[CONTROL]).and_then(|node| node.origin.as_ref());
            problems.push(problem.at_origin(origin).expected(format!("the name of a {key}")));
            complete = false;
        }
    }
    complete.then_some(control)
}
