//! `min_x sum_i rho(f_i(x))`, `low <= x <= high`: Levenberg-Marquardt within bounds, with Huber's loss as an
//! option.
//!
//! Moré 1978 (damping scaled by the diagonal), Kanzow, Yamashita and Fukushima 2004 (projection on bounds),
//! Huber 1964 (`rho(r) = r^2/2` up to `delta`, then `delta (|r| - delta/2)`, reached by reweighting). Every
//! law here has at most some twenty parameters, so derivatives are central differences and the normal
//! equations are solved outright.

use super::linear::{Symmetric, dot};

/// How a residual counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Loss {
    /// `r^2 / 2`.
    Square,
    /// Huber's, linear beyond this residual.
    Huber(f64),
}

/// The lowest and highest value of a parameter.
pub(super) type Bound = (f64, f64);

/// Where the search ended.
#[derive(Debug, Clone)]
pub(super) struct Minimum {
    /// The parameters.
    pub(super) x: Vec<f64>,
    /// `sum rho(f_i(x))`.
    pub(super) cost: f64,
}

const MAX_STEPS: usize = 500;

/// A relative fall of the cost below this, [`PATIENCE`] times in a row, ends the search.
const COST_TOLERANCE: f64 = 1e-11;
const PATIENCE: usize = 3;

/// Relative width of central differences: near the cube root of the rounding error.
const DIFFERENCE: f64 = 4e-6;

impl Loss {
    fn rho(self, r: f64) -> f64 {
        match self {
            Loss::Huber(delta) if r.abs() > delta => delta * (r.abs() - 0.5 * delta),
            Loss::Square | Loss::Huber(_) => 0.5 * r * r,
        }
    }

    /// `rho'(r) / r`.
    fn weight(self, r: f64) -> f64 {
        match self {
            Loss::Huber(delta) if r.abs() > delta => delta / r.abs(),
            Loss::Square | Loss::Huber(_) => 1.0,
        }
    }

    fn cost(self, residuals: &[f64]) -> f64 {
        let cost = residuals.iter().map(|&r| self.rho(r)).sum::<f64>();
        if cost.is_finite() { cost } else { f64::INFINITY }
    }
}

/// The lowest of the minima reached from `starts`, or `None` when no start has a finite cost.
pub(super) fn minimise_from(
    starts: &[Vec<f64>],
    bounds: &[Bound],
    loss: Loss,
    residuals: impl Fn(&[f64], &mut Vec<f64>),
) -> Option<Minimum> {
    let minima = starts.iter().filter_map(|start| minimise(start, bounds, loss, &residuals));
    minima.min_by(|a, b| a.cost.total_cmp(&b.cost))
}

/// Condition number at `x` of the weighted Jacobian with columns of unit length; infinite when it has lost
/// rank.
pub(super) fn condition_at(x: &[f64], loss: Loss, residuals: impl Fn(&[f64], &mut Vec<f64>)) -> f64 {
    let evaluate = |x: &[f64]| {
        let mut out = Vec::new();
        residuals(x, &mut out);
        out
    };
    Model::at(x, &evaluate(x), loss, evaluate).condition()
}

/// Walks down from `start` (moved into `bounds`); `residuals(x, out)` fills the empty `out` with `f(x)`.
/// `None` when the cost is not finite at the start.
pub(super) fn minimise(
    start: &[f64],
    bounds: &[Bound],
    loss: Loss,
    residuals: impl Fn(&[f64], &mut Vec<f64>),
) -> Option<Minimum> {
    let evaluate = |x: &[f64]| {
        let mut out = Vec::new();
        residuals(x, &mut out);
        out
    };
    let mut x: Vec<f64> = start.iter().zip(bounds).map(|(&x, &(low, high))| x.clamp(low, high)).collect();
    let mut r = evaluate(&x);
    let mut cost = loss.cost(&r);
    if !cost.is_finite() {
        return None;
    }
    let mut model = Model::at(&x, &r, loss, evaluate);
    let (mut damping, mut growth, mut idle) = (1e-3, 2.0, 0);
    for _ in 0..MAX_STEPS {
        let next = model.step(&x, bounds, damping);
        let next_r = evaluate(&next);
        let next_cost = loss.cost(&next_r);
        if next_cost < cost {
            idle = if cost - next_cost < COST_TOLERANCE * cost { idle + 1 } else { 0 };
            (x, r, cost) = (next, next_r, next_cost);
            (damping, growth) = ((damping / 5.0_f64).max(1e-14), 2.0);
            model = Model::at(&x, &r, loss, evaluate);
        } else {
            damping *= growth;
            growth *= 2.0;
        }
        if idle >= PATIENCE || damping > 1e20 || cost == 0.0 {
            break;
        }
    }
    Some(Minimum { x, cost })
}

/// The quadratic that stands in for the cost near a point.
struct Model {
    /// `J^T W f`.
    gradient: Vec<f64>,
    /// `J^T W J`.
    curvature: Vec<Vec<f64>>,
}

impl Model {
    fn at(x: &[f64], r: &[f64], loss: Loss, evaluate: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let roots: Vec<f64> = r.iter().map(|&r| loss.weight(r).sqrt()).collect();
        let columns: Vec<Vec<f64>> = (0..x.len())
            .map(|k| {
                let h = DIFFERENCE * x[k].abs().max(0.1);
                let moved = |by: f64| {
                    let mut x = x.to_vec();
                    x[k] += by;
                    evaluate(&x)
                };
                let slopes = moved(h).into_iter().zip(moved(-h)).map(|(up, down)| (up - down) / (2.0 * h));
                slopes
                    .zip(&roots)
                    .map(|(slope, root)| if slope.is_finite() { slope * root } else { 0.0 })
                    .collect()
            })
            .collect();
        let weighted: Vec<f64> = r.iter().zip(&roots).map(|(r, root)| r * root).collect();
        Model {
            gradient: columns.iter().map(|column| dot(column, &weighted)).collect(),
            curvature: columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect(),
        }
    }

    /// The damped Newton step of the parameters that no bound stops, put back within bounds.
    fn step(&self, x: &[f64], bounds: &[Bound], damping: f64) -> Vec<f64> {
        let free: Vec<usize> = (0..x.len())
            .filter(|&k| {
                let (low, high) = bounds[k];
                !(x[k] <= low && self.gradient[k] > 0.0 || x[k] >= high && self.gradient[k] < 0.0)
            })
            .collect();
        let matrix = Symmetric::from_lower(free.len(), |i, j| {
            let value = self.curvature[free[i]][free[j]];
            if i == j { value * (1.0 + damping) + f64::MIN_POSITIVE } else { value }
        });
        let right: Vec<f64> = free.iter().map(|&k| -self.gradient[k]).collect();
        let mut next = x.to_vec();
        if let Some(step) = matrix.solve(&right) {
            for (&k, step) in free.iter().zip(step) {
                next[k] = (x[k] + step).clamp(bounds[k].0, bounds[k].1);
            }
        }
        next
    }

    fn condition(&self) -> f64 {
        let n = self.gradient.len();
        let spectrum = Symmetric::from_lower(n, |i, j| self.curvature[i][j]).correlation().eigenvalues();
        let (smallest, largest) = (spectrum[0], spectrum[n - 1]);
        // Below the rounding error of the largest, the smallest is zero for all that is known.
        if smallest <= largest * f64::EPSILON { f64::INFINITY } else { (largest / smallest).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Bound = (f64::NEG_INFINITY, f64::INFINITY);

    /// Rosenbrock's valley, whose minimum is at (1, 1).
    fn valley(x: &[f64], out: &mut Vec<f64>) {
        out.extend([10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]]);
    }

    #[test]
    fn the_bent_valley_is_walked_to_its_end() {
        let end = minimise(&[-1.2, 1.0], &[FREE, FREE], Loss::Square, valley).unwrap();
        assert!(
            end.cost < 1e-20 && (end.x[0] - 1.0).abs() < 1e-9 && (end.x[1] - 1.0).abs() < 1e-9,
            "{end:?}"
        );
    }

    #[test]
    fn a_bound_holds_and_the_rest_is_optimal_on_it() {
        // With x <= 0.5 the best is (0.5, 0.25).
        let end = minimise(&[-1.2, 1.0], &[(-2.0, 0.5), FREE], Loss::Square, valley).unwrap();
        assert_eq!(end.x[0], 0.5);
        assert!((end.x[1] - 0.25).abs() < 1e-9, "{end:?}");
    }

    #[test]
    fn huber_finds_the_middle_where_squares_find_the_mean() {
        let data = [0.0, 0.1, 0.2, 0.3, 100.0];
        let residuals = |x: &[f64], out: &mut Vec<f64>| out.extend(data.map(|y| x[0] - y));
        let huber = minimise(&[5.0], &[FREE], Loss::Huber(1e-3), residuals).unwrap();
        let square = minimise(&[5.0], &[FREE], Loss::Square, residuals).unwrap();
        assert!((huber.x[0] - 0.2).abs() < 1e-3, "{huber:?}");
        assert!((square.x[0] - 20.12).abs() < 1e-9, "{square:?}");
    }

    #[test]
    fn parameters_that_only_count_together_have_no_condition() {
        let residuals =
            |x: &[f64], out: &mut Vec<f64>| out.extend([x[0] + x[1] - 1.0, 2.0 * (x[0] + x[1]) - 2.5]);
        assert!(condition_at(&[0.3, 0.9], Loss::Square, residuals) > 1e5);
        // Rows (1, 1) and (1, 0): unit columns at 45 degrees have the condition sqrt((1 + c) / (1 - c)), c =
        // cos 45.
        let apart = |x: &[f64], out: &mut Vec<f64>| out.extend([x[0] + x[1] - 1.0, x[0]]);
        let cosine = 0.5_f64.sqrt();
        let expected = ((1.0 + cosine) / (1.0 - cosine)).sqrt();
        assert!((condition_at(&[0.3, 0.9], Loss::Square, apart) / expected - 1.0).abs() < 1e-6);
    }
}
