//! Points and lines of several series over two axes: iso-FLOP parabolas, predicted against measured losses, bits known
//! against bits that there are to know.

use super::axis::{Scale, Spacing, log_ticks};
use super::frame::{self, Mark};
use super::svg::{Canvas, Ink, SMALL, Stroke};
use super::{Figure, NARROW};
use crate::laws::capacity::Known;
use crate::laws::mixture::MixturePrediction;
use crate::laws::scaling::Profile;
use crate::report::fit::{CapacityGroup, Judged, MixtureFit, Scaling};
use crate::report::number;

/// Points that belong together, and a line through or beside them.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    line: Vec<(f64, f64)>,
    stroke: Stroke,
}

impl Series {
    /// A line that is no measurement: what would be, were both sides equal.
    fn reference(name: &str, line: Vec<(f64, f64)>) -> Self {
        Series { name: name.to_string(), points: Vec::new(), line, stroke: Stroke::Dashed(1.5) }
    }

    /// By its place among the others; lines without points are no series of their own.
    fn ink(&self, index: usize) -> Ink {
        match (self.points.is_empty(), self.stroke) {
            (false, _) => Ink::Series(index),
            (true, Stroke::Dashed(_)) => Ink::Muted,
            (true, Stroke::Solid(_)) => Ink::Text,
        }
    }
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
    let name = format!("{} FLOPs", number::scientific(profile.flops));
    Series { name, points, line, stroke: Stroke::Solid(1.5) }
}

/// Losses of mixtures that a law has not seen, predicted against measured, one figure per law.
pub fn predictions(fit: &MixtureFit) -> Vec<Figure> {
    let of = |judged: &Judged| {
        let pair = |p: &MixturePrediction| (p.measured, p.predicted);
        let series = |(predictions, (name, _)): (&Vec<MixturePrediction>, &(String, _))| Series {
            name: name.clone(),
            points: predictions.iter().map(pair).filter(|pair| pair.1.is_finite()).collect(),
            line: Vec::new(),
            stroke: Stroke::Solid(1.5),
        };
        let mut all: Vec<Series> =
            judged.predictions.iter().take(1).flatten().zip(&judged.domains).map(series).collect();
        let losses = || all.iter().flat_map(|series| &series.points).flat_map(|point| [point.0, point.1]);
        let (low, high) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
        let diagonal = Series::reference("equal", vec![(low, low), (high, high)]);
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

/// Bits per parameter that models know against those that there are to know, with the law through them.
pub fn capacity(group: &CapacityGroup) -> Figure {
    let place = |known: &Known| (known.max_bits_per_param(), known.bits_per_param());
    let mut sizes: Vec<f64> = group.loads.iter().map(|load| load.params).collect();
    sizes.dedup();
    let of_size = |&params: &f64| Series {
        name: format!("{} parameters", number::count(params)),
        points: group.models.iter().filter(|known| known.params == params).map(place).collect(),
        line: Vec::new(),
        stroke: Stroke::Solid(1.5),
    };
    let mut all: Vec<Series> = Vec::new();
    if !group.published_models.is_empty() {
        let points = group.published_models.iter().map(place).collect();
        let name = "published".to_string();
        all.push(Series { name, points, line: Vec::new(), stroke: Stroke::Solid(1.5) });
    }
    all.extend(sizes.iter().map(of_size));
    let loads = all.iter().flat_map(|series| &series.points).map(|point| point.0);
    let (low, high) = (loads.clone().fold(f64::INFINITY, f64::min), loads.fold(0.0, f64::max));
    let most = all.iter().flat_map(|series| &series.points).map(|point| point.1).fold(0.0, f64::max);
    let line = |end: f64, of: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        (0..=80).map(|k| low * (end / low).powf(f64::from(k) / 80.0)).map(|at| (at, of(at))).collect()
    };
    if let Some(found) = &group.law {
        let law = line(high, &|at| found.law.bits_per_param(found.law.reference, at));
        let name = format!("law, at most {}", number::three(found.capacity.estimate));
        all.push(Series { name, points: Vec::new(), line: law, stroke: Stroke::Solid(1.5) });
    }
    all.push(Series::reference("everything known", line(most.clamp(low, high), &|at| at)));
    let exposures = group.exposures.map_or("others".to_string(), |count| format!("{count} exposures"));
    let caption = format!(
        "Bits per parameter that each model knows, against those that there were to know (R_max), {exposures}; published \
         points are of Figure 1 of arXiv 2404.05405."
    );
    let axes =
        Axes { x: "R_max (bits per parameter)", y: "bits per parameter", spacing: Spacing::Logarithmic };
    Figure::new(format!("capacity-{}", exposures.replace(' ', "-")), caption, |width| {
        draw(&all, &axes, width)
    })
}

fn draw(series: &[Series], axes: &Axes, width: f64) -> String {
    let entry = |(index, series): (usize, &Series)| {
        let ink = series.ink(index);
        let mark = if series.points.is_empty() { Mark::Bar(ink) } else { Mark::Dot(ink) };
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
            let short = |value: f64| if value < 10.0 { value.to_string() } else { number::count(value) };
            let labels: Vec<String> = values.iter().map(|&value| short(value)).collect();
            frame::labelled_x_axis(&mut canvas, &x, (top, bottom), &values, &labels, axes.x);
        }
    }
    let place = |&(at, value): &(f64, f64)| (x.at(at), y.at(value));
    for (index, series) in series.iter().enumerate() {
        let colour = series.ink(index);
        if !series.line.is_empty() {
            canvas.path(colour, series.stroke, &series.line.iter().map(place).collect::<Vec<_>>());
        }
        let opacity = if series.points.len() > 60 { 0.35 } else { 1.0 };
        series.points.iter().for_each(|point| canvas.dot(colour, opacity, place(point), 3.5));
    }
    canvas.finish(&format!("{} against {}", axes.y, axes.x))
}
