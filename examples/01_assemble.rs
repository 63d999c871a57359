//! Lesson 1: a model is a row of choices.
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
const ROW: usize = 16;

fn main() -> Result<()> {
    let config = Plan::from_toml("lesson 1", MODEL)?.model;
    let count = config.num_params(VOCABULARY, ROW);
    println!("{} parameters, {} of them in the token table", count.total, count.embedding);

    let device = device::open("cpu")?;
    let model = config.init(VOCABULARY, ROW, 0, &device);
    for (name, shape) in parameter::shapes(&model) {
        println!("  {name:<34} {shape:?}");
    }

    let row: Vec<i32> = (0..ROW as i32).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(row, [1, ROW]), &device); // [b, t]
    let logits = model.logits(tokens); // [b, t, v]
    let last = activation::softmax(logits, 2).narrow(1, ROW - 1, 1).flatten::<1>(0, 2); // [v]
    let (probabilities, ids) = last.sort_descending_with_indices(0);
    let top: Vec<(i64, f32)> =
        ids.narrow(0, 0, 5).into_data().iter::<i64>().zip(probabilities.into_data().iter::<f32>()).collect();
    println!("the likeliest tokens after this row:");
    for (id, probability) in top {
        println!("  token {id:>3} with {:.2} %", 100.0 * probability);
    }
    Ok(())
}
