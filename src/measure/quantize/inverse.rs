//! The upper triangle `U` with `U^T U = H^-1`, for a symmetric positive definite `H`.
//!
//! Row `i` of `U`, divided by its first entry, says how the inputs behind `i` make up for an error at `i`. From
//! `H = R R^T` with an upper `R`, which a Cholesky factorisation from the last row up gives, `U = R^-1`: the inverse of
//! `H` itself is never formed.

/// A square matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Square {
    pub n: usize,
    pub values: Vec<f64>,
}

impl Square {
    pub fn zeros(n: usize) -> Self {
        Square { n, values: vec![0.0; n * n] }
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n..(i + 1) * self.n]
    }

    pub fn diagonal(&self) -> Vec<f64> {
        (0..self.n).map(|i| self.values[i * self.n + i]).collect()
    }

    /// Rows and columns in another order.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let values = order.iter().flat_map(|&i| order.iter().map(move |&j| self.values[i * self.n + j]));
        Square { n: self.n, values: values.collect() }
    }
}

/// `U`, or `None` unless `H` is positive definite.
pub(super) fn root_of_inverse(hessian: &Square) -> Option<Square> {
    Some(inverse_of_upper(&upper_factor(hessian)?))
}

/// `R` with `R R^T = H`.
fn upper_factor(hessian: &Square) -> Option<Square> {
    let n = hessian.n;
    let mut factor = Square::zeros(n);
    for j in (0..n).rev() {
        let rest = |i: usize, factor: &Square| {
            hessian.values[i * n + j] - dot(&factor.row(i)[j + 1..], &factor.row(j)[j + 1..])
        };
        let pivot = rest(j, &factor);
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        let pivot = pivot.sqrt();
        factor.values[j * n + j] = pivot;
        for i in 0..j {
            factor.values[i * n + j] = rest(i, &factor) / pivot;
        }
    }
    Some(factor)
}

/// `R^-1`, row by row from the last: each is a sum of the rows below it.
fn inverse_of_upper(factor: &Square) -> Square {
    let n = factor.n;
    let mut inverse = Square::zeros(n);
    for i in (0..n).rev() {
        let pivot = 1.0 / factor.values[i * n + i];
        let (above, below) = inverse.values.split_at_mut((i + 1) * n);
        let row = &mut above[i * n..];
        row[i] = pivot;
        for (k, other) in (i + 1..n).zip(below.chunks_exact(n)) {
            let share = -pivot * factor.values[i * n + k];
            row[k..].iter_mut().zip(&other[k..]).for_each(|(x, y)| *x += share * y);
        }
    }
    inverse
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors of some dozens of double precision operations on numbers of order one.
    const ROUNDING: f64 = 1e-12;

    #[test]
    fn the_root_squares_to_the_inverse() {
        let n = 7;
        let x: Vec<f64> = (0..9 * n).map(|i| ((i * i) as f64).sin()).collect();
        let gram = |i: usize, j: usize| (0..9).map(|r| x[r * n + i] * x[r * n + j]).sum::<f64>();
        let hessian = Square {
            n,
            values: (0..n * n).map(|k| gram(k / n, k % n) + f64::from(u8::from(k / n == k % n))).collect(),
        };
        let root = root_of_inverse(&hessian).unwrap();
        for i in 0..n {
            assert!(root.row(i)[..i].iter().all(|v| *v == 0.0), "row {i} is not upper");
            for j in 0..n {
                let product: f64 = (0..n)
                    .map(|k| {
                        let squared: f64 = (0..n).map(|m| root.row(m)[i] * root.row(m)[k]).sum();
                        squared * hessian.row(k)[j]
                    })
                    .sum();
                let identity = if i == j { 1.0 } else { 0.0 };
                assert!((product - identity).abs() < ROUNDING, "[{i}, {j}] is {product}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_root() {
        let flat = Square { n: 2, values: vec![1.0, 1.0, 1.0, 1.0] };
        assert_eq!(root_of_inverse(&flat), None);
        assert_eq!(root_of_inverse(&Square { n: 1, values: vec![f64::NAN] }), None);
    }
}
