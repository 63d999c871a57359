//! Answers to questions, and what they cost, by the number of chunks that there are to read.

use super::super::comparison::Comparison;
use super::super::evidence::{ArmEvidence, Basis, Evidence};
use super::super::statistics::median;
use super::axis::Spacing;
use super::curves::{Axis, Line, draw};
use super::{Figure, ink};
use crate::measure::AnswerPoint;

/// What is drawn.
struct Quantity {
    name: &'static str,
    label: &'static str,
    caption: &'static str,
    of: fn(&AnswerPoint) -> f64,
}

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        name: "answers-by-chunks",
        label: "right answers (share)",
        caption: "Share of right answers",
        of: |point| point.accuracy,
    },
    Quantity {
        name: "answer-loss-by-chunks",
        label: "loss of the answer (nats)",
        caption: "Mean of −ln p of the right answer",
        of: |point| point.nats,
    },
    Quantity {
        name: "reading-speed-by-chunks",
        label: "tokens of chunks read per second",
        caption: "Tokens of chunks read per second, questions in batches, on the machine of each run",
        of: |point| point.tokens_per_second,
    },
];

/// One figure per quantity; none where no question was asked.
pub fn all(evidence: &Evidence, comparison: &Comparison) -> Vec<Figure> {
    QUANTITIES.iter().filter_map(|quantity| figure(evidence, comparison, quantity)).collect()
}

fn figure(evidence: &Evidence, comparison: &Comparison, quantity: &Quantity) -> Option<Figure> {
    let primary = evidence.arms.iter().filter(|arm| arm.basis == Basis::Primary);
    let lines: Vec<Line> = primary.filter_map(|arm| line(comparison, arm, quantity)).collect();
    let ticks: Vec<f64> =
        lines.iter().max_by_key(|line| line.middle.len())?.middle.iter().map(|point| point.0).collect();
    let range = (*ticks.first()?, *ticks.last()?);
    let axis =
        Axis { name: "chunks, one of them with the answer", spacing: Spacing::Logarithmic, range, ticks };
    let caption = format!(
        "{} against the number of chunks that there are to read. Lines are medians over seeds, bands reach from the \
         lowest to the highest seed.",
        quantity.caption
    );
    Some(Figure::new(quantity.name, caption, |width| draw(&lines, &axis, quantity.label, width)))
}

fn line<'a>(comparison: &Comparison, arm: &'a ArmEvidence, quantity: &Quantity) -> Option<Line<'a>> {
    let answers = || arm.runs.iter().filter_map(|run| run.record.measurements.answers.as_ref());
    let [middle, low, high] = [(); 3].map(|()| Vec::new());
    let mut line = Line { name: &arm.name, ink: ink(comparison, &arm.name), middle, low, high };
    for chunks in answers().next()?.points.iter().map(|point| point.chunks) {
        let points = answers().flat_map(|answers| &answers.points).filter(|point| point.chunks == chunks);
        let seeds: Vec<f64> = points.map(quantity.of).collect();
        line.push(chunks as f64, median(&seeds)?, &seeds);
    }
    (line.middle.len() > 1).then_some(line)
}
