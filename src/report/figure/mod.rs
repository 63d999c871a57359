//! Figures: one file per picture, drawn from a comparison at any width.
//!
//! Each is drawn twice, wide for paper and screen and narrow for a phone, so that text keeps its size. The control is
//! dark grey, arms keep their colour from figure to figure.

mod arms;
mod attributes;
mod axis;
mod curves;
pub mod font;
mod frame;
pub mod png;
pub mod svg;
mod tuning;

use super::comparison::{ArmResult, Comparison};
use super::evidence::Evidence;
use svg::Ink;

/// Width of a figure for paper and screen, in pixels.
pub const WIDE: f64 = 680.0;
/// Width of the same figure on a phone.
pub const NARROW: f64 = 340.0;

/// A finished figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its file name, without ending.
    pub name: &'static str,
    /// What is seen and how it was counted.
    pub caption: String,
    /// SVG of width [`WIDE`].
    pub wide: String,
    /// SVG of width [`NARROW`].
    pub narrow: String,
}

impl Figure {
    fn new(name: &'static str, caption: String, draw: impl Fn(f64) -> String) -> Self {
        Figure { name, caption, wide: draw(WIDE), narrow: draw(NARROW) }
    }
}

/// Every figure that there are numbers for, in reading order.
pub fn all(evidence: &Evidence, comparison: &Comparison) -> Vec<Figure> {
    let loss = curves::axes(comparison)
        .into_iter()
        .filter_map(|x| curves::figure(evidence, comparison, x, curves::Quantity::Loss));
    let bits = curves::figure(evidence, comparison, curves::Progress::Tokens, curves::Quantity::Bits);
    arms::figure(comparison)
        .into_iter()
        .chain(attributes::figure(comparison))
        .chain(bits)
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
