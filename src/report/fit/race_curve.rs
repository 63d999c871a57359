//! One model in a race: its losses along every axis that is known, raw and annealed points apart.

use super::super::evidence::CurvePoint;
use super::super::number;
use super::known::Size;
use super::measured::Measured;
use crate::error::{Error, Kind, Problem, Result};
use crate::laws::curves::{Axis, Curve, MIN_POINTS, Records, Rows, Stage, Throughput};
use crate::laws::table::Table;
use crate::statistics::median;

/// All axes, in the order in which they are shown.
pub const AXES: [Axis; 4] = [Axis::Hours, Axis::Flops, Axis::SixNd, Axis::Tokens];

/// From this decay of the learning rate on, the end of a run counts as annealed.
const ANNEALED: f64 = 0.75;

/// One model in a race.
#[derive(Debug, Clone, PartialEq)]
pub struct RaceCurve {
    /// Its name.
    pub name: String,
    /// Parameters, if known: who is small and who is big.
    pub params: Option<f64>,
    /// The schedule that its runs share; only runs of one schedule race. Empty for files.
    pub schedule: String,
    /// What turns its hours into tokens, if known.
    pub throughput: Option<Throughput>,
    /// What a reader must know, a sentence each.
    pub notes: Vec<String>,
    curves: Vec<Curve>,
}

impl RaceCurve {
    /// Of a table: `name` is that of the model, `size` what is known of it.
    ///
    /// Rows that go back are sorted, and it is noted: points read off a figure come in the order of its path.
    ///
    /// # Errors
    /// Everything that is wrong with the table.
    pub fn of_table(table: &Table, name: &str, size: Option<Size>) -> Result<Self> {
        let file = &table.file;
        let (records, notes) = match Records::of(table, Rows::InOrder) {
            Ok(records) => (records, Vec::new()),
            Err(error) => match Records::of(table, Rows::AnyOrder) {
                Ok(records) => (records, vec![format!("Rows of {file} go back and were sorted.")]),
                Err(_) => return Err(error),
            },
        };
        let throughput = size
            .as_ref()
            .and_then(|size| size.tokens_per_second.map(|speed| Throughput::of_params(size.params, speed)));
        let mut race_curve = RaceCurve {
            name: name.to_string(),
            params: size.map(|size| size.params),
            schedule: String::new(),
            throughput,
            notes,
            curves: Vec::new(),
        };
        for stage in [Stage::Raw, Stage::Annealed].into_iter().filter(|stage| records.has(*stage)) {
            for axis in AXES {
                race_curve.curves.extend(curve(&records, name, axis, stage, throughput.as_ref())?);
            }
        }
        Ok(race_curve)
    }

    /// Of the runs of one model under one schedule: raw losses of the longest of them, and the annealed ends of all.
    /// Runs of one length are seeds, whose mean counts.
    pub fn of_runs(name: &str, schedule: &str, runs: &[&Measured]) -> Self {
        let params = runs.first().map(|run| run.record.params.total as f64);
        let mut race_curve = RaceCurve {
            name: name.to_string(),
            params,
            schedule: schedule.to_string(),
            throughput: None,
            notes: Vec::new(),
            curves: Vec::new(),
        };
        let groups = by_length(runs);
        let pace = pace(runs);
        for axis in AXES {
            let place = |run: &Measured, point: &CurvePoint| run.place(point, axis, pace);
            let raw = groups.last().map(|seeds| mean_lines(seeds, place)).unwrap_or_default();
            race_curve.curves.extend(Curve::new(name, axis, Stage::Raw, raw));
            let ends: Vec<(f64, f64)> = groups.iter().filter_map(|seeds| mean_end(seeds, place)).collect();
            race_curve.curves.extend(Curve::new(name, axis, Stage::Annealed, ends));
        }
        let tokens = |run: &Measured, point: &CurvePoint| run.place(point, Axis::Tokens, pace);
        let ends = groups.iter().filter(|seeds| mean_end(seeds, tokens).is_some()).count();
        if (1..MIN_POINTS).contains(&ends) {
            let ends = number::plural(ends, "annealed end");
            race_curve
                .notes
                .push(format!("{name} has {ends} under {schedule}, too few for a curve of {MIN_POINTS}."));
        }
        race_curve
    }

    /// Its losses along an axis at a stage, if they are known.
    pub fn curve(&self, axis: Axis, stage: Stage) -> Option<&Curve> {
        self.curves.iter().find(|curve| (curve.axis, curve.stage) == (axis, stage))
    }
}

/// A curve of a file, along an axis that it has or that another can be turned into.
fn curve(
    records: &Records,
    name: &str,
    axis: Axis,
    stage: Stage,
    throughput: Option<&Throughput>,
) -> Result<Option<Curve>> {
    if records.axes().contains(&axis) {
        return records.curve(name, axis, stage).map(Some);
    }
    // 6 N D is all that is known of the FLOPs of somebody else's model.
    match (axis, throughput, records.axes().iter().find(|other| matches!(other, Axis::Hours | Axis::Tokens)))
    {
        (Axis::Flops, ..) | (_, None, _) | (_, _, None) => Ok(None),
        (_, Some(throughput), Some(&other)) => {
            Ok(Some(records.curve(name, other, stage)?.on(axis, throughput)))
        }
    }
}

/// Runs of equal length together, short ones first.
fn by_length<'a>(runs: &[&'a Measured]) -> Vec<Vec<&'a Measured>> {
    let mut sorted = runs.to_vec();
    sorted.sort_by_key(|run| run.record.training.tokens);
    sorted.chunk_by(|a, b| a.record.training.tokens == b.record.training.tokens).map(<[_]>::to_vec).collect()
}

/// Seconds a token: the median over all lines of the metrics of all runs of a model. What else a machine had to do while
/// one of them ran would otherwise move its curve along the axis of time.
fn pace(runs: &[&Measured]) -> f64 {
    let of_pair = |pair: &[CurvePoint]| {
        let tokens = pair[1].tokens.checked_sub(pair[0].tokens).filter(|tokens| *tokens > 0)?;
        Some((pair[1].seconds - pair[0].seconds) / tokens as f64)
    };
    let paces: Vec<f64> = runs.iter().flat_map(|run| run.curve.windows(2).filter_map(of_pair)).collect();
    median(&paces).unwrap_or(0.0)
}

/// Lines of metrics, their places and losses averaged over seeds.
fn mean_lines(seeds: &[&Measured], place: impl Fn(&Measured, &CurvePoint) -> f64) -> Vec<(f64, f64)> {
    let lines = seeds.iter().map(|run| run.curve.len()).min().unwrap_or(0);
    let mean =
        |of: &dyn Fn(&Measured) -> f64| seeds.iter().map(|run| of(run)).sum::<f64>() / seeds.len() as f64;
    (0..lines).map(|k| (mean(&|run| place(run, &run.curve[k])), mean(&|run| run.curve[k].loss))).collect()
}

/// The end of runs whose learning rate has decayed.
fn mean_end(seeds: &[&Measured], place: impl Fn(&Measured, &CurvePoint) -> f64) -> Option<(f64, f64)> {
    let of: Option<Vec<(f64, f64)>> = seeds
        .iter()
        .map(|run| {
            let last = run.curve.last()?;
            (run.decay(last) >= ANNEALED).then(|| (place(run, last), run.end_loss()))
        })
        .collect();
    let of = of.filter(|of| !of.is_empty())?;
    let n = of.len() as f64;
    Some((of.iter().map(|end| end.0).sum::<f64>() / n, of.iter().map(|end| end.1).sum::<f64>() / n))
}

/// Names of files without what all of them begin with, up to a hyphen or an underscore.
pub fn labels(stems: &[String]) -> Vec<String> {
    let Some(first) = stems.first().filter(|_| stems.len() > 1) else { return stems.to_vec() };
    let shared = first.char_indices().filter(|(_, c)| matches!(c, '-' | '_')).map(|(at, _)| at + 1);
    let shared =
        shared.filter(|&end| stems.iter().all(|stem| stem.starts_with(&first[..end]) && stem.len() > end));
    let cut = shared.max().unwrap_or(0);
    stems.iter().map(|stem| stem[cut..].to_string()).collect()
}

/// Refuses what cannot race: fewer than two models, or two of one name.
///
/// # Errors
/// Names what is wrong.
pub fn check(race_curves: &[RaceCurve]) -> Result<()> {
    if race_curves.len() < 2 {
        let problem = Problem::new(format!("{} model in a race", race_curves.len())).expected("at least two");
        return Err(Error::new(Kind::Config, problem.help("name more files or runs")));
    }
    for (index, race_curve) in race_curves.iter().enumerate() {
        let twin =
            |other: &&RaceCurve| (&other.name, &other.schedule) == (&race_curve.name, &race_curve.schedule);
        if race_curves[..index].iter().any(|other| twin(&other)) {
            let problem = Problem::new(format!("two models are called {:?}", race_curve.name));
            return Err(Error::config(problem.help("rename one of the files")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::fake;
    use super::*;

    fn of(text: &str, size: Option<Size>) -> Result<RaceCurve> {
        RaceCurve::of_table(&Table::parse("s.csv", text)?, "s", size)
    }

    #[test]
    fn names_lose_what_all_of_them_begin_with() {
        let of = |names: &[&str]| labels(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(of(&["llama1-7B", "llama1-13B"]), ["7B", "13B"]);
        assert_eq!(of(&["a-b-1", "a-b-2"]), ["1", "2"]);
        assert_eq!(of(&["a-1", "b-1"]), ["a-1", "b-1"]);
        assert_eq!(of(&["a-", "a-1"]), ["a-", "a-1"]);
        assert_eq!(of(&["llama1-7B"]), ["llama1-7B"]);
    }

    #[test]
    fn a_run_that_was_slowed_down_for_a_while_keeps_its_place_in_time() {
        let runs: Vec<Measured> = fake::evidence().arms[0]
            .runs
            .iter()
            .map(|run| Measured {
                label: "gpt2".to_string(),
                record: run.record.clone(),
                curve: run
                    .curve
                    .iter()
                    .map(|p| CurvePoint { seconds: 1e-3 * p.tokens as f64, ..*p })
                    .collect(),
            })
            .collect();
        let mut slowed = runs.clone();
        let half = slowed[1].curve.len() / 2;
        slowed[1].curve[half..].iter_mut().for_each(|point| point.seconds += 500.0);
        let at = |runs: &[Measured]| {
            let race_curve = RaceCurve::of_runs("gpt2", "cosine", &runs.iter().collect::<Vec<_>>());
            race_curve.curve(Axis::Hours, Stage::Raw).unwrap().x().to_vec()
        };
        assert_eq!(at(&runs), at(&slowed));
        let last = runs[0].curve.last().unwrap().tokens as f64;
        assert!((at(&runs).last().unwrap() * 3600.0 / (1e-3 * last) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn too_few_annealed_ends_are_noted_with_their_schedule() {
        let run = &fake::evidence().arms[0].runs[0];
        let mut record = run.record.clone();
        record.plan.training.peak_lr = run.curve[0].lr;
        let mut curve = run.curve.clone();
        curve.last_mut().unwrap().lr = 0.0;
        let run = Measured { label: "gpt2".to_string(), record, curve };
        let race_curve = RaceCurve::of_runs("gpt2", "wsd-linear", &[&run]);
        assert_eq!(race_curve.notes, ["gpt2 has 1 annealed end under wsd-linear, too few for a curve of 4."]);
    }

    #[test]
    fn hours_become_tokens_and_6nd_but_never_exact_flops() {
        let size = Size { name: "s".into(), params: 1e6, tokens_per_second: Some(10.0) };
        let text = "hours,loss\n1,3\n2,2.5\n3,2.2\n4,2\n";
        let race_curve = of(text, Some(size)).unwrap();
        assert_eq!(race_curve.curve(Axis::Tokens, Stage::Raw).unwrap().x()[0], 36_000.0);
        assert!(
            (race_curve.curve(Axis::SixNd, Stage::Raw).unwrap().x()[0] / (6e6 * 36_000.0) - 1.0).abs()
                < 1e-12
        );
        assert!(race_curve.curve(Axis::Flops, Stage::Raw).is_none());
        assert!(race_curve.curve(Axis::Hours, Stage::Annealed).is_none());
    }

    #[test]
    fn rows_that_go_back_are_sorted_and_said_to_be() {
        let race_curve = of("tokens,loss\n1,3\n3,2.5\n2,2.7\n4,2\n", None).unwrap();
        assert_eq!(race_curve.notes, ["Rows of s.csv go back and were sorted."]);
        assert!(of("tokens,loss\n1,3\n3,-1\n2,2\n4,2\n", None).is_err());
    }
}
