//! The picture of a lesson: lines of points over two axes, written as an SVG into the working folder.
//!
//! The figures of reports (`ablation_zoo::report::figure`) do more; this one needs the library alone.

use std::fmt::Write;

use ablation_zoo::{Error, Result};

/// How places lie on the horizontal axis.
#[allow(dead_code)] // each lesson has one of them
#[derive(Clone, Copy, PartialEq)]
pub enum Spacing {
    Linear,
    Logarithmic,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 6] = ["#444444", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5c00"];

/// Writes `lesson-NN.svg` and says so; each series has a name and points.
pub fn draw(
    lesson: u32,
    [x_label, y_label]: [&str; 2],
    spacing: Spacing,
    series: &[(String, Vec<(f64, f64)>)],
) -> Result<()> {
    let place = |x: f64| if spacing == Spacing::Logarithmic { x.log10() } else { x };
    let points = || series.iter().flat_map(|(_, points)| points).map(|&(x, y)| (place(x), y));
    let ends = |values: Vec<f64>| {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        (low, if high > low { high } else { low + 1.0 })
    };
    let (x, y) = (ends(points().map(|p| p.0).collect()), ends(points().map(|p| p.1).collect()));
    let at = |(px, py): (f64, f64)| {
        let (u, v) = ((px - x.0) / (x.1 - x.0), (py - y.0) / (y.1 - y.0));
        (LEFT + u * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let text = |svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        )
        .expect("a string takes everything");
    };
    for k in 0..5 {
        let share = f64::from(k) / 4.0;
        let (px, py) = (x.0 + share * (x.1 - x.0), y.0 + share * (y.1 - y.0));
        let (across, down) = at((px, py));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {down:.1}H{:.1}M{across:.1} {TOP}V{:.1}\" stroke=\"#e6e6e6\"/>",
            WIDTH - RIGHT,
            HEIGHT - BOTTOM
        );
        let shown = if spacing == Spacing::Logarithmic { 10f64.powf(px) } else { px };
        text(&mut svg, (across, HEIGHT - BOTTOM + 18.0), "middle", "#666666", &short(shown));
        text(&mut svg, (LEFT - 8.0, down + 4.0), "end", "#666666", &short(py));
    }
    text(&mut svg, (WIDTH / 2.0, HEIGHT - 8.0), "middle", "#1a1a1a", x_label);
    text(&mut svg, (LEFT + 4.0, TOP + 12.0), "start", "#1a1a1a", y_label);
    for (k, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let mut path = String::new();
        for &(px, py) in points {
            let (across, down) = at((place(px), py));
            let _ = write!(path, "{}{across:.1} {down:.1}", if path.is_empty() { 'M' } else { 'L' });
            if points.len() <= 40 {
                let _ =
                    writeln!(svg, "<circle cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>");
        text(&mut svg, (WIDTH - RIGHT - 6.0, TOP + 14.0 + 16.0 * k as f64), "end", colour, name);
    }
    svg.push_str("</svg>\n");
    let path = format!("lesson-{lesson:02}.svg");
    std::fs::write(&path, svg).map_err(|error| Error::io("write", &path, error))?;
    println!("picture: {path}");
    Ok(())
}

/// Three digits, with a letter for thousands and more.
fn short(value: f64) -> String {
    let size = value.abs();
    let (scaled, letter) = match size {
        _ if size >= 1e12 => (value / 1e12, "T"),
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled.abs() >= 100.0 {
        0
    } else if scaled.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{scaled:.digits$}{letter}")
}
