//! Lesson 7: grow a model.
//!
//! Trains a model of one layer for a while, makes four layers of it in two ways, and trains each on: copies (Gstack,
//! arXiv 2405.15319), and copies that add nothing at first (zero). A new model of four layers is trained beside them for
//! comparison. It prints by how much each differs from the function of the small one, and the loss before growth, right
//! after it, and 150 steps later. Zero changes no logit; copies jump and come back. It takes some seconds.
//!
//! ```text
//! cargo run --release --example 07_grow
//! ```
//!
//! Exercise: give `Recipe` the order `"interleave"`, which makes no difference with one layer; then start from two
//! layers (`n_layers: 2`, `factor: Some(2)`) and compare it with `"stack"`. The solution is at the end of the file.

mod figure;

use ablation_zoo::data::{BioDConfig, DataConfig, Dataset};
use ablation_zoo::model::growth::{Operator, Recipe, grow};
use ablation_zoo::model::{Decoder, ModelConfig};
use ablation_zoo::training::{Optimizer, TrainingConfig, fit::tensors, loss};
use ablation_zoo::{Result, device};
use burn::tensor::Device;

const STEPS: u64 = 150;
const ROWS: usize = 16;

fn main() -> Result<()> {
    let data_config = DataConfig::BioD(BioDConfig { people: 1024, ..BioDConfig::default() });
    let data = data_config.open(0, 100)?;
    let (vocab_size, seq_len) = (data.vocab_size(), data_config.seq_len());
    let device = device::open("cpu")?.autodiff();

    let small_config = ModelConfig { d_model: 48, n_layers: 1, n_heads: 2, ..ModelConfig::default() };
    let mut curves = Vec::new();
    let small = train(small_config.init(vocab_size, seq_len, 0, &device), &data, 0, &device);
    curves.push(("one layer".to_string(), small.1));
    let small = small.0;
    println!("one layer, after {STEPS} steps: {:.3} nats per token", loss_of(&small, &data, &device));

    for operator in [Operator::default(), Operator::Zero] {
        let recipe = Recipe { operator, factor: Some(4), ..Recipe::default() };
        let (grown, _) = grow(&small, &small_config, &recipe, 0)?;
        let gap = gap(&small, &grown, &data, &device);
        let curve = show(operator.name(), gap, grown, &data, &device);
        curves.push((operator.name().to_string(), curve));
    }
    let random = ModelConfig { n_layers: 4, ..small_config }.init(vocab_size, seq_len, 0, &device);
    let gap = gap(&small, &random, &data, &device);
    curves.push(("scratch".to_string(), show("scratch", gap, random, &data, &device)));
    figure::draw(7, ["step", "loss (nats per token)"], figure::Spacing::Linear, &curves)
}

/// The loss by step.
type Losses = Vec<(f64, f64)>;

fn show(name: &str, gap: f32, model: Decoder, data: &Dataset, device: &Device) -> Losses {
    let before = loss_of(&model, data, device);
    let (trained, curve) = train(model, data, STEPS, device);
    let after = loss_of(&trained, data, device);
    println!("four layers, {name:<8} largest change of a logit {gap:<8.3} loss {before:.3}, then {after:.3}");
    curve
}

/// `STEPS` steps of AdamW on the batches from `first` on.
fn train(mut model: Decoder, data: &Dataset, first: u64, device: &Device) -> (Decoder, Losses) {
    let config = TrainingConfig::default();
    let mut optimizer = Optimizer::new(&config.optimizer, &config.clip);
    let mut losses = Losses::new();
    for step in first..first + STEPS {
        let loss = loss(&model, &data.batch(step, ROWS), device);
        losses.push((step as f64, f64::from(loss.clone().into_scalar::<f32>())));
        model = optimizer.step(model, loss.backward(), 2e-3).expect("gradients stay finite at this rate").0;
    }
    (model, losses)
}

/// On batches that are read later than all training here.
fn loss_of(model: &Decoder, data: &Dataset, device: &Device) -> f32 {
    let losses = (1000..1008).map(|step| loss(model, &data.batch(step, ROWS), device).into_scalar::<f32>());
    losses.sum::<f32>() / 8.0
}

fn gap(small: &Decoder, big: &Decoder, data: &Dataset, device: &Device) -> f32 {
    let (tokens, _, _) = tensors(&data.batch(0, ROWS), device);
    (small.logits(tokens.clone()) - big.logits(tokens)).abs().max().into_scalar::<f32>()
}

// Solution: of two layers A B, "stack" makes A B A B and "interleave" A A B B; of one layer both make
// copies of it, which is why the lesson needs two. Compare the jump of a logit and the loss after 150 steps: a jump that
// training takes back within them costs little, whichever is the larger.
