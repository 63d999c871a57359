//! `S x = b` by Cholesky and the spectrum of `S` by Jacobi rotations, for symmetric `S`, small and dense.
//!
//! Golub and Van Loan, *Matrix Computations*, sections 4.2 and 8.5. Jacobi is the slowest way to a spectrum,
//! but it keeps small eigenvalues accurate, and those are what a condition number is made of.

/// A symmetric matrix of `n` rows, stored whole, row by row.
#[derive(Debug, Clone)]
pub(super) struct Symmetric {
    n: usize,
    values: Vec<f64>,
}

/// Rotations stop once what is off the diagonal is this small beside the whole (Frobenius norms).
const OFF_DIAGONAL: f64 = 1e-15;

/// Sweeps over all pairs; ten are plenty, as convergence is quadratic.
const MAX_SWEEPS: usize = 40;

impl Symmetric {
    /// From its lower triangle: `value(i, j)` is asked for `j <= i`.
    pub(super) fn from_lower(n: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                values[i * n + j] = value(i, j);
                values[j * n + i] = values[i * n + j];
            }
        }
        Symmetric { n, values }
    }

    /// `columns^T columns`.
    pub(super) fn gram(columns: &[Vec<f64>]) -> Self {
        Symmetric::from_lower(columns.len(), |i, j| dot(&columns[i], &columns[j]))
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// The matrix with unit diagonal, `S_ij / sqrt(S_ii S_jj)`: what a choice of units cannot change.
    pub(super) fn correlation(&self) -> Self {
        let scale: Vec<f64> = (0..self.n).map(|i| self.get(i, i).max(f64::MIN_POSITIVE).sqrt()).collect();
        Symmetric::from_lower(self.n, |i, j| self.get(i, j) / (scale[i] * scale[j]))
    }

    /// The solution of `S x = right`, or `None` unless `S` is positive definite.
    pub(super) fn solve(&self, right: &[f64]) -> Option<Vec<f64>> {
        let lower = self.cholesky()?;
        let mut x = right.to_vec();
        for i in 0..self.n {
            let known: f64 = (0..i).map(|j| lower[i * self.n + j] * x[j]).sum();
            x[i] = (x[i] - known) / lower[i * self.n + i];
        }
        for i in (0..self.n).rev() {
            let known: f64 = (i + 1..self.n).map(|j| lower[j * self.n + i] * x[j]).sum();
            x[i] = (x[i] - known) / lower[i * self.n + i];
        }
        x.iter().all(|v| v.is_finite()).then_some(x)
    }

    /// `L` with `L L^T = S`.
    fn cholesky(&self) -> Option<Vec<f64>> {
        let n = self.n;
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let rest = self.get(i, j) - dot(&lower[i * n..i * n + j], &lower[j * n..j * n + j]);
                lower[i * n + j] = if i > j {
                    rest / lower[j * n + j]
                } else if rest > 0.0 {
                    rest.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(lower)
    }

    /// All eigenvalues, smallest first.
    pub(super) fn eigenvalues(mut self) -> Vec<f64> {
        let n = self.n;
        let whole: f64 = self.values.iter().map(|v| v * v).sum();
        for _ in 0..MAX_SWEEPS {
            let off: f64 = (0..n).map(|i| (0..i).map(|j| self.get(i, j).powi(2)).sum::<f64>()).sum();
            if off <= OFF_DIAGONAL * OFF_DIAGONAL * whole {
                break;
            }
            for q in 1..n {
                for p in 0..q {
                    self.rotate(p, q);
                }
            }
        }
        let mut values: Vec<f64> = (0..n).map(|i| self.get(i, i)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Turns the plane of `p` and `q` until their element is zero.
    fn rotate(&mut self, p: usize, q: usize) {
        let element = self.get(p, q);
        if element == 0.0 {
            return;
        }
        let theta = (self.get(q, q) - self.get(p, p)) / (2.0 * element);
        let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = tangent * cosine;
        for i in 0..self.n {
            let (a, b) = (self.get(i, p), self.get(i, q));
            self.values[i * self.n + p] = cosine * a - sine * b;
            self.values[i * self.n + q] = sine * a + cosine * b;
        }
        for i in 0..self.n {
            let (a, b) = (self.get(p, i), self.get(q, i));
            self.values[p * self.n + i] = cosine * a - sine * b;
            self.values[q * self.n + i] = sine * a + cosine * b;
        }
    }
}

/// `sum a_i b_i`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Coefficients that bring `columns` closest to `target` in the sum of squares, or `None` when they are not
/// unique.
pub(super) fn regress(columns: &[Vec<f64>], target: &[f64]) -> Option<Vec<f64>> {
    let scale: Vec<f64> = columns.iter().map(|column| dot(column, column).sqrt()).collect();
    let scaled: Vec<Vec<f64>> =
        columns.iter().zip(&scale).map(|(column, s)| column.iter().map(|v| v / s).collect()).collect();
    let right: Vec<f64> = scaled.iter().map(|column| dot(column, target)).collect();
    let solution = Symmetric::gram(&scaled).solve(&right)?;
    Some(solution.iter().zip(&scale).map(|(x, s)| x / s).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[4, 2, 0], [2, 5, 3], [0, 3, 6]]`, positive definite.
    fn matrix() -> Symmetric {
        let rows = [[4.0, 2.0, 0.0], [2.0, 5.0, 3.0], [0.0, 3.0, 6.0]];
        Symmetric::from_lower(3, |i, j| rows[i][j])
    }

    #[test]
    fn a_solution_put_back_gives_the_right_side() {
        let x = matrix().solve(&[1.0, -2.0, 3.0]).unwrap();
        let back: Vec<f64> = (0..3).map(|i| (0..3).map(|j| matrix().get(i, j) * x[j]).sum()).collect();
        for (found, wanted) in back.iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_solution() {
        let indefinite = Symmetric::from_lower(2, |i, j| if i == j { 1.0 } else { 2.0 });
        assert!(indefinite.solve(&[1.0, 1.0]).is_none());
    }

    #[test]
    fn the_spectrum_of_a_path_is_known() {
        // Second differences on n points: 2 - 2 cos(pi k / (n + 1)).
        let n = 7;
        let path = Symmetric::from_lower(n, |i, j| match i - j {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        for (k, value) in path.eigenvalues().iter().enumerate() {
            let exact = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64).cos();
            assert!((value - exact).abs() < 1e-13, "{value} {exact}");
        }
    }

    #[test]
    fn regression_finds_the_line_and_refuses_twins() {
        let x: Vec<f64> = (0..5).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.5 * x).collect();
        let line = regress(&[vec![1.0; 5], x.clone()], &y).unwrap();
        assert!((line[0] - 3.0).abs() < 1e-12 && (line[1] + 0.5).abs() < 1e-12);
        assert!(regress(&[vec![0.0; 5], x], &y).is_none());
    }
}
