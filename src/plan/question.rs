//! An ablation file as it is written: what is read from it, and what a profile and `--set` say instead.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ablation::{About, CONTROL, Tune};
use super::arm::{Arm, Holds, equal_rmax, verify};
use super::keys::{PLAN_KEYS, known_keys, read_or_default};
use super::preset::{Presets, Shelf};
use super::resolve::{Layers, Named, config, parse};
use super::sets::parse_sets;
use super::tree::{Node, Origin, Table, Value, dotted, path_of};
use super::{reader, writer};
use crate::Result;
use crate::error::{Error, Problem};

/// The profile that is meant when none is named.
const DEFAULT_PROFILE: &str = "quick";

/// The most runs that an ablation may ask for.
const MAX_RUNS: u128 = 10_000;

/// Keys of an ablation file.
const FILE_KEYS: [&str; 8] = ["about", "control", "common", "arms", "repeat", "tune", "compare", "profiles"];

/// Keys of a profile, besides those of a plan.
const PROFILE_KEYS: [&str; 7] = ["expect", "size", "dataset", "arms", "repeat", "tune", "compare"];

/// An arm as its file has it.
pub(super) struct Change {
    pub name: String,
    pub holds: Holds,
    /// Where `holds` was written.
    pub said: Option<Origin>,
    pub overlay: Node,
}

/// `[control]`, with what a profile says instead.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Control {
    pub model: String,
    pub dataset: String,
    pub size: Sizes,
}

/// One size, or several.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sizes(pub Vec<String>);

/// `[repeat]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Repeat {
    pub seeds: u64,
}

/// `[compare]`: secondary comparisons.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Compare {
    pub equal_rmax: EqualRmax,
}

/// Whether each arm also runs with people in proportion to its parameters, so that it is as full as the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EqualRmax {
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

/// The files of an ablation, parsed and chosen from, before they are laid over each other.
pub(super) struct Question {
    pub about: About,
    pub profile: Option<String>,
    /// `control`, `repeat`, `tune`, `compare`, `arms`, `expect`, with the profile and `--set` over them.
    pub settings: Node,
    pub control: Control,
    pub common: Node,
    pub changes: Vec<Change>,
    /// What the profile and each `--set` say about the plan.
    pub last: Vec<Node>,
    /// What is wrong with all this; the rest is read nevertheless, so that everything is said at once.
    pub problems: Vec<Problem>,
}

impl Question {
    pub fn load(presets: &Presets, name: &str, profile: Option<&str>, sets: &[String]) -> Result<Self> {
        let file = parse(&presets.load(Shelf::Ablations, name)?)?;
        let mut problems = Vec::new();
        problems.extend(known_keys(&file, &[], &FILE_KEYS).err().into_iter().flatten());
        let tables = file.as_table().into_iter().flat_map(Table::iter);
        for entry in tables.filter(|entry| entry.node.as_table().is_none()) {
            problems.push(no_table(&entry.key, &entry.node));
        }
        let sets = parse_sets(sets, &mut problems);
        let (profile, overlay) = choose_profile(&file, profile, &mut problems);
        sets.iter().for_each(|set| check_overlay(set, &[], &mut problems));
        let mut settings = Node::table();
        for key in ["control", "repeat", "tune", "compare"] {
            file.get(&[key]).iter().for_each(|node| settings.set(&[key], (*node).clone()));
        }
        spread_keys(&mut settings);
        let mut last = Vec::new();
        for overlay in std::iter::once(&overlay).chain(&sets) {
            let (about_runs, about_plan) = split_overlay(overlay);
            settings.merge(about_runs);
            last.push(about_plan);
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
    pub fn layers(&self, presets: &Presets, model: Option<&str>, dataset: Option<&str>) -> Result<Layers> {
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
    pub fn change(&self, name: &str) -> Result<Option<&Change>> {
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
    pub fn tune(&self, problems: &mut Vec<Problem>) -> Option<Tune> {
        let node = self.settings.get(&["tune"])?;
        let Some(table) = node.as_table() else {
            problems.push(no_table("tune", node));
            return None;
        };
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
    pub fn check_count(
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
    pub fn resolve(&self, layers: &Layers, equal: EqualRmax, problems: &mut Vec<Problem>) -> Vec<Arm> {
        let mut arms = Vec::new();
        let size_node = self.settings.get(&[CONTROL, "size"]);
        let mut sizes: Vec<Option<&str>> =
            self.control.size.0.iter().map(|size| Some(size.as_str())).collect();
        if sizes.is_empty() {
            sizes.push(None);
        }
        let mut seen = HashSet::new();
        sizes.retain(|size| seen.insert(*size));
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

fn no_table(key: &str, node: &Node) -> Problem {
    Problem::new(writer::inline(node)).key(key).at_origin(node.origin.as_ref()).expected("a table")
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
