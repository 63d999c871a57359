//! Figures: one file per picture, drawn from a comparison at any width.
//!
//! Each is drawn twice, wide for paper and screen and narrow for a phone, so that text keeps its size. The control is
//! dark grey, arms keep their colour from figure to figure.

mod arms;
mod attributes;
mod axis;
pub mod challenge;
mod chunks;
mod curves;
mod factors;
pub mod font;
mod frame;
pub mod race;
pub mod scatter;
pub mod png;
pub mod svg;
mod tuning;
mod walk;

use super::comparison::{ArmResult, Comparison, Measure};
use super::evidence::Evidence;
use svg::Ink;

/// Width of a figure for paper and screen, in pixels.
pub const WIDE: f64 = 760.0;
/// Width of the same figure on a phone.
pub const NARROW: f64 = 360.0;

/// A finished figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its file name, without ending.
    pub name: String,
    /// What is seen and how it was counted.
    pub caption: String,
    /// SVG of width [`WIDE`].
    pub wide: String,
    /// SVG of width [`NARROW`].
    pub narrow: String,
}

impl Figure {
    fn new(name: impl Into<String>, caption: String, draw: impl Fn(f64) -> String) -> Self {
        Figure { name: name.into(), caption, wide: draw(WIDE), narrow: draw(NARROW) }
    }
}

/// Every figure that there are numbers for, in reading order.
pub fn all(evidence: &Evidence, comparison: &Comparison) -> Vec<Figure> {
    let loss = curves::axes(evidence, comparison)
        .into_iter()
        .filter_map(|x| curves::figure(evidence, comparison, x, curves::Quantity::Loss));
    let knows = comparison.measure == Measure::BitsPerParam;
    let bits = || curves::figure(evidence, comparison, curves::Progress::Tokens, curves::Quantity::Bits);
    arms::figure(comparison)
        .into_iter()
        .chain(walk::figure(comparison))
        .chain(factors::figure(comparison))
        .chain(attributes::figure(comparison))
        .chain(chunks::all(evidence, comparison))
        .chain(knows.then(bits).flatten())
        .chain(loss)
        .chain(tuning::figure(comparison))
        .collect()
}

/// The colour of an arm: dark grey for the control, else by its place among the other arms of the comparison.
fn ink(comparison: &Comparison, arm: &str) -> Ink {
    if arm == comparison.control {
        return Ink::Control;
    }
    let mut names: Vec<&str> = Vec::new();
    for other in comparison.arms.iter().map(|arm| arm.arm.as_str()) {
        if other != comparison.control && !names.contains(&other) {
            names.push(other);
        }
    }
    Ink::Series(names.iter().position(|name| *name == arm).unwrap_or(names.len()))
}

/// The arms of the primary comparison that have a number.
fn shown(comparison: &Comparison) -> Vec<&ArmResult> {
    comparison.primary_arms().filter(|arm| arm.primary(comparison.measure).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::{evidence::Basis, fake};
    use super::*;

    fn figures(evidence: &Evidence) -> Vec<Figure> {
        all(evidence, &compare(evidence).unwrap())
    }

    /// A change of the picture is reviewed as a change of this file: replace it with what the test left beside it.
    #[test]
    fn the_figures_of_arms_and_of_factors_are_the_golden_ones_byte_for_byte() {
        for (name, evidence) in [("arms", fake::evidence()), ("factors", fake::evidence_of_factorial())] {
            let figures = figures(&evidence);
            let drawn = &figures.iter().find(|figure| figure.name == name).unwrap().wide;
            let file = format!("src/report/figure/golden/{name}.svg");
            let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let golden = std::fs::read_to_string(golden).unwrap_or_default();
            let aside = std::env::temp_dir().join(format!("ablation-zoo-{name}.svg"));
            if *drawn != golden {
                std::fs::write(&aside, drawn).unwrap();
            }
            assert!(*drawn == golden, "{file} differs from {}", aside.display());
        }
    }

    #[test]
    fn a_factorial_shows_main_effects_and_interactions_and_two_tuned_keys_no_curve() {
        let mut evidence = fake::evidence_of_factorial();
        evidence.tuning.iter_mut().for_each(|trial| trial.values = vec![trial.rate, 0.1]);
        let figures = figures(&evidence);
        let drawn = figures.iter().find(|figure| figure.name == "factors").unwrap();
        for text in ["none instead of mlp", "none instead of rope", "none with none"] {
            assert!(drawn.wide.contains(text) && drawn.narrow.contains(text), "{text}");
        }
        assert_eq!(drawn.wide.matches("<circle").count(), 3 + 2, "three effects and the legend");
        assert!(figures.iter().all(|figure| figure.name != "tuning"));
    }

    #[test]
    fn there_is_a_figure_for_whatever_was_measured_and_no_empty_one() {
        let names = |evidence: &Evidence| -> Vec<String> {
            figures(evidence).into_iter().map(|figure| figure.name).collect()
        };
        let everything =
            ["arms", "attributes", "bits-by-tokens", "loss-by-tokens", "loss-by-flops", "tuning"];
        assert_eq!(names(&fake::evidence()), everything);
        assert_eq!(names(&fake::evidence_of_walk())[..3], ["arms", "walk", "attributes"]);
        assert_eq!(names(&fake::evidence_of_text()), ["arms", "loss-by-tokens", "loss-by-flops", "tuning"]);
        let mut bare = fake::evidence();
        bare.tuning.clear();
        bare.arms.truncate(2);
        bare.arms.iter_mut().flat_map(|arm| &mut arm.runs).for_each(|run| run.curve.clear());
        assert_eq!(names(&bare), ["arms", "attributes"]);
    }

    #[test]
    fn no_number_of_a_figure_is_infinite_even_when_all_runs_are_equal() {
        let mut evidence = fake::evidence();
        let same = evidence.arms[0].runs[0].clone();
        for arm in &mut evidence.arms {
            arm.runs = (0..3).map(|seed| super::super::RunEvidence { seed, ..same.clone() }).collect();
        }
        evidence.tuning.iter_mut().for_each(|trial| (trial.value, trial.rate) = (1.0, 1e-3));
        for figure in figures(&evidence) {
            for svg in [figure.wide, figure.narrow] {
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", figure.name);
            }
        }
    }

    #[test]
    fn a_walk_shows_each_step_at_both_ends_and_all_of_them_together() {
        let figures = figures(&fake::evidence_of_walk());
        let walk = figures.iter().find(|figure| figure.name == "walk").unwrap();
        for text in ["feed-forward", "all steps", "added to llama", "in none, against without it", "0.47"] {
            assert!(walk.wide.contains(text), "{text}");
        }
        assert_eq!(walk.wide.matches("<circle").count(), 3 + 3, "three effects and the legend");
        assert!(walk.caption.contains("feed_forward: gated-mlp → mlp"));
    }

    #[test]
    fn an_arm_keeps_its_colour_on_every_basis_and_the_control_is_grey() {
        let mut evidence = fake::evidence_with_gaps();
        evidence.arms.swap(0, 4);
        let comparison = compare(&evidence).unwrap();
        assert_eq!((comparison.arms[0].basis, comparison.arms[0].arm.as_str()), (Basis::EqualRate, "none"));
        assert_eq!(ink(&comparison, "none"), Ink::Series(0));
        assert_eq!(ink(&comparison, "gpt2"), Ink::Control);
        assert_eq!(ink(&comparison, "gated"), Ink::Series(1));
    }
}
