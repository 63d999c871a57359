//! An answer under every nuisance: one panel of marks per arm, the answer that was asked for as a band.

use super::super::challenge::{Challenge, ChallengeOutcome, ChallengedArm};
use super::frame::{self, Axis, Mark};
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, STRONG, Stroke};
use super::{Figure, NARROW};
use crate::statistics::{Compared, Contrast};

/// Height of one mark.
const LINE: f64 = 20.0;

/// Room over each arm for its name.
const HEAD: f64 = 30.0;

/// The figure; nothing where nothing was measured.
pub fn figure(challenge: &Challenge) -> Option<Figure> {
    let contrast = challenge.arms.iter().find_map(|arm| arm.reference.as_ref())?.contrast;
    let what = match contrast {
        Contrast::Ratio => "ratio to the control",
        Contrast::Difference => "difference from the control",
    };
    let caption = format!(
        "The {what} of each arm as it was asked (first line and band) and with one setting that should not matter halved \
         or doubled. Dots are means over seeds, bars their simultaneous 95 % intervals."
    );
    Some(Figure::new("challenge", caption, |width| draw(challenge, contrast, what, width)))
}

fn of_contrast(arm: &ChallengedArm, contrast: Contrast) -> impl Iterator<Item = &Compared> {
    let all = arm.reference.iter().chain(arm.cases.iter().filter_map(|case| case.compared.as_ref()));
    all.filter(move |compared| compared.contrast == contrast)
}

fn draw(challenge: &Challenge, contrast: Contrast, what: &str, width: f64) -> String {
    let all = challenge.arms.iter().flat_map(|arm| of_contrast(arm, contrast));
    let ends = all.flat_map(|compared| frame::ends(&compared.estimate));
    let is_narrow = width <= NARROW;
    let label = |arm: &ChallengedArm, index: usize| match index {
        0 => "as asked".to_string(),
        _ => format!("{} x {}", arm.cases[index - 1].nuisance, arm.cases[index - 1].factor),
    };
    let names: Vec<String> = challenge
        .arms
        .iter()
        .flat_map(|arm| (0..=arm.cases.len()).map(|index| label(arm, index)).collect::<Vec<_>>())
        .collect();
    let left = if is_narrow { 132.0 } else { frame::widest(names.iter().map(String::as_str)) + 18.0 };
    let axis = Axis::of_effects(contrast, ends, (left, width - 10.0));
    let scale = &axis.scale;
    let entries = [
        (Mark::Dot(Ink::Control), "as asked".to_string()),
        (Mark::Dot(Ink::Series(0)), "one setting changed".to_string()),
        (Mark::Dot(Ink::Series(1)), "turns".to_string()),
    ];
    let top = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries) + 8.0;
    let height = |arm: &ChallengedArm| HEAD + LINE * (arm.cases.len() + 1) as f64;
    let bottom = top + challenge.arms.iter().map(height).sum::<f64>() + 6.0;
    let mut canvas = Canvas::new(width, bottom + 46.0);
    frame::legend(&mut canvas, width, &entries);
    axis.draw(&mut canvas, (top, bottom), what);
    axis.mark(&mut canvas, (top, bottom), Ink::Muted, Stroke::Solid(1.5), contrast.none());
    let mut y = top;
    for arm in &challenge.arms {
        canvas.text(Ink::Text, STRONG, Anchor::Start, (0.0, y + 18.0), &frame::fit(&arm.label, STRONG));
        if let Some((low, high)) = arm.reference.as_ref().and_then(|r| r.estimate.low.zip(r.estimate.high)) {
            let band = [(low, 0.0), (high, 0.0), (high, 1.0), (low, 1.0)];
            let corner = |(value, at): (f64, f64)| (scale.at(value), y + HEAD + at * (height(arm) - HEAD));
            canvas.area(Ink::Control, 0.08, &band.map(corner));
        }
        let cases = arm.cases.iter().map(|case| (case.compared.as_ref(), case.outcome));
        let marks = std::iter::once((arm.reference.as_ref(), ChallengeOutcome::Holds)).chain(cases);
        for (index, (compared, outcome)) in marks.enumerate() {
            let at = y + HEAD + LINE * (index as f64 + 0.5);
            let ink = match (index, outcome) {
                (0, _) => Ink::Control,
                (_, ChallengeOutcome::Turns) => Ink::Series(1),
                (
                    _,
                    ChallengeOutcome::Holds
                    | ChallengeOutcome::Weaker
                    | ChallengeOutcome::Leans
                    | ChallengeOutcome::NoAnswer,
                ) => Ink::Series(0),
            };
            let kind = if is_narrow { SMALL } else { LABEL };
            canvas.text(Ink::Text, kind, Anchor::End, (left - 12.0, at + 4.5), &label(arm, index));
            match compared.filter(|compared| compared.contrast == contrast) {
                Some(compared) => frame::interval(&mut canvas, scale, ink, &compared.estimate, at),
                None => canvas.text(Ink::Muted, SMALL, Anchor::Start, (left + 4.0, at + 4.0), "no answer"),
            }
        }
        y += height(arm);
    }
    canvas.finish(&format!("{what} of each arm under changed settings"))
}
