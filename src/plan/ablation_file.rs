//! An ablation file as it is written: what is read from it, and what a profile and `--set` override.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ablation::{About, CONTROL, Tune, TunedKey};
use super::arm::{Arm, Held, Match, MatchOn, verify};
use super::factors::{FACTORS, Product};
use super::keys::{PLAN_KEYS, known_keys, read_or_default};
use super::matching::fit;
use super::preset::{PresetKind, Presets};
use super::resolve::{Layers, Named, config, parse};
use super::resolved::Resolved;
use super::sets::parse_sets;
use super::tree::{Node, Table, Value, dotted, path_of};
use super::walk::{OneAtATimePath, Route, WALK};
use super::{reader, writer};
use crate::Result;
use crate::error::{Error, Problem};
use crate::statistics::design::Planned;
use crate::statistics::{Design, MIN_SEEDS};
use crate::visible;

/// The profile that is used when none is named.
const DEFAULT_PROFILE: &str = "quick";

/// Seeds of each trial of the tuned key, where nothing is said: one lucky seed chooses badly.
const TUNING_SEEDS: u64 = 2;

/// The most runs that an ablation may ask for.
const MAX_RUNS: u128 = 10_000;

/// Keys of an ablation file.
const FILE_KEYS: [&str; 11] =
    ["about", "control", "common", "arms", WALK, FACTORS, "repeat", "tune", "compare", "then", "profiles"];

/// Keys of a profile, besides those of a plan.
const PROFILE_KEYS: [&str; 10] =
    ["expect", "size", "dataset", "arms", WALK, FACTORS, "repeat", "tune", "compare", "then"];

/// An arm as the ablation file has it.
pub(super) struct ArmPatch {
    pub name: String,
    pub label: Option<String>,
    pub held: Held,
    pub overlay: Node,
}

/// An arm after merging, before it is matched to the control and its parameters are counted.
pub(super) struct UnverifiedArm {
    pub name: String,
    pub held: Held,
    pub resolved: Result<Resolved, Vec<Problem>>,
}

/// The table `[control]`, with the overrides of a profile.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Control {
    pub model: String,
    pub dataset: String,
    pub size: Sizes,
}

/// The sizes of the control, one or several.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sizes(pub Vec<String>);

/// The table `[repeat]`: how often each arm is repeated.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repeat {
    pub seeds: Seeds,
}

/// A number of seeds, or from how many to how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Seeds {
    Fixed(u64),
    UntilDecided(UntilDecided),
}

/// Seeds are added until every arm is decided, or its interval narrow enough.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UntilDecided {
    pub at_least: u64,
    pub at_most: u64,
    pub within: f64,
}

/// The table `[compare]`: how arms are compared, and secondary comparisons.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Compare {
    pub equal_rmax: EqualRmax,
    /// The factor from 1 that counts as no difference.
    pub margin: f64,
}

/// Whether each arm also runs with people in proportion to its parameters, so that it is as full as the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EqualRmax {
    /// Each arm also runs so, as `ARM@equal-rmax`.
    Run,
    /// Arms run as they are written only.
    #[default]
    Skip,
}

impl Default for Seeds {
    fn default() -> Self {
        Seeds::Fixed(3)
    }
}

impl Default for UntilDecided {
    fn default() -> Self {
        UntilDecided { at_least: 4, at_most: 16, within: Design::WITHIN }
    }
}

impl Default for Compare {
    fn default() -> Self {
        Compare { equal_rmax: EqualRmax::Skip, margin: Design::MARGIN }
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrRange;
        impl<'de> Visitor<'de> for NumberOrRange {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number of seeds, or { at_least = 4, at_most = 16, within = 0.1 }")
            }

            fn visit_u64<E: de::Error>(self, seeds: u64) -> Result<Seeds, E> {
                Ok(Seeds::Fixed(seeds))
            }

            fn visit_i64<E: de::Error>(self, seeds: i64) -> Result<Seeds, E> {
                let wrong = || E::invalid_value(de::Unexpected::Signed(seeds), &self);
                u64::try_from(seeds).map(Seeds::Fixed).map_err(|_| wrong())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Seeds, A::Error> {
                UntilDecided::deserialize(MapAccessDeserializer::new(map)).map(Seeds::UntilDecided)
            }
        }
        deserializer.deserialize_any(NumberOrRange)
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
pub(super) struct AblationFile {
    pub about: About,
    pub profile: Option<String>,
    /// `control`, `repeat`, `tune`, `compare`, `then`, `arms`, `expect`, with the profile and `--set` over them.
    pub settings: Node,
    pub control: Control,
    pub common: Node,
    pub changes: Vec<ArmPatch>,
    /// The one-at-a-time path that makes the arms, if one does.
    pub route: Option<Route>,
    /// The product of levels that makes the arms, if one does.
    pub product: Option<Product>,
    /// What is published, with its places.
    published: Node,
    /// Whether `--set` says how often arms are repeated.
    planned: Planned,
    /// What the profile and each `--set` say about the plan.
    pub last: Vec<Node>,
    /// What is wrong with all this; the rest is read nevertheless, so that everything is said at once.
    pub problems: Vec<Problem>,
}

impl AblationFile {
    pub fn load(presets: &Presets, name: &str, profile: Option<&str>, sets: &[String]) -> Result<Self> {
        let file = parse(&presets.load(PresetKind::Ablations, name)?)?;
        let mut problems = Vec::new();
        problems.extend(known_keys(&file, &[], &FILE_KEYS).err().into_iter().flatten());
        let tables = file.as_table().into_iter().flat_map(Table::iter);
        for entry in tables.filter(|entry| entry.node.as_table().is_none()) {
            problems.push(no_table(&entry.key, &entry.node));
        }
        let sets = parse_sets(sets, &mut problems);
        // Without its profile nothing else of the file means what it should.
        let (profile, overlay) = choose_profile(&file, profile, &mut problems)?;
        sets.iter().for_each(|set| check_overlay(set, &[], &mut problems));
        let mut settings = Node::table();
        for key in ["control", WALK, FACTORS, "repeat", "tune", "compare", "then"] {
            file.get(&[key]).iter().for_each(|node| settings.set(&[key], (*node).clone()));
        }
        spread_keys(&mut settings);
        let mut last = Vec::new();
        for overlay in std::iter::once(&overlay).chain(&sets) {
            let (about_runs, about_plan) = split_overlay(overlay);
            settings.merge(about_runs);
            last.push(about_plan);
        }
        let by_hand = sets.iter().any(|set| set.get(&["repeat"]).is_some());
        let common = file.get(&["common"]).cloned().unwrap_or_else(Node::table);
        problems.extend(known_keys(&common, &["common"], &PLAN_KEYS).err().into_iter().flatten());
        let common = common.only(&PLAN_KEYS);
        let mut changes = read_changes(&file, &mut problems);
        let route = Route::read(&settings, &mut problems);
        let product = Product::read(&settings, &mut problems);
        if settings.get(&[FACTORS]).is_some() {
            problems.extend(beside_factors(&file, &settings));
            changes = product.as_ref().map_or_else(Vec::new, Product::changes);
        }
        if file.get(&[WALK]).is_none() {
            let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
            // The cell that is the control is known when all are resolved.
            let chosen = read_chosen(&settings, &names, &mut problems).filter(|_| product.is_none());
            if let Some(chosen) = chosen {
                changes.retain(|change| chosen.contains(&change.name));
            }
        }
        let about = read_about(&file, &mut problems);
        let published = file.only(&["about"]);
        match read_control(&settings, route.as_ref(), &mut problems) {
            Some(control) => Ok(AblationFile {
                about,
                profile,
                settings,
                control,
                common,
                changes,
                route,
                product,
                published,
                planned: if by_hand { Planned::ByHand } else { Planned::Before },
                last,
                problems,
            }),
            None => Err(config(problems)),
        }
    }

    /// Parses the files of the control, or those named instead, and that of the other end of a one-at-a-time path.
    pub fn layers(&self, presets: &Presets, model: Option<&str>, dataset: Option<&str>) -> Result<Layers> {
        let load = |kind: PresetKind, key: &str, asked: Option<&str>, own: &str| {
            let place = |mut error: Error| {
                let node = path_of(key).and_then(|path| self.settings.get(&path));
                if let (None, Some(node), [problem]) = (asked, node, error.problems.as_mut_slice()) {
                    *problem = std::mem::take(problem).key(key).at_origin(node.origin.as_ref());
                }
                error
            };
            parse(&presets.load(kind, asked.unwrap_or(own)).map_err(place)?)
        };
        if let (Some(model), Some(_)) = (model, &self.route) {
            let problem = Problem::new(format!("the model {model}")).expected("none");
            return Err(Error::config(problem.help("the path names both of its models")));
        }
        let of_model = if self.route.is_some() { "one_at_a_time.from" } else { "control.model" };
        let model = load(PresetKind::Models, of_model, model, &self.control.model);
        let dataset = load(PresetKind::Datasets, "control.dataset", dataset, &self.control.dataset);
        let end =
            self.route.as_ref().map(|route| load(PresetKind::Models, "one_at_a_time.to", None, &route.to));
        match (model, dataset, end.transpose()) {
            (Ok(model), Ok(dataset), Ok(end)) => {
                let (common, last) = (self.common.clone(), self.last.clone());
                let ends = self.route.as_ref().map(|route| route.ends.clone());
                let [beside, other] = ends.unwrap_or_else(|| [Node::table(), Node::table()]);
                Ok(Layers { model, dataset, common, beside, end: end.map(|end| (end, other)), last })
            }
            (model, dataset, end) => {
                let errors = [model.err(), dataset.err(), end.err()].into_iter().flatten();
                let both = errors.reduce(|error, next| error.and(&next.problems));
                Err(both.expect("one of the files is wrong"))
            }
        }
    }

    /// The plan of one arm, or of the control.
    pub fn arm(&self, layers: &Layers, size: Option<Named>, name: &str) -> Result<Resolved, Vec<Problem>> {
        if name == CONTROL {
            return layers.lay(size, None);
        }
        let mut drafts = self.drafts(layers, size, self.walk(layers, size)?.as_ref())?;
        let Some(index) = drafts.iter().position(|draft| draft.name == name) else {
            let names = drafts.iter().map(|draft| draft.name.as_str());
            let names: Vec<&str> = std::iter::once(CONTROL).chain(names).collect();
            return Err(vec![reader::unknown("arm", name, &names)]);
        };
        drafts.swap_remove(index).fitted(|| layers.lay(size, None))
    }

    /// The one-at-a-time path at a size, if the arms are made by one.
    pub fn walk(&self, layers: &Layers, size: Option<Named>) -> Result<Option<OneAtATimePath>, Vec<Problem>> {
        let ends = self.route.as_ref().zip(layers.other_end());
        ends.map(|(route, other)| OneAtATimePath::of(route, [layers, &other], size)).transpose()
    }

    /// The arms at a size.
    fn drafts(
        &self,
        layers: &Layers,
        size: Option<Named>,
        walk: Option<&OneAtATimePath>,
    ) -> Result<Vec<UnverifiedArm>, Vec<Problem>> {
        let Some((route, walk)) = self.route.as_ref().zip(walk) else {
            let draft = |change: &ArmPatch| UnverifiedArm {
                name: change.name.clone(),
                held: change.held.clone(),
                resolved: layers.lay(size, Some(change)),
            };
            return Ok(self.changes.iter().map(draft).collect());
        };
        let (names, mut problems) = (walk.names(), Vec::new());
        let chosen = read_chosen(&self.settings, &names, &mut problems);
        check_published(&self.published, &names, &mut problems);
        let is_chosen =
            |draft: &UnverifiedArm| chosen.as_ref().is_none_or(|chosen| chosen.contains(&draft.name));
        let drafts = walk.drafts(&route.held).into_iter().filter(is_chosen).collect();
        if problems.is_empty() { Ok(drafts) } else { Err(problems) }
    }

    /// The keys of arms over which the profile has the last word, a sentence each.
    pub fn overridden(&self) -> Vec<String> {
        let (Some(profile), Some(overlay)) = (&self.profile, self.last.first()) else { return Vec::new() };
        let keys = |overlay: &Node| {
            let mut found = Vec::new();
            let entries = overlay.as_table().into_iter().flat_map(Table::iter);
            entries.for_each(|entry| leaves(&dotted(&[&entry.key]), &entry.node, &mut found));
            found.into_iter().map(|(key, node)| (key, writer::inline(node))).collect::<Vec<_>>()
        };
        let of_profile = keys(overlay);
        let mut said = Vec::new();
        for change in &self.changes {
            for (key, own) in keys(&change.overlay) {
                let over = of_profile.iter().find(|(known, value)| *known == key && *value != own);
                said.extend(over.map(|(_, value)| {
                    format!("profile {profile} sets {key} = {value} over the {own} of arm {}", change.name)
                }));
            }
        }
        said
    }

    /// How many seeds there are and when they are looked at.
    pub fn design(&self, problems: &mut Vec<Problem>) -> Design {
        let said = read_or_default::<Repeat>(&self.settings, &["repeat"], problems).seeds;
        let margin = read_or_default::<Compare>(&self.settings, &["compare"], problems).margin;
        let mut wrong = |path: &[&str], found: String, expected: &str| {
            let node = (1..=path.len()).rev().find_map(|n| self.settings.get(&path[..n]));
            let problem =
                Problem::new(found).key(dotted(path)).at_origin(node.and_then(|node| node.origin.as_ref()));
            problems.push(problem.expected(expected));
        };
        if !(margin > 1.0 && margin < 10.0) {
            wrong(&["compare", "margin"], margin.to_string(), "a factor above 1, below 10");
        }
        let margin = if margin > 1.0 { margin } else { Design::MARGIN };
        let design = match said {
            Seeds::Fixed(0) => {
                wrong(&["repeat", "seeds"], "0".to_string(), "at least 1");
                Design::fixed(1)
            }
            Seeds::Fixed(seeds) => Design::fixed(seeds),
            Seeds::UntilDecided(UntilDecided { at_least, at_most, within }) => {
                let path = |key: &'static str| ["repeat", "seeds", key];
                let before = problems_of(at_least, at_most, within);
                for (key, found, expected) in &before {
                    wrong(&path(key), found.clone(), expected);
                }
                match before.is_empty() {
                    true => Design::sequential(at_least, at_most, within),
                    false => Design::default(),
                }
            }
        };
        Design { margin, planned: self.planned, ..design }
    }

    /// The tuned keys with their grids, ascending.
    pub fn tune(&self, problems: &mut Vec<Problem>) -> Option<Tune> {
        let node = self.settings.get(&["tune"])?;
        let Some(table) = node.as_table() else {
            problems.push(no_table("tune", node));
            return None;
        };
        let seeds = read_or_default::<Option<u64>>(&self.settings, &["tune", "seeds"], problems)
            .unwrap_or(TUNING_SEEDS);
        let mut keys = Vec::new();
        table.iter().filter(|entry| entry.key != "seeds").for_each(|e| leaves(&e.key, &e.node, &mut keys));
        if let [first, second, (key, node), ..] = keys.as_slice() {
            let problem = Problem::new(format!("a third key beside {} and {}", first.0, second.0));
            let problem = problem.key(format!("tune.{key}")).at_origin(node.origin.as_ref());
            problems.push(problem.expected("one tuned key, or two"));
            return None;
        }
        let read = |(key, node): &(String, &Node)| {
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
            possible.then(|| TunedKey { key: key.clone(), grid })
        };
        let keys: Vec<TunedKey> = keys.iter().map(read).collect::<Option<_>>()?;
        (!keys.is_empty()).then_some(Tune { keys, seeds })
    }

    /// Refuses more than [`MAX_RUNS`] runs, before any of them is made; `of_walk` is how many arms a one-at-a-time path makes.
    pub fn check_count(
        &self,
        of_walk: Option<usize>,
        seeds: u64,
        tune: Option<&Tune>,
        equal: EqualRmax,
        problems: &mut Vec<Problem>,
    ) -> bool {
        let sizes = self.control.size.0.len().max(1) as u128;
        let changes = of_walk.unwrap_or(self.changes.len());
        let arms = match equal {
            EqualRmax::Run => 1 + 2 * changes,
            EqualRmax::Skip => 1 + changes,
        };
        let trials = tune.map_or(0, |tune| {
            let cells = tune.keys.iter().map(|tuned| tuned.grid.len() as u128).product::<u128>();
            cells * u128::from(tune.seeds)
        });
        let reports = u128::from(seeds) * if tune.is_some() { 2 } else { 1 };
        let runs = sizes * arms as u128 * (trials + reports);
        let at = |path: &[&str]| self.settings.get(path).and_then(|node| node.origin.as_ref());
        if runs > MAX_RUNS {
            let seeds = at(&["repeat", "seeds"]).filter(|_| reports > MAX_RUNS / (sizes * arms as u128));
            let problem = Problem::new(format!("{runs} runs")).at_origin(seeds.or(at(&["tune"])));
            let problem = problem.expected(format!("at most {MAX_RUNS}"));
            problems.push(problem.help("ask for fewer seeds, sizes or values"));
        }
        runs <= MAX_RUNS
    }

    /// The sizes that are asked about, each once; without any the model's own widths.
    pub fn sizes(&self) -> Vec<Option<Named<'_>>> {
        let node = self.settings.get(&[CONTROL, "size"]);
        let mut seen = HashSet::new();
        let sizes = self.control.size.0.iter().filter(|size| seen.insert(size.as_str()));
        let sizes: Vec<_> =
            sizes.map(|name| Some(Named { name, node: node.map(|node| (node, "control.size")) })).collect();
        if sizes.is_empty() { vec![None] } else { sizes }
    }

    /// Merges every arm into the control at a size, matches it, and verifies what it is matched on; the control comes first.
    pub fn resolve(
        &self,
        layers: &Layers,
        size: Option<Named>,
        walk: Option<&OneAtATimePath>,
    ) -> (Vec<Arm>, Vec<Problem>) {
        let name = size.map(|size| size.name);
        let laid = layers.lay(size, None);
        let control = Arm::new(CONTROL, name, MatchOn::Nothing, laid.clone());
        let (control, drafts) = match (control, self.drafts(layers, size, walk)) {
            (Ok(control), Ok(drafts)) => (control, drafts),
            (control, drafts) => {
                let wrong = [control.err(), drafts.err()];
                return (Vec::new(), wrong.into_iter().flatten().flatten().collect());
            }
        };
        let (mut arms, mut problems) = (vec![control], Vec::new());
        for draft in drafts {
            let (title, held) = (draft.name.clone(), draft.held.clone());
            let arm = Arm::new(&title, name, held.holds, draft.fitted(|| laid.clone()));
            match arm.and_then(|arm| verify(&arms[0], &arm, &held).map(|()| arm)) {
                Ok(arm) => arms.push(arm),
                Err(wrong) => problems.extend(wrong),
            }
        }
        (arms, problems)
    }
}

impl UnverifiedArm {
    /// The plan of the arm, with its feed-forward matched to the control if it asks for that.
    fn fitted(
        self,
        control: impl FnOnce() -> Result<Resolved, Vec<Problem>>,
    ) -> Result<Resolved, Vec<Problem>> {
        match self.held.fit {
            Match::Nothing => self.resolved,
            Match::Expansion => fit(self.resolved?, &self.held, &control()?.plan),
        }
    }
}

/// What is wrong with a range of seeds: the key, what was found, and what is expected.
fn problems_of(at_least: u64, at_most: u64, within: f64) -> Vec<(&'static str, String, String)> {
    let mut wrong = Vec::new();
    if at_least < MIN_SEEDS as u64 {
        let expected = format!("at least {MIN_SEEDS}: fewer give no interval");
        wrong.push(("at_least", at_least.to_string(), expected));
    }
    if at_most < at_least {
        wrong.push(("at_most", at_most.to_string(), format!("{at_least}, which is at_least, or more")));
    }
    if !(within > 0.0 && within <= 1.0) {
        let expected = "above 0 and at most 1: half the width of an interval of the log ratio";
        wrong.push(("within", within.to_string(), expected.to_string()));
    }
    wrong
}

/// The profile that is asked for, or `quick`, with its table.
fn choose_profile(
    file: &Node,
    asked: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Result<(Option<String>, Node)> {
    let profiles: Vec<_> =
        file.get(&["profiles"]).and_then(Node::as_table).into_iter().flat_map(Table::iter).collect();
    for profile in &profiles {
        check_overlay(&profile.node, &["profiles", &profile.key], problems);
    }
    let name = asked.unwrap_or(DEFAULT_PROFILE);
    match (profiles.iter().find(|profile| profile.key == name), asked) {
        (Some(profile), _) => Ok((Some(name.to_string()), profile.node.clone())),
        (None, None) => Ok((None, Node::table())),
        (None, Some(_)) => {
            let names: Vec<&str> = profiles.iter().map(|profile| profile.key.as_str()).collect();
            Err(Error::config(reader::unknown("profile", name, &names)))
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

/// `tune."a.b"` and `tune.a.b` are the same key, and so with factors.
fn spread_keys(settings: &mut Node) {
    for key in ["tune", FACTORS] {
        let Some(node) = settings.get(&[key]) else { continue };
        let Some(table) = node.as_table().cloned() else { continue };
        let mut spread = Node { origin: node.origin.clone(), ..Node::table() };
        let mut found = Vec::new();
        table.iter().for_each(|entry| leaves(&entry.key, &entry.node, &mut found));
        for (name, node) in found {
            spread.set(&path_of(&name).unwrap_or_else(|| vec![name.clone()]), node.clone());
        }
        settings.set(&[key], spread);
    }
}

/// What makes arms beside the product of factors.
fn beside_factors(file: &Node, settings: &Node) -> Vec<Problem> {
    let other = |key: &str, node: Option<&Node>| {
        let problem = Problem::new(format!("[{key}] beside [{FACTORS}]")).key(key);
        let problem = problem.at_origin(node?.origin.as_ref());
        Some(problem.expected("one of the two: the product makes its arms itself"))
    };
    let others = [other("arms", file.get(&["arms"])), other(WALK, settings.get(&[WALK]))];
    others.into_iter().flatten().collect()
}

/// What is under a table and no table itself, with its key.
pub(super) fn leaves<'a>(key: &str, node: &'a Node, found: &mut Vec<(String, &'a Node)>) {
    match node.as_table() {
        Some(table) => {
            table.iter().for_each(|e| leaves(&format!("{key}.{}", dotted(&[&e.key])), &e.node, found))
        }
        None => found.push((key.to_string(), node)),
    }
}

/// The arms of the file.
fn read_changes(file: &Node, problems: &mut Vec<Problem>) -> Vec<ArmPatch> {
    let mut changes = Vec::new();
    if let (Some(arms), Some(_)) = (file.get(&["arms"]), file.get(&[WALK])) {
        let problem =
            Problem::new("arms beside a one-at-a-time path").key("arms").at_origin(arms.origin.as_ref());
        problems.push(problem.expected("one of the two: the path makes its arms itself"));
        return changes;
    }
    for entry in file.get(&["arms"]).and_then(Node::as_table).into_iter().flat_map(Table::iter) {
        let path = ["arms", entry.key.as_str()];
        let known = [&["match_on", "match", "label"][..], &PLAN_KEYS[..]].concat();
        problems.extend(known_keys(&entry.node, &path, &known).err().into_iter().flatten());
        if entry.key == CONTROL || entry.key.contains('@') {
            let problem = Problem::new(format!("an arm of the name {:?}", entry.key)).key(dotted(&path));
            problems.push(problem.at_origin(entry.origin.as_ref()).expected("a name of its own"));
        }
        let others = changes.iter().map(|change: &ArmPatch| change.name.as_str()).chain([CONTROL]);
        let look = visible::look(&entry.key);
        if let Some(other) =
            others.into_iter().find(|other| *other != entry.key && visible::look(other) == look)
        {
            let problem =
                Problem::new(format!("arm {:?} looks like {other:?}", entry.key)).key(dotted(&path));
            let problem = problem.at_origin(entry.origin.as_ref());
            problems.push(problem.expected("a name that can be told from the others where it is printed"));
        }
        let held = Held::read(&entry.node, &path, entry.origin.as_ref(), problems);
        let label = read_label(&entry.node, &path, &changes, problems);
        changes.push(ArmPatch { name: entry.key.clone(), label, held, overlay: entry.node.only(&PLAN_KEYS) });
    }
    changes
}

/// What an arm is called in sentences, tables and figures; nobody else is.
fn read_label(arm: &Node, path: &[&str], before: &[ArmPatch], problems: &mut Vec<Problem>) -> Option<String> {
    let label = read_or_default::<Option<String>>(arm, &["label"], problems)?;
    let is_taken = |other: &&ArmPatch| other.label.as_deref() == Some(&label) || other.name == label;
    let other = before.iter().find(is_taken).map(|other| other.name.as_str());
    let other = other.or((label == CONTROL).then_some(CONTROL));
    let problem = match other {
        Some(other) => Problem::new(format!("the label {label:?} a second time, after arm {other}")),
        None if label.trim().is_empty() => Problem::new("an empty label"),
        None => return Some(label),
    };
    let origin = arm.get(&["label"]).and_then(|node| node.origin.as_ref());
    problems.push(
        problem.key(dotted(&[path, &["label"]].concat())).at_origin(origin).expected("a label of its own"),
    );
    None
}

/// The arms that the profile names, if it names any; those that are not there are problems.
fn read_chosen(settings: &Node, names: &[&str], problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    let node = settings.get(&["arms"])?;
    let chosen: Vec<String> = read_or_default(settings, &["arms"], problems);
    for name in chosen.iter().filter(|name| !names.contains(&name.as_str())) {
        problems.push(reader::unknown("arm", name, names).key("arms").at_origin(node.origin.as_ref()));
    }
    Some(chosen)
}

/// Reads `[about]`; what is published may be text alone.
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
    }
    if file.get(&[WALK]).is_none() && file.get(&[FACTORS]).is_none() {
        let arms = file.get(&["arms"]).and_then(Node::as_table).into_iter().flat_map(Table::iter);
        check_published(&file, &arms.map(|arm| arm.key.as_str()).collect::<Vec<_>>(), problems);
    }
    read_or_default(&file, &["about"], problems)
}

/// What is published is about an arm that there is.
fn check_published(file: &Node, arms: &[&str], problems: &mut Vec<Problem>) {
    let path = ["about", "published"];
    let published = file.get(&path).and_then(Node::as_table).into_iter().flat_map(Table::iter);
    let known = |name: &str| name == CONTROL || arms.contains(&name);
    for entry in published.filter(|entry| !known(&entry.key)) {
        let key = dotted(&[path[0], path[1], &entry.key]);
        let problem = reader::unknown("arm", &entry.key, arms).key(key);
        problems.push(problem.at_origin(entry.origin.as_ref()));
    }
}

/// Reads `[control]`; the control of a one-at-a-time path is the model that it starts from.
fn read_control(settings: &Node, route: Option<&Route>, problems: &mut Vec<Problem>) -> Option<Control> {
    let mut control: Control = read_or_default(settings, &[CONTROL], problems);
    if settings.get(&[WALK]).is_some() && !control.model.is_empty() {
        let model = settings.get(&[CONTROL, "model"]).and_then(|node| node.origin.as_ref());
        let problem = Problem::new("a one-at-a-time path names its models itself")
            .key("control.model")
            .at_origin(model);
        problems.push(problem.help("leave it out: the control is what one_at_a_time.from says"));
    }
    if settings.get(&[WALK]).is_some() {
        control.model = route?.from.clone();
    }
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
