//! Lesson 9: the loss of a domain is a power of its share, and so the best mixture can be computed before it is trained.
//!
//! Mixes two small languages, brackets and a table of symbols, in four shares, trains the same model on each, fits
//! `L = C / (r + r0)^alpha` to the held-out losses of each language, and computes the mixture with the lowest mean. Then
//! it trains that mixture too, which is the only way to know. About half a minute.
//!
//! ```text
//! cargo run --release --example 09_mixture
//! ```
//!
//! Exercise: set the share of brackets in one of the mixtures to 0. What becomes of a law without `r0` (`AtZero::Drop`)?
//! The solution is at the end of the file.

mod figure;

use ablation_zoo::data::generated::{BracketsConfig, LanguageConfig, MarkovConfig};
use ablation_zoo::data::{CorpusConfig, DataConfig, Marker, MixtureConfig, SourceConfig};
use ablation_zoo::laws::mixture::{AtZero, Form, Mixtures, Observation, closed_optimum, fit as fit_law};
use ablation_zoo::measure::loss;
use ablation_zoo::model::{InitConfig, ModelConfig};
use ablation_zoo::training::config::CosineConfig;
use ablation_zoo::training::{
    Count, Job, Length, NoopObserver, Outcome, ScheduleConfig, TrainingConfig, fit,
};
use ablation_zoo::{Result, device};

const ROW: usize = 64;
const STEPS: u64 = 150;

fn data(brackets: f64) -> DataConfig {
    let source = |share: f64, language: LanguageConfig| {
        let config =
            CorpusConfig { language, documents: 2048, length: ROW, held_out: 64, ..CorpusConfig::default() };
        SourceConfig { share, marker: Marker::None, data: DataConfig::Corpus(config) }
    };
    let sources = [
        ("brackets".to_string(), source(brackets, LanguageConfig::Brackets(BracketsConfig::default()))),
        ("markov".to_string(), source(1.0 - brackets, LanguageConfig::Markov(MarkovConfig::default()))),
    ];
    DataConfig::Mixture(MixtureConfig { sources: sources.into(), seq_len: ROW, ..MixtureConfig::default() })
}

/// Held-out losses of both languages after training with this share of brackets.
fn losses(brackets: f64) -> Result<Vec<f64>> {
    let (data, device) = (data(brackets), device::open("cpu")?);
    let model = ModelConfig {
        d_model: 32,
        n_layers: 2,
        n_heads: 2,
        init: InitConfig::WidthScaled(Default::default()),
        ..ModelConfig::default()
    };
    let training = TrainingConfig {
        length: Length::Steps(Count { count: STEPS }),
        peak_lr: 3e-3,
        schedule: ScheduleConfig::Cosine(CosineConfig { warmup_steps: 20, ..CosineConfig::default() }),
        ..TrainingConfig::default()
    };
    let job = Job { model: &model, data: &data, training: &training, seed: 0 };
    let folder =
        std::env::temp_dir().join(format!("ablation-zoo-lesson-9-{}-{brackets}", std::process::id()));
    let outcome = fit(&job, &device, &folder, &mut NoopObserver)?;
    std::fs::remove_dir_all(&folder).ok();
    let Outcome::Finished(trained) = outcome else { unreachable!("nobody asks this run to stop") };
    let domains = loss::domains(&trained.model, &trained.data, ROW, &device);
    Ok(domains.into_iter().map(|domain| domain.nats_per_token).collect())
}

fn main() -> Result<()> {
    let mut observations = Vec::new();
    let mut measured = Vec::new();
    for brackets in [0.1, 0.25, 0.5, 0.75, 0.9] {
        let losses = losses(brackets)?;
        println!("{:>3.0} % brackets: brackets {:.4}, markov {:.4}", 100.0 * brackets, losses[0], losses[1]);
        measured.push((100.0 * brackets, (losses[0] + losses[1]) / 2.0));
        observations.push(Observation {
            shares: vec![brackets, 1.0 - brackets],
            steps: STEPS as f64,
            losses,
        });
    }
    let law = fit_law(&Mixtures::new(vec![0, 1], observations)?, Form::OwnShare(AtZero::Offset))?;
    let best = closed_optimum(&law, &[0.5, 0.5], 2, STEPS as f64)?;
    println!("best by the law: {:.1} % brackets, mean loss {:.4}", 100.0 * best.shares[0], best.loss);
    let trained = losses(best.shares[0])?;
    println!("trained:         mean loss {:.4}", (trained[0] + trained[1]) / 2.0);
    let chosen = (100.0 * best.shares[0], (trained[0] + trained[1]) / 2.0);
    let series = [("tried".to_string(), measured), ("best by the law, trained".to_string(), vec![chosen])];
    figure::draw(9, ["share of brackets (%)", "mean loss (nats per token)"], figure::Spacing::Linear, &series)
}

// Solution: a power of a share of zero is infinite, and no model has an infinite loss. With `AtZero::Drop` the mixture
// without brackets is left out of the law of brackets, which then says nothing about small shares; `AtZero::Offset` fits
// `r0`, what the other language teaches about this one, and keeps the point.
