//! A small SVG writer: shapes, text, and colours that a page may restyle.
//!
//! Every shape is drawn in `currentColor` and carries its colour twice: as an attribute, which makes the file complete
//! by itself, and as a class, through which a page in dark mode gives it another. Numbers have two decimals at most, so
//! that the same input gives the same bytes.

use std::fmt::Write;

use super::font::Weight;
use crate::visible;

/// Colours by their use. The series are those of Okabe and Ito (2008), told apart by colour-blind readers too; their
/// yellow is left out, for it is too light on white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text that matters.
    Text,
    /// Text and marks beside the point.
    Muted,
    /// Grid lines and the tracks of bars.
    Grid,
    /// The background.
    Paper,
    /// The control.
    Control,
    /// The arms, in their order; they repeat after six.
    Series(usize),
}

const SERIES: [(&str, &str); 6] = [
    ("blue", "#0072b2"),
    ("vermillion", "#d55e00"),
    ("green", "#009e73"),
    ("purple", "#cc79a7"),
    ("orange", "#e69f00"),
    ("sky", "#56b4e9"),
];

impl Ink {
    /// A line in it: dashed where its colour is that of an earlier arm.
    pub fn stroke(self, width: f64) -> Stroke {
        match self {
            Ink::Series(index) if index >= SERIES.len() => Stroke::Dashed(width),
            Ink::Series(_) | Ink::Text | Ink::Muted | Ink::Grid | Ink::Paper | Ink::Control => {
                Stroke::Solid(width)
            }
        }
    }

    fn style(self) -> (&'static str, &'static str) {
        match self {
            Ink::Text => ("text", "#1a1a1a"),
            Ink::Muted => ("muted", "#666666"),
            Ink::Grid => ("grid", "#e6e6e6"),
            Ink::Paper => ("paper", "#ffffff"),
            Ink::Control => ("control", "#444444"),
            Ink::Series(index) => SERIES[index % SERIES.len()],
        }
    }
}

/// Where a text has its given point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// In its middle.
    Middle,
    /// At its right end.
    End,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stroke {
    /// Whole, of this width.
    Solid(f64),
    /// Dashed, of this width.
    Dashed(f64),
}

/// The size and weight of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Type {
    /// Height in pixels.
    pub size: f64,
    /// Weight.
    pub weight: Weight,
}

/// Names of arms and axes.
pub const LABEL: Type = Type { size: 13.0, weight: Weight::Regular };
/// The control, headings.
pub const STRONG: Type = Type { size: 13.0, weight: Weight::SemiBold };
/// Ticks, legends, remarks.
pub const SMALL: Type = Type { size: 11.5, weight: Weight::Regular };

/// A drawing under way.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    /// An empty drawing of this size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        let mut canvas = Canvas { width, height, body: String::new() };
        canvas.rect(Ink::Paper, (0.0, 0.0), (width, height), 0.0);
        canvas
    }

    /// A straight line.
    pub fn line(&mut self, ink: Ink, stroke: Stroke, from: (f64, f64), to: (f64, f64)) {
        self.path(ink, stroke, &[from, to]);
    }

    /// A line through points.
    pub fn path(&mut self, ink: Ink, stroke: Stroke, points: &[(f64, f64)]) {
        let (width, dash) = match stroke {
            Stroke::Solid(width) => (width, ""),
            Stroke::Dashed(width) => (width, " stroke-dasharray=\"5 3\""),
        };
        let (colour, data, width) = (colour(ink), data(points), round(width));
        self.put(format_args!(
            "<path {colour} d=\"{data}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\"{dash} \
             stroke-linejoin=\"round\"/>"
        ));
    }

    /// A filled outline, `opacity` from 0 to 1.
    pub fn area(&mut self, ink: Ink, opacity: f64, points: &[(f64, f64)]) {
        let (colour, data, opacity) = (colour(ink), data(points), round(opacity));
        self.put(format_args!(
            "<path {colour} d=\"{data}Z\" fill=\"currentColor\" fill-opacity=\"{opacity}\"/>"
        ));
    }

    /// A filled rectangle from its upper left corner.
    pub fn rect(&mut self, ink: Ink, (x, y): (f64, f64), (width, height): (f64, f64), radius: f64) {
        let [x, y, width, height, radius] = [x, y, width, height, radius].map(round);
        let corner = if radius == "0" { String::new() } else { format!(" rx=\"{radius}\"") };
        let colour = colour(ink);
        self.put(format_args!(
            "<rect {colour} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{corner} fill=\"currentColor\"/>"
        ));
    }

    /// A filled dot.
    pub fn dot(&mut self, ink: Ink, opacity: f64, (x, y): (f64, f64), radius: f64) {
        let (colour, [x, y, radius, opacity]) = (colour(ink), [x, y, radius, opacity].map(round));
        self.put(format_args!(
            "<circle {colour} cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"currentColor\" fill-opacity=\"{opacity}\"/>"
        ));
    }

    /// A text on its base line.
    pub fn text(&mut self, ink: Ink, kind: Type, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = match kind.weight {
            Weight::Regular => "",
            Weight::SemiBold => " font-weight=\"600\"",
        };
        let (colour, text, [x, y, size]) = (colour(ink), escape(text), [x, y, kind.size].map(round));
        self.put(format_args!(
            "<text {colour} x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{weight}{anchor} fill=\"currentColor\">{text}</text>"
        ));
    }

    /// The whole drawing; `title` is read aloud in its place.
    pub fn finish(self, title: &str) -> String {
        let (title, [width, height]) = (escape(title), [self.width, self.height].map(round));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Inter, 'Helvetica Neue', Arial, sans-serif\" role=\"img\">\n\
             <title>{title}</title>\n{}</svg>\n",
            self.body
        )
    }

    fn put(&mut self, element: std::fmt::Arguments) {
        writeln!(self.body, "{element}").expect("a string takes whatever is written");
    }
}

fn colour(ink: Ink) -> String {
    let (class, colour) = ink.style();
    format!("class=\"{class}\" color=\"{colour}\"")
}

fn data(points: &[(f64, f64)]) -> String {
    let step = |(index, &(x, y)): (usize, &(f64, f64))| {
        format!("{}{} {}", if index == 0 { "M" } else { "L" }, round(x), round(y))
    };
    points.iter().enumerate().map(step).collect()
}

/// Two decimals at most, without trailing zeros.
fn round(value: f64) -> String {
    let value = (value * 100.0).round() / 100.0 + 0.0; // no negative zero
    value.to_string()
}

/// Text for XML and HTML, in content and in quoted attributes; control characters, which XML forbids, become spaces.
pub fn escape(text: &str) -> String {
    visible::line(text).chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text(Ink::Text, LABEL, Anchor::End, (1.0, 2.0), "</text><script>\u{1b}\"'&");
        let svg = canvas.finish("<title>");
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;\\u001b&quot;&#39;&amp;</text>"), "{svg}");
        assert!(svg.contains("<title>&lt;title&gt;</title>"));
    }

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        assert_eq!([1.0, 0.1 + 0.2, -0.001, 1234.567].map(round), ["1", "0.3", "0", "1234.57"]);
    }
}
