//! Lesson 11: the same plan on another device, or in another form of its kernels.
//!
//! A model is a config; the device is an argument of `init`, and nothing in between knows which it is. This trains one
//! plan for 20 steps on every device that this build can open, and on the CPU at two levels of its kernels: the widest
//! that the processor has, and the reference form in plain tensors, which is what every other device runs. It prints the
//! losses side by side. They agree to six digits or so, not to the last bit: each adds in an order of its own. How far
//! apart they are at each step is in `lesson-11.svg`. The level is chosen once per process, so that the program calls
//! itself for the second one.
//!
//! ```text
//! cargo run --release --example 11_another_device
//! cargo run --release --features wgpu --example 11_another_device      (any GPU that speaks Vulkan, Metal or DX12)
//! ```
//!
//! Exercise: raise the learning rate to 0.3. Which differs first, the loss of the first step or that of the last, and
//! what does that say about comparing devices by their final loss? The solution is at the end of the file.

mod figure;

use std::process::Command;

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::kernels;
use ablation_zoo::model::ModelConfig;
use ablation_zoo::training::{Optimizer, TrainingConfig, loss};
use ablation_zoo::{Error, Result, device};

const STEPS: u64 = 20;
const ROWS: usize = 16;
const RATE: f64 = 2e-3;
const CHILD: &str = "losses-only";

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        train("cpu")?.iter().for_each(|loss| println!("{loss:e}"));
        return Ok(());
    }
    let mut columns = Vec::new();
    for name in device::available().into_iter().map(|device| device.name) {
        println!("training on {name}");
        columns.push((
            format!("{name} {}", if name == "cpu" { kernels::level().name() } else { "" }),
            train(&name)?,
        ));
    }
    println!("training on cpu, kernels in their reference form");
    columns.push(("cpu reference".to_string(), at_level("reference")?));

    println!("{:<6}{}", "step", columns.iter().map(|(name, _)| format!("{name:>16}")).collect::<String>());
    for step in (0..STEPS as usize).filter(|step| step % 4 == 3 || *step == 0) {
        let losses: String = columns.iter().map(|(_, losses)| format!("{:>16.6}", losses[step])).collect();
        println!("{:<6}{losses}", step + 1);
    }
    let first = &columns[0];
    let apart: Vec<_> =
        columns[1..].iter().map(|(name, losses)| (name.clone(), apart(losses, &first.1))).collect();
    for (name, points) in &apart {
        let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
        println!("{name} is at most {most:.1e} from {}, relative", first.0);
    }
    figure::draw(11, ["step", "relative difference of the losses"], figure::Spacing::Linear, &apart)
}

/// The relative differences of two columns, by step.
fn apart(losses: &[f32], first: &[f32]) -> Vec<(f64, f64)> {
    let pairs = losses.iter().zip(first).enumerate();
    pairs.map(|(step, (a, b))| (step as f64 + 1.0, f64::from(((a - b) / b).abs()))).collect()
}

/// The losses of this program at a level of the kernels.
fn at_level(name: &str) -> Result<Vec<f32>> {
    let program = std::env::current_exe().map_err(|error| Error::io("find", "this program", error))?;
    let child = Command::new(&program).arg(CHILD).env(kernels::VARIABLE, name).output();
    let output = child.map_err(|error| Error::io("run", &program, error))?.stdout;
    let lines = String::from_utf8_lossy(&output);
    Ok(lines.lines().map(|line| line.parse().expect("a child prints numbers alone")).collect())
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

// Solution: the first losses are equal to all digits, since both start from the same weights; at a rate of 0.3 the fourth differs in
// the fifth digit and the eighth by 3 %: training at such a rate is chaotic and blows rounding up. So the first steps say whether a device
// computes the same, and the final loss says whether it trains as well, over several seeds.
