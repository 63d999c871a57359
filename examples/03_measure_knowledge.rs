//! Lesson 3: how many bits does a model know?
//!
//! Trains a small model until it knows some people by heart and counts, by the formula of arXiv 2404.05405, how many
//! bits it has stored: `N log2(N0 / e^p1) + N log2(S0 / e^p2)`, where `p1` is its surprise at a name and `p2` its
//! surprise at all values of a person. One that guesses evenly among the possible values has stored nothing; an
//! untrained model, which does not even know what a value looks like, less than nothing; a trained one nearly all
//! there is. It prints the three within half a minute.
//!
//! ```text
//! cargo run --release --example 03_measure_knowledge
//! ```
//!
//! Exercise: set `exposures` to 10. The loss falls by half, and yet no bit of knowledge is stored: what did the model
//! learn first? The solution is at the end of the file.

mod figure;

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::measure::{MeasureConfig, capacity};
use ablation_zoo::model::{InitConfig, ModelConfig};
use ablation_zoo::training::config::CosineConfig;
use ablation_zoo::training::{
    Count, Job, Length, Metrics, Observer, Outcome, ScheduleConfig, TrainingConfig, fit,
};
use ablation_zoo::{Result, device};

fn main() -> Result<()> {
    let exposures = 100;
    let data = DataConfig::BioD(BioDConfig { people: 256, ..BioDConfig::default() });
    let model = ModelConfig {
        d_model: 32,
        n_layers: 2,
        n_heads: 2,
        init: InitConfig::WidthScaled(Default::default()),
        ..ModelConfig::default()
    };
    let training = TrainingConfig {
        length: Length::Exposures(Count { count: exposures }),
        batch: 8,
        peak_lr: 2e-3,
        schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps: 100, ..CosineConfig::default() }),
        ..TrainingConfig::default()
    };
    let job = Job { model: &model, data: &data, training: &training, seed: 0 };
    let device = device::open("cpu")?;
    let params = model.num_params(data.vocab_size()?, data.seq_len()).total;
    let measure = MeasureConfig::default();

    let untrained = model.init(data.vocab_size()?, data.seq_len(), 0, &device);
    let before = capacity::measure(&untrained, &job.open_data()?, &measure, params, &device)?;
    let before = before.expect("invented people have facts");
    println!("{params} parameters, {} people, {:.0} bits to know", before.people, before.max_bits);
    println!("untrained:       {:>7.0} bits, {:>5.2} bits per parameter", before.bits, before.bits_per_param);

    let folder = std::env::temp_dir().join(format!("ablation-zoo-lesson-3-{}", std::process::id()));
    let mut losses = Losses::default();
    if let Outcome::Finished(trained) = fit(&job, &device, &folder, &mut losses)? {
        let after = capacity::measure(&trained.model, &trained.data, &measure, params, &device)?;
        let after = after.expect("invented people have facts");
        println!(
            "{exposures} exposures:   {:>7.0} bits, {:>5.2} bits per parameter",
            after.bits, after.bits_per_param
        );
        println!(
            "a perfect model: {:>7.0} bits, {:>5.2} bits per parameter",
            after.max_bits, after.max_bits_per_param
        );
        for attribute in &after.attributes {
            println!(
                "  {:<6} {:.2} of {:.2} bits a person",
                attribute.name, attribute.bits, attribute.max_bits
            );
        }
    }
    std::fs::remove_dir_all(&folder).ok();
    let series = [("loss in training".to_string(), losses.0)];
    figure::draw(3, ["exposures", "loss (nats per token)"], figure::Spacing::Linear, &series)
}

/// Keeps the loss by exposures: 256 people, eight of them a step.
#[derive(Default)]
struct Losses(Vec<(f64, f64)>);

impl<M, D> Observer<M, D> for Losses {
    fn metrics(&mut self, line: &Metrics) -> Result<()> {
        self.0.push((line.step as f64 / 32.0, line.loss));
        Ok(())
    }
}

// Solution: after 10 exposures no attribute is worth a tenth of a bit, and the total is still below zero, near -2,000 bits
// from -8,900: the names cost more than guessing evenly would. The loss fell because the model learned the form first,
// which kind of token stands at which place, and that is the same for everybody, so it is no knowledge of anybody.
