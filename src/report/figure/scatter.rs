//! Points and lines of several series over two axes: iso-FLOP parabolas, predicted against measured losses.

use super::axis::{Scale, Spacing, log_ticks};
use super::frame::{self, Mark};
use super::svg::{Canvas, Ink, SMALL, Stroke};
use super::{Figure, NARROW};
use crate::laws::scaling::Profile;
use crate::report::fit::{Judged, MixtureFit, Scaling};
use crate::report::number;

/// Points that belong together, and a line through or beside them.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    line: Vec<(f64, f64)>,
}

/// What the axes are called and how the horizontal one is laid out.
struct Axes<'a> {
    x: &'a str,
    y: &'a str,
    spacing: Spacing,
}

/// Final losses of several sizes at equal FLOPs, with the parabola through each budget; nothing without such budgets.
pub fn isoflop(scaling: &Scaling) -> Option<Figure> {
    let series: Vec<Series> = scaling.profiles.iter().map(of_profile).collect();
    let caption = "Loss against parameters at equal FLOPs of training. Lines are parabolas in the logarithm of the size.";
    let axes = Axes { x: "parameters", y: "loss (nats per token)", spacing: Spacing::Logarithmic };
    (!series.is_empty())
        .then(|| Figure::new("iso-flop", caption.to_string(), |width| draw(&series, &axes, width)))
}

fn of_profile(profile: &Profile) -> Series {
    let points: Vec<(f64, f64)> = profile.points.iter().map(|point| (point.params, point.loss)).collect();
    let (low, high) = points.iter().fold((f64::INFINITY, 0.0f64), |(l, h), p| (l.min(p.0), h.max(p.0)));
    let places = (0..=60).map(|k| low * (high / low).powf(f64::from(k) / 60.0));
    let line = profile.parabola().map_or(Vec::new(), |at| places.map(|size| (size, at(size))).collect());
    Series { name: format!("{} FLOPs", number::scientific(profile.flops)), points, line }
}

/// Losses of mixtures that a law has not seen, predicted against measured, one figure per law.
pub fn predictions(fit: &MixtureFit) -> Vec<Figure> {
    let of = |judged: &Judged| {
        let series = |(pairs, (name, _)): (&Vec<(f64, f64)>, &(String, _))| Series {
            name: name.clone(),
            points: pairs.iter().copied().filter(|pair| pair.1.is_finite()).collect(),
            line: Vec::new(),
        };
        let mut all: Vec<Series> = judged.predictions.iter().zip(&judged.domains).map(series).collect();
        let losses = || all.iter().flat_map(|series| &series.points).flat_map(|point| [point.0, point.1]);
        let (low, high) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
        let diagonal =
            Series { name: "equal".into(), points: Vec::new(), line: vec![(low, low), (high, high)] };
        let empty = all.iter().all(|series| series.points.is_empty());
        all.push(diagonal);
        let caption = format!(
            "Losses of mixtures that the {} law has not seen ({}), by domain: predicted against measured.",
            judged.name, fit.folds
        );
        let axes =
            Axes { x: "measured loss (nats per token)", y: "predicted loss", spacing: Spacing::Linear };
        let name = format!("predicted-{}", judged.name.replace(' ', "-"));
        (!empty).then(|| Figure::new(name, caption, |width| draw(&all, &axes, width)))
    };
    fit.laws.iter().filter_map(of).collect()
}

fn draw(series: &[Series], axes: &Axes, width: f64) -> String {
    let ink = |index: usize| Ink::Series(index);
    let entry = |(index, series): (usize, &Series)| {
        let mark = if series.points.is_empty() { Mark::Bar(Ink::Muted) } else { Mark::Dot(ink(index)) };
        (mark, frame::fit(&series.name, SMALL))
    };
    let entries: Vec<(Mark, String)> = series.iter().enumerate().map(entry).collect();
    let above = frame::legend(&mut Canvas::new(0.0, 0.0), width, &entries) + 8.0;
    let height = above + if width <= NARROW { 300.0 } else { 420.0 };
    let (left, right, top, bottom) = (44.0, width - 14.0, above + 32.0, height - 46.0);
    let all = || series.iter().flat_map(|series| series.points.iter().chain(&series.line));
    let range = |of: fn(&(f64, f64)) -> f64| {
        all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((x_low, x_high), (low, high)) = (range(|p| p.0), range(|p| p.1));
    let room = (high - low) * 0.04;
    let x = Scale::new(axes.spacing, (x_low, x_high), (left + 8.0, right - 8.0));
    let y = Scale::new(Spacing::Linear, (low - room, high + room), (bottom, top));

    let mut canvas = Canvas::new(width, height);
    frame::legend(&mut canvas, width, &entries);
    frame::y_axis(
        &mut canvas,
        &y,
        (left, right),
        &frame::ticks_for(low - room, high + room, bottom - top),
        axes.y,
    );
    match axes.spacing {
        Spacing::Linear => {
            let values = frame::ticks_for(x_low, x_high, right - left);
            frame::x_axis(&mut canvas, &x, (top, bottom), &values, axes.x);
        }
        Spacing::Logarithmic => {
            let values = log_ticks(x_low, x_high, 3);
            let labels: Vec<String> = values.iter().map(|&value| number::count(value)).collect();
            frame::labelled_x_axis(&mut canvas, &x, (top, bottom), &values, &labels, axes.x);
        }
    }
    let place = |&(at, value): &(f64, f64)| (x.at(at), y.at(value));
    for (index, series) in series.iter().enumerate() {
        let colour = if series.points.is_empty() { Ink::Muted } else { ink(index) };
        if !series.line.is_empty() {
            canvas.path(colour, Stroke::Solid(1.5), &series.line.iter().map(place).collect::<Vec<_>>());
        }
        let opacity = if series.points.len() > 60 { 0.35 } else { 1.0 };
        series.points.iter().for_each(|point| canvas.dot(colour, opacity, place(point), 3.5));
    }
    canvas.finish(&format!("{} against {}", axes.y, axes.x))
}
