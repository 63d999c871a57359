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
    /// At least one was ahead, was overtaken and overtook again, at a place with an interval.
    Again,
    /// At least one was ahead and was overtaken, none is shown to come back.
    Overtaken,
    /// None was overtaken, and at least one was behind wherever the two can be told apart.
    Behind,
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
        let any = |outcome| of(outcome).next().is_some();
        let outcome = [Outcome::Again, Outcome::Overtaken, Outcome::Behind].into_iter().find(|&o| any(o));
        let outcome = outcome.unwrap_or(if heat.pairs.is_empty() { Outcome::Apart } else { Outcome::Never });
        let n = heat.pairs.len();
        let pairs = format!("{n} pair{}", if n == 1 { "" } else { "s" });
        let behind = match of(Outcome::Behind).count() {
            0 => String::new(),
            behind => format!(", behind all along in {behind}"),
        };
        let text = match outcome {
            Outcome::Apart => "no two models were measured at the same places".to_string(),
            Outcome::Never => format!("no: in none of {pairs} is the smaller model overtaken"),
            Outcome::Overtaken => {
                let overtaken = of(Outcome::Overtaken).count();
                format!("no: overtaken in {overtaken} of {pairs}, never shown to come back{behind}")
            }
            Outcome::Behind => format!("no: never overtaken{behind} of {pairs}"),
            Outcome::Again => {
                let back: Vec<String> = of(Outcome::Again).map(|pair| comeback(pair, heat.axis)).collect();
                format!("yes, in {} of {pairs}: {}", back.len(), back.join("; "))
            }
        };
        let noise = match heat.stage {
            Stage::Annealed if outcome != Outcome::Apart => {
                " (ends joined by straight lines, means where there are seeds: the noise between seeds is not in this)"
            }
            Stage::Raw | Stage::Annealed => "",
        };
        let text = text + noise;
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
        match (overtaken(pair), back(pair)) {
            (Some(_), Some(_)) => Outcome::Again,
            (Some(_), None) => Outcome::Overtaken,
            (None, _) if pair.leads.iter().any(|lead| lead.side == Side::First) => Outcome::Never,
            (None, _) if pair.leads.is_empty() => Outcome::Never,
            (None, _) => Outcome::Behind,
        }
    }
}

/// Where the bigger model is ahead for the first time after the smaller one was.
fn overtaken(pair: &Crossings) -> Option<f64> {
    let ahead = pair.leads.iter().position(|lead| lead.side == Side::First)?;
    pair.leads[ahead..].iter().find(|lead| lead.side == Side::Second).map(|lead| lead.from)
}

/// The last place from which the smaller model is ahead again after it was overtaken, if its interval is closed: where too
/// many replicates have no such crossing, noise may have made it.
fn back(pair: &Crossings) -> Option<&Crossing> {
    let overtaken = overtaken(pair)?;
    let shown = |crossing: &&Crossing| {
        crossing.ahead == Side::First && crossing.at.estimate > overtaken && crossing.at.is_bounded()
    };
    pair.crossings.iter().rev().find(shown)
}

fn comeback(pair: &Crossings, axis: Axis) -> String {
    let unit = Unit::of(axis, pair.overlap.1);
    let at = back(pair)
        .map_or(String::new(), |crossing| format!(" at {} {}", unit.interval(&crossing.at), unit.name));
    format!("{} passes {} again{at}", pair.names.0, pair.names.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Interval;
    use crate::laws::curves::{CrossingConfig, Lead};

    /// Leads after each other; all crossings have closed intervals.
    fn pair(sides: &[Side]) -> Crossings {
        let lead = |(k, &side): (usize, &Side)| Lead {
            side,
            from: 10.0 * k as f64 + 2.0,
            to: 10.0 * k as f64 + 9.0,
            most: 0.1,
        };
        let leads: Vec<Lead> = sides.iter().enumerate().map(lead).collect();
        let crossing = |lead: &Lead| {
            let estimate = lead.from - 1.0;
            let at = Interval { estimate, low: estimate - 1.0, high: estimate + 1.0 };
            Crossing { at, ahead: lead.side, support: Some(1.0) }
        };
        Crossings {
            names: ("small".to_string(), "big".to_string()),
            axis: Axis::Tokens,
            stage: Stage::Raw,
            overlap: (1.0, 100.0),
            crossings: leads.iter().skip(1).map(crossing).collect(),
            touches: Vec::new(),
            leads,
            config: CrossingConfig::default(),
        }
    }

    #[test]
    fn a_small_model_comes_back_only_if_it_was_ahead_and_overtaken_before() {
        use Side::{First, Second};
        for (sides, outcome) in [
            (&[First, Second, First][..], Outcome::Again),
            (&[Second, First, Second, First], Outcome::Again),
            (&[Second, First, Second], Outcome::Overtaken),
            (&[First, Second], Outcome::Overtaken),
            (&[Second, First], Outcome::Never),
            (&[First], Outcome::Never),
            (&[Second], Outcome::Behind),
            (&[], Outcome::Never),
        ] {
            assert_eq!(Outcome::of(&pair(sides)), outcome, "{sides:?}");
        }
        let mut open = pair(&[First, Second, First]);
        open.crossings[1].at.high = f64::INFINITY;
        assert_eq!(Outcome::of(&open), Outcome::Overtaken);
    }

    #[test]
    fn an_answer_counts_pairs_behind_from_the_start_apart_and_says_what_annealed_ends_leave_out() {
        let heat = |stage, pairs| Heat {
            axis: Axis::Tokens,
            stage,
            schedule: String::new(),
            pairs,
            apart: Vec::new(),
            envelope: Vec::new(),
            curves: Vec::new(),
        };
        let behind = pair(&[Side::Second]);
        let passed = pair(&[Side::First, Side::Second]);
        let raw = Answer::of_heat(&heat(Stage::Raw, vec![behind.clone(), passed]));
        assert_eq!(raw.outcome, Outcome::Overtaken);
        assert_eq!(
            raw.text,
            "no: overtaken in 1 of 2 pairs, never shown to come back, behind all along in 1"
        );
        let annealed = Answer::of_heat(&heat(Stage::Annealed, vec![behind]));
        assert_eq!(annealed.outcome, Outcome::Behind);
        let says = "no: never overtaken, behind all along in 1 of 1 pair (";
        assert!(annealed.text.starts_with(says), "{}", annealed.text);
        assert!(annealed.text.ends_with("the noise between seeds is not in this)"), "{}", annealed.text);
    }
}
