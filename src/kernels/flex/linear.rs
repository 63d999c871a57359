//! y = x W + b + residual in one product; dx = dy W^T, dW = x^T dy, db = sum of the rows of dy.

use burn::backend::Dispatch;
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::gemm::{Start, View, gemm};
use super::simd::simd;
use super::tensor::{contiguous, last, numbers, output};
use super::{Fused, Operation, call_two, parallel};
use crate::kernels::Precision;

/// [`crate::kernels::linear()`] and [`crate::kernels::linear_add`].
pub fn linear(x: Tensor<3>, w: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<3>>) -> Tensor<3> {
    let operation = Linear {
        with_bias: bias.is_some(),
        with_residual: residual.is_some(),
        precision: Precision::of_scope(),
    };
    let third = match (bias, residual) {
        (None, None) => return call_two(operation, x, w),
        (Some(bias), Some(residual)) => {
            let (x, w, b, r) =
                (x.into_dispatch(), w.into_dispatch(), bias.into_dispatch(), residual.into_dispatch());
            return Tensor::from_dispatch(Dispatch::four(x, w, b, r, operation));
        }
        (Some(bias), None) => bias.into_dispatch(),
        (None, Some(residual)) => residual.into_dispatch(),
    };
    Tensor::from_dispatch(Dispatch::three(x.into_dispatch(), w.into_dispatch(), third, operation))
}

/// Inputs x, W, then bias and residual where there are.
#[derive(Debug, Clone)]
struct Linear {
    with_bias: bool,
    with_residual: bool,
    precision: Precision,
}

impl<const N: usize> Operation<N> for Linear {
    type Saved = [FlexTensor; 2];

    fn forward_saving(self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved) {
        let mut inputs = inputs.into_iter().map(contiguous);
        let mut next = || inputs.next().expect("an input for each part");
        let (x, w) = (next(), next());
        let bias = self.with_bias.then(&mut next);
        let residual = self.with_residual.then(&mut next);
        let (d_in, d_out) = (last(&x), last(&w));
        let n = x.layout().num_elements() / d_in;
        let mut shape = x.layout().shape().clone();
        let rank = shape.num_dims();
        shape[rank - 1] = d_out;
        let start =
            Start::With { bias: bias.as_ref().map(numbers), residual: residual.as_ref().map(numbers) };
        let y = output(shape, |y| {
            let w = View::new(numbers(&w), d_in, d_out).rounded(self.precision);
            gemm(View::new(numbers(&x), n, d_in), w, y, start);
        });
        (y, [x, w])
    }

    fn backward(
        self,
        [x, w]: Self::Saved,
        gradient: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let dy = contiguous(gradient);
        let (d_in, d_out) = (last(&x), last(&w));
        let n = x.layout().num_elements() / d_in;
        let dy_view = View::new(numbers(&dy), n, d_out);
        let mut results = [const { None }; N];
        if wanted[0] {
            results[0] = Some(output(x.layout().shape().clone(), |dx| {
                let w = View::new(numbers(&w), d_in, d_out).t().rounded(self.precision);
                gemm(dy_view, w, dx, Start::Zero);
            }));
        }
        if wanted[1] {
            results[1] = Some(output(w.layout().shape().clone(), |dw| {
                let dy = dy_view.rounded(self.precision);
                gemm(View::new(numbers(&x), n, d_in).t(), dy, dw, Start::Zero);
            }));
        }
        if self.with_bias && wanted[2] {
            results[2] = Some(output(Shape::new([d_out]), |db| sum_rows(numbers(&dy), db)));
        }
        if self.with_residual && wanted[N - 1] {
            results[N - 1] = Some(dy);
        }
        results
    }
}

/// Rows of a part of the sum: fixed, so that the bits do not depend on the threads.
const ROWS: usize = 512;

/// The sum of the rows of `x`, as wide as `sum`.
pub fn sum_rows(x: &[f32], sum: &mut [f32]) {
    parallel::sum_in_parts(x.len() / sum.len(), ROWS, sum, |rows, sum| {
        let d = sum.len();
        add_rows(&x[rows.start * d..rows.end * d], sum);
    });
}

simd! {
    /// Adds every row of `x` to `sum`.
    fn add_rows<S>(s, x: &[f32], sum: &mut [f32]) {
        let d = sum.len();
        let whole = d / S::LANES * S::LANES;
        for row in x.chunks_exact(d) {
            for i in (0..whole).step_by(S::LANES) {
                s.set(sum, i, s.add(s.get(sum, i), s.get(row, i)));
            }
            for i in whole..d {
                sum[i] += row[i];
            }
        }
    }
}
