//! Lesson 5: a mixture of experts, by hand.
//!
//! A router scores the experts for each token, `softmax(W x)`, and the token goes through the best one alone, whose
//! output is multiplied by its score: `y = g_i(x) expert_i(x)`. Here every expert reads every token and the choice is
//! made afterwards, which is easy to read and eight times the work; the layer of the zoo sends each token to its expert
//! first. Prints who goes where, that both ways agree to rounding, and that one expert is the MLP itself, to the bit.
//!
//! ```text
//! cargo run --release --example 05_mixture_by_hand
//! ```
//!
//! Exercise: set `capacity` to `Capacity::Factor(CapacityConfig { factor: 1.0 })` and read with `ForwardContext::training()`: tokens
//! whose expert is full are dropped. Find them in the output, then print `routing.expert_load().dropped`.
//! The solution is at the end of the file.

mod figure;

use ablation_zoo::layers::ForwardContext;
use ablation_zoo::layers::feed_forward::{MlpConfig, MoeConfig};
use ablation_zoo::model::weights;
use ablation_zoo::{Result, device};
use burn::tensor::{Device, Tensor, activation::softmax};

const D: usize = 16;
const TOKENS: usize = 12;

fn main() -> Result<()> {
    let device = device::open("cpu")?;
    device.seed(0);
    let wave: Vec<f32> = (0..TOKENS * D).map(|i| (i as f32 * 0.7).cos()).collect();
    let x = Tensor::<1>::from_floats(wave.as_slice(), &device).reshape([1, TOKENS, D]); // [b, t, d]

    let config = MoeConfig { n_experts: 8, top_k: 1, ..MoeConfig::default() };
    let moe = config.init(D, &device);
    let scores = softmax(moe.router.forward(x.clone()).reshape([TOKENS, 8]), 1); // [n, e]
    let all = moe.experts.forward(x.clone().expand([8, TOKENS, D])); // [e, n, d]
    let chosen: Vec<usize> = scores.clone().argmax(1).into_data().iter::<i64>().map(|i| i as usize).collect();
    let by_hand = chosen.iter().enumerate().map(|(token, &expert)| {
        let score = scores.clone().narrow(0, token, 1).narrow(1, expert, 1); // [1, 1]
        println!("token {token:>2} goes to expert {expert}, score {:.2}", score.clone().into_scalar::<f32>());
        all.clone().narrow(0, expert, 1).narrow(1, token, 1) * score.unsqueeze::<3>() // [1, 1, d]
    });
    let by_hand = Tensor::cat(by_hand.collect(), 1); // [1, t, d]

    let mut ctx = ForwardContext::new();
    let y = moe.forward_with(x.clone(), &mut ctx);
    let difference = (y - by_hand).abs().max().into_scalar::<f32>();
    println!("the layer and the hand differ by {difference:.0e} at most");
    let mut bars = Vec::new();
    for routing in ctx.take_routings() {
        let load = routing.expert_load().shares;
        bars.extend(load.iter().enumerate().map(|(expert, share)| (expert as f64, 100.0 * *share)));
        let shares: Vec<String> =
            routing.expert_load().shares.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect();
        println!("share of the tokens of each expert: {}", shares.join(", "));
    }
    println!("{} parameters, {} at work on any one token", config.num_params(D), config.active_params(D));
    one_expert_is_the_mlp(x, &device)?;
    let series = [("this router".to_string(), bars)];
    figure::draw(5, ["expert", "share of the tokens (%)"], figure::Spacing::Linear, &series)
}

/// A router with one expert to choose from gives it a score of one.
fn one_expert_is_the_mlp(x: Tensor<3>, device: &Device) -> Result<()> {
    let one = MoeConfig { n_experts: 1, ..MoeConfig::default() }.init(D, device);
    let mlp = MlpConfig::default().init(D, device);
    let mlp = weights::put(mlp, weights::of(&one.experts), "the expert")?;
    println!(
        "one expert is the MLP to the bit: {}",
        one.forward(x.clone()).into_data() == mlp.forward(x).into_data()
    );
    Ok(())
}

// Solution: 12 tokens over 8 experts with a factor of 1.0 leave room for two at each. Expert 1 is chosen by five and
// expert 2 by three, so that three and one are dropped, a third of all: `dropped` says 0.333, the rows of these four tokens are zero,
// and the layer and the hand differ by as much as an expert says.
