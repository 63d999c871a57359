//! A tensor of weights as matrices of one row per output.

use burn::tensor::TensorData;

/// Weights, one row per output: `[out, in]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Weights of one output.
    pub n_in: usize,
    /// Row by row.
    pub values: Vec<f32>,
}

/// How a tensor holds its matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    n_experts: usize,
    d_in: usize,
    d_out: usize,
    outputs: Outputs,
}

/// Where the weights of one output stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outputs {
    /// In a column, as in a linear layer `[e d_in, d_out]`.
    Columns,
    /// In a row, as in a table `[v, d]`.
    Rows,
}

impl Layout {
    /// Linear layers, one below the other.
    pub(super) fn linear(n_experts: usize, dims: &[usize]) -> Self {
        Layout { n_experts, d_in: dims[0] / n_experts, d_out: dims[1], outputs: Outputs::Columns }
    }

    /// A table of vectors.
    pub(super) fn table(dims: &[usize]) -> Self {
        Layout { n_experts: 1, d_in: dims[1], d_out: dims[0], outputs: Outputs::Rows }
    }

    pub(super) fn read(self, data: &TensorData) -> Vec<Matrix> {
        let values: Vec<f32> = data.iter::<f32>().collect();
        let one = |values: &[f32]| Matrix {
            n_in: self.d_in,
            values: match self.outputs {
                Outputs::Columns => transposed(values, self.d_out),
                Outputs::Rows => values.to_vec(),
            },
        };
        values.chunks_exact(values.len() / self.n_experts).map(one).collect()
    }

    pub(super) fn write(self, matrices: &[Matrix]) -> TensorData {
        let one = |matrix: &Matrix| match self.outputs {
            Outputs::Columns => transposed(&matrix.values, self.d_in),
            Outputs::Rows => matrix.values.clone(),
        };
        let dims = match self.outputs {
            Outputs::Columns => [self.n_experts * self.d_in, self.d_out],
            Outputs::Rows => [self.d_out, self.d_in],
        };
        TensorData::new(matrices.iter().flat_map(one).collect::<Vec<f32>>(), dims)
    }
}

/// Rows of `width` to columns.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_from_their_matrices() {
        let data = TensorData::new((0..30).map(|i| i as f32).collect::<Vec<f32>>(), [6, 5]);
        let experts = Layout::linear(2, &[6, 5]);
        let matrices = experts.read(&data);
        assert_eq!((matrices.len(), matrices[1].values.len()), (2, 5 * matrices[1].n_in));
        assert_eq!(matrices[1].values[..6], [15.0, 20.0, 25.0, 16.0, 21.0, 26.0], "inputs of an output");
        assert_eq!(experts.write(&matrices), data);
        let table = Layout::table(&[6, 5]);
        assert_eq!(table.read(&data)[0].values[..5], [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(table.write(&table.read(&data)), data);
    }
}
