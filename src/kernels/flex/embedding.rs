//! Rows copied; in the backward added, token after token.

use std::sync::Arc;

use burn::tensor::{Int, Shape, Tensor};
use burn_flex::FlexTensor;

use super::simd::simd;
use super::tensor::{contiguous, indices, integers, last, numbers, output};
use super::{Operation, call_one};

/// [`crate::kernels::embedding()`].
pub fn embedding(weight: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
    let [v, _] = weight.dims();
    let shape = tokens.dims();
    let tokens = indices(integers(tokens), v, "token", "vocabulary").into();
    call_one(Embedding { tokens, shape, v }, weight)
}

#[derive(Debug, Clone)]
struct Embedding {
    tokens: Arc<[u32]>,
    shape: [usize; 2],
    v: usize,
}

impl Operation<1> for Embedding {
    type Saved = ();

    fn forward_saving(self, [weight]: [FlexTensor; 1]) -> (FlexTensor, ()) {
        let weight = contiguous(weight);
        let d = last(&weight);
        let [b, t] = self.shape;
        let y = output(Shape::new([b, t, d]), |y| {
            for (y, &token) in y.chunks_exact_mut(d).zip(&*self.tokens) {
                y.copy_from_slice(&numbers(&weight)[token as usize * d..][..d]);
            }
        });
        (y, ())
    }

    fn backward(self, (): (), gradient: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let dy = contiguous(gradient);
        let d = last(&dy);
        let dw = output(Shape::new([self.v, d]), |dw| {
            dw.fill(0.0);
            add_rows(numbers(&dy), &self.tokens, dw, d);
        });
        [Some(dw)]
    }
}

simd! {
    fn add_rows<S>(s, dy: &[f32], tokens: &[u32], dw: &mut [f32], d: usize) {
        let whole = d / S::LANES * S::LANES;
        for (dy, &token) in dy.chunks_exact(d).zip(tokens) {
            let row = &mut dw[token as usize * d..][..d];
            for i in (0..whole).step_by(S::LANES) {
                s.set(row, i, s.add(s.get(row, i), s.get(dy, i)));
            }
            for i in whole..d {
                row[i] += dy[i];
            }
        }
    }
}
