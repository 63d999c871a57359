//! Main effects and interactions of a factorial, each with its interval.

use super::super::comparison::Comparison;
use super::super::factors::FactorEffect;
use super::super::number;
use super::font;
use super::frame::{self, Axis, Mark};
use super::svg::{Anchor, Canvas, Ink, LABEL, SMALL, Stroke};
use super::{Figure, NARROW};
use crate::statistics::Contrast;

/// Height of one effect, and of its name above it where the figure is narrow.
const LINE: f64 = 24.0;
const NAME: f64 = 18.0;

/// The effects of a factorial; nothing where there are none.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let effects = &comparison.factorial.as_ref()?.effects;
    let caption = "Each level against the control's, on average over the other factors, and pairs of levels beyond what each \
                   does alone. Dots are means over seeds, bars intervals that hold together with 95 % confidence.";
    (!effects.is_empty()).then(|| Figure::new("factors", caption.to_string(), |width| draw(effects, width)))
}

fn draw(effects: &[FactorEffect], width: f64) -> String {
    let contrast = effects[0].compared.contrast;
    let estimates = || effects.iter().map(|effect| &effect.compared.estimate);
    let is_narrow = width <= NARROW;
    let numbers: Vec<String> = estimates().map(number::estimate).collect();
    let names: Vec<String> = effects.iter().map(FactorEffect::label).collect();
    let room = if is_narrow {
        8.0
    } else {
        numbers.iter().map(|text| font::width(text, SMALL.size, SMALL.weight)).fold(0.0, f64::max) + 22.0
    };
    let left = if is_narrow { 12.0 } else { frame::widest(names.iter().map(String::as_str)) + 18.0 };
    let name = match contrast {
        Contrast::Ratio => "factor",
        Contrast::Difference => "difference",
    };
    let axis = Axis::of_effects(contrast, estimates().flat_map(frame::ends), (left, width - room));
    let entries = [
        (Mark::Dot(Ink::Series(0)), "one level".to_string()),
        (Mark::Dot(Ink::Series(1)), "two together, beyond each alone".to_string()),
    ];
    let top = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries) + 8.0;
    let pitch = if is_narrow { LINE + NAME } else { LINE };
    let bottom = top + pitch * effects.len() as f64 + 6.0;
    let mut canvas = Canvas::new(width, bottom + 46.0);
    frame::legend(&mut canvas, width, &entries);
    axis.draw(&mut canvas, (top, bottom), name);
    axis.mark(&mut canvas, (top, bottom), Ink::Muted, Stroke::Solid(1.5), contrast.none());
    for (index, effect) in effects.iter().enumerate() {
        let start = top + pitch * index as f64;
        let y = start + pitch - LINE / 2.0;
        let ink = if effect.parts.len() == 1 { Ink::Series(0) } else { Ink::Series(1) };
        let name = frame::fit(&names[index], LABEL);
        match is_narrow {
            true => canvas.text(Ink::Text, LABEL, Anchor::Start, (0.0, start + 14.0), &name),
            false => {
                canvas.text(Ink::Text, LABEL, Anchor::End, (left - 12.0, y + 4.5), &name);
                canvas.text(Ink::Text, SMALL, Anchor::End, (width, y + 4.0), &numbers[index]);
            }
        }
        let estimate = &effect.compared.estimate;
        frame::interval(&mut canvas, &axis.scale, ink, estimate, y);
    }
    canvas.finish("effects of the levels of each factor")
}
