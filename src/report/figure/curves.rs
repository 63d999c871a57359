//! Loss, and bits of knowledge, during training, by arm: against tokens, and the loss against FLOPs where arms differ
//! in what a token costs.

use super::super::comparison::Comparison;
use super::super::evidence::{ArmEvidence, Basis, CurvePoint, Evidence};
use super::axis::{Scale, Spacing};
use super::frame::{self, Named, Naming};
use super::svg::{Canvas, Ink};
use super::{Figure, NARROW, ink};
use crate::statistics::median;

/// A curve is averaged within so many equal parts of the axis: a line of the log is one noisy batch.
const PARTS: usize = 120;

/// Arms whose FLOPs differ by less than this factor look the same on both axes.
const SAME_COST: f64 = 1.02;

/// What training is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Tokens read.
    Tokens,
    /// FLOPs of forward and backward.
    Flops,
}

impl Progress {
    fn of(self, point: &CurvePoint) -> f64 {
        match self {
            Progress::Tokens => point.tokens as f64,
            Progress::Flops => point.flops,
        }
    }

    fn axis(self) -> &'static str {
        match self {
            Progress::Tokens => "tokens",
            Progress::Flops => "FLOPs of training",
        }
    }
}

/// What grows or falls during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Training loss.
    Loss,
    /// Bits per parameter, probed on a few people.
    Bits,
}

impl Quantity {
    fn of(self, point: &CurvePoint) -> Option<f64> {
        match self {
            Quantity::Loss => Some(point.loss),
            Quantity::Bits => point.bits_per_param,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Quantity::Loss => "training loss (nats per token)",
            Quantity::Bits => "bits per parameter",
        }
    }

    fn caption(self, axis: &str) -> String {
        match self {
            Quantity::Loss => format!(
                "Training loss against {axis}. Lines are medians over seeds, bands reach from the lowest to the highest \
                 seed; each run is averaged within {PARTS} equal parts of the axis."
            ),
            Quantity::Bits => format!(
                "Bits per parameter against {axis}, probed during training on a few people in one rendering. Lines are \
                 medians over seeds, bands reach from the lowest to the highest seed. Below zero a model does not even \
                 guess evenly among the possible values."
            ),
        }
    }
}

fn name(progress: Progress, quantity: Quantity) -> &'static str {
    match (quantity, progress) {
        (Quantity::Loss, Progress::Tokens) => "loss-by-tokens",
        (Quantity::Loss, Progress::Flops) => "loss-by-flops",
        (Quantity::Bits, Progress::Tokens) => "bits-by-tokens",
        (Quantity::Bits, Progress::Flops) => "bits-by-flops",
    }
}

/// The share of an axis whose highest values are cut off.
const BEGINNING: f64 = 0.05;

/// The axes worth a figure: arms that grow pay for one token less at first than later.
pub fn axes(evidence: &Evidence, comparison: &Comparison) -> Vec<Progress> {
    let mut runs = evidence.arms.iter().flat_map(|arm| &arm.runs);
    let grows = runs.any(|run| run.record.plan.growth.is_some());
    let flops: Vec<f64> = comparison.primary_arms().filter_map(|arm| arm.flops).collect();
    let least = flops.iter().copied().fold(f64::INFINITY, f64::min);
    let most = flops.iter().copied().fold(0.0, f64::max);
    if grows || most > least * SAME_COST {
        vec![Progress::Tokens, Progress::Flops]
    } else {
        vec![Progress::Tokens]
    }
}

/// A quantity by arm; nothing when no arm has a curve of it.
pub fn figure(
    evidence: &Evidence,
    comparison: &Comparison,
    progress: Progress,
    quantity: Quantity,
) -> Option<Figure> {
    let primary = || evidence.arms.iter().filter(|arm| arm.basis == Basis::Primary);
    let points = primary().flat_map(|arm| &arm.runs).flat_map(|run| &run.curve);
    let end = points.map(|point| progress.of(point)).fold(0.0, f64::max);
    let lines: Vec<Line> =
        primary().filter_map(|arm| Line::of(comparison, arm, progress, quantity, end)).collect();
    let axis = progress.axis();
    (!lines.is_empty()).then(|| {
        Figure::new(name(progress, quantity), quantity.caption(axis), |width| {
            draw(&lines, &Axis::from_zero(axis, end), quantity.label(), width)
        })
    })
}

/// A line with its band, as x and y of each point.
pub(super) struct Line<'a> {
    pub name: &'a str,
    pub ink: Ink,
    pub middle: Vec<(f64, f64)>,
    pub low: Vec<(f64, f64)>,
    pub high: Vec<(f64, f64)>,
}

/// The axis below.
pub(super) struct Axis<'a> {
    pub name: &'a str,
    pub spacing: Spacing,
    pub range: (f64, f64),
    /// Where it has ticks; empty: round numbers.
    pub ticks: Vec<f64>,
}

impl<'a> Axis<'a> {
    fn from_zero(name: &'a str, end: f64) -> Self {
        Axis { name, spacing: Spacing::Linear, range: (0.0, end), ticks: Vec::new() }
    }
}

impl<'a> Line<'a> {
    fn of(
        comparison: &Comparison,
        arm: &'a ArmEvidence,
        progress: Progress,
        quantity: Quantity,
        end: f64,
    ) -> Option<Line<'a>> {
        let seeds: Vec<Vec<Option<f64>>> =
            arm.runs.iter().map(|run| parts(&run.curve, progress, quantity, end)).collect();
        let mut line = Line {
            name: &arm.name,
            ink: ink(comparison, &arm.name),
            middle: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
        };
        for part in 0..PARTS {
            let x = (part as f64 + 0.5) / PARTS as f64 * end;
            let losses: Option<Vec<f64>> = seeds.iter().map(|seed| seed[part]).collect();
            let Some(losses) = losses else { continue };
            let Some(middle) = median(&losses) else { continue };
            line.push(x, middle, &losses);
        }
        (line.middle.len() > 1).then_some(line)
    }

    /// A point of the line, and the band over all seeds.
    pub fn push(&mut self, x: f64, middle: f64, seeds: &[f64]) {
        self.middle.push((x, middle));
        self.low.push((x, seeds.iter().copied().fold(f64::INFINITY, f64::min)));
        self.high.push((x, seeds.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
    }

    fn named(&self) -> Named<'a> {
        let end = self.middle.last().map_or(0.0, |point| point.0);
        Named { name: self.name, ink: self.ink, end }
    }
}

/// The mean of one run in each part of the axis; what is not a number is left out.
fn parts(curve: &[CurvePoint], progress: Progress, quantity: Quantity, end: f64) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0.0); PARTS];
    for point in curve {
        let Some(value) = quantity.of(point).filter(|value| value.is_finite()) else { continue };
        let part = (progress.of(point) / end * PARTS as f64) as usize;
        let (sum, n) = &mut sums[part.min(PARTS - 1)];
        *sum += value;
        *n += 1.0;
    }
    sums.into_iter().map(|(sum, n)| (n > 0.0).then_some(sum / n)).collect()
}

/// All lines, with their names.
pub(super) fn draw(lines: &[Line], axis: &Axis, label: &str, width: f64) -> String {
    let named: Vec<Named> = lines.iter().map(Line::named).collect();
    let naming = Naming::of(&named, width);
    let (above, beside) = naming.room(&named, width);
    let height = above + if width <= NARROW { 270.0 } else { 400.0 };
    let (left, right, top, bottom) = (40.0, width - beside, above + 32.0, height - 46.0);
    let lowest = lines.iter().flat_map(|line| &line.low).map(|point| point.1).fold(f64::INFINITY, f64::min);
    // Where every line falls from is no news, and takes the room of what they differ in.
    let from = match axis.spacing {
        Spacing::Linear => axis.range.0 + BEGINNING * (axis.range.1 - axis.range.0),
        Spacing::Logarithmic => axis.range.0,
    };
    let later = |point: &&(f64, f64)| point.0 >= from;
    let highest =
        lines.iter().flat_map(|line| &line.high).filter(later).map(|point| point.1).fold(0.0, f64::max);
    let room = (highest - lowest) * 0.03;
    let x = Scale::new(axis.spacing, axis.range, (left, right));
    let y = Scale::new(Spacing::Linear, (lowest - room, highest + room), (bottom, top));

    let mut canvas = Canvas::new(width, height);
    let values = frame::ticks_for(lowest - room, highest + room, bottom - top);
    frame::y_axis(&mut canvas, &y, (left, right), &values, label);
    let ticks = match axis.ticks.is_empty() {
        true => frame::ticks_for(axis.range.0, axis.range.1, right - left),
        false => axis.ticks.clone(),
    };
    frame::x_axis(&mut canvas, &x, (top, bottom), &ticks, axis.name);
    let place = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let shown = points.iter().filter(|point| point.1 <= y.end());
        shown.map(|&(tokens, loss)| (x.at(tokens), y.at(loss))).collect()
    };
    for line in lines {
        let band: Vec<(f64, f64)> = line.low.iter().chain(line.high.iter().rev()).copied().collect();
        canvas.area(line.ink, 0.18, &place(&band));
    }
    for line in lines {
        canvas.path(line.ink, line.ink.stroke(2.0), &place(&line.middle));
    }
    let end = |line: &Line| line.middle.last().map(|&(tokens, loss)| (x.at(tokens), y.at(loss.min(y.end()))));
    let ends: Vec<(f64, f64)> = lines.iter().filter_map(end).collect();
    naming.draw(&mut canvas, &named, &ends, width, (top, bottom));
    canvas.finish(&format!("{label} against {}", axis.name))
}
