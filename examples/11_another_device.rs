//! Lesson 11: the same plan on another device.
//!
//! A model is a config; the device is an argument of `init`, and nothing in between knows which it is. This trains one
//! plan for 20 steps on the CPU and on every other device that this build can open, and prints the losses side by
//! side. They agree to six digits or so, not to the last bit: each device adds in an order of its own. With the
//! default features there is the CPU alone, and its losses are compared with a second run of itself: equal bits.
//!
//! ```text
//! cargo run --release --example 11_another_device
//! cargo run --release --features wgpu --example 11_another_device      (any GPU that speaks Vulkan, Metal or DX12)
//! ```
//!
//! Exercise: raise the learning rate to 0.3. Which differs first, the loss of the first step or that of the last, and
//! what does that say about comparing devices by their final loss?

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::model::ModelConfig;
use ablation_zoo::training::{Optimizer, TrainingConfig, loss};
use ablation_zoo::{Result, device};

const STEPS: u64 = 20;
const ROWS: usize = 16;
const RATE: f64 = 2e-3;

fn main() -> Result<()> {
    let mut names: Vec<String> = device::available().into_iter().map(|device| device.name).collect();
    if names.len() == 1 {
        names.push(names[0].clone());
    }
    let mut columns = Vec::new();
    for name in &names {
        println!("training on {name}");
        columns.push(train(name)?);
    }
    println!("{:<6}{}", "step", names.iter().map(|name| format!("{name:>14}")).collect::<String>());
    for step in (0..STEPS as usize).filter(|step| step % 4 == 3 || *step == 0) {
        let losses: String = columns.iter().map(|losses| format!("{:>14.6}", losses[step])).collect();
        println!("{:<6}{losses}", step + 1);
    }
    for (name, losses) in names.iter().zip(&columns).skip(1) {
        let apart = losses.iter().zip(&columns[0]).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f32::max);
        println!("{name} is at most {apart:.1e} from {}, relative", names[0]);
    }
    Ok(())
}

/// The losses of the first steps on a device.
fn train(name: &str) -> Result<Vec<f32>> {
    let device = device::open(name)?.autodiff(); // the only line that knows where it runs
    let data_config = DataConfig::BioD(BioDConfig { people: 1024, ..BioDConfig::default() });
    let data = data_config.open(0, 100)?;
    let config = ModelConfig { d_model: 48, n_layers: 2, n_heads: 2, ..ModelConfig::default() };
    // Initial weights are drawn on the host, so that they are the same everywhere.
    let mut model = config.init(data.vocab_size(), data_config.seq_len(), 0, &device);
    let TrainingConfig { optimizer, clip, .. } = TrainingConfig::default();
    let mut optimizer = Optimizer::new(&optimizer, &clip);
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let loss = loss(&model, &data.batch(step, ROWS), &device);
        losses.push(loss.clone().into_scalar::<f32>());
        let stepped = optimizer.step(model, loss.backward(), RATE);
        (model, _) = stepped.expect("gradients stay finite at this rate");
    }
    Ok(losses)
}
