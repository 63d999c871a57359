//! What figures share: axes with a light grid, legends, labels at the ends of lines.

use super::super::number;
use super::axis::{Scale, Spacing, log_ticks, spread, tick_labels, ticks};
use super::font;
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, Stroke, Type};
use crate::statistics::{Contrast, Estimate};

/// Height of a line of small text.
pub const LINE: f64 = 17.0;

/// An entry of a legend.
pub enum Mark {
    /// A filled dot.
    Dot(Ink),
    /// A faint small dot.
    Seed(Ink),
    /// A short thick line.
    Bar(Ink),
    /// A short upright line.
    Tick(Ink),
    /// An open diamond.
    Diamond(Ink),
}

/// A horizontal value axis at `y`, with grid lines up to `top` and its name below.
pub fn x_axis(canvas: &mut Canvas, scale: &Scale, (top, y): (f64, f64), values: &[f64], name: &str) {
    labelled_x_axis(canvas, scale, (top, y), values, &tick_labels(values), name);
}

/// The same with labels of one's own.
pub fn labelled_x_axis(
    canvas: &mut Canvas,
    scale: &Scale,
    (top, y): (f64, f64),
    values: &[f64],
    labels: &[String],
    name: &str,
) {
    for (value, label) in values.iter().zip(labels) {
        let x = scale.at(*value);
        canvas.line(Ink::Grid, Stroke::Solid(1.0), (x, top), (x, y));
        canvas.text(Ink::Muted, SMALL, Anchor::Middle, (x, y + 17.0), label);
    }
    let (left, right) = scale.pixels();
    canvas.text(Ink::Text, LABEL, Anchor::Middle, ((left + right) / 2.0, y + 38.0), name);
}

/// A vertical value axis at `x` with grid lines to `right`; its name stands over it, so that nobody turns the head.
pub fn y_axis(canvas: &mut Canvas, scale: &Scale, (x, right): (f64, f64), values: &[f64], name: &str) {
    for (value, label) in values.iter().zip(tick_labels(values)) {
        let y = scale.at(*value);
        canvas.line(Ink::Grid, Stroke::Solid(1.0), (x, y), (right, y));
        canvas.text(Ink::Muted, SMALL, Anchor::End, (x - 8.0, y + 4.0), &label);
    }
    canvas.text(Ink::Text, LABEL, Anchor::Start, (0.0, scale.pixels().1 - 18.0), name);
}

/// Ticks of a value axis: more of them where there is room.
pub fn ticks_for(low: f64, high: f64, pixels: f64) -> Vec<f64> {
    ticks(low, high, ((pixels / 55.0).round() as usize).clamp(3, 8))
}

/// A horizontal axis with room at both ends, its ticks and their labels.
pub struct Axis {
    /// From values to pixels.
    pub scale: Scale,
    ticks: Vec<f64>,
    labels: Vec<String>,
}

impl Axis {
    /// For values from `low` to `high`, which are above zero where equal ratios are to be at equal distances.
    pub fn new(spacing: Spacing, (low, high): (f64, f64), pixels: (f64, f64)) -> Axis {
        let (low, high) = match spacing {
            Spacing::Linear => {
                let room = (high - low).max(high.abs() * 0.02).max(0.001) * 0.05;
                (low - room, high + room)
            }
            Spacing::Logarithmic => {
                let room = (high / low).powf(0.05).max(1.02);
                (low / room, high * room)
            }
        };
        let few = ticks_for(low, high, pixels.1 - pixels.0);
        let ticks = match spacing {
            Spacing::Linear => few,
            // Less than a factor of two or three has no powers of ten.
            Spacing::Logarithmic => {
                Some(log_ticks(low, high, 3)).filter(|ticks| ticks.len() > 2).unwrap_or(few)
            }
        };
        let labels = match spacing {
            Spacing::Linear => tick_labels(&ticks),
            Spacing::Logarithmic => ticks.iter().map(|tick| number::plain(*tick)).collect(),
        };
        Axis { scale: Scale::new(spacing, (low, high), pixels), ticks, labels }
    }

    /// For effects, and the place where there is none: by ratios or by differences.
    pub fn of_effects(contrast: Contrast, ends: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Axis {
        let ends = ends.chain([contrast.none()]);
        let ends = ends.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let spacing = match contrast {
            Contrast::Ratio => Spacing::Logarithmic,
            Contrast::Difference => Spacing::Linear,
        };
        Axis::new(spacing, ends, pixels)
    }

    /// Draws it at `y`, with grid lines up to `top` and its name below.
    pub fn draw(&self, canvas: &mut Canvas, rows: (f64, f64), name: &str) {
        labelled_x_axis(canvas, &self.scale, rows, &self.ticks, &self.labels, name);
    }

    /// An upright line at a value.
    pub fn mark(&self, canvas: &mut Canvas, (top, bottom): (f64, f64), ink: Ink, stroke: Stroke, value: f64) {
        let x = self.scale.at(value);
        canvas.line(ink, stroke, (x, top), (x, bottom));
    }
}

/// Names beside lines may take this share of the width.
const MOST_BESIDE: f64 = 0.25;

/// A line to be named.
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its colour.
    pub ink: Ink,
    /// The value on the horizontal axis at which it ends.
    pub end: f64,
}

/// How lines get their names: beside their ends where all end together and there is room, else in a legend, for a name
/// in the middle of a picture would cover other lines.
pub enum Naming {
    /// Beside the ends.
    Beside,
    /// In a legend.
    Legend(Vec<(Mark, String)>),
}

impl Naming {
    /// Decides for these lines.
    pub fn of(lines: &[Named], width: f64) -> Naming {
        let first = lines.iter().map(|line| line.end).fold(f64::INFINITY, f64::min);
        let last = lines.iter().map(|line| line.end).fold(0.0, f64::max);
        let entry = |line: &Named| (Mark::Bar(line.ink), fit(line.name, SMALL));
        let narrow = widest(lines.iter().map(|line| line.name)) < MOST_BESIDE * width;
        if narrow && last <= first * 1.02 {
            Naming::Beside
        } else {
            Naming::Legend(lines.iter().map(entry).collect())
        }
    }

    /// Room that the names take: at the top and at the right.
    pub fn room(&self, lines: &[Named], width: f64) -> (f64, f64) {
        match self {
            Naming::Beside => (0.0, widest(lines.iter().map(|line| line.name)) + 12.0),
            Naming::Legend(entries) => (legend(&mut Canvas::new(0.0, 0.0), width, entries) + 8.0, 10.0),
        }
    }

    /// Writes the names; `at` are the ends of the lines in pixels.
    pub fn draw(
        &self,
        canvas: &mut Canvas,
        lines: &[Named],
        at: &[(f64, f64)],
        width: f64,
        rows: (f64, f64),
    ) {
        match self {
            Naming::Legend(entries) => {
                legend(canvas, width, entries);
                lines.iter().zip(at).for_each(|(line, &end)| canvas.dot(line.ink, 1.0, end, 3.5));
            }
            Naming::Beside => {
                let wanted: Vec<f64> = at.iter().map(|end| end.1).collect();
                let placed = spread(&wanted, LINE - 1.0, rows.0, rows.1);
                for ((line, end), y) in lines.iter().zip(at).zip(placed) {
                    let name = fit(line.name, LABEL);
                    canvas.text(line.ink, LABEL, Anchor::Start, (end.0 + 9.0, y + 4.5), &name);
                }
            }
        }
    }
}

/// The width of the widest label.
pub fn widest<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let width = |name: &str| font::width(&fit(name, LABEL), LABEL.size, LABEL.weight);
    names.map(width).fold(0.0, f64::max)
}

/// A name cut to the longest label that a figure makes room for.
pub fn fit(name: &str, kind: Type) -> String {
    font::fit(name, kind.size, kind.weight, 150.0)
}

/// A legend from the upper left corner, as many entries in a line as fit; returns the height that it took.
pub fn legend(canvas: &mut Canvas, width: f64, entries: &[(Mark, String)]) -> f64 {
    let (mut x, mut y) = (0.0, 12.0);
    for (mark, text) in entries {
        let wide = 18.0 + font::width(text, SMALL.size, SMALL.weight);
        if x > 0.0 && x + wide > width {
            (x, y) = (0.0, y + LINE);
        }
        draw(canvas, mark, (x + 7.0, y - 4.0));
        canvas.text(Ink::Text, SMALL, Anchor::Start, (x + 18.0, y), text);
        x += wide + 16.0;
    }
    y + 6.0
}

fn draw(canvas: &mut Canvas, mark: &Mark, (x, y): (f64, f64)) {
    match mark {
        Mark::Dot(ink) => canvas.dot(*ink, 1.0, (x, y), 4.5),
        Mark::Seed(ink) => canvas.dot(*ink, 0.5, (x, y), 2.5),
        Mark::Bar(ink) => match ink.stroke(3.0) {
            Stroke::Solid(high) => canvas.rect(*ink, (x - 7.0, y - high / 2.0), (14.0, high), high / 2.0),
            dashed @ Stroke::Dashed(_) => canvas.line(*ink, dashed, (x - 7.0, y), (x + 7.0, y)),
        },
        Mark::Tick(ink) => canvas.line(*ink, Stroke::Solid(1.5), (x, y - 6.0), (x, y + 6.0)),
        Mark::Diamond(ink) => diamond(canvas, *ink, (x, y)),
    }
}

/// What must be inside an axis that shows an estimate.
pub fn ends(estimate: &Estimate) -> impl Iterator<Item = f64> {
    [Some(estimate.mean), estimate.low, estimate.high].into_iter().flatten()
}

/// A mean with its interval, if it has one, at a height.
pub fn interval(canvas: &mut Canvas, scale: &Scale, ink: Ink, estimate: &Estimate, y: f64) {
    if let Some((low, high)) = estimate.low.zip(estimate.high) {
        let (left, right) = (scale.at(low), scale.at(high));
        canvas.rect(ink, (left, y - 1.75), ((right - left).max(1.0), 3.5), 1.75);
    }
    canvas.dot(ink, 1.0, (scale.at(estimate.mean), y), 5.0);
}

/// An open diamond.
pub fn diamond(canvas: &mut Canvas, ink: Ink, (x, y): (f64, f64)) {
    let corners = [(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y), (x, y - 5.0), (x + 5.0, y)];
    canvas.path(ink, Stroke::Solid(1.5), &corners);
}
