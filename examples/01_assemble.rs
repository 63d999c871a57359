//! Lesson 1: a model is a list of choices.
//!
//! Reads a model from TOML, the way `zoo` does, builds it and runs it forward. Prints what each choice costs in
//! parameters, the name and shape of every parameter, and the five likeliest next tokens, which are arbitrary: the
//! model has learned nothing yet, and gives each of 261 tokens a probability near 0.4 %.
//!
//! ```text
//! cargo run --release --example 01_assemble
//! ```
//!
//! Exercise: write `feed_forward = "none"` and compare the counts; then misspell `gated-mlp` and read the error.

use ablation_zoo::model::parameter;
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
    let logits = model.logits(tokens); // [b, t, v]
    let last = activation::softmax(logits, 2).narrow(1, SEQ_LEN - 1, 1).flatten::<1>(0, 2); // [v]
    let (probabilities, ids) = last.sort_descending_with_indices(0);
    let top: Vec<(i64, f32)> =
        ids.narrow(0, 0, 5).into_data().iter::<i64>().zip(probabilities.into_data().iter::<f32>()).collect();
    println!("the likeliest tokens after this sequence:");
    for (id, probability) in top {
        println!("  token {id:>3} with {:.2} %", 100.0 * probability);
    }
    Ok(())
}
