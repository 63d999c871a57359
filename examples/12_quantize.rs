//! Lesson 12: how many bits of a weight does knowledge need?
//!
//! Trains a small model on some people, as in lesson 3, and rounds its weights to 8, 4, 3 and 2 bits: each weight to the
//! nearest point of its grid, and by GPTQ (arXiv 2210.17323), which lets the weights that are still to be rounded make up
//! for those that were. What is stored is counted with its scales and with all that stays in float. Half a minute.
//!
//! ```text
//! cargo run --release --example 12_quantize
//! ```
//!
//! Exercise: set `people` to 64. The same model knows everybody with bits to spare; from how many bits on does it forget?

mod figure;

use ablation_zoo::data::{BioDConfig, DataConfig};
use ablation_zoo::measure::quantize::{GptqConfig, QuantizeConfig, RtnConfig, Scope};
use ablation_zoo::measure::{MeasureConfig, capacity};
use ablation_zoo::model::{Decoder, InitConfig, ModelConfig};
use ablation_zoo::training::config::CosineConfig;
use ablation_zoo::training::{
    Count, Job, Length, NoopObserver, Outcome, ScheduleConfig, TrainingConfig, fit,
};
use ablation_zoo::{Result, device};

fn main() -> Result<()> {
    let people = 256;
    let data = DataConfig::BioD(BioDConfig { people, ..BioDConfig::default() });
    let model = ModelConfig {
        d_model: 32,
        n_layers: 2,
        n_heads: 2,
        init: InitConfig::WidthScaled(Default::default()),
        ..ModelConfig::default()
    };
    let training = TrainingConfig {
        length: Length::Exposures(Count { count: 100 }),
        batch: 8,
        peak_lr: 2e-3,
        schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps: 100, ..CosineConfig::default() }),
        ..TrainingConfig::default()
    };
    let job = Job { model: &model, data: &data, training: &training, seed: 0 };
    let device = device::open("cpu")?;
    let params = model.num_params(data.vocab_size()?, data.seq_len()).total;
    let folder = std::env::temp_dir().join(format!("ablation-zoo-lesson-12-{}", std::process::id()));
    let Outcome::Finished(trained) = fit(&job, &device, &folder, &mut NoopObserver)? else { return Ok(()) };
    std::fs::remove_dir_all(&folder).ok();

    let known = |model: &Decoder| -> Result<f64> {
        let measured = capacity::measure(model, &trained.data, &MeasureConfig::default(), params, &device)?;
        Ok(measured.expect("invented people have facts").bits)
    };
    println!(
        "as trained:        32.00 bits stored per parameter, {:>6.0} bits known",
        known(&trained.model)?
    );
    let weights = Scope::All;
    let mut curves = [("nearest".to_string(), Vec::new()), ("gptq".to_string(), Vec::new())];
    for bits in [8, 4, 3, 2] {
        let nearest = QuantizeConfig::Rtn(RtnConfig { bits, weights, ..Default::default() });
        let gptq = QuantizeConfig::Gptq(GptqConfig { bits, weights, ..Default::default() });
        for ((name, points), quantize) in curves.iter_mut().zip([nearest, gptq]) {
            let rounded = quantize.apply(&trained.model, &trained.data, data.seq_len(), &device)?;
            let rounded = rounded.expect("something is rounded");
            let (stored, bits_known) = (rounded.storage.bits_per_param, known(&rounded.model)?);
            points.push((stored, bits_known));
            println!(
                "int{bits} {name:<8}     {stored:>5.2} bits stored per parameter, {bits_known:>6.0} bits known"
            );
        }
    }
    figure::draw(12, ["bits stored per parameter", "bits known"], figure::Spacing::Linear, &curves)
}
