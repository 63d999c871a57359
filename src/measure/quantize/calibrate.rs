//! What the linear layers of a model are given when it reads the data that it was trained on.

use std::collections::{HashMap, HashSet};

use burn::module::ParamId;
use burn::tensor::{Device, Tensor};

use super::inverse::Square;
use crate::data::{Batch, Dataset};
use crate::layers::{CapturedInput, ForwardContext};
use crate::model::Decoder;
use crate::training::fit::tensors;

/// Rows of a forward pass hold about this many tokens together.
const CALIBRATION_TOKENS_PER_PASS: usize = 8192;

/// Reads training rows with a model.
pub(super) struct Reader<'a> {
    data: &'a Dataset,
    seq_len: usize,
    device: &'a Device,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a Dataset, seq_len: usize, device: &'a Device) -> Self {
        Reader { data, seq_len, device }
    }

    /// The linear layers among `weights` with their n_experts, in the order of the computation.
    pub(super) fn linears(&self, model: &Decoder, weights: HashSet<ParamId>) -> Vec<(ParamId, usize)> {
        let mut seen = HashSet::new();
        let captured = self.listen(model, &self.data.batch(0, 1), weights);
        let first = captured.into_iter().filter(|captured| seen.insert(captured.weight));
        first.map(|captured| (captured.weight, captured.n_experts)).collect()
    }

    /// `sum of x x^T` over the inputs of each of `weights` in about `tokens` tokens; one per copy of the map.
    pub(super) fn grams(
        &self,
        model: &Decoder,
        weights: HashSet<ParamId>,
        tokens: u64,
    ) -> HashMap<ParamId, Vec<Square>> {
        let mut grams: HashMap<ParamId, Vec<Square>> = HashMap::new();
        let rows = (CALIBRATION_TOKENS_PER_PASS / self.seq_len).max(1);
        let passes = tokens.div_ceil((rows * self.seq_len) as u64);
        for step in 0..passes {
            for captured in self.listen(model, &self.data.batch(step, rows), weights.clone()) {
                let gram = second_moments(captured.input, captured.n_experts);
                match grams.get_mut(&captured.weight) {
                    Some(sum) => sum.iter_mut().zip(gram).for_each(|(sum, gram)| {
                        sum.values.iter_mut().zip(gram.values).for_each(|(sum, value)| *sum += value);
                    }),
                    None => {
                        grams.insert(captured.weight, gram);
                    }
                }
            }
        }
        grams
    }

    fn listen(&self, model: &Decoder, batch: &Batch, weights: HashSet<ParamId>) -> Vec<CapturedInput> {
        let (tokens, _, _) = tensors(batch, self.device);
        let mut ctx = ForwardContext::capturing(weights);
        model.hidden(tokens, &mut ctx);
        ctx.take_captured()
    }
}

/// `x^T x` for each of `e` matrices.
///
/// # Shapes
/// `[b, t, d]`, or `[e, c, d]` for several experts
fn second_moments(x: Tensor<3>, n_experts: usize) -> Vec<Square> {
    let [_, _, d] = x.dims();
    let x = x.reshape([n_experts as i32, -1, d as i32]); // [e, n, d]
    let gram = x.clone().swap_dims(1, 2).matmul(x); // [e, d, d]
    let values: Vec<f64> = gram.into_data().iter::<f64>().collect();
    values.chunks_exact(d * d).map(|values| Square { n: d, values: values.to_vec() }).collect()
}
