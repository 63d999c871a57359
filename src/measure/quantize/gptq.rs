//! GPTQ: inputs are rounded one after the other, and those still to come make up for the error.
//!
//! Frantar et al. 2022 (arXiv 2210.17323). For inputs `x` with `H = sum of x x^T`, what a change `e` of an output's
//! weights does to the output is `e^T H e`. Rounding input `i` by `e_i` is mended best by adding
//! `-e_i U_ij / U_ii` to every later `j`, where `U^T U = H^-1`. The grids are those of round to nearest, made from the
//! weights before anything is rounded, so that the two differ only in which point is taken.

use rayon::prelude::*;

use super::config::{ColumnOrder, GptqConfig};
use super::grid::Grid;
use super::inverse::{Square, root_of_inverse};
use super::matrix::Matrix;

/// How often the damping may grow tenfold before a Hessian is given up.
const MAX_DAMPINGS: i32 = 8;

/// Rounds `matrix` on `grid` so that little changes for inputs with the second moments `gram`; to nearest where these
/// are all zero, as for an expert that no token came to.
pub(super) fn round(matrix: &mut Matrix, grid: &Grid, gram: &Square, config: &GptqConfig) {
    let order = order(gram, config.order);
    let Some(root) = damped_root(&gram.permuted(&order), config.damping) else {
        return grid.round_all(matrix);
    };
    let n_in = matrix.n_in;
    matrix.values.par_chunks_exact_mut(n_in).enumerate().for_each(|(output, row)| {
        let mut rest: Vec<f64> = order.iter().map(|&input| f64::from(row[input])).collect();
        for (i, &input) in order.iter().enumerate() {
            let point = grid.nearest(output, input, rest[i] as f32);
            row[input] = point;
            let later = &root.row(i)[i..];
            let error = (rest[i] - f64::from(point)) / later[0];
            rest[i..].iter_mut().zip(later).for_each(|(weight, share)| *weight -= error * share);
        }
    });
}

/// The order in which inputs are rounded.
fn order(gram: &Square, order: ColumnOrder) -> Vec<usize> {
    let mut inputs: Vec<usize> = (0..gram.n).collect();
    match order {
        ColumnOrder::Stored => {}
        ColumnOrder::Activation => {
            let size = gram.diagonal();
            inputs.sort_by(|&a, &b| size[b].total_cmp(&size[a]));
        }
    }
    inputs
}

/// The root of the inverse of `gram` plus a share of its mean diagonal; the share grows until there is one.
fn damped_root(gram: &Square, damping: f64) -> Option<Square> {
    let mean = gram.diagonal().iter().sum::<f64>() / gram.n as f64;
    (0..MAX_DAMPINGS).find_map(|i| {
        let mut damped = gram.clone();
        let step = damped.n + 1;
        damped.values.iter_mut().step_by(step).for_each(|v| *v += mean * damping * 10f64.powi(i));
        root_of_inverse(&damped)
    })
}
