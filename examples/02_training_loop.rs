//! Lesson 2: the training loop, written out.
//!
//! What `zoo train` does, without checkpoints and progress bars: batch, loss, gradients, update. It trains a model of
//! 68 thousand parameters for 300 steps on invented people and prints the loss, which starts near ln(261) = 5.56 nats
//! (every token equally likely) and falls to about 3.25: by then the model knows the form of a sequence (which kind of
//! token comes next), not yet the people. `lesson-02.svg` shows the loss and the norm of the gradients. It takes a
//! second.
//!
//! ```text
//! cargo run --release --example 02_training_loop
//! ```
//!
//! Exercise: raise `PEAK` to 1e-2, then to 1e-1, each with the warm-up and with `WARMUP` of 1. Where does it help, where
//! does it hurt, and which of the two numbers shows it? The solution is at the end of the file.

mod figure;

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::model::ModelConfig;
use ablation_zoo::training::config::CosineConfig;
use ablation_zoo::training::{Clip, Optimizer, OptimizerConfig, ScheduleConfig, TrainingConfig, loss};
use ablation_zoo::{Result, device};

const STEPS: u64 = 300;
const ROWS: usize = 16;
const PEAK: f64 = 2e-3;
const WARMUP: u64 = 30;

fn main() -> Result<()> {
    // What is learned: 1,024 people with four attributes, one person a sequence of 16 tokens.
    let data_config = DataConfig::BioD(BioDConfig { people: 1024, ..BioDConfig::default() });
    let data = data_config.open(0, 100)?;

    // What learns it. Training needs a device that records gradients.
    let device = device::open("cpu")?.autodiff();
    let config = ModelConfig { d_model: 48, n_layers: 2, n_heads: 2, ..ModelConfig::default() };
    let mut model = config.init(data.vocab_size(), data_config.seq_len(), 0, &device);
    println!("{} parameters", config.num_params(data.vocab_size(), data_config.seq_len()).total);

    // How: AdamW, a cosine with warm-up, gradients clipped by their joint norm.
    let TrainingConfig { optimizer, clip, .. } = TrainingConfig::default();
    let (optimizer, clip): (OptimizerConfig, Clip) = (optimizer, clip);
    let mut optimizer = Optimizer::new(&optimizer, &clip);
    let schedule = ScheduleConfig::Cosine(CosineConfig { warmup_steps: WARMUP, ..CosineConfig::default() });

    let mut losses = Vec::new();
    let mut norms = Vec::new();
    for step in 0..STEPS {
        let batch = data.batch(step, ROWS); // a pure function of (seed, step): nothing to rewind
        let loss = loss(&model, &batch, &device); // mean over tokens, in nats
        let gradients = loss.backward();
        let lr = PEAK * schedule.share(step, STEPS);
        let (updated, grad_norm) =
            optimizer.step(model, gradients, lr).expect("gradients stay finite at this rate");
        model = updated;
        let loss = loss.into_scalar::<f32>();
        if step % 50 == 0 || step + 1 == STEPS {
            println!("step {:>3}  lr {lr:.1e}  loss {loss:.3} nats per token, norm {grad_norm:.2}", step + 1);
        }
        losses.push((step as f64 + 1.0, f64::from(loss)));
        norms.push((step as f64 + 1.0, grad_norm));
    }
    let series =
        [("loss (nats per token)".to_string(), losses), ("norm of the gradients".to_string(), norms)];
    figure::draw(2, ["step", ""], figure::Spacing::Logarithmic, &series)
}

// Solution: 1e-2 is better than 2e-3, even without a warm-up: the loss ends at 3.23. At 1e-1 training does not diverge, it
// stalls: 3.60 without the warm-up, 3.84 with it, where 2e-3 has 3.25. The norm shows nothing of it, between 0.2 and 0.7 as
// before: AdamW divides by the size of the gradient, so that a step is as long as the rate says. The loss is what to watch.
