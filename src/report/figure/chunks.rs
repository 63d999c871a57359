//! Answers to questions, and what they cost, by the number of chunks that there are to read.

use super::super::comparison::Comparison;
use super::super::evidence::{ArmEvidence, Basis, Evidence};
use super::axis::Spacing;
use super::curves::{Axis, Line, draw};
use super::{Figure, ink};
use crate::measure::{AnswerPoint, Answers, DocumentPoint};
use crate::statistics::median;

/// What is drawn.
struct Quantity {
    name: &'static str,
    label: &'static str,
    caption: &'static str,
    across: Across,
    of: fn(&Answers) -> Vec<(f64, f64)>,
}

/// What it is drawn against.
#[derive(Clone, Copy)]
enum Across {
    Chunks,
    Relevant,
    Document,
}

const QUANTITIES: [Quantity; 7] = [
    Quantity {
        name: "answers-by-chunks",
        label: "right answers (share)",
        caption: "Share of right answers",
        across: Across::Chunks,
        of: |answers| by_chunks(answers, |point| Some(point.accuracy)),
    },
    Quantity {
        name: "answer-loss-by-chunks",
        label: "loss of the answer (nats)",
        caption: "Mean of −ln p of the right answer",
        across: Across::Chunks,
        of: |answers| by_chunks(answers, |point| Some(point.nats)),
    },
    Quantity {
        name: "answer-loss-by-relevant-chunks",
        label: "loss of the answer (nats)",
        caption: "Mean of −ln p of the right answer",
        across: Across::Relevant,
        of: |answers| answers.relevant.iter().map(|point| (point.relevant as f64, point.nats)).collect(),
    },
    Quantity {
        name: "format-by-chunks",
        label: "answers in their form (%)",
        caption: "Answers in the form that was asked for, with any value, in percent",
        across: Across::Chunks,
        of: |answers| by_chunks(answers, |point| Some(100.0 * point.format)),
    },
    Quantity {
        name: "teacher-by-chunks",
        label: "divergence from the teacher (nats)",
        caption: "Mean divergence from the answer of the same decoder with the chunks in its own window",
        across: Across::Chunks,
        of: |answers| by_chunks(answers, |point| point.teacher_nats),
    },
    Quantity {
        name: "document-loss-by-chunks",
        label: "loss of the last tokens (nats per token)",
        caption: "Mean loss of the last questions and answers of long documents, the logarithm of their perplexity,",
        across: Across::Document,
        of: |answers| {
            let loss = |point: &DocumentPoint| (point.chunks as f64, point.nats_per_token);
            answers.documents.iter().map(loss).collect()
        },
    },
    Quantity {
        name: "reading-speed-by-chunks",
        label: "tokens of chunks read per second",
        caption: "Tokens of chunks read per second, questions in batches, on the machine of each run",
        across: Across::Chunks,
        of: |answers| by_chunks(answers, |point| Some(point.tokens_per_second).filter(|&speed| speed > 0.0)),
    },
];

fn by_chunks(answers: &Answers, of: fn(&AnswerPoint) -> Option<f64>) -> Vec<(f64, f64)> {
    answers.points.iter().filter_map(|point| Some((point.chunks as f64, of(point)?))).collect()
}

impl Across {
    fn axis(self) -> &'static str {
        match self {
            Across::Chunks => "chunks, one of them with the answer",
            Across::Relevant => "chunks with the answer",
            Across::Document => "chunks of the document before its end",
        }
    }

    fn caption(self) -> &'static str {
        match self {
            Across::Chunks => "against the number of chunks that there are to read",
            Across::Relevant => {
                "against the number of chunks that hold the answer, among as many as the arms are compared at"
            }
            Across::Document => {
                "against the number of chunks before them that there are to read; each doubling holds more of those who \
                 are asked for"
            }
        }
    }
}

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
    let axis = Axis { name: quantity.across.axis(), spacing: Spacing::Logarithmic, range, ticks };
    let caption = format!(
        "{} {}. Lines are medians over seeds, bands reach from the lowest to the highest seed.",
        quantity.caption,
        quantity.across.caption()
    );
    Some(Figure::new(quantity.name, caption, |width| draw(&lines, &axis, quantity.label, width)))
}

fn line<'a>(comparison: &Comparison, arm: &'a ArmEvidence, quantity: &Quantity) -> Option<Line<'a>> {
    let answers = || arm.runs.iter().filter_map(|run| run.record.measurements.answers.as_ref());
    let [middle, low, high] = [(); 3].map(|()| Vec::new());
    let mut line = Line { name: &arm.name, ink: ink(comparison, &arm.name), middle, low, high };
    for (x, _) in (quantity.of)(answers().next()?) {
        let points = answers().flat_map(quantity.of).filter(|point| point.0 == x);
        let seeds: Vec<f64> = points.map(|point| point.1).collect();
        line.push(x, median(&seeds)?, &seeds);
    }
    (line.middle.len() > 1).then_some(line)
}
