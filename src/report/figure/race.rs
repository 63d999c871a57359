//! A race of sizes on one axis: losses against what was spent, crossings marked.

use super::super::fit::{Round, Unit};
use super::axis::{Scale, Spacing, log_ticks};
use super::font;
use super::frame::{self, Mark, Named, Naming};
use super::svg::{Anchor, Canvas, Ink, SMALL, Stroke};
use super::{Figure, NARROW};
use crate::laws::curves::{Axis, Crossing, Crossings, Curve, Side, Smoothing, Stage, Touch};

/// Points of a drawn curve.
const PLACES: usize = 300;

/// The plunge at the start is cut off: a picture begins where this share of the longest run was spent.
const FROM: f64 = 1.0 / 60.0;

/// The figure of a round.
pub fn figure(round: &Round) -> Figure {
    let axis = match round.axis {
        Axis::Hours => "time",
        Axis::Tokens => "tokens",
        Axis::Flops => "flops",
        Axis::SixNd => "6nd",
    };
    let schedule = if round.schedule.is_empty() { String::new() } else { format!("-{}", round.schedule) };
    let unit = Unit::of(round.axis, most(round));
    let caption = format!(
        "Loss ({}) against {}. Dots mark where one model overtakes another, with the 95 % interval at the foot; rings, \
         where two were too close to tell.",
        round.stage, unit.name
    );
    Figure::new(format!("race-{axis}-{}{schedule}", round.stage), caption, |width| draw(round, &unit, width))
}

fn most(round: &Round) -> f64 {
    round.curves.iter().map(|curve| curve.range().1).fold(0.0, f64::max)
}

/// A curve as it is drawn.
struct Line<'a> {
    name: &'a str,
    ink: Ink,
    points: Vec<(f64, f64)>,
}

impl<'a> Line<'a> {
    fn of(index: usize, curve: &'a Curve, from: f64) -> Self {
        let points = match curve.stage {
            Stage::Raw => curve.smoothed(Smoothing::default(), PLACES),
            Stage::Annealed => curve.x().iter().copied().zip(curve.loss().iter().copied()).collect(),
        };
        let points = points.into_iter().filter(|point| point.0 >= from).collect();
        Line { name: &curve.name, ink: Ink::Series(index), points }
    }

    fn at(&self, x: f64) -> Option<f64> {
        let after = self.points.iter().position(|point| point.0 >= x)?;
        let (high, low) = (self.points[after], self.points[after.checked_sub(1)?]);
        Some(low.1 + (x - low.0) / (high.0 - low.0).max(f64::MIN_POSITIVE) * (high.1 - low.1))
    }
}

fn draw(round: &Round, unit: &Unit, width: f64) -> String {
    let most = most(round);
    let first = round.curves.iter().map(|curve| curve.range().0).fold(f64::INFINITY, f64::min);
    let from = match round.stage {
        Stage::Raw => first.max(FROM * most),
        Stage::Annealed => first,
    };
    let lines: Vec<Line> =
        round.curves.iter().enumerate().map(|(index, curve)| Line::of(index, curve, from)).collect();
    let named = |line: &Line| (Mark::Bar(line.ink), frame::fit(line.name, SMALL));
    let naming = Naming::Legend(lines.iter().map(named).collect());
    let names: Vec<Named> =
        lines.iter().map(|line| Named { name: line.name, ink: line.ink, end: most }).collect();
    let (above, beside) = naming.room(&names, width);
    let height = above + if width <= NARROW { 280.0 } else { 420.0 };
    let (left, right, top, bottom) = (44.0, width - beside - 6.0, above + 32.0, height - 46.0);
    let losses = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (low, high) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
    let room = (high - low) * 0.04;
    let x = Scale::new(Spacing::Logarithmic, (from, most), (left, right));
    let y = Scale::new(Spacing::Linear, (low - room, high + room), (bottom, top));

    let mut canvas = Canvas::new(width, height);
    let values = frame::ticks_for(low - room, high + room, bottom - top);
    frame::y_axis(&mut canvas, &y, (left, right), &values, "loss (nats per token)");
    let ticks: Vec<f64> =
        log_ticks(from * unit.factor, most * unit.factor, 3).iter().map(|tick| tick / unit.factor).collect();
    let labels: Vec<String> = ticks.iter().map(|&tick| short(tick * unit.factor)).collect();
    frame::labelled_x_axis(&mut canvas, &x, (top, bottom), &ticks, &labels, unit.name);
    let place = |&(at, loss): &(f64, f64)| (x.at(at), y.at(loss));
    for line in lines.iter().filter(|line| !line.points.is_empty()) {
        let path: Vec<(f64, f64)> = line.points.iter().map(place).collect();
        canvas.path(line.ink, Stroke::Solid(1.8), &path);
        if round.stage == Stage::Annealed {
            path.iter().for_each(|&point| canvas.dot(line.ink, 1.0, point, 3.5));
        }
    }
    naming.draw(&mut canvas, &names, &ends(&lines, &place), width, (top, bottom));
    let marks = Marks { round, lines: &lines, x: &x, from, most, bottom };
    marks.draw(&mut canvas, &place);
    canvas.finish(&format!("{} loss against {}", round.stage, unit.name))
}

/// Crossings and touches over the lines.
struct Marks<'a> {
    round: &'a Round,
    lines: &'a [Line<'a>],
    x: &'a Scale,
    from: f64,
    most: f64,
    bottom: f64,
}

impl Marks<'_> {
    fn draw(&self, canvas: &mut Canvas, place: &impl Fn(&(f64, f64)) -> (f64, f64)) {
        for pair in &self.round.pairs {
            let loss_of = |at: f64| self.lines.iter().find(|line| line.name == pair.names.0)?.at(at);
            for crossing in pair.crossings.iter().filter(|crossing| crossing.at.estimate >= self.from) {
                let Some(loss) = loss_of(crossing.at.estimate) else { continue };
                self.crossing(canvas, pair, crossing, place(&(crossing.at.estimate, loss)));
            }
            for Touch { from, to, .. } in pair.touches.iter().filter(|touch| touch.from >= self.from) {
                let middle = (from * to).sqrt();
                let Some(loss) = loss_of(middle) else { continue };
                canvas.dot(Ink::Text, 1.0, place(&(middle, loss)), 5.5);
                canvas.dot(Ink::Paper, 1.0, place(&(middle, loss)), 3.6);
            }
        }
    }

    /// A dot, a line down to its interval, and who passes whom.
    fn crossing(&self, canvas: &mut Canvas, pair: &Crossings, crossing: &Crossing, at: (f64, f64)) {
        let down = self.bottom - 6.0;
        let end = |value: f64| self.x.at(value.clamp(self.from, self.most));
        canvas.line(Ink::Muted, Stroke::Dashed(1.0), at, (at.0, down - 22.0));
        canvas.line(
            Ink::Text,
            Stroke::Solid(3.0),
            (end(crossing.at.low), down),
            (end(crossing.at.high), down),
        );
        canvas.dot(Ink::Text, 1.0, at, 4.5);
        let passed = match crossing.ahead {
            Side::First => Side::Second,
            Side::Second => Side::First,
        };
        let text = format!("{} passes {}", pair.name(crossing.ahead), pair.name(passed));
        let (left, right) = self.x.pixels();
        let half = font::width(&text, SMALL.size, SMALL.weight) / 2.0;
        let middle = at.0.clamp(left + half, (right - half).max(left + half));
        canvas.text(Ink::Muted, SMALL, Anchor::Middle, (middle, down - 8.0), &text);
    }
}

fn ends(lines: &[Line], place: &impl Fn(&(f64, f64)) -> (f64, f64)) -> Vec<(f64, f64)> {
    lines.iter().filter_map(|line| line.points.last()).map(place).collect()
}

/// `50`, `2e4`.
fn short(value: f64) -> String {
    if (0.01..1e4).contains(&value) {
        format!("{}", (value * 100.0).round() / 100.0)
    } else {
        format!("{value:.0e}")
    }
}
