//! A one-at-a-time path between two models: which single difference between them matters.
//!
//! The steps are what [`difference`] finds between the ends, in its units. Each is tried twice, added to the first end
//! (an arm `FROM+STEP`) and removed from the second (`TO-STEP`), so that a step that only matters beside another one
//! is seen as such. The first end is the control, the second an arm under its own name. `[one_at_a_time.ends.from]` and
//! `[one_at_a_time.ends.to]` give an end settings beside its model, for instance a tokenizer, which are steps as well.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ablation_file::UnverifiedArm;
use super::arm::Held;
use super::difference::{self, Difference};
use super::keys::{PLAN_KEYS, known_keys};
use super::reader;
use super::resolve::{Layers, Named};
use super::resolved::Resolved;
use super::tree::{Node, dotted, path_of};
use crate::error::Problem;

/// The key of an ablation file.
pub(super) const WALK: &str = "one_at_a_time";

/// Keys of `[one_at_a_time]`.
const KEYS: [&str; 6] = ["from", "to", "ends", "match_on", "match", "together"];

/// Tables that an arm differs in, left out of the name of a step.
const OUTER: [&str; 2] = ["model", "block"];

/// The table `[one_at_a_time]` as its file has it.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The model that the path starts at: the control.
    pub from: String,
    /// The model that the path ends at.
    pub to: String,
    /// Settings of the two ends beside their models.
    pub ends: [Node; 2],
    /// What every arm is matched on.
    pub held: Held,
    /// Steps of several differences.
    together: Vec<Together>,
}

/// Differences that make one step.
#[derive(Debug, Clone)]
struct Together {
    name: String,
    keys: Vec<String>,
    node: Node,
}

/// The two ends at one size, and the steps between them.
#[derive(Debug, Clone)]
pub struct OneAtATimePath {
    /// The name of the first end, which is the control.
    pub from: String,
    /// The name of the second end, which is also its arm's.
    pub to: String,
    /// The size of both models; empty when no size is named.
    pub size: String,
    /// The steps, in the order of the plan.
    pub steps: Vec<PathStep>,
    ends: [Resolved; 2],
}

/// One step of a one-at-a-time path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathStep {
    /// The name of the step, for instance `feed-forward`.
    pub name: String,
    /// The differences that it makes; `a` is what the first end has.
    pub differences: Vec<Difference>,
    /// The arm that is the first end with this step.
    pub added: String,
    /// The arm that is the second end without it.
    pub removed: String,
}

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    From,
    To,
}

impl Route {
    /// Reads `[one_at_a_time]`, if there is one; without both ends there is none.
    pub fn read(settings: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Written {
            from: String,
            to: String,
            together: BTreeMap<String, Vec<String>>,
        }
        let node = settings.get(&[WALK])?;
        problems.extend(known_keys(node, &[WALK], &KEYS).err().into_iter().flatten());
        let held = Held::read(node, &[WALK], node.origin.as_ref(), problems);
        if let Some(ends) = node.get(&["ends"]) {
            problems.extend(known_keys(ends, &[WALK, "ends"], &["from", "to"]).err().into_iter().flatten());
        }
        let ends = ["from", "to"].map(|end| read_end(node, end, problems));
        let written: Written = match reader::read(&node.only(&["from", "to", "together"]), &[WALK]) {
            Ok(written) => written,
            Err(wrong) => {
                problems.extend(wrong);
                return None;
            }
        };
        for (key, name) in [("from", &written.from), ("to", &written.to)] {
            if name.is_empty() {
                let problem = Problem::new(format!("no {key}")).key(format!("{WALK}.{key}"));
                problems.push(problem.at_origin(node.origin.as_ref()).expected("the name of a model"));
            }
        }
        let place = |name: &str| node.get(&["together", name]).cloned().unwrap_or_else(Node::table);
        let together = written.together.into_iter();
        let together = together.map(|(name, keys)| Together { node: place(&name), name, keys }).collect();
        let complete = !written.from.is_empty() && !written.to.is_empty();
        complete.then_some(Route { from: written.from, to: written.to, ends, held, together })
    }
}

impl OneAtATimePath {
    /// Resolves both ends at a size, and finds the steps between them.
    pub(super) fn of(
        route: &Route,
        [from, to]: [&Layers; 2],
        size: Option<Named>,
    ) -> Result<Self, Vec<Problem>> {
        let ends = [from.lay(size, None)?, to.lay(size, None)?];
        let (from, to) = (label_of_model(&route.from), label_of_model(&route.to));
        let at_size = size.map_or(String::new(), |size| format!(" at size {}", size.name));
        let differences = difference::between(&ends[0].plan, &ends[1].plan);
        if differences.is_empty() {
            let found = format!("{} and {} are the same{at_size}", route.from, route.to);
            return Err(vec![
                Problem::new(found).key("one_at_a_time.to").help("name two models that differ"),
            ]);
        }
        let steps = group(route, differences)?.into_iter().map(|(name, differences)| PathStep {
            added: format!("{from}+{name}"),
            removed: format!("{to}-{name}"),
            name,
            differences,
        });
        let size = size.map_or(String::new(), |size| size.name.to_string());
        Ok(OneAtATimePath { steps: steps.collect(), from, to, size, ends })
    }

    /// All arms but the control.
    pub fn names(&self) -> Vec<&str> {
        let steps = self.steps.iter().flat_map(|step| [step.added.as_str(), step.removed.as_str()]);
        steps.chain([self.to.as_str()]).collect()
    }

    /// All arms but the control, to be: one end with each step, the other without it, and the other itself.
    pub(super) fn drafts(&self, held: &Held) -> Vec<UnverifiedArm> {
        let draft =
            |name: &str, resolved| UnverifiedArm { name: name.to_string(), held: held.clone(), resolved };
        let mut drafts = Vec::new();
        for step in &self.steps {
            drafts.push(draft(&step.added, self.take(End::From, step)));
        }
        for step in &self.steps {
            drafts.push(draft(&step.removed, self.take(End::To, step)));
        }
        drafts.push(draft(&self.to, Ok(self.ends[1].clone())));
        drafts
    }

    /// One end with what a step gives it from the other.
    fn take(&self, end: End, step: &PathStep) -> Result<Resolved, Vec<Problem>> {
        self.exchange(end, &step.differences).map_err(|problems| self.cannot_stand_alone(end, step, problems))
    }

    /// One end with these choices of the other.
    fn exchange(&self, end: End, differences: &[Difference]) -> Result<Resolved, Vec<Problem>> {
        let (own, other) = match end {
            End::From => (&self.ends[0], &self.ends[1]),
            End::To => (&self.ends[1], &self.ends[0]),
        };
        let theirs = |difference: &Difference| {
            let path = path_of(&difference.key).unwrap_or_default();
            let value = if end == End::From { &difference.b } else { &difference.a };
            let value = value.as_ref().map(|value| other.node(&path).unwrap_or(value).clone());
            (path, value)
        };
        own.edited(differences.iter().map(theirs)).and_then(Resolved::checked)
    }

    /// Says which other step this one needs, if one alone is enough.
    fn cannot_stand_alone(&self, end: End, step: &PathStep, problems: Vec<Problem>) -> Vec<Problem> {
        let other_steps = || self.steps.iter().filter(|other| other.name != step.name);
        let helps = |other: &&PathStep| {
            let both = [step.differences.as_slice(), other.differences.as_slice()].concat();
            self.exchange(end, &both).is_ok()
        };
        let first = problems.into_iter().next().unwrap_or_default();
        let why = first.key.as_ref().map_or(String::new(), |key| format!("{key}: "));
        let name = if end == End::From { &self.from } else { &self.to };
        let found = format!("the step {} cannot be taken alone at {name}: {why}{}", step.name, first.found);
        let mut problem = Problem::new(found).key(WALK);
        problem.expected = first.expected;
        let problem = match other_steps().find(helps) {
            Some(other) => {
                let keys = step.differences.iter().chain(&other.differences).map(|d| format!("{:?}", d.key));
                let keys = keys.collect::<Vec<_>>().join(", ");
                problem.help(format!(
                    "it needs {}; make one step of both: one_at_a_time.together.NAME = [{keys}]",
                    other.name
                ))
            }
            None => problem
                .help("make the ends alike in it under [common], or group steps by one_at_a_time.together"),
        };
        vec![problem]
    }
}

/// What `[one_at_a_time.ends.END]` says about the plan.
fn read_end(walk: &Node, end: &str, problems: &mut Vec<Problem>) -> Node {
    let Some(node) = walk.get(&["ends", end]) else { return Node::table() };
    problems.extend(known_keys(node, &[WALK, "ends", end], &PLAN_KEYS).err().into_iter().flatten());
    node.clone()
}

/// The differences as steps with their names: those that go together where the first of them stands, the rest alone.
fn group(
    route: &Route,
    differences: Vec<Difference>,
) -> Result<Vec<(String, Vec<Difference>)>, Vec<Problem>> {
    let keys: Vec<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
    let mut problems = Vec::new();
    for together in &route.together {
        for key in together.keys.iter().filter(|key| !keys.contains(&key.as_str())) {
            let problem = reader::unknown("difference", key, &keys).at_origin(together.node.origin.as_ref());
            problems.push(problem.key(dotted(&[WALK, "together", &together.name])));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let names = names(&keys);
    let mut steps: Vec<(String, Vec<Difference>)> = Vec::new();
    for (difference, alone) in differences.into_iter().zip(names) {
        let group = route.together.iter().find(|together| together.keys.contains(&difference.key));
        let name = group.map_or(alone, |group| group.name.clone());
        match steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, step)) => step.push(difference),
            None => steps.push((name, vec![difference])),
        }
    }
    Ok(steps)
}

/// Names of steps: the last two words of each key (`position-rotary-fraction`), or all of them where two steps share these.
fn names(keys: &[&str]) -> Vec<String> {
    let words = |key: &str| -> Vec<String> {
        let path = path_of(key).unwrap_or_else(|| vec![key.to_string()]);
        let inner = path.iter().filter(|word| !OUTER.contains(&word.as_str()));
        inner.map(|word| word.replace('_', "-")).collect()
    };
    let short: Vec<String> = keys
        .iter()
        .map(|key| {
            let words = words(key);
            words[words.len().saturating_sub(2)..].join("-")
        })
        .collect();
    let is_shared = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let long = |key: &str| words(key).join("-");
    keys.iter()
        .zip(&short)
        .map(|(key, name)| if is_shared(name) { long(key) } else { name.clone() })
        .collect()
}

/// How arms call a model: its name, or that of its file.
fn label_of_model(name: &str) -> String {
    let stem = std::path::Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let label = if name.ends_with(".toml") { stem.unwrap_or_default() } else { name.to_string() };
    label.replace('@', "-")
}

#[cfg(test)]
mod tests {
    use super::super::{Ablation, Presets};
    use super::*;
    use crate::data::DataConfig;

    /// A folder with these models and an ablation `mine` with a path between them.
    fn walk(from: &str, to: &str, more: &str) -> crate::Result<Ablation> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        for kind in ["models", "ablations"] {
            std::fs::create_dir(folder.path().join(kind)).unwrap();
        }
        let widths = "[model]\nd_model = 48\nn_layers = 2\n";
        write("models/one.toml", format!("{widths}{from}"));
        write("models/two.toml", format!("{widths}{to}"));
        let route = "one_at_a_time.from = \"one\"\none_at_a_time.to = \"two\"";
        write("ablations/mine.toml", format!("control.dataset = \"biod\"\n{route}\n{more}"));
        Ablation::load(&Presets::at(folder.path()), "mine", None, &[])
    }

    fn problem(from: &str, to: &str, more: &str) -> String {
        let error = walk(from, to, more).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    const NOTHING: &str = "one_at_a_time.match_on = \"nothing\"";

    #[test]
    fn each_difference_is_added_to_one_end_and_removed_from_the_other() {
        let ablation = Ablation::load(&Presets::at("/nowhere"), "llama-to-gpt2", None, &[]).unwrap();
        let walk = &ablation.walks[0];
        let steps: Vec<&str> = walk.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(
            steps,
            ["embedding-head", "norm", "position-rotary-fraction", "mixer-bias", "feed-forward"]
        );
        assert_eq!(ablation.arms.len(), 1 + 2 * 5 + 1);
        let plan = |name: &str| {
            &ablation
                .arms
                .iter()
                .find(|arm| arm.name == name)
                .unwrap_or_else(|| panic!("{name}"))
                .resolved
                .plan
        };
        let ends = [plan("control"), plan("gpt2")];
        for step in &walk.steps {
            assert_eq!(difference::between(ends[0], plan(&step.added)), step.differences, "{}", step.added);
            assert_eq!(
                difference::between(plan(&step.removed), ends[1]),
                step.differences,
                "{}",
                step.removed
            );
        }
    }

    #[test]
    fn a_setting_that_is_absent_at_one_end_is_taken_away() {
        let (from, to) = ("n_heads = 4", "n_heads = 4\nblock.mixer.n_kv_heads = 2");
        let ablation = walk(from, to, NOTHING).unwrap();
        let names: Vec<&str> = ablation.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["control", "one+mixer-n-kv-heads", "two-mixer-n-kv-heads", "two"]);
        assert_eq!(ablation.arms[0].resolved.plan, ablation.arms[2].resolved.plan);
        assert_eq!(ablation.arms[1].resolved.plan, ablation.arms[3].resolved.plan);
    }

    #[test]
    fn every_arm_of_a_matched_walk_has_the_parameters_of_the_control() {
        let (from, to) =
            ("n_heads = 4", "n_heads = 4\nblock.mixer.n_kv_heads = 1\nembedding.head = \"untied\"");
        let held = "one_at_a_time.match_on = \"parameters\"";
        assert!(problem(from, to, held).contains("let match = \"expansion\" do it"));
        let ablation = walk(from, to, &format!("{held}\none_at_a_time.match = \"expansion\"")).unwrap();
        let control = ablation.arms[0].params.total as f64;
        for arm in &ablation.arms[1..] {
            let off = (arm.params.total as f64 / control - 1.0).abs();
            assert!(off < 0.005, "{} is off by {off}: a unit of width is less than that", arm.name);
        }
        let held = "one_at_a_time.match_on = \"active-flops\"\none_at_a_time.match = \"expansion\"";
        let ablation = walk(from, to, held).unwrap();
        let control = ablation.arms[0].flops_per_token as f64;
        assert!(ablation.arms.iter().all(|arm| (arm.flops_per_token as f64 / control - 1.0).abs() < 0.005));
    }

    #[test]
    fn what_an_end_has_beside_its_model_is_a_step_too() {
        let beside = format!(
            "{NOTHING}\none_at_a_time.ends.from.data.people = 2048\none_at_a_time.ends.to.training.batch = 4"
        );
        let ablation = walk("n_heads = 4", "n_heads = 2", &beside).unwrap();
        let names: Vec<&str> = ablation.walks[0].steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["n-heads", "data-people", "training-batch"]);
        let people = |name: &str| {
            let arm = ablation.arms.iter().find(|arm| arm.name == name).unwrap();
            match &arm.resolved.plan.data {
                DataConfig::BioD(data) => data.people,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([people("control"), people("one+n-heads"), people("two-data-people")], [2048; 3]);
        assert_ne!(people("two"), 2048);
        assert_eq!(people("one+data-people"), people("two"));
        for (ends, wrong) in [
            ("one_at_a_time.ends.form.data.people = 2048", "one_at_a_time.ends.form: unknown key \"form\""),
            ("one_at_a_time.ends.to.size = \"mini\"", "one_at_a_time.ends.to.size: unknown key \"size\""),
            ("one_at_a_time.ends.to.data.peple = 6", "did you mean \"people\"?"),
        ] {
            let said = problem("n_heads = 4", "n_heads = 2", &format!("{NOTHING}\n{ends}"));
            assert!(said.contains(wrong), "{said}");
        }
    }

    #[test]
    fn ends_that_are_equal_and_steps_that_are_impossible_are_named() {
        assert!(problem("n_heads = 4", "n_heads = 4", NOTHING).contains("one and two are the same"));
        let (from, to) =
            ("n_heads = 3\nblock.mixer.n_kv_heads = 3", "n_heads = 4\nblock.mixer.n_kv_heads = 4");
        let said = problem(from, to, NOTHING);
        let needs = "the step n-heads cannot be taken alone at one: model.block.mixer.n_kv_heads: 3, expected \
                     a divisor of n_heads = 4; it needs mixer-n-kv-heads; make one step of both: one_at_a_time.together.NAME = \
                     [\"model.n_heads\", \"model.block.mixer.n_kv_heads\"]";
        assert!(said.contains(needs), "{said}");
        let both = "one_at_a_time.together.heads = [\"model.n_heads\", \"model.block.mixer.n_kv_heads\"]";
        let ablation = walk(from, to, &format!("{NOTHING}\n{both}")).unwrap();
        assert_eq!(ablation.arms[1].name, "one+heads");
        let misspelt = format!("{NOTHING}\none_at_a_time.together.heads = [\"model.n_head\"]");
        assert!(problem(from, to, &misspelt).contains("did you mean \"model.n_heads\"?"));
        let none = "n_heads = 4\nblock.feed_forward = \"none\"";
        let held = "one_at_a_time.match_on = \"parameters\"\none_at_a_time.match = \"expansion\"";
        assert!(problem("n_heads = 4", none, held).contains("no feed-forward whose width could be matched"));
    }

    #[test]
    fn steps_that_would_share_a_name_have_their_whole_keys() {
        let keys = ["model.a.x.bias", "model.b.x.bias", "model.block.feed_forward"];
        assert_eq!(names(&keys), ["a-x-bias", "b-x-bias", "feed-forward"]);
        assert_eq!(label_of_model("models/my.small.toml"), "my.small");
    }
}
