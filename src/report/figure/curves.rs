//! Loss during training, by arm: against tokens, and against FLOPs where arms differ in what a token costs.

use super::super::comparison::Comparison;
use super::super::evidence::{ArmEvidence, Basis, CurvePoint, Evidence};
use super::super::statistics::median;
use super::axis::{Scale, Spacing};
use super::frame;
use super::svg::{Canvas, Ink, Stroke};
use super::{Figure, NARROW, ink};

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

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Progress::Tokens => ("loss-by-tokens", "tokens"),
            Progress::Flops => ("loss-by-flops", "FLOPs of training"),
        }
    }
}

/// The axes worth a figure.
pub fn axes(comparison: &Comparison) -> Vec<Progress> {
    let flops: Vec<f64> = comparison.primary_arms().filter_map(|arm| arm.flops).collect();
    let least = flops.iter().copied().fold(f64::INFINITY, f64::min);
    let most = flops.iter().copied().fold(0.0, f64::max);
    if most > least * SAME_COST { vec![Progress::Tokens, Progress::Flops] } else { vec![Progress::Tokens] }
}

/// Training loss by arm; nothing when no arm has a curve.
pub fn figure(evidence: &Evidence, comparison: &Comparison, progress: Progress) -> Option<Figure> {
    let primary = || evidence.arms.iter().filter(|arm| arm.basis == Basis::Primary);
    let points = primary().flat_map(|arm| &arm.runs).flat_map(|run| &run.curve);
    let end = points.map(|point| progress.of(point)).fold(0.0, f64::max);
    let lines: Vec<Line> = primary().filter_map(|arm| Line::of(comparison, arm, progress, end)).collect();
    let (name, axis) = progress.names();
    let caption = format!(
        "Training loss against {axis}. Lines are medians over seeds, bands reach from the lowest to the highest seed; \
         each run is averaged within {PARTS} equal parts of the axis."
    );
    (!lines.is_empty()).then(|| Figure::new(name, caption, |width| draw(&lines, axis, end, width)))
}

struct Line<'a> {
    name: &'a str,
    ink: Ink,
    middle: Vec<(f64, f64)>,
    low: Vec<(f64, f64)>,
    high: Vec<(f64, f64)>,
}

impl<'a> Line<'a> {
    fn of(comparison: &Comparison, arm: &'a ArmEvidence, progress: Progress, end: f64) -> Option<Line<'a>> {
        let seeds: Vec<Vec<Option<f64>>> =
            arm.runs.iter().map(|run| parts(&run.curve, progress, end)).collect();
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
            line.middle.push((x, middle));
            line.low.push((x, losses.iter().copied().fold(f64::INFINITY, f64::min)));
            line.high.push((x, losses.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
        }
        (line.middle.len() > 1).then_some(line)
    }
}

/// The mean loss of one run in each part of the axis; a loss that is not a number is left out.
fn parts(curve: &[CurvePoint], progress: Progress, end: f64) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0.0); PARTS];
    for point in curve.iter().filter(|point| point.loss.is_finite()) {
        let part = (progress.of(point) / end * PARTS as f64) as usize;
        let (sum, n) = &mut sums[part.min(PARTS - 1)];
        *sum += point.loss;
        *n += 1.0;
    }
    sums.into_iter().map(|(sum, n)| (n > 0.0).then_some(sum / n)).collect()
}

fn draw(lines: &[Line], axis: &str, end: f64, width: f64) -> String {
    let height = if width <= NARROW { 260.0 } else { 380.0 };
    let (left, top, bottom) = (40.0, 32.0, height - 46.0);
    let right = width - frame::widest(lines.iter().map(|line| line.name)) - 12.0;
    let lowest = lines.iter().flat_map(|line| &line.low).map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = lines.iter().flat_map(|line| &line.high).map(|point| point.1).fold(0.0, f64::max);
    let room = (highest - lowest) * 0.03;
    let x = Scale::new(Spacing::Linear, (0.0, end), (left, right));
    let y = Scale::new(Spacing::Linear, (lowest - room, highest + room), (bottom, top));

    let mut canvas = Canvas::new(width, height);
    let values = frame::ticks_for(lowest - room, highest + room, bottom - top);
    frame::y_axis(&mut canvas, &y, (left, right), &values, "training loss (nats per token)");
    frame::x_axis(&mut canvas, &x, (top, bottom), &frame::ticks_for(0.0, end, right - left), axis);
    let place = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().map(|&(tokens, loss)| (x.at(tokens), y.at(loss))).collect()
    };
    for line in lines {
        let band: Vec<(f64, f64)> = line.low.iter().chain(line.high.iter().rev()).copied().collect();
        canvas.area(line.ink, 0.18, &place(&band));
    }
    for line in lines {
        canvas.path(line.ink, Stroke::Solid(2.0), &place(&line.middle));
    }
    let ends: Vec<(f64, &str, Ink)> =
        lines.iter().filter_map(|line| Some((y.at(line.middle.last()?.1), line.name, line.ink))).collect();
    frame::end_labels(&mut canvas, &ends, right + 8.0, (top, bottom));
    canvas.finish(&format!("training loss against {axis}"))
}
