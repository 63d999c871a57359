//! `L(x)`: loss along GPU-hours, tokens or FLOPs; which axis is always said, for the answer depends on it.
//!
//! The questions are those of "Chinchilla's death" (Tyl 2023): does a small model that was overtaken come
//! back, and may its line be drawn on? A run in the middle of its schedule and a run whose learning rate has
//! decayed are different things, so a [`Curve`] holds points of one [`Stage`] only.

mod crossing;
mod envelope;
mod extrapolate;
mod passage;
mod read;
mod smooth;
mod stretches;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crossing::{Crossing, CrossingConfig, Crossings, Lead, Side, Touch, crossings};
pub(super) use envelope::noisy_envelopes;
pub use envelope::{EnvelopePoint, lower_envelope};
pub use extrapolate::{Extrapolation, ExtrapolationMethod, ExtrapolationVerdict, Line, extrapolate, judge};
pub use passage::{Descent, Passage};
pub use read::{Records, Rows};
pub use smooth::Smoothing;

use crate::error::{Error, Problem, Result};

/// The axis that a loss is plotted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Devices times hours.
    Hours,
    /// Tokens trained on.
    Tokens,
    /// FLOPs of training, every term counted.
    Flops,
    /// `6 N D`: FLOPs by the rule of thumb.
    SixNd,
}

/// The stage of the schedule in which the loss was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Anywhere: mid-schedule losses are higher than the same model would reach if it were annealed there.
    #[default]
    Raw,
    /// At the end of a finished decay of the learning rate.
    Annealed,
}

/// Losses of one run (or of the annealed ends of several) along one axis, in ascending order of `x`.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name to print, for instance `7B`.
    pub name: String,
    /// The unit of `x`.
    pub axis: Axis,
    /// Raw or annealed.
    pub stage: Stage,
    x: Vec<f64>,
    loss: Vec<f64>,
}

/// What turns hours into tokens and tokens into FLOPs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Tokens per second and device.
    pub tokens_per_second: f64,
    /// FLOPs per token, for instance `6 N`.
    pub flops_per_token: f64,
    /// `N`, for `6 N D`.
    pub params: f64,
}

/// A curve has at least this many points.
pub const MIN_POINTS: usize = 4;

impl Curve {
    /// A curve of points `(x, loss)` in ascending order of `x` (equal `x` are fine).
    ///
    /// # Errors
    /// Fewer than [`MIN_POINTS`] points, a value that is not positive and finite, points out of order.
    pub fn new(
        name: &str,
        axis: Axis,
        stage: Stage,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<Self> {
        let (x, loss): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let bad = |found: String| Error::data(Problem::new(format!("curve {name:?} ({stage}) {found}")));
        if x.len() < MIN_POINTS {
            return Err(bad(format!("has {} points, expected at least {MIN_POINTS}", x.len())));
        }
        if let Some(i) = (0..x.len()).find(|&i| !is_positive(x[i]) || !is_positive(loss[i])) {
            return Err(bad(format!("has loss {} at {} {axis}, expected positive numbers", loss[i], x[i])));
        }
        if let Some(i) = (1..x.len()).find(|&i| x[i] < x[i - 1]) {
            return Err(bad(format!(
                "goes back from {} to {} {axis}, expected ascending order",
                x[i - 1],
                x[i]
            )));
        }
        Ok(Curve { name: name.to_string(), axis, stage, x, loss })
    }

    /// Positions, ascending.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Losses, in nats per token.
    pub fn loss(&self) -> &[f64] {
        &self.loss
    }

    /// First and last position.
    pub fn range(&self) -> (f64, f64) {
        (self.x[0], self.x[self.x.len() - 1])
    }

    /// The curve of the same run with `spent` more counted before its first point, for instance the FLOPs of the model it
    /// grew from.
    pub fn after(&self, spent: f64) -> Curve {
        Curve { x: self.x.iter().map(|x| x + spent).collect(), ..self.clone() }
    }

    /// The curve along another axis.
    pub fn on(&self, axis: Axis, throughput: &Throughput) -> Curve {
        let factor = throughput.per_hour(axis) / throughput.per_hour(self.axis);
        Curve { axis, x: self.x.iter().map(|x| x * factor).collect(), ..self.clone() }
    }
}

impl Throughput {
    /// Of a model of `params` parameters at 6 FLOPs per parameter and token (2 forward, 4 backward).
    ///
    /// `6 N D` leaves attention out and counts embeddings as if they were multiplied: within 10 % from 70 M
    /// parameters up (Hoffmann et al. 2022, appendix F), far off at toy sizes.
    pub fn of_params(params: f64, tokens_per_second: f64) -> Self {
        Throughput { tokens_per_second, flops_per_token: 6.0 * params, params }
    }

    /// How much of `axis` a device does in an hour.
    fn per_hour(&self, axis: Axis) -> f64 {
        match axis {
            Axis::Hours => 1.0,
            Axis::Tokens => 3600.0 * self.tokens_per_second,
            Axis::Flops => 3600.0 * self.tokens_per_second * self.flops_per_token,
            Axis::SixNd => 3600.0 * self.tokens_per_second * 6.0 * self.params,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Hours => "GPU-hours",
            Axis::Tokens => "tokens",
            Axis::Flops => "FLOPs",
            Axis::SixNd => "FLOPs (6ND)",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Raw => "raw",
            Stage::Annealed => "annealed",
        })
    }
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod llama_tests;
