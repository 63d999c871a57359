//! Do small models overtake again, on which axis, raw or annealed?

use serde::Serialize;

use super::race::Heat;
use super::unit::Unit;
use crate::laws::curves::{Axis, Crossing, Crossings, Side, Stage};

/// The answer on one axis, at one stage, under one schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What was spent.
    pub axis: Axis,
    /// Raw or annealed losses.
    pub stage: Stage,
    /// The schedule of the runs; empty for files.
    pub schedule: String,
    /// In a word.
    pub outcome: Outcome,
    /// In a sentence.
    pub text: String,
}

/// What became of the small models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// At least one was overtaken and overtook again, at a place with an interval.
    Again,
    /// At least one was overtaken, none is shown to come back.
    Overtaken,
    /// None was overtaken.
    Never,
    /// No pair was measured at the same places.
    Apart,
}

impl Answer {
    /// One per heat.
    pub(super) fn of(heats: &[Heat]) -> Vec<Answer> {
        heats.iter().map(Answer::of_heat).collect()
    }

    fn of_heat(heat: &Heat) -> Answer {
        let of = |outcome| heat.pairs.iter().filter(move |pair| Outcome::of(pair) == outcome);
        let outcome = match (heat.pairs.len(), of(Outcome::Again).count(), of(Outcome::Overtaken).count()) {
            (0, ..) => Outcome::Apart,
            (_, 0, 0) => Outcome::Never,
            (_, 0, _) => Outcome::Overtaken,
            _ => Outcome::Again,
        };
        let n = heat.pairs.len();
        let pairs = format!("{n} pair{}", if n == 1 { "" } else { "s" });
        let text = match outcome {
            Outcome::Apart => "no two models were measured at the same places".to_string(),
            Outcome::Never => format!("no: in none of {pairs} is the smaller model overtaken"),
            Outcome::Overtaken => {
                let overtaken = of(Outcome::Overtaken).count();
                format!("no: overtaken in {overtaken} of {pairs}, never shown to come back")
            }
            Outcome::Again => {
                let back: Vec<String> = of(Outcome::Again).map(|pair| comeback(pair, heat.axis)).collect();
                format!("yes, in {} of {pairs}: {}", back.len(), back.join("; "))
            }
        };
        Answer { axis: heat.axis, stage: heat.stage, schedule: heat.schedule.clone(), outcome, text }
    }

    /// What the answers of a race say together about the article's question, which is one of compute: along tokens the
    /// bigger model is ahead wherever both are annealed, and straight lines between few ends decide what is close.
    pub fn verdict(answers: &[Answer]) -> String {
        let any = |stage: Stage, outcome: Outcome| {
            let counts = |answer: &&Answer| stage == Stage::Raw || answer.axis != Axis::Tokens;
            answers.iter().filter(counts).any(|answer| answer.stage == stage && answer.outcome == outcome)
        };
        let annealed = answers.iter().any(|a| a.stage == Stage::Annealed && a.outcome != Outcome::Apart);
        match (any(Stage::Raw, Outcome::Again), any(Stage::Annealed, Outcome::Again), annealed) {
            (_, true, _) => {
                "Annealed models cross twice: no law E + A / N^alpha + B / D^beta at equal compute allows that."
            }
            (true, false, true) => {
                "Raw losses cross again, annealed ones do not: it is the schedule that comes back, not the small model."
            }
            (true, false, false) => {
                "Raw losses compare runs at different places of their schedules, and there are no annealed ones to \
                 tell the size from the schedule."
            }
            (false, false, true) => "Nothing comes back, raw or annealed.",
            (false, false, false) => "Nothing comes back; there are no annealed losses to compare.",
        }
        .to_string()
    }
}

impl Outcome {
    /// Of one pair, the smaller model first.
    fn of(pair: &Crossings) -> Self {
        let behind = pair.leads.iter().position(|lead| lead.side == Side::Second);
        match behind {
            Some(at)
                if pair.leads[at..].iter().any(|lead| lead.side == Side::First) && back(pair).is_some() =>
            {
                Outcome::Again
            }
            Some(_) => Outcome::Overtaken,
            None => Outcome::Never,
        }
    }
}

/// The last place from which the smaller model is ahead again, if its interval is closed: where too many replicates have
/// no such crossing, noise may have made it.
fn back(pair: &Crossings) -> Option<&Crossing> {
    let shown = |crossing: &&Crossing| {
        crossing.ahead == Side::First && crossing.at.low.is_finite() && crossing.at.high.is_finite()
    };
    pair.crossings.iter().rev().find(shown)
}

fn comeback(pair: &Crossings, axis: Axis) -> String {
    let unit = Unit::of(axis, pair.overlap.1);
    let at = back(pair)
        .map_or(String::new(), |crossing| format!(" at {} {}", unit.interval(&crossing.at), unit.name));
    format!("{} passes {} again{at}", pair.names.0, pair.names.1)
}
