//! What a router makes of its logits: scores, gates, and the losses that keep it healthy.

use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// How a token's scores come from its logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Router {
    /// Experts compete.
    #[default]
    Softmax,
    /// Each expert by itself (DeepSeek-V3, arXiv 2412.19437).
    Sigmoid,
}

impl Router {
    /// A token's score of each expert, `[n, e] -> [n, e]`.
    pub fn scores(self, logits: Tensor<2>) -> Tensor<2> {
        match self {
            Router::Softmax => softmax(logits, 1),
            Router::Sigmoid => sigmoid(logits),
        }
    }
}

/// What the outputs of each token's `choices [k, n]` are multiplied by, from `scores [n, e]`: the scores, or each over
/// the sum of the chosen ones.
pub fn gates(scores: Tensor<2>, choices: Tensor<2, Int>, norm_topk_prob: bool) -> Tensor<2> {
    let gates = scores.swap_dims(0, 1).gather(0, choices); // [k, n]
    if norm_topk_prob { gates.clone() / gates.sum_dim(0) } else { gates }
}

/// Load balance (Fedus et al. 2021): `e sum_i (share of choices)_i (mean share of scores)_i`, `[1]`; one when all
/// experts are used alike, `e` when one of them is used alone.
pub fn balance_loss(scores: Tensor<2>, load: &Tensor<1, Int>) -> Tensor<1> {
    let [_, e] = scores.dims();
    let load = load.clone().float();
    let used = load.clone() / load.sum(); // [e]
    let wanted = (scores.clone() / scores.sum_dim(1)).mean_dim(0).reshape([e]); // [e]
    (wanted * used).sum() * e as f64
}

/// The mean square of the logits' log-sum-exp (Zoph et al. 2022, arXiv 2202.08906), `[1]`.
pub fn z_loss(logits: Tensor<2>) -> Tensor<1> {
    let first = |x: Tensor<2>| x.narrow(1, 0, 1); // [n, 1]
    let log_sum_exp = first(logits.clone()) - first(log_softmax(logits, 1));
    log_sum_exp.square().mean()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of a few operations in f32.
    const ROUNDING: f32 = 1e-5;

    fn logits() -> Tensor<2> {
        let rows = [[0.0, 3.0f32.ln(), 0.0], [0.0, 0.0, 4.0f32.ln()]]; // sums of exponentials: 5 and 6
        Tensor::from_floats(rows, &crate::device::open("cpu").unwrap())
    }

    #[test]
    fn normalised_gates_of_a_token_sum_to_one() {
        let scores = Router::Softmax.scores(logits());
        let choices = Tensor::from_ints([[1, 2], [0, 0]], &scores.device());
        let gates = |norm_topk_prob| -> Vec<f32> {
            super::gates(scores.clone(), choices.clone(), norm_topk_prob).into_data().iter::<f32>().collect()
        };
        let near = |x: Vec<f32>, y: [f32; 4]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < ROUNDING);
        assert!(near(gates(false), [3.0 / 5.0, 4.0 / 6.0, 1.0 / 5.0, 1.0 / 6.0]));
        assert!(near(gates(true), [3.0 / 4.0, 4.0 / 5.0, 1.0 / 4.0, 1.0 / 5.0]));
    }

    #[test]
    fn the_z_loss_is_the_mean_square_of_the_log_sum_exp() {
        let expected = (5.0f32.ln().powi(2) + 6.0f32.ln().powi(2)) / 2.0;
        assert!((z_loss(logits()).into_scalar::<f32>() - expected).abs() < ROUNDING);
    }
}
