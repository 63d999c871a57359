//! Which step of a walk moves the measure: its effect where it is added and where it is removed.

use super::super::comparison::{Comparison, Measure};
use super::super::number;
use super::super::walk::WalkResult;
use super::axis::Scale;
use super::font;
use super::frame::{self, Axis, Mark};
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, STRONG, Stroke};
use super::{Figure, NARROW};
use crate::statistics::{Compared, Estimate};

/// The ink of a step that is added, and of one that is removed.
const ADDED: Ink = Ink::Series(0);
const REMOVED: Ink = Ink::Series(1);

/// Room between columns.
const GAP: f64 = 22.0;

/// Height of a mark with its numbers.
const LINE: f64 = 18.0;

/// The effects of all steps; nothing without a walk or a number.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let walk = comparison.walk.as_ref()?;
    let rows = rows(walk);
    (!rows.is_empty())
        .then(|| Figure::new("walk", caption(comparison, walk), |width| draw(comparison, walk, &rows, width)))
}

fn caption(comparison: &Comparison, walk: &WalkResult) -> String {
    let (from, to) = (&walk.from, &walk.to);
    let changes: Vec<&str> = walk.steps.iter().map(|step| step.change.as_str()).collect();
    let what = match comparison.measure {
        Measure::BitsPerParam => "Factor of bits per parameter",
        Measure::HeldOutLoss => "Change of held-out loss in nats per token",
        Measure::Answers => "Change of the share of right answers",
    };
    format!(
        "{what} by each step from {from} to {to}: added to {from} alone, and in {to} against {to} without it. Dots are \
         means over seeds, bars intervals that hold together with 95 % confidence. {}.",
        changes.join("; ")
    )
}

/// A step with its marks.
struct Row<'a> {
    name: String,
    marks: Vec<(Ink, &'a Estimate)>,
}

fn rows(walk: &WalkResult) -> Vec<Row<'_>> {
    let steps = walk.steps.iter().map(|step| Row {
        name: step.name.clone(),
        marks: [mark(ADDED, &step.added), mark(REMOVED, &step.removed)].into_iter().flatten().collect(),
    });
    let whole =
        Row { name: "all steps".to_string(), marks: mark(Ink::Control, &walk.whole).into_iter().collect() };
    steps.chain([whole]).filter(|row| !row.marks.is_empty()).collect()
}

fn mark(ink: Ink, effect: &Option<Compared>) -> Option<(Ink, &Estimate)> {
    effect.as_ref().map(|effect| (ink, &effect.estimate))
}

fn draw(comparison: &Comparison, walk: &WalkResult, rows: &[Row], width: f64) -> String {
    let contrast = comparison.measure.contrast();
    let name = match comparison.measure {
        Measure::BitsPerParam => "factor of bits per parameter",
        Measure::HeldOutLoss => "change of loss (nats per token)",
        Measure::Answers => "change of right answers (share)",
    };
    let marks = || rows.iter().flat_map(|row| &row.marks).map(|(_, estimate)| *estimate);
    let ends = marks().flat_map(frame::ends);

    let is_narrow = width <= NARROW;
    let wide = |text: &str| font::width(text, SMALL.size, SMALL.weight);
    let numbers_wide = marks().map(|estimate| wide(&numbers(estimate))).fold(0.0, f64::max);
    let left = if is_narrow { 12.0 } else { frame::widest(rows.iter().map(|row| row.name.as_str())) + 18.0 };
    let right = if is_narrow { width - 8.0 } else { width - numbers_wide - GAP };
    let axis = Axis::of_effects(contrast, ends, (left, right));

    let entries = [
        (Mark::Dot(ADDED), format!("added to {}", frame::fit(&walk.from, SMALL))),
        (Mark::Dot(REMOVED), format!("in {}, against without it", frame::fit(&walk.to, SMALL))),
        (Mark::Dot(Ink::Control), "all of them".to_string()),
    ];
    let top = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries) + 8.0;
    let above = if is_narrow { 16.0 } else { 0.0 };
    let heights: Vec<f64> = rows.iter().map(|row| above + LINE * row.marks.len() as f64 + 12.0).collect();
    let bottom = top + heights.iter().sum::<f64>();
    let mut canvas = Canvas::new(width, bottom + 46.0);
    frame::legend(&mut canvas, width, &entries);
    axis.draw(&mut canvas, (top, bottom), name);
    axis.mark(&mut canvas, (top, bottom), Ink::Muted, Stroke::Solid(1.5), contrast.none());
    let mut y = top;
    for (row, height) in rows.iter().zip(heights) {
        row.draw(&mut canvas, &axis.scale, (y + above, width), is_narrow);
        y += height;
    }
    canvas.finish(&format!("effect of each step from {} to {}", walk.from, walk.to))
}

impl Row<'_> {
    /// The name, and each mark with its numbers, from `top` down.
    fn draw(&self, canvas: &mut Canvas, scale: &Scale, (top, width): (f64, f64), is_narrow: bool) {
        let kind = if self.marks.iter().any(|(ink, _)| *ink == Ink::Control) { STRONG } else { LABEL };
        let name = frame::fit(&self.name, kind);
        let middle = top + 6.0 + LINE * self.marks.len() as f64 / 2.0;
        match is_narrow {
            true => canvas.text(Ink::Text, kind, Anchor::Start, (0.0, top), &name),
            false => {
                canvas.text(Ink::Text, kind, Anchor::End, (scale.pixels().0 - 12.0, middle + 4.5), &name);
            }
        }
        for (index, (ink, estimate)) in self.marks.iter().enumerate() {
            let y = top + 6.0 + LINE * (index as f64 + 0.5);
            frame::interval(canvas, scale, *ink, estimate, y);
            if !is_narrow {
                canvas.text(Ink::Text, SMALL, Anchor::End, (width, y + 4.0), &numbers(estimate));
            }
        }
    }
}

fn numbers(estimate: &Estimate) -> String {
    match number::range(estimate) {
        Some(range) => format!("{} ({range})", number::mean(estimate)),
        None => number::mean(estimate),
    }
}
