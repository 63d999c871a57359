//! Lesson 10: read more than a window.
//!
//! Gives a decoder an encoder of chunks and a cross-attention in every block (CEPE, arXiv 2402.16617), checks what must
//! not change, trains what is new for a while on copying, and checks again. Without chunks the decoder is what it was, to
//! the bit; the order of chunks is rounding; only what is new has learned. It takes half a minute.
//!
//! ```text
//! cargo run --release --example 10_long_context
//! ```
//!
//! Exercise: start the output projections from `CrossAttentionInit::Copy`. What does the first line of numbers say now, and
//! after as many steps, which of the two has the lower loss?

mod figure;

use ablation_zoo::data::{Batch, ChunkBatch, DataConfig, ReadingConfig};
use ablation_zoo::layers::ForwardContext;
use ablation_zoo::model::context::is_new;
use ablation_zoo::model::{
    Chunks, ContextModel, CrossAttentionInit, EncoderConfig, EncoderTraining, InitConfig, ModelConfig,
};
use ablation_zoo::training::context::Stage;
use ablation_zoo::training::fit::tensors;
use ablation_zoo::training::reading::chunk_tensors;
use ablation_zoo::training::{EncoderContext, Job, Objective, Optimizer, Reading, TrainingConfig};
use ablation_zoo::{Result, device};
use burn::tensor::{Device, Int, Tensor};

const STEPS: u64 = 400;

fn main() -> Result<()> {
    let reading = ReadingConfig { biographies: 2, questions: 4, ..ReadingConfig::default() };
    let data_config = DataConfig::Reading(reading.clone());
    let init = InitConfig::WidthScaled(Default::default());
    let config = ModelConfig { d_model: 32, n_layers: 2, n_heads: 2, init, ..ModelConfig::default() };
    let context = EncoderContext {
        encoder: EncoderConfig { width: 0.75, depth: 1.0 },
        output: CrossAttentionInit::Zero,
        encoder_training: EncoderTraining::Trained,
        stage: Stage::Copy,
        ..EncoderContext::default()
    };
    let training = TrainingConfig { batch: 16, ..TrainingConfig::default() };
    let job = Job { model: &config, data: &data_config, training: &training, seed: 0 };
    let objective = Reading { job, context: &context, training, decoder: None, encoder: None };

    let device = device::open("cpu")?.autodiff();
    let data = data_config.open(0, 1)?;
    let mut model = objective.start(&device)?;
    let batch = data.batch(1000, 4);
    let chunks = ChunkBatch::copy_of(&batch, reading.chunk_len());
    let alone = config.init(data.vocab_size(), data_config.seq_len(), 0, &device);
    let expected = alone.hidden(tokens(&batch, &device), &mut ForwardContext::new());

    println!("{:<28} {:>14} {:>12} {:>12}", "", "without chunks", "with chunks", "other order");
    compare("at the start", &model, &expected, &batch, &chunks, &device);

    let mut optimizer = Optimizer::new(&training.optimizer, &training.clip);
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let batch = objective.batch(&data, step);
        let loss = objective.loss(&model, &batch, step, 0..training.batch, &device).loss;
        let nats = loss.clone().into_scalar::<f32>();
        if step % 50 == 0 {
            println!("  step {step:>3}: {nats:.3} nats per token");
        }
        losses.push((step as f64, f64::from(nats)));
        let gradients = loss.backward();
        model = match optimizer.step(model, gradients, 3e-3) {
            Ok((model, _)) => model,
            Err(_) => panic!("a gradient is not finite"),
        };
    }
    compare(&format!("after {STEPS} steps of copying"), &model, &expected, &batch, &chunks, &device);

    let new = |name: &str| !name.starts_with("decoder.") || is_new(name);
    let shapes = ablation_zoo::model::parameter::shapes(&model);
    let count = |wanted: bool| -> usize {
        let chosen = shapes.iter().filter(|(name, _)| new(name) == wanted);
        chosen.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    println!("parameters of the decoder {}, new {}", count(false), count(true));
    figure::draw(
        10,
        ["step", "loss (nats per token)"],
        figure::Spacing::Linear,
        &[("copying".to_string(), losses)],
    )
}

/// The largest change of a hidden state: without chunks, with them, and by turning their order round.
fn compare(
    when: &str,
    model: &ContextModel,
    expected: &Tensor<3>,
    batch: &Batch,
    chunks: &ChunkBatch,
    device: &Device,
) {
    let read = |chunks: Option<Chunks>| model.hidden(tokens(batch, device), chunks, ForwardContext::new()).0;
    let given = chunk_tensors(chunks, batch.rows, device);
    let Chunks { tokens, hidden } = given.clone();
    let turned = Chunks { tokens: tokens.flip([1]), hidden: hidden.flip([1]) };
    let (without, with) = (read(None), read(Some(given)));
    let order = change(&with, &read(Some(turned)));
    println!(
        "{when:<28} {:>14.1e} {:>12.1e} {order:>12.1e}",
        change(&without, expected),
        change(&with, expected)
    );
}

fn tokens(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    tensors(batch, device).0
}

fn change(x: &Tensor<3>, y: &Tensor<3>) -> f32 {
    (x.clone() - y.clone()).abs().max().into_scalar::<f32>()
}
