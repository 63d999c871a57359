//! `L(N, D)` of files and runs: Chinchilla's three approaches side by side, what they advise for a budget, and what
//! they are worth.

use serde::Serialize;

use super::super::number;
use super::measured::Measured;
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Fitted, Interval};
use crate::laws::curves::{Axis, CrossingConfig, Curve, MIN_POINTS, Smoothing, Stage, crossings};
use crate::laws::scaling::{
    Annealing, BESIROGLU, DRAWN, FitConfig, FitMethod, Frontier, HOFFMANN, HeldOut, ParametricFit,
    ParametricLaw, Point, Profile, fit, frontier_of_envelope, frontier_of_profiles, predict_held_out,
};
use crate::laws::table::{Demand, Table};

/// What a scaling law is fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingData {
    /// Losses with the FLOPs that they took.
    pub points: Vec<Measurement>,
    /// Losses along FLOPs by parameters, for approach 1.
    pub runs: Vec<(f64, Curve)>,
    /// Which points were taken, in a sentence.
    pub note: String,
}

/// A point and its exact FLOPs (`6 N D` where nothing else is known).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measurement {
    /// Parameters, tokens, loss, decay.
    #[serde(flatten)]
    pub point: Point,
    /// FLOPs of training.
    pub flops: f64,
}

/// How a scaling law is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalingConfig {
    /// Whether the law has a term for the decay of the learning rate.
    pub annealing: Annealing,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// The budget that is split, in FLOPs; ten times the largest measured one if not given.
    pub budget: Option<f64>,
    /// Points of this many FLOPs (`6 N D`) and more are held out and predicted.
    pub held_out: Option<f64>,
}

/// Scaling laws of one set of points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scaling {
    /// How many points, of which kind.
    pub note: String,
    /// The budget that is split.
    pub budget: f64,
    /// Approaches 1, 2 and 3 (twice), and the published laws.
    pub approaches: Vec<Approach>,
    /// Reasons not to believe the constants of approach 3.
    pub doubts: Vec<String>,
    /// Larger budgets, predicted from smaller ones.
    pub held_out: Option<Unseen>,
    /// What the term for the decay of the learning rate says about crossings, if it is fitted.
    pub annealing: Option<Recrossing>,
    /// The iso-FLOP profiles, for a figure.
    #[serde(skip)]
    pub profiles: Vec<Profile>,
}

/// What one approach found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approach {
    /// Its name, and how it counts FLOPs: exactly, or as `6 N D`.
    pub name: String,
    /// Why it gives no answer; the rest is empty then.
    pub refused: Option<String>,
    /// `a` of `N ~ C^a`.
    pub exponent: Option<Interval>,
    /// The best number of parameters for the budget.
    pub params: Option<Interval>,
    /// The best number of tokens for the budget; none where FLOPs are exact ones, which do not give tokens.
    pub tokens: Option<Interval>,
    /// The constants, by name.
    pub constants: Vec<(String, Interval)>,
    /// Root mean square of log losses, predicted less measured.
    pub log_error: Option<f64>,
}

/// Points that the fit has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unseen {
    /// From these FLOPs on.
    pub flops: f64,
    /// How many.
    pub points: usize,
    /// Mean of `|predicted - measured| / measured`.
    pub mean_relative_error: f64,
    /// How many lie within the interval of the law.
    pub within: usize,
}

/// Crossings of the fitted law with and without its annealing term, along `6 N D`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recrossing {
    /// `c`, in nats for a full decay.
    pub c: Interval,
    /// Pairs of sizes.
    pub pairs: usize,
    /// Crossings of the law at the measured decays.
    pub with: usize,
    /// Crossings of the same law, undecayed.
    pub without: usize,
}

/// Lines of a run that are taken when decay is fitted.
const THINNED: usize = 24;

/// Budgets within this share of each other are one.
const SAME_BUDGET: f64 = 0.05;

/// From this decay on, ends count as annealed.
const ANNEALED: f64 = 0.75;

impl ScalingData {
    /// From a table with `params`, `tokens` (or `flops`), `loss` (or `final_loss`) and, if known, `decay`.
    ///
    /// # Errors
    /// A column is missing or there twice, or a number is not positive.
    pub fn of_table(table: &Table) -> Result<Self> {
        let params = table.need(&["params"])?;
        let (tokens, flops) = (table.find(&["tokens"])?, table.find(&["flops"])?);
        if tokens.or(flops).is_none() {
            return Err(table.missing("tokens or flops"));
        }
        let loss = table.find(&["loss"])?.or(table.find(&["final_loss"])?);
        let loss = loss.ok_or_else(|| table.missing("loss"))?;
        let positive = [Some(params), Some(loss), tokens, flops].into_iter().flatten();
        let mut columns: Vec<_> = positive.map(|column| (column, Demand::Positive)).collect();
        let decay = table.find(&["decay"])?;
        columns.extend(decay.map(|column| (column, Demand::Finite)));
        let (measured, empty) = table.measured(&[params, loss]);
        let point = |row: Vec<f64>| {
            let (params, loss, mut rest) = (row[0], row[1], row[2..].iter().copied());
            let mut next = |column: Option<usize>| column.and_then(|_| rest.next());
            let (tokens, flops, decay) = (next(tokens), next(flops), next(decay));
            let tokens = tokens.unwrap_or_else(|| flops.unwrap_or(f64::NAN) / (6.0 * params));
            let point = Point { params, tokens, loss, decay: decay.unwrap_or(0.0) };
            Measurement { point, flops: flops.unwrap_or(point.flops()) }
        };
        let points: Vec<Measurement> = measured.numbers(&columns)?.into_iter().map(point).collect();
        let runs = curves(&points);
        let left_out = match empty {
            0 => String::new(),
            empty => format!(" ({} without size and loss left out)", number::plural(empty, "row")),
        };
        let note = format!("{} points of {}{left_out}", points.len(), table.file);
        Ok(ScalingData { note, points, runs })
    }

    /// From finished runs: their ends, annealed ones if there are any; where decay is fitted, places all along them.
    pub fn of_runs(runs: &[Measured], annealing: Annealing) -> Self {
        let end = |run: &Measured| {
            let last = run.curve.last()?;
            Some(run.measurement(last, run.end_loss()))
        };
        let ends: Vec<Measurement> = runs.iter().filter_map(end).collect();
        let annealed: Vec<Measurement> =
            ends.iter().filter(|end| end.point.decay >= ANNEALED).copied().collect();
        let (points, note) = match annealing {
            Annealing::Fitted => {
                let points: Vec<Measurement> = runs.iter().flat_map(Measured::thinned).collect();
                let note = format!("{} places along {} runs, training losses", points.len(), runs.len());
                (points, note)
            }
            Annealing::Alike if annealed.is_empty() => {
                (ends, format!("ends of {} runs, none annealed", runs.len()))
            }
            Annealing::Alike => {
                let note = format!("{} annealed ends of {} runs", annealed.len(), runs.len());
                (annealed, note)
            }
        };
        let curve = |run: &Measured| {
            let points = run.trunk().into_iter().map(|line| (line.flops, line.loss)).collect::<Vec<_>>();
            let params = run.record.params.total as f64;
            Some((params, Curve::new(&run.label, Axis::Flops, Stage::Raw, points).ok()?))
        };
        ScalingData { points, runs: runs.iter().filter_map(curve).collect(), note }
    }
}

impl Measured {
    fn measurement(&self, line: &super::super::CurvePoint, loss: f64) -> Measurement {
        let params = self.record.params.total as f64;
        let point = Point { params, tokens: line.tokens as f64, loss, decay: self.decay(line) };
        Measurement { point, flops: line.flops }
    }

    /// Some of its lines after warm-up, evenly in `ln tokens`, each the mean of those around it.
    fn thinned(&self) -> Vec<Measurement> {
        let peak = self.record.plan.training.peak_lr;
        let warm = self.curve.iter().position(|line| line.lr >= 0.999 * peak).unwrap_or(0);
        let lines = &self.curve[warm..];
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Vec::new() };
        let (low, high) = ((first.tokens as f64).ln(), (last.tokens as f64).ln());
        let part = |line: &super::super::CurvePoint| {
            (((line.tokens as f64).ln() - low) / (high - low).max(1e-9) * THINNED as f64) as usize
        };
        let mean = |part: &[super::super::CurvePoint]| {
            let loss = part.iter().map(|line| line.loss).sum::<f64>() / part.len() as f64;
            self.measurement(&part[part.len() / 2], loss)
        };
        lines.chunk_by(|a, b| part(a) == part(b)).map(mean).collect()
    }
}

/// Losses along `6 N D` of every size with enough points.
fn curves(points: &[Measurement]) -> Vec<(f64, Curve)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.point.params.total_cmp(&b.point.params).then(a.flops.total_cmp(&b.flops)));
    let curve = |group: &[Measurement]| {
        let params = group[0].point.params;
        let places = group.iter().map(|m| (m.flops, m.point.loss)).collect::<Vec<_>>();
        Some((params, Curve::new(&format!("{params:.3e}"), Axis::Flops, Stage::Raw, places).ok()?))
    };
    sorted.chunk_by(|a, b| a.point.params == b.point.params).filter_map(curve).collect()
}

/// Sizes at like budgets, at least four of them, seeds averaged.
fn profiles(points: &[Measurement]) -> Vec<Profile> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    let budget = |group: &[Measurement]| {
        let mut sizes: Vec<Point> = group.iter().map(|m| m.point).collect();
        sizes.sort_by(|a, b| a.params.total_cmp(&b.params));
        let mean = |seeds: &[Point]| {
            let loss = seeds.iter().map(|seed| seed.loss).sum::<f64>() / seeds.len() as f64;
            Point { loss, ..seeds[0] }
        };
        let points: Vec<Point> = sizes.chunk_by(|a, b| a.params == b.params).map(mean).collect();
        let flops = group.iter().map(|m| m.flops).sum::<f64>() / group.len() as f64;
        (points.len() >= MIN_POINTS).then_some(Profile { flops, points })
    };
    let mut profiles = Vec::new();
    let mut rest = &sorted[..];
    while let Some(first) = rest.first() {
        let (group, others) =
            rest.split_at(rest.partition_point(|m| m.flops < first.flops * (1.0 + SAME_BUDGET)));
        profiles.extend(budget(group));
        rest = others;
    }
    profiles
}

/// Fits all that the points allow.
///
/// # Errors
/// No points, impossible ones, or a cut that leaves nothing to predict.
pub fn scaling(data: &ScalingData, config: &ScalingConfig) -> Result<Scaling> {
    let most = data.points.iter().map(|m| m.flops).fold(0.0, f64::max);
    let budget = config.budget.unwrap_or(10.0 * most);
    if !(budget > 0.0 && budget.is_finite()) {
        let problem = Problem::new(format!("a budget of {budget} FLOPs")).key("--budget");
        return Err(Error::config(problem.expected("a positive number")));
    }
    let points: Vec<Point> = data.points.iter().map(|m| m.point).collect();
    let profiles = profiles(&data.points);
    let counted = Counted::of(&data.points);
    let mut approaches = vec![
        of_frontier("1: envelope", counted, budget, envelope(&data.runs, &config.bootstrap)),
        of_frontier("2: iso-FLOP", counted, budget, frontier_of_profiles(&profiles, &config.bootstrap)),
    ];
    let (mut doubts, mut annealing, mut causes) = (Vec::new(), None, Vec::new());
    for (name, method) in
        [("3: Huber", FitMethod::Huber(1e-3)), ("3: projection", FitMethod::VariableProjection)]
    {
        let fit_config = FitConfig { method, annealing: config.annealing, bootstrap: config.bootstrap };
        let fitted = fit(&points, &fit_config);
        if let Ok(fitted) = &fitted {
            let say = |doubt: &crate::laws::scaling::Doubt| format!("{name}: {doubt}");
            doubts.extend(fitted.doubts.iter().map(say));
            if annealing.is_none() && config.annealing == Annealing::Fitted {
                annealing = Some(recrossing(&points, fitted)?);
            }
        }
        causes.extend(fitted.as_ref().err().cloned());
        approaches.push(of_fit(&Counted::SixNd.label(name), budget, fitted));
    }
    if approaches.iter().all(|approach| approach.refused.is_some()) {
        return Err(causes.into_iter().next().unwrap_or_else(|| Error::data(Problem::new("no points"))));
    }
    approaches.push(published(&Counted::SixNd.label("Hoffmann 2022"), budget, &HOFFMANN));
    approaches.push(published(&Counted::SixNd.label("Besiroglu 2024"), budget, &BESIROGLU));
    let held_out = match config.held_out {
        None => None,
        Some(flops) => {
            let fit_config = FitConfig {
                annealing: config.annealing,
                bootstrap: config.bootstrap,
                ..FitConfig::default()
            };
            Some(Unseen::of(flops, &predict_held_out(&points, flops, &fit_config)?))
        }
    };
    let mut note = data.note.clone();
    if points.len() > DRAWN {
        note.push_str(&format!("; intervals of approach 3 from {DRAWN} of them at a time"));
    }
    Ok(Scaling { note, budget, approaches, doubts, held_out, annealing, profiles })
}

/// How the FLOPs of points are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Exactly,
    SixNd,
}

impl Counted {
    /// `6 N D` only where all points are.
    fn of(points: &[Measurement]) -> Self {
        let is_six_nd = |m: &Measurement| (m.flops / m.point.flops() - 1.0).abs() < 1e-6;
        if points.iter().all(is_six_nd) { Counted::SixNd } else { Counted::Exactly }
    }

    fn label(self, name: &str) -> String {
        match self {
            Counted::Exactly => format!("{name} (exact FLOPs)"),
            Counted::SixNd => format!("{name} (6ND)"),
        }
    }
}

/// Approach 1, if there are curves enough.
fn envelope(runs: &[(f64, Curve)], bootstrap: &Bootstrap) -> Result<Fitted<Frontier>> {
    if runs.is_empty() {
        let problem = Problem::new("no curve of any size");
        return Err(Error::data(problem.expected(format!("curves of {MIN_POINTS} points and more"))));
    }
    frontier_of_envelope(runs, Smoothing::default(), bootstrap)
}

impl Approach {
    fn refused(name: &str, error: &Error) -> Self {
        let why = error.problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
        Approach { refused: Some(why), ..Approach::empty(name) }
    }

    fn empty(name: &str) -> Self {
        Approach {
            name: name.to_string(),
            refused: None,
            exponent: None,
            params: None,
            tokens: None,
            constants: Vec::new(),
            log_error: None,
        }
    }
}

fn of_frontier(name: &str, counted: Counted, budget: f64, found: Result<Fitted<Frontier>>) -> Approach {
    let name = &counted.label(name);
    let tokens = |frontier: &Frontier| frontier.optimum(budget).tokens;
    match found {
        Err(error) => Approach::refused(name, &error),
        Ok(found) => Approach {
            exponent: Some(found.interval(|frontier| frontier.exponent)),
            params: Some(found.interval(|frontier| frontier.optimum(budget).params)),
            tokens: (counted == Counted::SixNd).then(|| found.interval(tokens)),
            ..Approach::empty(name)
        },
    }
}

fn of_fit(name: &str, budget: f64, found: Result<ParametricFit>) -> Approach {
    match found {
        Err(error) => Approach::refused(name, &error),
        Ok(found) => Approach {
            exponent: Some(found.fitted.interval(ParametricLaw::size_exponent)),
            params: Some(found.fitted.interval(|law| law.optimum(budget).params)),
            tokens: Some(found.fitted.interval(|law| law.optimum(budget).tokens)),
            constants: found.constants.iter().map(|(name, at)| (name.to_string(), *at)).collect(),
            log_error: Some(found.log_error),
            ..Approach::empty(name)
        },
    }
}

fn published(name: &str, budget: f64, law: &ParametricLaw) -> Approach {
    let known = |estimate: f64| Interval { estimate, low: estimate, high: estimate };
    let best = law.optimum(budget);
    let constants = [("E", law.floor), ("A", law.a), ("B", law.b), ("alpha", law.alpha), ("beta", law.beta)];
    Approach {
        exponent: Some(known(law.size_exponent())),
        params: Some(known(best.params)),
        tokens: Some(known(best.tokens)),
        constants: constants.map(|(name, value)| (name.to_string(), known(value))).to_vec(),
        ..Approach::empty(name)
    }
}

impl Unseen {
    fn of(flops: f64, held_out: &HeldOut) -> Self {
        let within = held_out.predictions.iter().filter(|p| p.loss.contains(p.point.loss)).count();
        Unseen {
            flops,
            points: held_out.predictions.len(),
            mean_relative_error: held_out.mean_relative_error,
            within,
        }
    }
}

/// Compares the law at the measured decays with the same law undecayed, pair by pair of sizes.
fn recrossing(points: &[Point], fitted: &ParametricFit) -> Result<Recrossing> {
    let law = fitted.fitted.law;
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.tokens.total_cmp(&b.tokens)));
    let groups = sorted.chunk_by(|a, b| a.params == b.params).filter(|group| group.len() >= MIN_POINTS);
    let groups: Vec<&[Point]> = groups.collect();
    let curve = |group: &[Point], decayed: bool| {
        let point =
            |p: &Point| (p.flops(), law.loss_at(&Point { decay: if decayed { p.decay } else { 0.0 }, ..*p }));
        Curve::new("law", Axis::SixNd, Stage::Raw, group.iter().map(point).collect::<Vec<_>>())
    };
    let config = CrossingConfig { smoothing: Smoothing::Interpolate, ..CrossingConfig::default() };
    let (mut pairs, mut with, mut without) = (0, 0, 0);
    for (index, big) in groups.iter().enumerate() {
        for small in &groups[..index] {
            let count = |decayed: bool| -> Option<usize> {
                let (a, b) = (curve(small, decayed).ok()?, curve(big, decayed).ok()?);
                crossings(&a, &b, &config).ok().map(|found| found.crossings.len())
            };
            if let (Some(decayed), Some(level)) = (count(true), count(false)) {
                (pairs, with, without) = (pairs + 1, with + decayed, without + level);
            }
        }
    }
    Ok(Recrossing { c: fitted.fitted.interval(|law| law.annealing), pairs, with, without })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten sizes at five budgets, on a known law, as a table.
    fn table() -> Table {
        let mut text = "params,tokens,loss\n".to_string();
        for (budget, size) in (0..5).flat_map(|b| (-4..=4).map(move |s| (b, s))) {
            let flops = 1e18 * 10f64.powi(budget);
            let params = BESIROGLU.optimum(flops).params * 1.5f64.powi(size);
            let tokens = flops / 6.0 / params;
            let wobble = 1.0 + 1e-4 * f64::from((budget * 7 + size * 3) % 5 - 2);
            text.push_str(&format!("{params},{tokens},{}\n", BESIROGLU.loss(params, tokens) * wobble));
        }
        Table::parse("points.csv", &text).unwrap()
    }

    fn config() -> ScalingConfig {
        let bootstrap = Bootstrap { replicates: 60, ..Bootstrap::default() };
        ScalingConfig { annealing: Annealing::Alike, bootstrap, budget: Some(1e24), held_out: Some(1e21) }
    }

    #[test]
    fn known_constants_are_found_again_and_larger_budgets_predicted() {
        let found = scaling(&ScalingData::of_table(&table()).unwrap(), &config()).unwrap();
        let truth = BESIROGLU.optimum(1e24).params;
        for approach in found.approaches.iter().filter(|approach| approach.name.starts_with(['2', '3'])) {
            let params = approach.params.unwrap();
            assert!((params.estimate / truth - 1.0).abs() < 0.2, "{approach:?}");
        }
        let iso_flop = &found.approaches[1];
        assert!(iso_flop.name == "2: iso-FLOP (6ND)" && iso_flop.tokens.is_some(), "{iso_flop:?}");
        let alpha = found.approaches[2].constants[3].1;
        assert!(
            alpha.contains(BESIROGLU.alpha) || (alpha.estimate - BESIROGLU.alpha).abs() < 0.01,
            "{alpha}"
        );
        assert!(found.held_out.unwrap().mean_relative_error < 2e-3);
        assert_eq!(found.profiles.len(), 5);
    }

    #[test]
    fn exact_flops_are_said_to_be_and_give_no_tokens() {
        let mut data = ScalingData::of_table(&table()).unwrap();
        data.points.iter_mut().for_each(|m| m.flops *= 1.2);
        let found = scaling(&data, &ScalingConfig { held_out: None, ..config() }).unwrap();
        let names: Vec<&str> = found.approaches.iter().map(|approach| approach.name.as_str()).collect();
        assert_eq!(names[1..3], ["2: iso-FLOP (exact FLOPs)", "3: Huber (6ND)"]);
        assert!(found.approaches[1].params.is_some() && found.approaches[1].tokens.is_none());
        assert!(found.approaches[2].tokens.is_some());
    }

    #[test]
    fn what_the_points_cannot_tell_is_said_and_does_not_hide_the_rest() {
        let found = scaling(&ScalingData::of_table(&table()).unwrap(), &config()).unwrap();
        let envelope = found.approaches[0].refused.as_ref().unwrap();
        assert!(envelope.starts_with("no curve of any size, expected curves of"), "{envelope}");
        let few = Table::parse("few.csv", "params,tokens,loss\n1e6,1e8,3\n2e6,1e8,2.9\n").unwrap();
        let error = scaling(&ScalingData::of_table(&few).unwrap(), &config()).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        let negative = Table::parse("bad.csv", "params,tokens,loss\n1e6,1e8,-3\n").unwrap();
        assert!(
            ScalingData::of_table(&negative)
                .unwrap_err()
                .to_string()
                .starts_with("bad.csv:2:9: loss is \"-3\"")
        );
    }
}
