//! The answer at a glance: each arm with its mean, interval and single seeds.

use super::super::comparison::{ArmResult, Comparison, Measure, Verdict};
use super::super::evidence::Claim;
use super::super::number;
use super::axis::{Scale, Spacing};
use super::font;
use super::frame::{self, Axis, Mark};
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, STRONG, Stroke};
use super::{Figure, NARROW, ink};
use crate::statistics::{Compared, Contrast, Estimate};

/// `R_max` is shown at its place up to so many times the largest value; beyond, an arrow points to it.
const FAR: f64 = 2.0;

/// Room for that arrow.
const ARROW: f64 = 84.0;

/// Bits per parameter (or held-out loss) of every arm; nothing when no arm has a number.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let rows: Vec<Row> = comparison.arms.iter().filter_map(|arm| Row::of(comparison, arm)).collect();
    (!rows.is_empty())
        .then(|| Figure::new("arms", caption(comparison), |width| draw(comparison, &rows, width)))
}

fn caption(comparison: &Comparison) -> String {
    let what = match comparison.measure {
        Measure::BitsPerParam => {
            "Bits of knowledge per parameter, of all parameters. R_max is what a model of that size would reach if it \
             knew everything."
        }
        Measure::HeldOutLoss => "Loss on held-out text in nats per token; less is better.",
        Measure::Answers => "Share of questions that are answered right.",
    };
    format!(
        "{what} Dots are means over seeds, bars 95 % Student t intervals, small dots single seeds, the \
         dashed line the mean of the control."
    )
}

struct Row<'a> {
    arm: &'a ArmResult,
    estimate: &'a Estimate,
    published: Option<f64>,
}

impl<'a> Row<'a> {
    fn of(comparison: &'a Comparison, arm: &'a ArmResult) -> Option<Row<'a>> {
        let estimate = arm.primary(comparison.measure)?;
        Some(Row { arm, estimate, published: published(comparison, arm) })
    }

    /// Everything that must be inside the axis.
    fn values(&self) -> impl Iterator<Item = f64> {
        let ends = [Some(self.estimate.mean), self.estimate.low, self.estimate.high, self.published];
        ends.into_iter().flatten().chain(self.arm.runs.iter().map(|run| run.value))
    }
}

/// Where the published ratio would put this arm, given the control of this comparison; only where it is comparable.
fn published(comparison: &Comparison, arm: &ArmResult) -> Option<f64> {
    let comparable = match arm.verdict.as_ref()? {
        Verdict::Agrees | Verdict::Disagrees | Verdict::Undecided(_) => true,
        Verdict::NotComparable(_) => false,
    };
    let (Claim::About(ratio) | Claim::AtMost(ratio) | Claim::AtLeast(ratio)) =
        arm.published.as_ref()?.ratio?;
    let control = comparison.control_arm().primary(comparison.measure)?.mean;
    comparable.then_some(ratio * control)
}

/// Where things stand: names beside the marks with numbers to their right, or, on a phone, both above the marks.
struct Layout {
    width: f64,
    left: f64,
    right: f64,
    pitch: f64,
    columns: Columns,
}

enum Columns {
    /// The right end of the column of means; that of the effects is the right end of the figure.
    Beside(f64),
    Above,
}

/// Room between columns.
const GAP: f64 = 22.0;

impl Layout {
    fn of(comparison: &Comparison, rows: &[Row], width: f64) -> Layout {
        if width <= NARROW {
            return Layout { width, left: 12.0, right: width - 8.0, pitch: 50.0, columns: Columns::Above };
        }
        let names: Vec<String> = rows.iter().map(|row| row.arm.label()).collect();
        let left = frame::widest(names.iter().map(String::as_str)) + 18.0;
        let [mean, effect] = heads(comparison);
        let wide = |text: &str| font::width(text, SMALL.size, SMALL.weight);
        let means = rows.iter().map(|row| wide(&numbers(row.estimate))).fold(wide(&mean), f64::max);
        let effects = rows.iter().map(|row| wide(&row.effect())).fold(wide(&effect), f64::max);
        let mean_end = width - effects - GAP;
        Layout { width, left, right: mean_end - means - GAP, pitch: 36.0, columns: Columns::Beside(mean_end) }
    }
}

/// What stands over the columns of numbers.
fn heads(comparison: &Comparison) -> [String; 2] {
    let contrast = match comparison.measure {
        Measure::BitsPerParam => "ratio to",
        Measure::HeldOutLoss | Measure::Answers => "minus",
    };
    ["mean (95 % interval)".to_string(), frame::fit(&format!("{contrast} {}", comparison.control), SMALL)]
}

fn draw(comparison: &Comparison, rows: &[Row], width: f64) -> String {
    let layout = Layout::of(comparison, rows, width);
    let largest = rows.iter().flat_map(Row::values).fold(f64::MIN, f64::max);
    let smallest = rows.iter().flat_map(Row::values).fold(f64::MAX, f64::min);
    let near = |max: &f64| *max <= FAR * largest;
    let most = rows.iter().filter_map(|row| row.arm.max_bits_per_param).filter(near).fold(largest, f64::max);
    let far = rows.iter().any(|row| row.arm.max_bits_per_param.is_some_and(|max| max > most));
    let right = if far { layout.right - ARROW } else { layout.right };
    // Arms are compared by ratios, where there are any.
    let spacing = match comparison.measure == Measure::BitsPerParam && smallest > 0.0 {
        true => Spacing::Logarithmic,
        false => Spacing::Linear,
    };
    let axis = Axis::new(spacing, (smallest, most), (layout.left, right));

    let entries = entries(rows);
    let under = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries);
    let (top, middle) = match layout.columns {
        Columns::Beside(_) => (under + 32.0, 0.45),
        Columns::Above => (under + 6.0, 0.62),
    };
    let bottom = top + layout.pitch * rows.len() as f64;
    let mut canvas = Canvas::new(width, bottom + 46.0);
    frame::legend(&mut canvas, width, &entries);
    if let Columns::Beside(mean_end) = layout.columns {
        for (x, head) in [mean_end, width].into_iter().zip(heads(comparison)) {
            canvas.text(Ink::Muted, SMALL, Anchor::End, (x, top - 8.0), &head);
        }
    }
    axis.draw(&mut canvas, (top, bottom), comparison.measure.label());
    if let Some(control) = comparison.control_arm().primary(comparison.measure) {
        axis.mark(&mut canvas, (top, bottom), Ink::Control, Stroke::Dashed(1.0), control.mean);
    }
    for (index, row) in rows.iter().enumerate() {
        let y = top + layout.pitch * (index as f64 + middle);
        row.words(&mut canvas, comparison, &layout, y);
        row.marks(&mut canvas, &axis.scale, ink(comparison, &row.arm.arm), y);
    }
    canvas.finish(&format!("{} of each arm", comparison.measure.label()))
}

fn entries(rows: &[Row]) -> Vec<(Mark, String)> {
    let mut entries = vec![
        (Mark::Dot(Ink::Control), "mean".to_string()),
        (Mark::Bar(Ink::Control), "95 % interval".to_string()),
        (Mark::Seed(Ink::Control), "one seed".to_string()),
    ];
    if rows.iter().any(|row| row.arm.max_bits_per_param.is_some()) {
        entries.push((Mark::Tick(Ink::Muted), "R_max".to_string()));
    }
    if rows.iter().any(|row| row.published.is_some()) {
        entries.push((Mark::Diamond(Ink::Muted), "published ratio × control".to_string()));
    }
    entries
}

impl Row<'_> {
    fn effect(&self) -> String {
        self.arm.compared.as_ref().map_or("—".to_string(), |effect| numbers(&effect.estimate))
    }

    fn words(&self, canvas: &mut Canvas, comparison: &Comparison, layout: &Layout, y: f64) {
        let kind = if self.arm.arm == comparison.control { STRONG } else { LABEL };
        let name = frame::fit(&self.arm.label(), kind);
        match layout.columns {
            Columns::Beside(mean_end) => {
                canvas.text(Ink::Text, kind, Anchor::End, (layout.left - 12.0, y + 4.5), &name);
                canvas.text(Ink::Text, SMALL, Anchor::End, (mean_end, y + 4.0), &numbers(self.estimate));
                canvas.text(Ink::Text, SMALL, Anchor::End, (layout.width, y + 4.0), &self.effect());
            }
            Columns::Above => {
                let mean = number::mean(self.estimate);
                let effect = match &self.arm.compared {
                    Some(Compared { contrast: Contrast::Ratio, estimate, .. }) => {
                        format!(" · × {}", number::mean(estimate))
                    }
                    Some(Compared { contrast: Contrast::Difference, estimate, .. }) => {
                        format!(" · {}", signed(estimate.mean))
                    }
                    None => String::new(),
                };
                canvas.text(Ink::Text, kind, Anchor::Start, (0.0, y - 14.0), &name);
                canvas.text(
                    Ink::Text,
                    SMALL,
                    Anchor::End,
                    (layout.width, y - 14.0),
                    &format!("{mean}{effect}"),
                );
            }
        }
    }

    fn marks(&self, canvas: &mut Canvas, scale: &Scale, ink: Ink, y: f64) {
        if let Some(max) = self.arm.max_bits_per_param {
            full(canvas, scale, max, y);
        }
        if let Some((low, high)) = self.estimate.low.zip(self.estimate.high) {
            let (left, right) = (scale.at(low), scale.at(high));
            canvas.rect(ink, (left, y - 1.75), ((right - left).max(1.0), 3.5), 1.75);
        }
        for run in &self.arm.runs {
            canvas.dot(ink, 0.5, (scale.at(run.value), y + 11.0), 2.5);
        }
        canvas.dot(ink, 1.0, (scale.at(self.estimate.mean), y), 5.0);
        if let Some(published) = self.published {
            frame::diamond(canvas, Ink::Muted, (scale.at(published), y));
        }
    }
}

/// `R_max` of an arm: a tick, or an arrow with its value when it is far outside.
fn full(canvas: &mut Canvas, scale: &Scale, max: f64, y: f64) {
    if max <= scale.end() {
        let x = scale.at(max);
        return canvas.line(Ink::Muted, Stroke::Solid(1.5), (x, y - 7.0), (x, y + 7.0));
    }
    let text = format!("R_max {} →", number::three(max));
    canvas.text(Ink::Muted, SMALL, Anchor::Start, (scale.pixels().1 + 8.0, y + 4.0), &text);
}

fn signed(value: f64) -> String {
    let plus = if value > 0.0 { "+" } else { "" };
    format!("{plus}{}", number::three(value))
}

fn numbers(estimate: &Estimate) -> String {
    match number::range(estimate) {
        Some(range) => format!("{} ({range})", number::mean(estimate)),
        None => number::mean(estimate),
    }
}
