//! Loss on held-out text: the mean of `-ln p(token)` over tokens that training never saw.

use burn::tensor::Device;

use super::record::Loss;
use crate::data::Dataset;
use crate::kernels;
use crate::layers::Pass;
use crate::model::Decoder;
use crate::training::fit::tensors;

/// Rows of a forward pass hold about this many tokens together.
const TOKENS_PER_PASS: usize = 8192;

/// Reads the held-out part of `data`; `None` when there is none.
pub fn measure(model: &Decoder, data: &Dataset, seq_len: usize, device: &Device) -> Option<Loss> {
    let rows = (TOKENS_PER_PASS / seq_len).max(1);
    let (mut nats, mut tokens) = (0.0, 0.0);
    for index in 0.. {
        let Some(batch) = data.held_out_batch(index, rows) else { break };
        let (ids, targets, weights) = tensors(&batch, device);
        let hidden = model.hidden(ids, &mut Pass::new()).flatten::<2>(0, 1); // [n, d]
        let (_, losses) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
        let losses: Vec<f32> = losses.into_data().try_into_vec().expect("losses are f32");
        nats += losses.iter().zip(&batch.weights).map(|(loss, weight)| (loss * weight) as f64).sum::<f64>();
        tokens += batch.weights.iter().map(|weight| *weight as f64).sum::<f64>();
    }
    (tokens > 0.0).then(|| Loss { nats_per_token: nats / tokens, tokens: tokens as u64 })
}
