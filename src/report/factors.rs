//! What each level of a factorial does on average over the other factors, and which levels do more together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::Family;
use super::comparison::Measure;
use super::evidence::{ArmEvidence, Basis};
use super::number::{self, list};
use crate::plan::Factorial;
use crate::statistics::Compared;

/// Main effects and two-way interactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorialResult {
    /// Main effects first; empty where a cell has no result.
    pub effects: Vec<FactorEffect>,
    /// The cells that have too few results, by the arm's name.
    pub holes: Vec<String>,
}

/// The effect of one level, or of two together beyond each alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorEffect {
    /// One factor for a main effect, two for an interaction.
    pub parts: Vec<FactorLevel>,
    /// Against the control's levels, averaged over the other factors; with all other effects of the factorial.
    pub compared: Compared,
}

/// A level of a factor beside the control's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorLevel {
    /// The factor.
    pub factor: String,
    /// The level.
    pub level: String,
    /// The control's level.
    pub base: String,
}

/// Weights of cells: a main effect or an interaction.
struct Weights {
    parts: Vec<FactorLevel>,
    of_cells: Vec<f64>,
}

/// The effects of a factorial; none of them where a cell is a hole.
pub(super) fn result(
    factorial: &Factorial,
    arms: &[ArmEvidence],
    control: &str,
    measure: Measure,
    family: &Family,
) -> FactorialResult {
    let values = |name: &str| {
        let arm = arms.iter().find(|arm| arm.name == name && arm.basis == Basis::Primary);
        arm.map_or_else(Vec::new, |arm| arm.values(measure))
    };
    let of_cells: Vec<Vec<f64>> = factorial.cells.iter().map(|(_, arm)| values(arm)).collect();
    let all: usize = factorial.factors.iter().map(|factor| factor.levels.len()).product();
    let weights = weights(factorial, control);
    let family = family.with(weights.len());
    let effect = |weights: Weights| {
        // Cells of equal plans are one arm, whose runs count once; levels that are equal have no effect to tell.
        let mut of_arms: BTreeMap<&str, (f64, &[f64])> = BTreeMap::new();
        for ((weight, values), (_, arm)) in weights.of_cells.iter().zip(&of_cells).zip(&factorial.cells) {
            of_arms.entry(arm).or_insert((0.0, values)).0 += weight;
        }
        let arms: Vec<(f64, &[f64])> = of_arms.into_values().filter(|(weight, _)| *weight != 0.0).collect();
        Some(FactorEffect { parts: weights.parts, compared: family.compare_cells(measure, &arms)? })
    };
    let few = |values: &Vec<f64>| values.len() < crate::statistics::MIN_SEEDS;
    let mut holes: Vec<String> = factorial
        .cells
        .iter()
        .zip(&of_cells)
        .filter(|(_, v)| few(v))
        .map(|((_, arm), _)| arm.clone())
        .collect();
    if factorial.cells.len() < all {
        holes.push(format!("{} cells that were left out", all - factorial.cells.len()));
    }
    let effects =
        if holes.is_empty() { weights.into_iter().filter_map(effect).collect() } else { Vec::new() };
    FactorialResult { effects, holes }
}

/// Every level but the control's, then every pair of such levels of two factors.
fn weights(factorial: &Factorial, control: &str) -> Vec<Weights> {
    let Some((base, _)) = factorial.cells.iter().find(|(_, arm)| arm == control) else { return Vec::new() };
    let factors = &factorial.factors;
    let part = |factor: usize, level: usize| FactorLevel {
        factor: factors[factor].name.clone(),
        level: factors[factor].levels[level].clone(),
        base: factors[factor].levels[base[factor]].clone(),
    };
    let others =
        |factor: usize| (0..factors[factor].levels.len()).filter(move |level| *level != base[factor]);
    // +1 at the level, -1 at the control's, 0 elsewhere.
    let side = |cell: &[usize], factor: usize, level: usize| {
        f64::from(i8::from(cell[factor] == level) - i8::from(cell[factor] == base[factor]))
    };
    let make = |chosen: &[(usize, usize)]| {
        let levels: usize = chosen.iter().map(|(factor, _)| factors[*factor].levels.len()).product();
        let share = levels as f64 / factorial.cells.len() as f64;
        let weight =
            |cell: &[usize]| chosen.iter().map(|&(f, level)| side(cell, f, level)).product::<f64>() * share;
        Weights {
            parts: chosen.iter().map(|&(factor, level)| part(factor, level)).collect(),
            of_cells: factorial.cells.iter().map(|(cell, _)| weight(cell)).collect(),
        }
    };
    let mut found: Vec<Weights> = Vec::new();
    for factor in 0..factors.len() {
        found.extend(others(factor).map(|level| make(&[(factor, level)])));
    }
    for factor in 0..factors.len() {
        for other in factor + 1..factors.len() {
            for level in others(factor) {
                found.extend(others(other).map(|second| make(&[(factor, level), (other, second)])));
            }
        }
    }
    found
}

impl FactorEffect {
    /// `silu instead of gelu`, or `silu with none`.
    pub fn label(&self) -> String {
        match self.parts.as_slice() {
            [one] => format!("{} instead of {}", one.level, one.base),
            parts => parts.iter().map(|part| part.level.as_str()).collect::<Vec<_>>().join(" with "),
        }
    }
}

impl FactorialResult {
    /// What is shown on average, and which levels do more, or less, together.
    pub fn in_words(&self, what: &str) -> String {
        if !self.holes.is_empty() {
            return format!("No main effects: {} have too few results.", list(&self.holes));
        }
        let (main, pairs): (Vec<_>, Vec<_>) = self.effects.iter().partition(|effect| effect.parts.len() == 1);
        let shown = |effects: &[&FactorEffect]| -> Vec<String> {
            let found = effects.iter().filter(|effect| effect.compared.finding.is_effect());
            found
                .map(|effect| format!("{} {}", effect.label(), number::estimate(&effect.compared.estimate)))
                .collect()
        };
        let (main, pairs) = (shown(&main), shown(&pairs));
        let main = match main.is_empty() {
            true => format!("No level is shown to change the {what} on average over the other factors."),
            false => format!(
                "On average over the other factors, as {what} of the control's level: {}.",
                list(&main)
            ),
        };
        match pairs.is_empty() {
            true => format!("{main} No interaction is shown."),
            false => format!("{main} Together beyond each alone: {}.", list(&pairs)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;

    #[test]
    fn main_effects_are_averaged_over_the_other_factor_and_interactions_are_what_is_left() {
        let evidence = fake::evidence_of_factorial();
        let comparison = compare(&evidence).unwrap();
        let found = comparison.factorial.as_ref().unwrap();
        let log = |name: &str| {
            let arm = evidence.arms.iter().find(|arm| arm.name == name).unwrap();
            let values = arm.values(Measure::BitsPerParam);
            values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64
        };
        let (a, b, c, d) = (log("gpt2"), log("gated"), log("quarter"), log("none"));
        let means: Vec<f64> = found.effects.iter().map(|effect| effect.compared.estimate.mean.ln()).collect();
        for (mean, by_hand) in means.iter().zip([(c + d - a - b) / 2.0, (b + d - a - c) / 2.0, d - c - b + a])
        {
            assert!((mean - by_hand).abs() < 1e-12, "{means:?}");
        }
        let said = &comparison.answer[0];
        assert!(
            said.contains("none instead of mlp 0.6") && said.contains("Together beyond each alone"),
            "{said}"
        );
    }

    #[test]
    fn cells_of_equal_plans_count_once() {
        let mut evidence = fake::evidence();
        // A third position that is the first under another name.
        let two = fake::evidence_of_factorial().factorial;
        let mut made = two.clone().unwrap();
        made.factors[1].levels.push("rope again".to_string());
        made.cells.insert(2, (vec![0, 2], "gpt2".to_string()));
        made.cells.push((vec![1, 2], "quarter".to_string()));
        evidence.factorial = Some(made);
        let found = compare(&evidence).unwrap().factorial.unwrap();
        let labels: Vec<String> = found.effects.iter().map(FactorEffect::label).collect();
        assert_eq!(labels, ["none instead of mlp", "none instead of rope", "none with none"]);
        evidence.factorial = two;
        let once = compare(&evidence).unwrap().factorial.unwrap();
        let mean = |found: &FactorialResult, place: usize| found.effects[place].compared.estimate.mean;
        assert!((mean(&found, 1) - mean(&once, 1)).abs() < 1e-12, "the position's effect is what it was");
    }

    #[test]
    fn a_hole_leaves_no_main_effect() {
        let mut evidence = fake::evidence_with_gaps();
        evidence.factorial = fake::evidence_of_factorial().factorial;
        let comparison = compare(&evidence).unwrap();
        let found = comparison.factorial.as_ref().unwrap();
        assert!(found.effects.is_empty() && found.holes.contains(&"quarter".to_string()), "{found:?}");
        assert!(comparison.answer[0].starts_with("No main effects: "), "{}", comparison.answer[0]);
    }
}
