//! `x = (ln E, ln A', ln B', alpha, beta, c)` and the way down: where approach 3 starts, what it minimises,
//! where it may go.

use super::parametric::{Annealing, FitConfig, FitMethod};
use super::{ParametricLaw, Point};
use crate::laws::least_squares::{Bound, Loss, condition_at, minimise_from};
use crate::laws::linear::regress;

/// Exponents that the search may reach.
const EXPONENTS: Bound = (0.01, 3.0);

/// Exponents that it starts from.
const START_EXPONENTS: [f64; 6] = [0.1, 0.25, 0.4, 0.6, 0.9, 1.5];

/// The best of the grid that are followed to their minimum.
const FOLLOWED: usize = 4;

/// This close to a bound is on it.
const AT_BOUND: f64 = 1e-9;

/// Index of `c`, whose bound at 0 is one of meaning and not of the search.
const DECAY: usize = 5;

/// The search in coordinates that move apart: `ln E, ln (A / N0^alpha), ln (B / D0^beta), alpha, beta (, c)`,
/// with `N0` and `D0` in the middle of the points.
pub(super) struct Search {
    config: FitConfig,
    params: f64,
    tokens: f64,
    bounds: Vec<Bound>,
}

impl Search {
    pub(super) fn new(points: &[Point], config: &FitConfig) -> Self {
        let middle = |of: fn(&Point) -> f64| {
            (points.iter().map(|point| of(point).ln()).sum::<f64>() / points.len() as f64).exp()
        };
        let lowest = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
        let mut bounds =
            vec![(lowest.ln() - 10.0, lowest.ln() + 1.0), (-30.0, 30.0), (-30.0, 30.0), EXPONENTS, EXPONENTS];
        match config.annealing {
            Annealing::Alike => {}
            Annealing::Fitted => bounds.push((0.0, lowest)),
        }
        Search { config: *config, params: middle(|p| p.params), tokens: middle(|p| p.tokens), bounds }
    }

    pub(super) fn encode(&self, law: &ParametricLaw) -> Vec<f64> {
        let a = law.a.ln() - law.alpha * self.params.ln();
        let b = law.b.ln() - law.beta * self.tokens.ln();
        let mut x = vec![law.floor.ln(), a, b, law.alpha, law.beta];
        match self.config.annealing {
            Annealing::Alike => {}
            Annealing::Fitted => x.push(law.annealing),
        }
        x
    }

    fn decode(&self, x: &[f64]) -> ParametricLaw {
        ParametricLaw {
            floor: x[0].exp(),
            a: (x[1] + x[3] * self.params.ln()).exp(),
            b: (x[2] + x[4] * self.tokens.ln()).exp(),
            alpha: x[3],
            beta: x[4],
            annealing: x.get(DECAY).copied().unwrap_or(0.0),
        }
    }

    /// The best law that can be reached.
    pub(super) fn solve(&self, points: &[Point], starts: &[Vec<f64>]) -> Option<ParametricLaw> {
        match self.config.method {
            FitMethod::Huber(delta) => {
                let minimum =
                    minimise_from(starts, &self.bounds, Loss::Huber(delta), self.log_errors(points))?;
                Some(self.decode(&minimum.x))
            }
            FitMethod::VariableProjection => {
                let starts: Vec<Vec<f64>> = starts.iter().map(|start| start[3..5].to_vec()).collect();
                let errors = |x: &[f64], out: &mut Vec<f64>| match self.project(points, x[0], x[1]) {
                    Some(law) => out.extend(points.iter().map(|point| law.loss_at(point) / point.loss - 1.0)),
                    None => out.push(f64::NAN),
                };
                let found = minimise_from(&starts, &[EXPONENTS; 2], Loss::Square, errors)?;
                self.project(points, found.x[0], found.x[1])
            }
        }
    }

    /// The condition number of all constants together.
    pub(super) fn condition(&self, points: &[Point], law: &ParametricLaw) -> f64 {
        let loss = match self.config.method {
            FitMethod::Huber(delta) => Loss::Huber(delta),
            FitMethod::VariableProjection => Loss::Square,
        };
        condition_at(&self.encode(law), loss, self.log_errors(points))
    }

    fn log_errors<'a>(&'a self, points: &'a [Point]) -> impl Fn(&[f64], &mut Vec<f64>) + 'a {
        let scale = |point: &Point| {
            let (n, d) = ((point.params / self.params).ln(), (point.tokens / self.tokens).ln());
            (n, d, point.decay, point.loss.ln())
        };
        let scaled: Vec<(f64, f64, f64, f64)> = points.iter().map(scale).collect();
        move |x, out| {
            let (floor, annealing) = (x[0].exp(), x.get(DECAY).copied().unwrap_or(0.0));
            let error = |&(n, d, decay, loss): &(f64, f64, f64, f64)| {
                let terms = (x[1] - x[3] * n).exp() + (x[2] - x[4] * d).exp();
                (floor + terms - annealing * decay).ln() - loss
            };
            out.extend(scaled.iter().map(error));
        }
    }

    /// The best coefficients for given exponents, by relative error; `None` unless all are positive.
    fn project(&self, points: &[Point], alpha: f64, beta: f64) -> Option<ParametricLaw> {
        let column = |of: &dyn Fn(&Point) -> f64| points.iter().map(|p| of(p) / p.loss).collect::<Vec<f64>>();
        let mut columns = vec![
            column(&|_| 1.0),
            column(&|p| (p.params / self.params).powf(-alpha)),
            column(&|p| (p.tokens / self.tokens).powf(-beta)),
        ];
        match self.config.annealing {
            Annealing::Alike => {}
            Annealing::Fitted => columns.push(column(&|p| -p.decay)),
        }
        let found = regress(&columns, &vec![1.0; points.len()])?;
        let positive = found[..3].iter().all(|v| *v > 0.0);
        positive.then(|| ParametricLaw {
            floor: found[0],
            a: found[1] * self.params.powf(alpha),
            b: found[2] * self.tokens.powf(beta),
            alpha,
            beta,
            annealing: found.get(3).copied().unwrap_or(0.0).max(0.0),
        })
    }

    /// The best of a grid of exponents, each with its best coefficients.
    pub(super) fn starts(&self, points: &[Point]) -> Vec<Vec<f64>> {
        let grid = START_EXPONENTS.iter().flat_map(|&alpha| START_EXPONENTS.map(|beta| (alpha, beta)));
        let error = |law: &ParametricLaw| {
            points.iter().map(|point| (law.loss_at(point) / point.loss - 1.0).abs()).sum::<f64>()
        };
        let laws = grid.filter_map(|(alpha, beta)| self.project(points, alpha, beta));
        let mut laws: Vec<(f64, ParametricLaw)> = laws.map(|law| (error(&law), law)).collect();
        laws.sort_by(|a, b| a.0.total_cmp(&b.0));
        laws.iter().take(FOLLOWED).map(|(_, law)| self.encode(law)).collect()
    }

    /// The values of all constants, infinite where the search ran into a bound: the data set no limit there.
    pub(super) fn constants(&self, law: &ParametricLaw) -> Vec<f64> {
        let values = self.config.constants().into_iter().map(|(_, value)| value(law));
        let place = self.encode(law).into_iter().zip(&self.bounds);
        let opened = values.zip(place).enumerate().map(|(k, (value, (x, &(low, high))))| match k {
            DECAY => value,
            _ if x <= low + AT_BOUND => f64::NEG_INFINITY,
            _ if x >= high - AT_BOUND => f64::INFINITY,
            _ => value,
        });
        opened.collect()
    }
}
