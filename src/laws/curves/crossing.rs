//! `d(x) = s_1(x) - s_2(x)`: where one curve gets below another, on an axis that is stated.
//!
//! Differences below the resolution decide nothing. A stretch of them between a lead of one and a lead of the
//! other is a crossing; a stretch between two leads of the same curve, or at an end of the overlap, is a
//! touch and settles nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::smooth::Smoothed;
use super::stretches::{Change, Stretches};
use super::{Axis, Curve, Smoothing, Stage};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::{Bootstrap, Interval, short};

/// The config of the search for crossings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrossingConfig {
    /// The smoothing of curves.
    pub smoothing: Smoothing,
    /// Differences below this many nats decide nothing.
    pub resolution: f64,
    /// The config of bootstrap intervals.
    pub bootstrap: Bootstrap,
}

impl Default for CrossingConfig {
    fn default() -> Self {
        CrossingConfig { smoothing: Smoothing::default(), resolution: 1e-3, bootstrap: Bootstrap::default() }
    }
}

/// The side of a pair: one of two curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

/// A place where the lead changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Crossing {
    /// Where. Of smoothed curves the interval is that of the noise; of interpolated ones it reaches to the
    /// nearest measured points on both sides.
    pub at: Interval,
    /// The curve that has the lower loss from there on.
    pub ahead: Side,
    /// Share of the bootstrap's replicates in which the same curve overtakes between the crossings before and
    /// after this one (the interval is open where too many do not); none for interpolated curves.
    pub support: Option<f64>,
}

/// A stretch where the curves are too close to tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Touch {
    /// First place.
    pub from: f64,
    /// Last place.
    pub to: f64,
    /// Largest difference within, in nats; below the resolution.
    pub difference: f64,
}

/// A stretch where one curve is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lead {
    /// The curve that is ahead.
    pub side: Side,
    /// First place.
    pub from: f64,
    /// Last place.
    pub to: f64,
    /// Largest lead within, in nats.
    pub most: f64,
}

/// How two curves lie to each other wherever both were measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Crossings {
    /// Names of the first and the second curve.
    pub names: (String, String),
    /// The axis that `x` is along.
    pub axis: Axis,
    /// Raw or annealed losses.
    pub stage: Stage,
    /// First and last `x` of both.
    pub overlap: (f64, f64),
    /// Changes of the lead, in order.
    pub crossings: Vec<Crossing>,
    /// Stretches that settle nothing, in order.
    pub touches: Vec<Touch>,
    /// Stretches with a leader, in order.
    pub leads: Vec<Lead>,
    /// The config that the crossings were found with.
    pub config: CrossingConfig,
}

/// Places at which curves are compared, evenly in `ln x`.
const PLACES: usize = 400;

/// Compares two curves of the same axis and stage.
///
/// # Errors
/// Different axes or stages, or no overlap.
pub fn crossings(first: &Curve, second: &Curve, config: &CrossingConfig) -> Result<Crossings> {
    let overlap = overlap(first, second)?;
    let places = places(overlap, PLACES);
    let smooth = |curve| Smoothed::new(curve, &places, config.smoothing);
    let (a, b) = (smooth(first), smooth(second));
    let look = |a: &[f64], b: &[f64]| Stretches::of(&places, a, b, config.resolution);
    let found = look(&a.loss, &b.loss);
    let redrawn = match config.smoothing {
        Smoothing::Interpolate => Vec::new(),
        Smoothing::Kernel(_) => {
            config.bootstrap.run(|draws| look(&a.redraw(draws), &b.redraw(draws)).changes)
        }
    };
    let crossing = |index: usize| match config.smoothing {
        Smoothing::Interpolate => {
            let Change { at, ahead } = found.changes[index];
            Crossing { at: bracket(first, second, at), ahead, support: None }
        }
        Smoothing::Kernel(_) => with_interval(&found.changes, index, &redrawn, &config.bootstrap),
    };
    Ok(Crossings {
        names: (first.name.clone(), second.name.clone()),
        axis: first.axis,
        stage: first.stage,
        overlap,
        crossings: (0..found.changes.len()).map(crossing).collect(),
        touches: found.touches,
        leads: found.leads,
        config: *config,
    })
}

fn overlap(first: &Curve, second: &Curve) -> Result<(f64, f64)> {
    let pair = format!("{:?} and {:?}", first.name, second.name);
    if (first.axis, first.stage) != (second.axis, second.stage) {
        let kinds = format!("{} {} and {} {}", first.stage, first.axis, second.stage, second.axis);
        let problem = Problem::new(format!("{pair} are along {kinds}")).expected("the same axis and stage");
        return Err(Error::config(problem));
    }
    let (low, high) = (first.x[0].max(second.x[0]), first.range().1.min(second.range().1));
    if low >= high {
        let problem = Problem::new(format!("{pair} have no {} in common", first.axis));
        return Err(Error::data(problem.expected("curves that overlap")));
    }
    Ok((low, high))
}

/// `n` places from end to end, evenly in `ln x`, as `ln x`.
pub(super) fn places((low, high): (f64, f64), n: usize) -> Vec<f64> {
    let (low, high) = (low.ln(), high.ln());
    (0..n).map(|k| low + (high - low) * k as f64 / (n - 1) as f64).collect()
}

/// The stretch between the measured points next to `at`, of both curves.
fn bracket(first: &Curve, second: &Curve, at: f64) -> Interval {
    let x = || first.x.iter().chain(&second.x).copied();
    let low = x().filter(|&x| x <= at).fold(f64::NEG_INFINITY, f64::max);
    let high = x().filter(|&x| x >= at).fold(f64::INFINITY, f64::min);
    Interval { estimate: at, low, high }
}

/// One of `changes` with its place in the replicates: what these have beyond its neighbours is another crossing.
fn with_interval(
    changes: &[Change],
    index: usize,
    redrawn: &[Vec<Change>],
    bootstrap: &Bootstrap,
) -> Crossing {
    let change = changes[index];
    let low = index.checked_sub(1).map_or(0.0, |before| changes[before].at);
    let high = changes.get(index + 1).map_or(f64::INFINITY, |after| after.at);
    let distance = |other: &&Change| (other.at / change.at).ln().abs();
    let nearest = |replicate: &Vec<Change>| {
        let own = |other: &&Change| other.ahead == change.ahead && low < other.at && other.at < high;
        let alike = replicate.iter().filter(own);
        alike.min_by(|a, b| distance(a).total_cmp(&distance(b))).map_or(f64::NAN, |other| other.at)
    };
    let places: Vec<f64> = redrawn.iter().map(nearest).collect();
    let support = places.iter().filter(|place| !place.is_nan()).count() as f64 / places.len().max(1) as f64;
    Crossing { at: bootstrap.interval(change.at, places), ahead: change.ahead, support: Some(support) }
}

impl Crossings {
    /// The name of the curve on a side.
    pub fn name(&self, side: Side) -> &str {
        match side {
            Side::First => &self.names.0,
            Side::Second => &self.names.1,
        }
    }
}

impl fmt::Display for Crossings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.overlap;
        let (a, b) = &self.names;
        write!(f, "{a} and {b} ({}, {} to {} {}): ", self.stage, short(low), short(high), self.axis)?;
        let crossing = |Crossing { at, ahead, support }: &Crossing| {
            let support =
                support.map_or(String::new(), |s| format!(" (in {:.0} % of replicates)", 100.0 * s));
            format!("{} overtakes at {at}{support}", self.name(*ahead))
        };
        let touch = |Touch { from, to, difference }: &Touch| {
            format!("unresolved from {} to {}, at most {difference:.4} nats apart", short(*from), short(*to))
        };
        let none = self.crossings.is_empty().then(|| "no crossing".to_string());
        let found = self.crossings.iter().map(crossing).chain(none).chain(self.touches.iter().map(touch));
        f.write_str(&found.collect::<Vec<String>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;

    fn curve(name: &str, noise: f64, seed: u64, loss: impl Fn(f64) -> f64) -> Curve {
        let mut draws = Draws::for_test(seed);
        let points = (1..=1000).map(|k| k as f64).map(|x| (x, loss(x) + noise * draws.normal()));
        Curve::new(name, Axis::Flops, Stage::Raw, points.collect::<Vec<_>>()).unwrap()
    }

    /// Lines in `ln x` that cross at `x = 100`.
    fn pair(noise: f64, seed: u64) -> (Curve, Curve) {
        let a = curve("a", noise, seed, |x| 5.0 - 0.2 * (x / 100.0).ln());
        (a, curve("b", noise, seed + 1000, |x| 5.0 - 0.3 * (x / 100.0).ln()))
    }

    #[test]
    fn a_known_crossing_is_found_exactly_without_noise() {
        let (a, b) = pair(0.0, 0);
        for smoothing in [Smoothing::Kernel(0.05), Smoothing::Interpolate] {
            let found = crossings(&a, &b, &CrossingConfig { smoothing, ..Default::default() }).unwrap();
            assert_eq!(found.crossings.len(), 1, "{found}");
            assert!((found.crossings[0].at.estimate - 100.0).abs() < 0.1, "{found}");
            assert_eq!(found.crossings[0].ahead, Side::Second);
            assert_eq!((found.leads[0].side, found.leads[1].side), (Side::First, Side::Second));
            assert!(found.touches.is_empty(), "{found}");
        }
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let bootstrap = Bootstrap { replicates: 200, ..Bootstrap::default() };
        let config = CrossingConfig { smoothing: Smoothing::Kernel(0.2), bootstrap, ..Default::default() };
        let held = (0..60).filter(|&seed| {
            let (a, b) = pair(0.05, seed);
            let found = crossings(&a, &b, &config).unwrap();
            let nearest = |c: &&Crossing| (c.at.estimate - 100.0).abs();
            let best = found.crossings.iter().min_by(|a, b| nearest(a).total_cmp(&nearest(b)));
            best.is_some_and(|crossing| crossing.at.contains(100.0))
        });
        let held = held.count();
        // 95 % of 60 is 57; fewer than 48 has a chance below one in a thousand.
        assert!(held >= 48, "{held} of 60");
    }

    #[test]
    fn a_crossing_has_no_support_from_another_of_the_same_direction() {
        let change = |at, ahead| Change { at, ahead };
        let changes = [change(10.0, Side::Second), change(20.0, Side::First), change(30.0, Side::Second)];
        let redrawn = vec![vec![change(11.0, Side::Second)]; 50];
        let bootstrap = Bootstrap { replicates: 50, ..Bootstrap::default() };
        let of = |index| with_interval(&changes, index, &redrawn, &bootstrap);
        assert_eq!((of(0).support, of(0).at.low, of(0).at.high), (Some(1.0), 11.0, 11.0));
        assert_eq!((of(1).support, of(2).support), (Some(0.0), Some(0.0)));
        assert!(!of(2).at.is_bounded(), "{}", of(2).at);
    }

    #[test]
    fn what_only_touches_is_listed_and_is_no_crossing() {
        let a = curve("a", 0.0, 0, |_| 3.0);
        let b = curve("b", 0.0, 0, |x| 3.0004 - 0.01 * (x / 30.0).ln().powi(2));
        let b_turned = curve("b", 0.0, 0, |x| 2.9996 + 0.01 * (x / 30.0).ln().powi(2));
        for b in [b, b_turned] {
            let found = crossings(&a, &b, &CrossingConfig::default()).unwrap();
            assert!(found.crossings.is_empty(), "{found}");
            assert_eq!(found.touches.len(), 1);
            assert!(
                found.touches[0].from < 30.0
                    && 30.0 < found.touches[0].to
                    && found.touches[0].difference < 1e-3
            );
        }
    }

    #[test]
    fn annealed_points_cross_between_their_neighbours() {
        let annealed = |name, losses: [f64; 4]| {
            Curve::new(name, Axis::Hours, Stage::Annealed, [1.0, 2.0, 4.0, 8.0].into_iter().zip(losses))
                .unwrap()
        };
        let (a, b) = (annealed("a", [3.0, 2.8, 2.6, 2.5]), annealed("b", [3.2, 2.9, 2.5, 2.3]));
        let config = CrossingConfig { smoothing: Smoothing::Interpolate, ..Default::default() };
        let found = crossings(&a, &b, &config).unwrap();
        // Differences -0.1 and +0.1: half-way in ln x between 2 and 4.
        let at = found.crossings[0].at;
        assert!((at.estimate - 8.0_f64.sqrt()).abs() < 0.02 && (at.low, at.high) == (2.0, 4.0), "{found}");
        let raw = Curve { stage: Stage::Raw, ..a.clone() };
        assert!(crossings(&raw, &b, &config).unwrap_err().to_string().contains("the same axis and stage"));
    }

    #[test]
    fn curves_that_never_meet_are_refused() {
        let line = |from: f64| {
            Curve::new("c", Axis::Hours, Stage::Raw, (0..5).map(|k| (from + k as f64, 2.0))).unwrap()
        };
        assert!(crossings(&line(1.0), &line(50.0), &CrossingConfig::default()).is_err());
    }
}
