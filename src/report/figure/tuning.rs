//! How the learning rate of each arm was chosen.

use super::super::caution::tuning_curve;
use super::super::comparison::{ArmResult, Comparison};
use super::super::number;
use super::axis::{Scale, Spacing};
use super::frame::{self, Named, Naming};
use super::svg::{Canvas, Ink, Stroke};
use super::{Figure, NARROW, ink};

/// The measure against the learning rate, by arm; nothing when nothing was tuned, or more than one setting.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    if comparison.tuning.iter().any(|trial| !trial.values.is_empty()) {
        return None;
    }
    let lines: Vec<Line> = comparison.primary_arms().filter_map(|arm| Line::of(comparison, arm)).collect();
    let caption = format!(
        "How the learning rate of each arm was chosen: {} against the highest rate of the schedule, median over the \
         seeds (small dots). The ringed rate is the one of the answer.",
        comparison.measure.label()
    );
    (!lines.is_empty()).then(|| Figure::new("tuning", caption, |width| draw(comparison, &lines, width)))
}

struct Line<'a> {
    name: &'a str,
    ink: Ink,
    curve: Vec<(f64, f64)>,
    trials: Vec<(f64, f64)>,
    taken: f64,
}

impl<'a> Line<'a> {
    fn of(comparison: &Comparison, arm: &'a ArmResult) -> Option<Line<'a>> {
        let curve = tuning_curve(&comparison.tuning, &arm.arm);
        let of_arm = comparison.tuning.iter().filter(|trial| trial.arm == arm.arm);
        let trials = of_arm.map(|trial| (trial.rate, trial.value)).collect();
        (!curve.is_empty()).then(|| Line {
            name: &arm.arm,
            ink: ink(comparison, &arm.arm),
            curve,
            trials,
            taken: arm.rate,
        })
    }

    fn named(&self) -> Named<'a> {
        let end = self.curve.last().map_or(0.0, |point| point.0);
        Named { name: self.name, ink: self.ink, end }
    }
}

fn draw(comparison: &Comparison, lines: &[Line], width: f64) -> String {
    let named: Vec<Named> = lines.iter().map(Line::named).collect();
    let naming = Naming::of(&named, width);
    let (above, beside) = naming.room(&named, width);
    let height = above + if width <= NARROW { 260.0 } else { 350.0 };
    let (left, right, top, bottom) = (44.0, width - beside - 8.0, above + 32.0, height - 46.0);
    let trials = || lines.iter().flat_map(|line| &line.trials).copied();
    let mut rates: Vec<f64> = trials().map(|trial| trial.0).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let lowest = trials().map(|trial| trial.1).fold(f64::INFINITY, f64::min);
    let highest = trials().map(|trial| trial.1).fold(f64::NEG_INFINITY, f64::max);
    let room = (highest - lowest).max(highest.abs() * 0.02) * 0.08;
    let x = Scale::new(Spacing::Logarithmic, (rates[0], rates[rates.len() - 1]), (left + 14.0, right));
    let y = Scale::new(Spacing::Linear, (lowest - room, highest + room), (bottom, top));

    let mut canvas = Canvas::new(width, height);
    let values = frame::ticks_for(lowest - room, highest + room, bottom - top);
    frame::y_axis(&mut canvas, &y, (left, right), &values, comparison.measure.label());
    let labels: Vec<String> = rates.iter().map(|&rate| number::rate(rate)).collect();
    frame::labelled_x_axis(&mut canvas, &x, (top, bottom), &rates, &labels, "peak learning rate");
    let place = |&(rate, value): &(f64, f64)| (x.at(rate), y.at(value));
    for line in lines {
        canvas.path(line.ink, Stroke::Solid(2.0), &line.curve.iter().map(place).collect::<Vec<_>>());
        line.trials.iter().for_each(|trial| canvas.dot(line.ink, 0.5, place(trial), 2.5));
        for point in line.curve.iter().filter(|point| point.0 == line.taken) {
            canvas.dot(line.ink, 1.0, place(point), 6.0);
            canvas.dot(Ink::Paper, 1.0, place(point), 3.0);
        }
    }
    let ends: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.curve.last().map(place)).collect();
    naming.draw(&mut canvas, &named, &ends, width, (top, bottom));
    canvas.finish("choice of the learning rate")
}
