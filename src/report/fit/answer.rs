//! Do small models overtake again, on which axis, raw or annealed?

use serde::Serialize;

use super::race::Round;
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
    pub outcome: RaceOutcome,
    /// In a sentence.
    pub text: String,
}

/// What became of the small models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaceOutcome {
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
    /// One per round.
    pub(super) fn of(rounds: &[Round]) -> Vec<Answer> {
        rounds.iter().map(Answer::of_round).collect()
    }

    fn of_round(round: &Round) -> Answer {
        let of = |outcome| round.pairs.iter().filter(move |pair| RaceOutcome::of(pair) == outcome);
        let any = |outcome| of(outcome).next().is_some();
        let outcome =
            [RaceOutcome::Again, RaceOutcome::Overtaken, RaceOutcome::Behind].into_iter().find(|&o| any(o));
        let outcome =
            outcome.unwrap_or(if round.pairs.is_empty() { RaceOutcome::Apart } else { RaceOutcome::Never });
        let n = round.pairs.len();
        let pairs = format!("{n} pair{}", if n == 1 { "" } else { "s" });
        let behind = match of(RaceOutcome::Behind).count() {
            0 => String::new(),
            behind => format!(", behind all along in {behind}"),
        };
        let text = match outcome {
            RaceOutcome::Apart => "no two models were measured at the same places".to_string(),
            RaceOutcome::Never => format!("no: in none of {pairs} is the smaller model overtaken"),
            RaceOutcome::Overtaken => {
                let overtaken = of(RaceOutcome::Overtaken).count();
                format!("no: overtaken in {overtaken} of {pairs}, never shown to come back{behind}")
            }
            RaceOutcome::Behind => format!("no: never overtaken{behind} of {pairs}"),
            RaceOutcome::Again => {
                let back: Vec<String> =
                    of(RaceOutcome::Again).map(|pair| comeback(pair, round.axis)).collect();
                format!("yes, in {} of {pairs}: {}", back.len(), back.join("; "))
            }
        };
        let noise = match round.stage {
            Stage::Annealed if outcome != RaceOutcome::Apart => {
                " (ends joined by straight lines, means where there are seeds: the noise between seeds is not in this)"
            }
            Stage::Raw | Stage::Annealed => "",
        };
        let text = text + noise;
        Answer { axis: round.axis, stage: round.stage, schedule: round.schedule.clone(), outcome, text }
    }

    /// What the answers of a race say together about the article's question, which is one of compute: along tokens the
    /// bigger model is ahead wherever both are annealed, and straight lines between few ends decide what is close.
    pub fn verdict(answers: &[Answer]) -> String {
        let any = |stage: Stage, outcome: RaceOutcome| {
            let counts = |answer: &&Answer| stage == Stage::Raw || answer.axis != Axis::Tokens;
            answers.iter().filter(counts).any(|answer| answer.stage == stage && answer.outcome == outcome)
        };
        let annealed = answers.iter().any(|a| a.stage == Stage::Annealed && a.outcome != RaceOutcome::Apart);
        match (any(Stage::Raw, RaceOutcome::Again), any(Stage::Annealed, RaceOutcome::Again), annealed) {
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

impl RaceOutcome {
    /// Of one pair, the smaller model first.
    fn of(pair: &Crossings) -> Self {
        match (overtaken(pair), back(pair)) {
            (Some(_), Some(_)) => RaceOutcome::Again,
            (Some(_), None) => RaceOutcome::Overtaken,
            (None, _) if pair.leads.iter().any(|lead| lead.side == Side::First) => RaceOutcome::Never,
            (None, _) if pair.leads.is_empty() => RaceOutcome::Never,
            (None, _) => RaceOutcome::Behind,
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
            (&[First, Second, First][..], RaceOutcome::Again),
            (&[Second, First, Second, First], RaceOutcome::Again),
            (&[Second, First, Second], RaceOutcome::Overtaken),
            (&[First, Second], RaceOutcome::Overtaken),
            (&[Second, First], RaceOutcome::Never),
            (&[First], RaceOutcome::Never),
            (&[Second], RaceOutcome::Behind),
            (&[], RaceOutcome::Never),
        ] {
            assert_eq!(RaceOutcome::of(&pair(sides)), outcome, "{sides:?}");
        }
        let mut open = pair(&[First, Second, First]);
        open.crossings[1].at.high = f64::INFINITY;
        assert_eq!(RaceOutcome::of(&open), RaceOutcome::Overtaken);
    }

    #[test]
    fn an_answer_counts_pairs_behind_from_the_start_apart_and_says_what_annealed_ends_leave_out() {
        let round = |stage, pairs| Round {
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
        let raw = Answer::of_round(&round(Stage::Raw, vec![behind.clone(), passed]));
        assert_eq!(raw.outcome, RaceOutcome::Overtaken);
        assert_eq!(
            raw.text,
            "no: overtaken in 1 of 2 pairs, never shown to come back, behind all along in 1"
        );
        let annealed = Answer::of_round(&round(Stage::Annealed, vec![behind]));
        assert_eq!(annealed.outcome, RaceOutcome::Behind);
        let says = "no: never overtaken, behind all along in 1 of 1 pair (";
        assert!(annealed.text.starts_with(says), "{}", annealed.text);
        assert!(annealed.text.ends_with("the noise between seeds is not in this)"), "{}", annealed.text);
    }
}
