//! What figures share: axes with a light grid, legends, labels at the ends of lines.

use super::axis::{Scale, spread, tick_labels, ticks};
use super::font;
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, Stroke, Type};

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
    canvas.text(Ink::Text, LABEL, Anchor::Start, (0.0, 14.0), name);
}

/// Ticks of a value axis: more of them where there is room.
pub fn ticks_for(low: f64, high: f64, pixels: f64) -> Vec<f64> {
    ticks(low, high, ((pixels / 65.0).round() as usize).clamp(3, 8))
}

/// A name at the right end of a line, in the colour of the line.
pub struct End<'a> {
    /// Where the line ends.
    pub at: (f64, f64),
    /// Whose line.
    pub name: &'a str,
    /// Its colour.
    pub ink: Ink,
}

/// Writes the names at the ends of lines, moved apart; a name that stands among other lines gets a ground of its own.
pub fn end_labels(canvas: &mut Canvas, ends: &[End], (top, bottom): (f64, f64)) {
    let wanted: Vec<f64> = ends.iter().map(|end| end.at.1).collect();
    let right = ends.iter().map(|end| end.at.0).fold(0.0, f64::max);
    for (y, end) in spread(&wanted, LINE - 1.0, top, bottom).into_iter().zip(ends) {
        let (name, x) = (fit(end.name, LABEL), end.at.0 + 9.0);
        if end.at.0 < right - 1.0 {
            let wide = font::width(&name, LABEL.size, LABEL.weight);
            canvas.rect(Ink::Paper, (x - 3.0, y - 8.0), (wide + 6.0, LINE - 1.0), 3.0);
        }
        canvas.text(end.ink, LABEL, Anchor::Start, (x, y + 4.5), &name);
    }
}

/// How much room the labels of [`end_labels`] and of rows need.
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
        Mark::Bar(ink) => canvas.rect(*ink, (x - 7.0, y - 1.5), (14.0, 3.0), 1.5),
        Mark::Tick(ink) => canvas.line(*ink, Stroke::Solid(1.5), (x, y - 6.0), (x, y + 6.0)),
        Mark::Diamond(ink) => diamond(canvas, *ink, (x, y)),
    }
}

/// An open diamond.
pub fn diamond(canvas: &mut Canvas, ink: Ink, (x, y): (f64, f64)) {
    let corners = [(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y), (x, y - 5.0), (x + 5.0, y)];
    canvas.path(ink, Stroke::Solid(1.5), &corners);
}
