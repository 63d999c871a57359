//! The race of sizes: who is ahead, where and on which axis, and how far a line may be drawn on.
//!
//! "Chinchilla's death" (Tyl 2023) asks whether small models that were overtaken come back. The answer depends on the
//! axis, and on whether learning rates have decayed, so every combination is a [`Round`] of its own.

use serde::Serialize;

use super::answer::Answer;
use super::race_curve::{AXES, RaceCurve, check};
use crate::error::{Error, Problem, Result};
use crate::laws::curves::{
    Axis, CrossingConfig, Crossings, Curve, Extrapolation, Smoothing, Stage, crossings, extrapolate,
    lower_envelope,
};
use crate::laws::scaling::{BESIROGLU, HOFFMANN, ParametricLaw};

/// How a race is judged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RaceConfig {
    /// How crossings of raw curves are looked for; annealed points are joined by straight lines instead.
    pub crossings: CrossingConfig,
}

/// A race, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Race {
    /// Does a small model overtake again?
    pub answers: Vec<Answer>,
    /// One per axis, stage and schedule.
    pub rounds: Vec<Round>,
    /// Small models drawn on to the compute of the largest.
    pub extrapolations: Vec<Drawn>,
    /// What a reader must know, a sentence each.
    pub notes: Vec<String>,
}

/// A race on one axis, at one stage, under one schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// What was spent.
    pub axis: Axis,
    /// Raw or annealed losses.
    pub stage: Stage,
    /// The schedule of all its runs; empty for files.
    pub schedule: String,
    /// Every pair that was measured at the same places, the smaller model first.
    pub pairs: Vec<Crossings>,
    /// The other pairs.
    pub apart: Vec<Apart>,
    /// Who has the lowest loss, from where to where.
    pub envelope: Vec<Owner>,
    /// The losses.
    #[serde(skip)]
    pub curves: Vec<Curve>,
}

/// Two models that were nowhere measured at the same place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Apart {
    /// Names of the smaller and the bigger model.
    pub names: (String, String),
}

/// A stretch of the lower envelope.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Owner {
    /// Who.
    pub name: String,
    /// First place.
    pub from: f64,
    /// Last place.
    pub to: f64,
}

/// A small model's curve drawn on to where the largest model ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawn {
    /// The small model.
    pub name: String,
    /// The largest.
    pub to: String,
    /// What `x` is.
    pub axis: Axis,
    /// The law: `hoffmann` or `besiroglu`.
    pub law: String,
    /// Loss of the largest there, in nats.
    pub loss_of_largest: f64,
    /// What line and law say.
    pub answers: Vec<Extrapolation>,
}

/// Places of the envelope.
const PLACES: usize = 600;

/// Judges a race.
///
/// # Errors
/// Fewer than two models, two of one name, or not one axis on which two of them were measured.
pub fn race(mut race_curves: Vec<RaceCurve>, config: &RaceConfig) -> Result<Race> {
    check(&race_curves)?;
    // Who is small is known for all or for none.
    if race_curves.iter().all(|race_curve| race_curve.params.is_some()) {
        race_curves.sort_by(|a, b| a.params.partial_cmp(&b.params).expect("parameters are finite"));
    }
    let mut schedules: Vec<&str> = Vec::new();
    for race_curve in &race_curves {
        if !schedules.contains(&race_curve.schedule.as_str()) {
            schedules.push(&race_curve.schedule);
        }
    }
    let mut rounds = Vec::new();
    for schedule in schedules {
        let field: Vec<&RaceCurve> =
            race_curves.iter().filter(|race_curve| race_curve.schedule == schedule).collect();
        for stage in [Stage::Raw, Stage::Annealed] {
            for axis in AXES {
                rounds.extend(round(&field, axis, stage, schedule, config)?);
            }
        }
    }
    if rounds.is_empty() {
        let problem = Problem::new("no axis on which two of the models were measured");
        return Err(Error::data(
            problem.help("give every file the same columns, or --size NAME:PARAMS:SPEED"),
        ));
    }
    let mut notes: Vec<String> = race_curves.iter().flat_map(|race_curve| race_curve.notes.clone()).collect();
    if let Some(nameless) = race_curves.iter().find(|race_curve| race_curve.params.is_none()) {
        notes.push(format!(
            "Parameters of {} are not known, so pairs are in the order given; --size {}:PARAMS says them.",
            nameless.name, nameless.name
        ));
    }
    let sized = race_curves.iter().all(|race_curve| race_curve.params.is_some());
    let answers = if sized { Answer::of(&rounds) } else { Vec::new() };
    Ok(Race { answers, extrapolations: drawn(&race_curves), rounds, notes })
}

fn round(
    field: &[&RaceCurve],
    axis: Axis,
    stage: Stage,
    schedule: &str,
    config: &RaceConfig,
) -> Result<Option<Round>> {
    let curves: Vec<Curve> =
        field.iter().filter_map(|race_curve| race_curve.curve(axis, stage).cloned()).collect();
    if curves.len() < 2 {
        return Ok(None);
    }
    let smoothing = match stage {
        Stage::Raw => config.crossings.smoothing,
        Stage::Annealed => Smoothing::Interpolate,
    };
    let config = CrossingConfig { smoothing, ..config.crossings };
    let (mut pairs, mut apart) = (Vec::new(), Vec::new());
    for (index, big) in curves.iter().enumerate() {
        for small in &curves[..index] {
            if overlap(small, big) {
                pairs.push(crossings(small, big, &config)?);
            } else {
                apart.push(Apart { names: (small.name.clone(), big.name.clone()) });
            }
        }
    }
    let envelope = owners(&curves, smoothing)?;
    Ok(Some(Round { axis, stage, schedule: schedule.to_string(), pairs, apart, envelope, curves }))
}

fn overlap(a: &Curve, b: &Curve) -> bool {
    a.range().0.max(b.range().0) < a.range().1.min(b.range().1)
}

/// The lower envelope, cut where its owner changes.
fn owners(curves: &[Curve], smoothing: Smoothing) -> Result<Vec<Owner>> {
    let envelope = lower_envelope(curves, smoothing, PLACES)?;
    let owner = |run: &[crate::laws::curves::EnvelopePoint]| Owner {
        name: curves[run[0].curve].name.clone(),
        from: run[0].x,
        to: run[run.len() - 1].x,
    };
    Ok(envelope.chunk_by(|a, b| a.curve == b.curve).map(owner).collect())
}

/// Every smaller model of a size that published laws speak of, drawn on to the end of the largest.
fn drawn(race_curves: &[RaceCurve]) -> Vec<Drawn> {
    let Some(largest) = race_curves.last() else { return Vec::new() };
    let end = |curve: &Curve| {
        let last = curve.loss().len().div_ceil(100);
        curve.loss()[curve.loss().len() - last..].iter().sum::<f64>() / last as f64
    };
    let mut drawn = Vec::new();
    for small in &race_curves[..race_curves.len() - 1] {
        let axis = Axis::Hours;
        let curves = (small.curve(axis, Stage::Raw), largest.curve(axis, Stage::Raw));
        let ((Some(curve), Some(far)), Some(params), Some(throughput)) =
            (curves, small.params, &small.throughput)
        else {
            continue;
        };
        let laws: [(&str, ParametricLaw); 2] = [("hoffmann", HOFFMANN), ("besiroglu", BESIROGLU)];
        for (law, constants) in laws.into_iter().filter(|_| curve.range().1 < far.range().1) {
            drawn.push(Drawn {
                name: small.name.clone(),
                to: largest.name.clone(),
                axis,
                law: law.to_string(),
                loss_of_largest: end(far),
                answers: extrapolate(curve, params, throughput, &constants, far.range().1),
            });
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::super::answer::RaceOutcome;
    use super::super::known::Size;
    use super::*;
    use crate::laws::bootstrap::Bootstrap;
    use crate::laws::table::Table;

    fn config() -> RaceConfig {
        let bootstrap = Bootstrap { replicates: 40, ..Bootstrap::default() };
        RaceConfig { crossings: CrossingConfig { bootstrap, ..CrossingConfig::default() } }
    }

    /// Losses by hours, from 1 to 200.
    fn race_curve(name: &str, params: f64, loss: impl Fn(f64) -> f64) -> RaceCurve {
        let rows = (1..=200).map(|k| format!("{k},{}\n", loss(f64::from(k))));
        let text = "hours,loss\n".to_string() + &rows.collect::<String>();
        let size = Size { name: name.into(), params, tokens_per_second: Some(1e9 / params) };
        RaceCurve::of_table(&Table::parse(name, &text).unwrap(), name, Some(size)).unwrap()
    }

    fn field() -> Vec<RaceCurve> {
        // The big one leads between 20 and 100 hours.
        let bump = |x: f64| 0.1 * (x / 20.0).ln() * (100.0 / x).ln();
        vec![
            race_curve("big", 2e6, move |x| 4.0 - 0.3 * x.ln() - bump(x).max(-0.5)),
            race_curve("small", 1e6, |x| 4.0 - 0.3 * x.ln()),
        ]
    }

    #[test]
    fn a_small_model_that_comes_back_is_seen_and_placed() {
        let race = race(field(), &config()).unwrap();
        let hours = &race.rounds[0];
        assert_eq!((hours.axis, hours.stage), (Axis::Hours, Stage::Raw));
        assert_eq!(hours.pairs[0].names, ("small".to_string(), "big".to_string()));
        let at: Vec<f64> = hours.pairs[0].crossings.iter().map(|crossing| crossing.at.estimate).collect();
        assert!((at[0] / 20.0 - 1.0).abs() < 0.05 && (at[1] / 100.0 - 1.0).abs() < 0.05, "{at:?}");
        let owners: Vec<&str> = hours.envelope.iter().map(|owner| owner.name.as_str()).collect();
        assert_eq!(owners, ["small", "big", "small"]);
        assert_eq!(race.answers[0].outcome, RaceOutcome::Again);
    }

    #[test]
    fn one_model_or_two_of_one_name_are_refused() {
        let mut field = field();
        field[0].name = "small".to_string();
        assert_eq!(race(field.clone(), &config()).unwrap_err().exit_code(), 2);
        assert!(race(field[..1].to_vec(), &config()).unwrap_err().to_string().contains("at least two"));
    }
}
