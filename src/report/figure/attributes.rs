//! What is known of each attribute: bits per person beside the bits there are to know.

use super::super::comparison::{ArmResult, AttributeResult, Comparison};
use super::axis::{Scale, Spacing};
use super::frame::{self, Mark};
use super::svg::{Anchor, Canvas, Ink, LABEL};
use super::{Figure, NARROW, ink, shown};

/// More attributes than this make a figure that nobody reads.
const MOST: usize = 12;

/// Arms are alike in an attribute that differs by no more than this share of what there is to know.
const ALIKE: f64 = 0.02;

/// Height of the bar of one arm.
const BAR: f64 = 9.0;

/// Bits per attribute and arm; nothing when the data has no attributes.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let arms = shown(comparison);
    let all = &arms.first()?.attributes;
    let names: Vec<&AttributeResult> = all.iter().filter(|it| differs(&arms, it)).take(MOST).collect();
    let left_out = all.len() - names.len();
    let mut caption = "Bits stored per person of each attribute, mean over seeds with 95 % interval; the pale track is all \
                       there is to know of it. Below zero an attribute is known worse than by guessing."
        .to_string();
    if left_out > 0 {
        caption += &format!(" {left_out} further attributes, more alike, are in report.json.");
    }
    (!names.is_empty())
        .then(|| Figure::new("attributes", caption, |width| draw(comparison, &arms, &names, width)))
}

/// Whether arms differ in how much of an attribute they know; of one arm everything is shown.
fn differs(arms: &[&ArmResult], attribute: &AttributeResult) -> bool {
    let of = |arm: &&ArmResult| Some(arm.attributes.iter().find(|it| it.name == attribute.name)?.bits.mean);
    let known: Vec<f64> = arms.iter().filter_map(of).collect();
    let range = known.iter().fold(f64::MIN, |a, &b| a.max(b)) - known.iter().fold(f64::MAX, |a, &b| a.min(b));
    arms.len() < 2 || range > ALIKE * attribute.max_bits
}

fn draw(comparison: &Comparison, arms: &[&ArmResult], attributes: &[&AttributeResult], width: f64) -> String {
    let entries: Vec<(Mark, String)> =
        arms.iter().map(|arm| (Mark::Bar(ink(comparison, &arm.arm)), frame::fit(&arm.arm, LABEL))).collect();
    let top = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries) + 6.0;
    let above = if width <= NARROW { 18.0 } else { 0.0 };
    let names = frame::widest(attributes.iter().map(|attribute| attribute.name.as_str()));
    let left = if above > 0.0 { 4.0 } else { names + 14.0 };
    let pitch = above + (BAR + 2.0) * arms.len() as f64 + 14.0;
    let bottom = top + pitch * attributes.len() as f64;
    let most = attributes.iter().map(|attribute| attribute.max_bits).fold(0.0, f64::max);
    let means = arms.iter().flat_map(|arm| &arm.attributes).map(|attribute| attribute.bits.mean);
    let least = means.fold(0.0, f64::min);
    let scale = Scale::new(Spacing::Linear, (least, most), (left, width - 14.0));

    let mut canvas = Canvas::new(width, bottom + 46.0);
    frame::legend(&mut canvas, width, &entries);
    frame::x_axis(
        &mut canvas,
        &scale,
        (top, bottom),
        &frame::ticks_for(least, most, width - left),
        "bits per person",
    );
    for (index, attribute) in attributes.iter().enumerate() {
        let y = top + pitch * index as f64 + above + 7.0;
        let middle = y + (pitch - above - 14.0) / 2.0;
        let name = frame::fit(&attribute.name, LABEL);
        match above > 0.0 {
            true => canvas.text(Ink::Text, LABEL, Anchor::Start, (left, y - 6.0), &name),
            false => canvas.text(Ink::Text, LABEL, Anchor::End, (left - 10.0, middle + 4.0), &name),
        }
        for (row, arm) in arms.iter().enumerate() {
            let of_arm = arm.attributes.iter().find(|other| other.name == attribute.name);
            let y = y + (BAR + 2.0) * row as f64;
            let zero = scale.at(0.0);
            canvas.rect(Ink::Grid, (zero, y), (scale.at(attribute.max_bits) - zero, BAR), 1.0);
            if let Some(of_arm) = of_arm {
                bar(&mut canvas, &scale, ink(comparison, &arm.arm), y, of_arm);
            }
        }
    }
    canvas.finish("bits per person of each attribute")
}

fn bar(canvas: &mut Canvas, scale: &Scale, ink: Ink, y: f64, attribute: &AttributeResult) {
    let (zero, mean) = (scale.at(0.0), scale.at(attribute.bits.mean));
    canvas.rect(ink, (zero.min(mean), y), ((mean - zero).abs(), BAR), 1.0);
    if let Some((low, high)) = attribute.bits.low.zip(attribute.bits.high) {
        let (low, high) = (scale.at(low.max(scale.start())), scale.at(high.min(scale.end())));
        let middle = y + BAR / 2.0;
        let wide = (high - low).max(0.0);
        canvas.rect(Ink::Paper, (low - 1.0, middle - 1.75), (wide + 2.0, 3.5), 0.0);
        canvas.rect(Ink::Text, (low, middle - 0.75), (wide, 1.5), 0.0);
    }
}
