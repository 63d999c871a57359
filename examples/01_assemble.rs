//! Lesson 1: a model is a list of choices.
//!
//! Reads a model from TOML, the way `zoo` does, builds it and runs it forward. Prints what each choice costs in
//! parameters, the name and shape of every parameter, and the five likeliest next tokens. The model has learned nothing
//! yet, and gives each of 261 tokens a probability near 0.4 %. One stands out, the token it has just read: the residual
//! stream still carries its embedding, and the tied head compares what comes out with all embeddings. With a head of
//! its own, which the picture (`lesson-01.svg`) shows beside it, nothing stands out.
//!
//! ```text
//! cargo run --release --example 01_assemble
//! ```
//!
//! Exercise: write `feed_forward = "none"` and compare the counts; then misspell `gated-mlp` and read the error. The
//! solution is at the end of the file.

mod figure;

use ablation_zoo::model::{Decoder, parameter};
use ablation_zoo::plan::Plan;
use ablation_zoo::{Result, device};
use burn::tensor::{Int, Tensor, TensorData, activation};

const MODEL: &str = r#"
[model]
d_model = 64
n_layers = 2
n_heads = 2
norm = "rms"
embedding = { kind = "token", head = "tied" }
block.mixer = { kind = "attention", position = { kind = "rope", theta = 10000.0 } }
block.feed_forward = { kind = "gated-mlp", activation = "silu", expansion = 2.6667 }
"#;
const VOCABULARY: usize = 261;
const SEQ_LEN: usize = 16;

fn main() -> Result<()> {
    let config = Plan::from_toml("lesson 1", MODEL)?.model;
    let count = config.num_params(VOCABULARY, SEQ_LEN);
    println!("{} parameters, {} of them in the embedding", count.total, count.embedding);

    let device = device::open("cpu")?;
    let model = config.init(VOCABULARY, SEQ_LEN, 0, &device);
    for (name, shape) in parameter::shapes(&model) {
        println!("  {name:<34} {shape:?}");
    }

    let ids: Vec<i32> = (0..SEQ_LEN as i32).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, SEQ_LEN]), &device); // [b, t]
    let untied = MODEL.replace("\"tied\"", "\"untied\"");
    let untied = Plan::from_toml("lesson 1", &untied)?.model.init(VOCABULARY, SEQ_LEN, 0, &device);
    let by_rank = [("tied head", &model), ("head of its own", &untied)].map(|(name, model)| {
        let points = likeliest(model, tokens.clone(), 40).into_iter().enumerate();
        (name.to_string(), points.map(|(rank, (_, share))| (rank as f64 + 1.0, 100.0 * share)).collect())
    });
    println!("the likeliest tokens after this sequence:");
    for (id, share) in likeliest(&model, tokens, 5) {
        let note = if id == SEQ_LEN as i64 - 1 { ", the last one that was read" } else { "" };
        println!("  token {id:>3} with {:.2} %{note}", 100.0 * share);
    }
    figure::draw(1, ["rank of the token", "probability (%)"], figure::Spacing::Linear, &by_rank)
}

/// The `n` likeliest tokens after the sequence, with their probabilities.
fn likeliest(model: &Decoder, tokens: Tensor<2, Int>, n: usize) -> Vec<(i64, f64)> {
    let logits = model.logits(tokens); // [b, t, v]
    let last = activation::softmax(logits, 2).narrow(1, SEQ_LEN - 1, 1).flatten::<1>(0, 2); // [v]
    let (shares, ids) = last.sort_descending_with_indices(0);
    ids.narrow(0, 0, n).into_data().iter::<i64>().zip(shares.into_data().iter::<f64>()).collect()
}

// Solution: both blocks lose their three matrices of 64 x 171 and nothing else, so more than half of the parameters are
// gone. `gated-mpl` is answered by the key, its line, the kinds that there are, and "did you mean gated-mlp".
