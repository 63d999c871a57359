//! Round to nearest: `q = s clamp(round(w / s), -l, l)`, with `l = 2^(b-1) - 1` and `s = max |w| / l`.
//!
//! The grid is symmetric about zero, so that zero stays zero and a scale is all that is stored beside the integers; of
//! the `2^b` codes one is left unused. No weight moves by more than half a scale.

use super::config::{GroupConfig, Scale};
use super::matrix::Matrix;

/// The points that the weights of a matrix may lie on.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The largest integer, `l`.
    levels: f32,
    /// One per group.
    scales: Vec<f32>,
    /// How the scales belong to the weights.
    shared: Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// One scale for all.
    ByAll,
    /// Groups of `size` inputs, `per_row` of them for each output.
    ByGroup { size: usize, per_row: usize },
}

impl Grid {
    /// The grid whose ends are the largest weights.
    pub fn of(matrix: &Matrix, bits: u32, scale: Scale) -> Self {
        let levels = ((1u32 << (bits - 1)) - 1) as f32;
        let size = match scale {
            Scale::Tensor => None,
            Scale::Channel => Some(matrix.n_in),
            Scale::Group(GroupConfig { size }) => Some(size.min(matrix.n_in)),
        };
        let scale_of = |values: &[f32]| values.iter().fold(0.0f32, |most, v| most.max(v.abs())) / levels;
        match size {
            None => Grid { levels, scales: vec![scale_of(&matrix.values)], shared: Shared::ByAll },
            Some(size) => {
                let rows = matrix.values.chunks_exact(matrix.n_in);
                let scales = rows.flat_map(|row| row.chunks(size).map(scale_of)).collect();
                Grid { levels, scales, shared: Shared::ByGroup { size, per_row: matrix.n_in.div_ceil(size) } }
            }
        }
    }

    /// All scales.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The scale of the weight at `[output, input]`.
    pub fn scale(&self, output: usize, input: usize) -> f32 {
        match self.shared {
            Shared::ByAll => self.scales[0],
            Shared::ByGroup { size, per_row } => self.scales[output * per_row + input / size],
        }
    }

    /// The point nearest to `weight` at `[output, input]`; a tie goes to the even integer.
    pub fn nearest(&self, output: usize, input: usize, weight: f32) -> f32 {
        let scale = self.scale(output, input);
        match scale > 0.0 {
            true => (weight / scale).round_ties_even().clamp(-self.levels, self.levels) * scale,
            false => 0.0,
        }
    }

    /// Rounds every weight by itself.
    pub fn round_all(&self, matrix: &mut Matrix) {
        let n_in = matrix.n_in;
        for (output, row) in matrix.values.chunks_exact_mut(n_in).enumerate() {
            row.iter_mut().enumerate().for_each(|(input, weight)| {
                *weight = self.nearest(output, input, *weight);
            });
        }
    }
}
