//! Lesson 8: who is ahead depends on the axis.
//!
//! Trains a small and a big model on the same sequences in the same order, and asks where their loss curves cross: by tokens,
//! where the big one sees no reason to wait, and by FLOPs, where the small one starts ahead because it reads more text
//! for the same compute. Each crossing comes with an interval, made of the noise that smoothing leaves over; what is too
//! close to tell is listed as unresolved. About half a minute.
//!
//! ```text
//! cargo run --release --example 08_race
//! ```
//!
//! Exercise: give the small model a cosine of its own length on the same FLOPs as the big one (`count` of its steps times
//! the ratio of FLOPs per token). Does it come back at the end? Only ends of finished schedules compare sizes: see
//! docs/race.md.

mod figure;

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::laws::curves::{Axis, CrossingConfig, Curve, Smoothing, Stage, crossings};
use ablation_zoo::model::{InitConfig, ModelConfig};
use ablation_zoo::training::config::ConstantConfig;
use ablation_zoo::training::{
    Count, DocumentOrder, Job, Length, Metrics, Observer, ScheduleConfig, TrainingConfig, fit,
};
use ablation_zoo::{Result, device};

/// Keeps the lines of metrics.
#[derive(Default)]
struct Lines(Vec<Metrics>);

impl<M, D> Observer<M, D> for Lines {
    fn metrics(&mut self, line: &Metrics) -> Result<()> {
        self.0.push(*line);
        Ok(())
    }
}

fn train(d_model: usize, steps: u64) -> Result<Vec<Metrics>> {
    let data = DataConfig::BioD(BioDConfig { people: 512, ..BioDConfig::default() });
    let model = ModelConfig {
        d_model,
        n_layers: 2,
        n_heads: 2,
        init: InitConfig::WidthScaled(Default::default()),
        ..ModelConfig::default()
    };
    let training = TrainingConfig {
        length: Length::Steps(Count { count: steps }),
        peak_lr: 2e-3,
        schedule: ScheduleConfig::Constant(ConstantConfig { warmup_steps: 50 }),
        order: DocumentOrder::Epochs,
        ..TrainingConfig::default()
    };
    let job = Job { model: &model, data: &data, training: &training, seed: 0 };
    let folder = std::env::temp_dir().join(format!("ablation-zoo-lesson-8-{}-{d_model}", std::process::id()));
    let mut lines = Lines::default();
    fit(&job, &device::open("cpu")?, &folder, &mut lines)?;
    std::fs::remove_dir_all(&folder).ok();
    Ok(lines.0)
}

fn main() -> Result<()> {
    let runs = [("small", train(16, 6000)?), ("big", train(64, 2000)?)];
    for (axis, place) in
        [(Axis::Tokens, (|line| line.tokens as f64) as fn(&Metrics) -> f64), (Axis::Flops, |line| line.flops)]
    {
        let curve = |(name, lines): &(&str, Vec<Metrics>)| {
            Curve::new(
                name,
                axis,
                Stage::Raw,
                lines.iter().map(|line| (place(line), line.loss)).collect::<Vec<_>>(),
            )
        };
        let config = CrossingConfig { smoothing: Smoothing::Kernel(0.1), ..CrossingConfig::default() };
        println!("{}", crossings(&curve(&runs[0])?, &curve(&runs[1])?, &config)?);
    }
    let by_flops = |lines: Vec<Metrics>| lines.iter().map(|line| (line.flops, line.loss)).collect();
    let series = runs.map(|(name, lines)| (name.to_string(), by_flops(lines)));
    figure::draw(8, ["FLOPs", "loss (nats per token)"], figure::Spacing::Logarithmic, &series)
}
