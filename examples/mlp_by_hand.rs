//! The main question through the library, without files and processes: what does the MLP do for knowledge?
//!
//! Two arms, one seed, two thousand steps: `zoo run mlp` asks the same with tuned rates, seeds and intervals. Prints
//! bits per parameter of a model with and without its MLP, and their ratio, within half a minute.
//!
//! ```text
//! cargo run --release --example mlp_by_hand
//! ```

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::layers::feed_forward::{FeedForwardConfig, MlpConfig};
use ablation_zoo::measure::{MeasureConfig, capacity};
use ablation_zoo::model::{InitConfig, ModelConfig};
use ablation_zoo::training::config::CosineConfig;
use ablation_zoo::training::{Job, NoopObserver, Outcome, ScheduleConfig, TrainingConfig, fit};
use ablation_zoo::{Result, device};

fn main() -> Result<()> {
    let data = DataConfig::BioD(BioDConfig { people: 320, ..BioDConfig::default() });
    let schedule = ScheduleConfig::Cosine(CosineConfig { warmup_steps: 200, ..CosineConfig::default() });
    let training = TrainingConfig { peak_lr: 2e-3, schedule, ..TrainingConfig::default() };
    let init = InitConfig::WidthScaled(Default::default());
    let mut bits = Vec::new();
    for feed_forward in [FeedForwardConfig::Mlp(MlpConfig::default()), FeedForwardConfig::None] {
        let mut model = ModelConfig { d_model: 32, n_layers: 2, n_heads: 2, init, ..ModelConfig::default() };
        model.block.feed_forward = feed_forward;
        bits.push(bits_per_param(&Job { model: &model, data: &data, training: &training, seed: 1 })?);
    }
    println!(
        "with MLP {:.3}, without {:.3} bits per parameter: ratio {:.2}",
        bits[0],
        bits[1],
        bits[1] / bits[0]
    );
    Ok(())
}

fn bits_per_param(job: &Job) -> Result<f64> {
    let device = device::open("cpu")?;
    let folder = std::env::temp_dir().join(format!("ablation-zoo-{}", std::process::id()));
    let params = job.model.num_params(job.data.vocab_size()?, job.data.seq_len()).total;
    let outcome = fit(job, &device, &folder, &mut NoopObserver);
    std::fs::remove_dir_all(&folder).ok();
    let Outcome::Finished(trained) = outcome? else { unreachable!("nobody asks it to stop") };
    let capacity =
        capacity::measure(&trained.model, &trained.data, &MeasureConfig::default(), params, &device)?;
    Ok(capacity.map_or(0.0, |capacity| capacity.bits_per_param))
}
