//! `L(x) = p + q x` drawn on, beside `E + A / N^alpha + B / D^beta`: what each says at another run's compute,
//! and which of the answers cannot be.
//!
//! "Chinchilla's death" (Tyl 2023) draws the near-linear middle of a small model's curve on to the compute of
//! a large one.

use std::fmt;

use serde::Serialize;

use super::{Axis, Curve, Throughput};
use crate::laws::bootstrap::short;
use crate::laws::linear::regress;
use crate::laws::scaling::ParametricLaw;

/// A straight line in `x`, not in its logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Loss at `x = 0`, in nats.
    pub intercept: f64,
    /// Nats per unit of `x`.
    pub slope: f64,
}

/// The method of an extrapolation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExtrapolationMethod {
    /// The line through this part of the run, as shares of its last `x`.
    Line(f64, f64),
    /// The law as it stands.
    Law,
    /// The law moved up or down to end where the curve ends: for another corpus or tokenizer.
    AnchoredLaw,
}

/// Whether a predicted loss can be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExtrapolationVerdict {
    /// Nothing speaks against the prediction.
    Plausible,
    /// The prediction is negative, which no cross-entropy is.
    Negative,
    /// The prediction is below the entropy of the text, which no model of any size reaches.
    BelowFloor {
        /// The floor in nats.
        floor: f64,
    },
    /// Worse than what the same run had already reached with less: the law is of another corpus or tokenizer.
    AboveMeasured {
        /// Loss at the end of the curve.
        reached: f64,
    },
}

/// A prediction beyond the end of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Extrapolation {
    /// The method of the prediction.
    pub method: ExtrapolationMethod,
    /// The position, in the unit of the curve's axis.
    pub x: f64,
    /// Predicted loss in nats.
    pub loss: f64,
    /// Whether it can be.
    pub verdict: ExtrapolationVerdict,
}

/// The near-linear part of a cosine schedule's run: after the plunge, before the last decay.
const NEAR_LINEAR: (f64, f64) = (0.5, 0.9);

impl Line {
    /// Least squares through the points between two shares of the last `x`; `None` for fewer than two places.
    pub fn through(curve: &Curve, from: f64, to: f64) -> Option<Self> {
        let end = curve.range().1;
        let part = || curve.x.iter().zip(&curve.loss).filter(|(x, _)| (from * end..=to * end).contains(*x));
        let columns = [vec![1.0; part().count()], part().map(|(x, _)| *x).collect()];
        let losses: Vec<f64> = part().map(|(_, loss)| *loss).collect();
        regress(&columns, &losses).map(|found| Line { intercept: found[0], slope: found[1] })
    }

    /// The line's loss at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Predicts `curve` of a model of `params` parameters at `to`, by line and by law, and judges each answer.
///
/// The floor is the law's `E`, moved with it when the law is anchored.
pub fn extrapolate(
    curve: &Curve,
    params: f64,
    throughput: &Throughput,
    law: &ParametricLaw,
    to: f64,
) -> Vec<Extrapolation> {
    let end = curve.range().1;
    let (from_share, to_share) = NEAR_LINEAR;
    let reached = end_loss(curve);
    let tokens = |x: f64| x * throughput.per_hour(Axis::Tokens) / throughput.per_hour(curve.axis);
    let at = |x: f64| law.loss(params, tokens(x));
    let offset = reached - at(end);
    let answer =
        |method, loss, floor| Extrapolation { method, x: to, loss, verdict: judge(loss, floor, reached) };
    let mut answers = Vec::new();
    if let Some(line) = Line::through(curve, from_share, to_share) {
        // What the line may not undercut is the floor of this curve's own text.
        answers.push(answer(
            ExtrapolationMethod::Line(from_share, to_share),
            line.at(to),
            law.floor + offset,
        ));
    }
    answers.push(answer(ExtrapolationMethod::Law, at(to), law.floor));
    answers.push(answer(ExtrapolationMethod::AnchoredLaw, at(to) + offset, law.floor + offset));
    answers
}

/// Mean loss of the last hundredth of a curve (of its last point at least).
fn end_loss(curve: &Curve) -> f64 {
    let last = curve.loss.len().div_ceil(100);
    curve.loss[curve.loss.len() - last..].iter().sum::<f64>() / last as f64
}

/// Judges a loss that is predicted for more compute than gave the loss `reached`.
pub fn judge(loss: f64, floor: f64, reached: f64) -> ExtrapolationVerdict {
    if loss < 0.0 {
        ExtrapolationVerdict::Negative
    } else if loss < floor {
        ExtrapolationVerdict::BelowFloor { floor }
    } else if loss > reached {
        ExtrapolationVerdict::AboveMeasured { reached }
    } else {
        ExtrapolationVerdict::Plausible
    }
}

impl fmt::Display for ExtrapolationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExtrapolationMethod::Line(from, to) => {
                write!(f, "the line through {:.0} to {:.0} % of its run", 100.0 * from, 100.0 * to)
            }
            ExtrapolationMethod::Law => write!(f, "the law"),
            ExtrapolationMethod::AnchoredLaw => write!(f, "the law, moved onto the end of its run"),
        }
    }
}

impl ExtrapolationVerdict {
    /// Whether the loss can be.
    pub fn is_plausible(&self) -> bool {
        matches!(self, ExtrapolationVerdict::Plausible)
    }
}

impl fmt::Display for ExtrapolationVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExtrapolationVerdict::Plausible => write!(f, "plausible"),
            ExtrapolationVerdict::Negative => write!(f, "absurd: a cross-entropy is never negative"),
            ExtrapolationVerdict::BelowFloor { floor } => {
                write!(f, "absurd: below the entropy of the text, {} nats", short(*floor))
            }
            ExtrapolationVerdict::AboveMeasured { reached } => {
                write!(f, "absurd: the run already reached {} nats with less compute", short(*reached))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::curves::Stage;
    use crate::laws::scaling::BESIROGLU;

    fn throughput() -> Throughput {
        Throughput::of_params(1e9, 3000.0)
    }

    /// The run of a 1B model that follows the law exactly, along hours.
    fn lawful() -> Curve {
        let points =
            (1..=1000).map(|k| k as f64 * 10.0).map(|x| (x, BESIROGLU.loss(1e9, x * 3600.0 * 3000.0)));
        Curve::new("1B", Axis::Hours, Stage::Raw, points).unwrap()
    }

    #[test]
    fn a_line_is_recovered_and_judged_by_how_far_it_is_drawn() {
        let points = (1..=100).map(|k| (k as f64, 3.0 - 0.01 * k as f64));
        let curve = Curve::new("c", Axis::Hours, Stage::Raw, points).unwrap();
        let line = Line::through(&curve, 0.5, 0.9).unwrap();
        assert!((line.at(0.0) - 3.0).abs() < 1e-9 && (line.slope + 0.01).abs() < 1e-12);
        assert_eq!(judge(line.at(110.0), 1.8, 2.0), ExtrapolationVerdict::Plausible);
        assert_eq!(judge(line.at(200.0), 1.8, 2.0), ExtrapolationVerdict::BelowFloor { floor: 1.8 });
        assert_eq!(judge(line.at(400.0), 1.8, 2.0), ExtrapolationVerdict::Negative);
        assert_eq!(judge(2.1, 1.8, 2.0), ExtrapolationVerdict::AboveMeasured { reached: 2.0 });
    }

    #[test]
    fn on_a_curve_that_obeys_the_law_the_line_is_absurd_and_the_law_is_right() {
        let to = 1e6;
        let answers = extrapolate(&lawful(), 1e9, &throughput(), &BESIROGLU, to);
        let truth = BESIROGLU.loss(1e9, to * 3600.0 * 3000.0);
        assert_eq!(answers[0].verdict, ExtrapolationVerdict::Negative, "{answers:?}");
        assert!(
            (answers[1].loss - truth).abs() < 1e-12 && answers[1].verdict == ExtrapolationVerdict::Plausible
        );
        assert!((answers[2].loss - truth).abs() < 1e-3, "{answers:?}");
    }
}
