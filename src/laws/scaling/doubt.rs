//! `kappa(J)`, intervals without an end, and too few values: when the points cannot tell the constants of a
//! law.

use std::fmt;

use super::Point;
use super::parametric::{Annealing, FitConfig};
use crate::laws::bootstrap::{Interval, short};

/// A reason not to believe the constants.
#[derive(Debug, Clone, PartialEq)]
pub enum Doubt {
    /// A power law needs three values of what it is a law of.
    FewValues {
        /// `parameters`, `tokens` or `decay`.
        of: &'static str,
        /// Distinct values among the points.
        found: usize,
        /// The number of distinct values that the law needs.
        needed: usize,
    },
    /// Constants that change together without changing the fit.
    IllConditioned {
        /// Condition number of the Jacobian with unit columns.
        condition: f64,
    },
    /// The data sets this constant no limit on at least one side.
    Unbounded {
        /// Name of the constant.
        constant: &'static str,
        /// The interval of the constant.
        interval: Interval,
    },
}

/// Above this, digits of the constants are noise: a change of 1 in 10 000 of the losses moves a constant by
/// its own size.
const MAX_CONDITION: f64 = 1e4;

/// Laws of something of which the points have too few values.
pub(super) fn few_values(points: &[Point], config: &FitConfig) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut need = |of, needed, value: fn(&Point) -> f64| {
        let mut values: Vec<f64> = points.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < needed {
            doubts.push(Doubt::FewValues { of, found: values.len(), needed });
        }
    };
    need("parameters", 3, |point| point.params);
    need("tokens", 3, |point| point.tokens);
    match config.annealing {
        Annealing::Alike => {}
        Annealing::Fitted => need("decay", 2, |point| point.decay),
    }
    doubts
}

/// Everything that speaks against the constants of a fit.
pub(super) fn doubts(
    points: &[Point],
    config: &FitConfig,
    constants: &[(&'static str, Interval)],
    condition: f64,
) -> Vec<Doubt> {
    let mut doubts = few_values(points, config);
    if condition > MAX_CONDITION {
        doubts.push(Doubt::IllConditioned { condition });
    }
    for &(constant, interval) in constants {
        if !interval.is_bounded() {
            doubts.push(Doubt::Unbounded { constant, interval });
        }
    }
    doubts
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::FewValues { of, found, needed } => {
                write!(f, "the points have {found} distinct values of {of}, its law needs {needed}")
            }
            Doubt::IllConditioned { condition } => {
                write!(
                    f,
                    "constants change together without changing the fit (condition number {})",
                    short(*condition)
                )
            }
            Doubt::Unbounded { constant, interval } => {
                let half = interval.low.is_finite() || interval.high.is_finite();
                let shown = if half { interval.to_string() } else { short(interval.estimate) };
                write!(f, "the points do not bound {constant}: {shown}")
            }
        }
    }
}
