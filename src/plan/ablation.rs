//! An ablation file, resolved to plans: one control and the arms that each change one thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ablation_file::{AblationFile, ArmPatch, Compare, EqualRmax};
use super::arm::{Arm, equal_rmax};
use super::difference::{self, Difference};
use super::factors::Factorial;
use super::keys::read_or_default;
use super::preset::Presets;
use super::resolve::config;
use super::resolved::Resolved;
use super::sets::SETS;
use super::then::Then;
use super::tree::{KIND, Node, Table, dotted, path_of};
use super::walk::OneAtATimePath;
use super::writer;
use crate::Result;
use crate::error::Problem;
use crate::statistics::Design;

/// The name of the arm that all others are compared with.
pub const CONTROL: &str = "control";

/// An ablation file, resolved: what is compared, how it is tuned and how often it is repeated.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// The name of the ablation, or the path it was read from.
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
    /// Each arm is reported over seeds from 1 on: how many, and when they are looked at.
    pub repeat: Design,
    /// What is tuned per arm before anything is reported.
    pub tune: Option<Tune>,
    /// What follows when every arm is finished.
    pub then: Then,
    /// The one-at-a-time path that makes the arms, size by size, if one does.
    pub walks: Vec<OneAtATimePath>,
    /// The product of levels that makes the arms, if one does.
    pub factorial: Option<Factorial>,
    /// Warnings, a sentence each: settings that are allowed and seldom intended.
    pub warnings: Vec<String>,
}

/// The question and what is published about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The question.
    pub question: String,
    /// Where the question was asked before.
    pub source: String,
    /// The published claims, by arm; a claim about the control has no ratio.
    pub published: BTreeMap<String, Published>,
}

/// A published claim about an arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    /// The claim in words.
    pub text: String,
    /// The published ratio of the arm's bits per parameter to the control's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Claim>,
    /// The published bits per parameter of the arm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_param: Option<Claim>,
    /// The setting that the claim is about, to be read after "published at".
    pub scale: String,
    /// The smallest model that the claim was found for, in parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_params: Option<u64>,
    /// The number of exposures of each document, if the claim depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposures: Option<u64>,
    /// The number of the claim in `zoo laws`: which of the twelve results of arXiv 2404.05405 it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<u32>,
}

/// A published number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The published value, approximately.
    About(Bound),
    /// An upper bound: "more than 1.5 times fewer" is at most 0.667.
    AtMost(Bound),
    /// A lower bound.
    AtLeast(Bound),
}

/// The value of a published number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The ratio.
    pub value: f64,
}

/// What is tuned per arm: one setting over a grid, or two over the product of theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct Tune {
    /// The settings that are tuned, one or two.
    pub keys: Vec<TunedKey>,
    /// Seeds of each trial; they are never reported.
    pub seeds: u64,
}

/// A setting that is tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct TunedKey {
    /// The key of the plan.
    pub key: String,
    /// Its values, ascending.
    pub grid: Vec<f64>,
}

impl TunedKey {
    /// Where it is in a plan.
    pub(super) fn path(&self) -> Vec<String> {
        path_of(&self.key).unwrap_or_default()
    }
}

impl Tune {
    /// Every combination of a value of each key, the last key fastest.
    pub fn cells(&self) -> Vec<Vec<f64>> {
        self.keys.iter().fold(vec![Vec::new()], |cells, tuned| {
            let with = |cell: &Vec<f64>| {
                tuned.grid.iter().map(|&value| [cell.as_slice(), &[value]].concat()).collect::<Vec<_>>()
            };
            cells.iter().flat_map(with).collect()
        })
    }

    /// The middle of each grid.
    pub fn middle(&self) -> Vec<f64> {
        self.keys.iter().map(|tuned| tuned.grid[(tuned.grid.len() - 1) / 2]).collect()
    }

    /// Whether there is more than one combination to choose from.
    pub fn is_choice(&self) -> bool {
        self.keys.iter().any(|tuned| tuned.grid.len() > 1)
    }
}

impl Ablation {
    /// Reads an ablation by name or path and resolves every arm.
    ///
    /// # Errors
    /// Everything that is wrong with its files and `sets`, at once.
    pub fn load(presets: &Presets, name: &str, profile: Option<&str>, sets: &[String]) -> Result<Self> {
        let mut question = AblationFile::load(presets, name, profile, sets)?;
        let mut problems = std::mem::take(&mut question.problems);
        let layers = question.layers(presets, None, None).map_err(|error| error.and(&problems))?;
        let repeat = question.design(&mut problems);
        let compare = read_or_default::<Compare>(&question.settings, &["compare"], &mut problems);
        let then = read_or_default::<Then>(&question.settings, &["then"], &mut problems);
        let expect = read_or_default::<Option<String>>(&question.settings, &["expect"], &mut problems);
        let tune = question.tune(&mut problems);
        let mut places = Vec::new();
        for size in question.sizes() {
            match question.walk(&layers, size) {
                Ok(walk) => places.push((size, walk)),
                Err(wrong) => problems.extend(wrong),
            }
        }
        let walks = || places.iter().filter_map(|(_, walk)| walk.as_ref());
        let n_arms = walks().map(|walk| walk.names().len()).max();
        let few =
            question.check_count(n_arms, repeat.most(), tune.as_ref(), compare.equal_rmax, &mut problems);
        let mut arms = Vec::new();
        for (size, walk) in places.iter().filter(|_| few) {
            let (mut of_size, wrong) = question.resolve(&layers, *size, walk.as_ref());
            problems.extend(wrong);
            if compare.equal_rmax == EqualRmax::Run {
                let place = question.settings.get(&["compare", "equal-rmax"]);
                equal_rmax(&mut of_size, place, &mut problems);
            }
            arms.extend(of_size);
        }
        let product = question.product.as_ref();
        let factorial = product.map(|product| product.settle(&mut arms, CONTROL, &mut problems));
        if factorial.is_some() && question.settings.get(&["arms"]).is_some() {
            let chosen: Vec<String> = read_or_default(&question.settings, &["arms"], &mut problems);
            arms.retain(|arm| arm.name == CONTROL || chosen.contains(&arm.name));
        }
        let mut warnings = question.overridden();
        if question.route.is_none() && problems.is_empty() {
            // What the command line or the profile made equal is for them to say.
            let is_as_written = sets.is_empty() && warnings.is_empty();
            let (everywhere, somewhere) = twins(&arms, &question.changes);
            if is_as_written {
                problems.extend(everywhere);
            } else {
                warnings.extend(everywhere.iter().map(|problem| {
                    format!("{}: {}", problem.key.as_deref().unwrap_or_default(), problem.found)
                }));
            }
            warnings.extend(somewhere);
            warnings.extend(dropped(&arms, &question.changes));
        }
        if !problems.is_empty() {
            return Err(config(problems));
        }
        for arm in &mut arms {
            let bare = arm.name.split('@').next().unwrap_or_default();
            let change = question.changes.iter().find(|change| change.name == bare);
            arm.label = change.and_then(|change| change.label.clone());
        }
        let walks = walks().cloned().collect();
        let mut ablation = Ablation {
            name: name.to_string(),
            profile: question.profile,
            about: question.about,
            expect,
            model: question.control.model,
            dataset: question.control.dataset,
            arms,
            repeat,
            tune,
            then,
            walks,
            factorial,
            warnings,
        };
        ablation.check_tune(&question.settings)?;
        ablation.read_files()?;
        Ok(ablation)
    }

    /// Hashes the data files once per dataset: the fingerprints of all runs are made from these.
    fn read_files(&mut self) -> Result<()> {
        for index in 0..self.arms.len() {
            let data = &self.arms[index].resolved.plan.data;
            let same = self.arms[..index].iter().find(|arm| arm.resolved.plan.data == *data);
            let files = match same {
                Some(arm) => arm.files.clone(),
                None => data.external_files()?,
            };
            self.arms[index].files = files;
        }
        Ok(())
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

    /// The one-at-a-time path of one size, if the arms are made by one.
    pub fn walk(&self, size: &str) -> Option<&OneAtATimePath> {
        self.walks.iter().find(|walk| walk.size == size)
    }

    /// The control of one size.
    ///
    /// # Panics
    /// If `size` is not one of [`Ablation::sizes`].
    pub fn control(&self, size: &str) -> &Arm {
        let control = self.arms.iter().find(|arm| arm.size == size && arm.name == CONTROL);
        control.expect("every size has a control")
    }

    /// The tuned keys must be of the plan, and all their values possible.
    fn check_tune(&self, settings: &Node) -> Result<()> {
        let Some(tune) = &self.tune else { return Ok(()) };
        let place = |problem: Problem| {
            let is_about = |tuned: &&TunedKey| problem.key.as_ref() == Some(&tuned.key);
            let tuned = tune.keys.iter().find(is_about).unwrap_or(&tune.keys[0]);
            let node = settings.get(&[&["tune".to_string()], tuned.path().as_slice()].concat());
            match problem.place {
                Some(_) => problem,
                None => problem.at_origin(node.and_then(|node| node.origin.as_ref())),
            }
        };
        let mut problems: Vec<Problem> =
            tune.keys.iter().flat_map(|tuned| self.set_beside_tune(tuned)).collect();
        let cells = tune.cells();
        for (arm, cell) in self.arms.iter().flat_map(|arm| cells.iter().map(move |cell| (arm, cell))) {
            let wrong = arm.with_values(tune, cell).and_then(Resolved::checked).err().into_iter().flatten();
            problems.extend(wrong.map(place));
        }
        if problems.is_empty() { Ok(()) } else { Err(config(problems)) }
    }

    /// A tuned key that an arm or `--set` sets as well: tuning would silently have the last word.
    fn set_beside_tune(&self, tuned: &TunedKey) -> Vec<Problem> {
        let mut problems = Vec::new();
        let path = tuned.path();
        let size = self.arms.first().map_or("", |arm| &arm.size);
        let value = |arm: &Arm| arm.resolved.node(&path).map(writer::inline);
        for arm in self.arms_of(size).filter(|arm| arm.is_tuned()) {
            let Some(node) = arm.resolved.node(&path) else { continue };
            let origin = node.origin.as_ref();
            let by_set = arm.name == CONTROL && origin.is_some_and(|origin| origin.file() == SETS);
            if by_set || value(arm) != value(self.control(size)) {
                let found = writer::inline(node);
                let problem = Problem::new(format!("{found} for a key that is tuned for every arm"));
                let problem = problem.key(tuned.key.clone()).at_origin(origin);
                problems.push(problem.help(format!("set tune.{}=[{found}] instead", tuned.key)));
            }
        }
        problems
    }
}

/// Settings of the control that an arm of another kind has at another value without saying so, a sentence each: a new kind
/// starts from its own defaults.
fn dropped(arms: &[Arm], changes: &[ArmPatch]) -> Vec<String> {
    let mut said = Vec::new();
    let Some(control) = arms.first() else { return said };
    for change in changes {
        let of_arm = arms.iter().find(|arm| arm.name == change.name && arm.size == control.size);
        let Some(arm) = of_arm else { continue };
        for Difference { key, a, b } in difference::between(&control.resolved.plan, &arm.resolved.plan) {
            let (Some(a), Some(b)) = (&a, &b) else { continue };
            let settings = a.as_table().into_iter().flat_map(Table::iter).filter(|entry| entry.key != KIND);
            for entry in settings {
                let Some(own) = b.get(&[&entry.key]).filter(|own| own.value != entry.node.value) else {
                    continue;
                };
                let path = [path_of(&key).unwrap_or_default(), vec![entry.key.clone()]].concat();
                if change.overlay.get(&path).is_none() {
                    let (there, here) = (writer::inline(&entry.node), writer::inline(own));
                    said.push(format!(
                        "arm {} has {} = {here} by default where the control has {there}: say {} = {there} to keep it",
                        change.name,
                        dotted(&path),
                        entry.key
                    ));
                }
            }
        }
    }
    said
}

/// Arms that are the control or another arm under another name, at every size, and a sentence each for those that are
/// at some.
fn twins(arms: &[Arm], changes: &[ArmPatch]) -> (Vec<Problem>, Vec<String>) {
    let (mut everywhere, mut somewhere) = (Vec::new(), Vec::new());
    for change in changes {
        let own = || arms.iter().filter(|arm| arm.name == change.name);
        let twin = |arm: &Arm| {
            let before = arms.iter().take_while(|other| !std::ptr::eq(*other, arm));
            before
                .filter(|other| other.size == arm.size)
                .find(|other| other.resolved.plan == arm.resolved.plan)
        };
        let twins: Vec<(&Arm, &Arm)> = own().filter_map(|arm| Some((arm, twin(arm)?))).collect();
        let Some((_, other)) = twins.first() else { continue };
        let found = |other: &Arm| format!("identical to {}", other.name);
        if twins.len() == own().count() {
            let problem = Problem::new(found(other)).key(dotted(&["arms", &change.name]));
            let problem = problem.at_origin(change.held.said.as_ref()).expected("a difference");
            everywhere.push(problem.help("change what it sets, or leave it out"));
        } else {
            let said = |(arm, other): (&Arm, &Arm)| {
                format!("arms.{} at size {}: {}", arm.name, arm.size, found(other))
            };
            somewhere.extend(twins.into_iter().map(said));
        }
    }
    (everywhere, somewhere)
}
