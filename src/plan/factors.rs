//! A factorial: the product of levels of several settings makes the arms, so that main effects and interactions can be told.
//!
//! `[factors]` names settings of the plan, dotted or by a short name, each with two levels or more. One cell of the product
//! is the control; cells with equal plans are one arm.

use super::ablation_file::{ArmPatch, leaves};
use super::arm::{Arm, Held, Match, MatchOn};
use super::tree::{Entry, Node, Table, Value, dotted, path_of};
use super::writer;
use crate::error::Problem;

/// The key of an ablation file.
pub(super) const FACTORS: &str = "factors";

/// The most cells of a product.
const MAX_CELLS: usize = 64;

/// Short names of the slots of a block.
const SHORT: [(&str, &str); 8] = [
    ("activation", "model.block.feed_forward.activation"),
    ("feed_forward", "model.block.feed_forward"),
    ("mixer", "model.block.mixer"),
    ("mask", "model.block.mixer.mask"),
    ("norm", "model.norm"),
    ("norm_placement", "model.block.norm_placement"),
    ("position", "model.block.mixer.position"),
    ("rate", "training.peak_lr"),
];

/// One setting and its levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// Its name, as it is written.
    pub name: String,
    /// The names of its levels; the control's is among them.
    pub levels: Vec<String>,
}

/// The cells of a product, each with its arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factorial {
    /// The factors, in the order of the file.
    pub factors: Vec<Factor>,
    /// Of every cell the level of each factor, and the arm; cells of equal plans have one.
    pub cells: Vec<(Vec<usize>, String)>,
}

/// The table `[factors]` as its file has it.
#[derive(Debug, Clone)]
pub(super) struct Product {
    factors: Vec<Factor>,
    /// Of each factor its path in the plan and the values of its levels.
    settings: Vec<(Vec<String>, Vec<Node>)>,
    held: Held,
}

impl Product {
    /// Reads `[factors]`, if there is one.
    pub fn read(settings: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        let node = settings.get(&[FACTORS])?;
        let Some(table) = node.as_table() else {
            let problem = Problem::new(writer::inline(node)).key(FACTORS).at_origin(node.origin.as_ref());
            problems.push(problem.expected("a table of settings with their levels"));
            return None;
        };
        let before = problems.len();
        let mut found = Vec::new();
        let own = |entry: &&Entry| entry.key != "match_on" && entry.key != "match";
        table.iter().filter(own).for_each(|entry| leaves(&dotted(&[&entry.key]), &entry.node, &mut found));
        let mut factors: Vec<Factor> = Vec::new();
        let mut of_plan: Vec<(Vec<String>, Vec<Node>)> = Vec::new();
        for (name, node) in found {
            let levels = levels(&name, node, problems);
            let full = SHORT.iter().find(|(short, _)| *short == name).map_or(name.as_str(), |(_, full)| full);
            let path = path_of(full).unwrap_or_default();
            if let Some(other) = of_plan.iter().position(|(known, _)| *known == path) {
                let problem = Problem::new(format!("{full} a second time, after {}", factors[other].name));
                let problem = problem.key(format!("{FACTORS}.{name}")).at_origin(node.origin.as_ref());
                problems.push(problem.expected("each setting once"));
            }
            of_plan.push((path, levels.iter().map(|(_, node)| node.clone()).collect()));
            factors.push(Factor { name, levels: levels.into_iter().map(|(label, _)| label).collect() });
        }
        let cells = factors.iter().fold(1usize, |cells, factor| cells.saturating_mul(factor.levels.len()));
        let at = |found: String, expected: &str| {
            Problem::new(found).key(FACTORS).at_origin(node.origin.as_ref()).expected(expected)
        };
        if factors.is_empty() {
            problems.push(at("no factor".to_string(), "a setting with two levels or more"));
        }
        if cells > MAX_CELLS {
            let expected = format!("at most {MAX_CELLS}");
            let found =
                if cells == usize::MAX { "very many cells".to_string() } else { format!("{cells} cells") };
            problems.push(at(found, &expected).help("leave out levels or factors"));
        }
        let held = match table.get("match_on") {
            Some(_) => Held::read(node, &[FACTORS], node.origin.as_ref(), problems),
            None => Held {
                holds: MatchOn::Nothing,
                fit: Match::Nothing,
                key: format!("{FACTORS}.match_on"),
                said: node.origin.clone(),
            },
        };
        (problems.len() == before).then_some(Product { factors, settings: of_plan, held })
    }

    /// An arm for every cell, the control's among them.
    pub fn changes(&self) -> Vec<ArmPatch> {
        let change = |cell: &Vec<usize>| {
            let mut overlay = Node::table();
            for ((path, values), level) in self.settings.iter().zip(cell) {
                overlay.set(path, values[*level].clone());
            }
            ArmPatch { name: self.name(cell), label: None, held: self.held.clone(), overlay }
        };
        self.cells().iter().map(change).collect()
    }

    /// The level of each factor in every cell, the last factor fastest.
    fn cells(&self) -> Vec<Vec<usize>> {
        self.factors.iter().fold(vec![Vec::new()], |cells, factor| {
            let with = |cell: &Vec<usize>| {
                (0..factor.levels.len()).map(|level| [cell.as_slice(), &[level]].concat()).collect::<Vec<_>>()
            };
            cells.iter().flat_map(with).collect()
        })
    }

    fn name(&self, cell: &[usize]) -> String {
        let levels = self.factors.iter().zip(cell).map(|(factor, &level)| factor.levels[level].as_str());
        levels.collect::<Vec<_>>().join("+")
    }

    /// Takes cells that are the control or an earlier cell out of `arms`, and says which arm each cell is.
    pub fn settle(&self, arms: &mut Vec<Arm>, control: &str, problems: &mut Vec<Problem>) -> Factorial {
        let sizes: Vec<String> = arms.iter().map(|arm| arm.size.clone()).collect();
        let first = sizes.first().cloned().unwrap_or_default();
        let mut cells: Vec<(Vec<usize>, String)> = Vec::new();
        for cell in self.cells() {
            let name = self.name(&cell);
            let of_first = |arm: &&Arm| arm.size == first;
            let Some(own) = arms.iter().filter(of_first).find(|arm| arm.name == name) else { continue };
            let twin = arms.iter().filter(of_first).find(|other| other.resolved.plan == own.resolved.plan);
            let arm = twin.map_or(name.clone(), |twin| twin.name.clone());
            if arm != name {
                arms.retain(|arm| arm.name != name);
            }
            cells.push((cell, arm));
        }
        if !arms.is_empty() && !cells.is_empty() && cells.iter().all(|(_, arm)| arm != control) {
            let problem = Problem::new("no cell of the product is the control").key(FACTORS);
            let problem = problem.at_origin(self.held.said.as_ref());
            problems
                .push(problem.help("give each factor the control's own level as well; `zoo show` has it"));
        }
        Factorial { factors: self.factors.clone(), cells }
    }
}

/// The levels of a factor with their names.
fn levels(name: &str, node: &Node, problems: &mut Vec<Problem>) -> Vec<(String, Node)> {
    let key = dotted(&[FACTORS]) + "." + name;
    let wrong = |found: String| Problem::new(found).key(key.clone()).at_origin(node.origin.as_ref());
    let Value::Array(items) = &node.value else {
        problems.push(wrong(writer::inline(node)).expected("an array of levels"));
        return Vec::new();
    };
    if items.len() < 2 {
        let problem = wrong(writer::inline(node)).expected("two levels or more");
        problems.push(problem.help("a setting of one level belongs to [common]"));
    }
    let mut levels: Vec<(String, Node)> = Vec::new();
    for item in items {
        let label = item.kind().map_or_else(|| writer::inline(item), str::to_string);
        if levels.iter().any(|(_, other)| other.value == item.value) {
            let problem = wrong(format!("level {} a second time", writer::inline(item)));
            problems.push(problem.expected("levels that differ"));
            continue;
        }
        let label = match levels.iter().any(|(other, _)| *other == label) {
            true => of_table(item).unwrap_or_else(|| writer::inline(item)),
            false => label,
        };
        levels.push((label.replace('@', "_"), item.clone()));
    }
    levels
}

/// A table in a name: its kind and the values of its settings.
fn of_table(node: &Node) -> Option<String> {
    let values = node.as_table().into_iter().flat_map(Table::iter).map(|entry| match entry.node.as_str() {
        Some(text) => text.to_string(),
        None => writer::inline(&entry.node),
    });
    Some(values.collect::<Vec<_>>().join("-")).filter(|text| !text.is_empty())
}
