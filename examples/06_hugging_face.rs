//! Lesson 6: the same model, built by somebody else.
//!
//! Reads a model that Hugging Face's `transformers` wrote (a tiny Llama with random weights, in four files), builds it
//! from our own parts, and compares its logits with those that PyTorch gave for the same tokens. They agree to the
//! rounding of f32: two programs that share no line of code mean the same by "Llama". Then it changes one choice at a
//! time and shows what each is worth in the logits.
//!
//! ```text
//! cargo run --release --example 06_hugging_face
//! ```
//!
//! Exercise: import `hf-mistral` instead, and set its `mask` to `AttentionMask::Causal`. Why do only the later positions
//! change? Then find a choice of this Llama that can be changed without changing any logit.
//! The solution is at the end of the file.

mod figure;

use std::path::Path;

use ablation_zoo::kernels::Activation;
use ablation_zoo::layers::feed_forward::FeedForwardConfig;
use ablation_zoo::layers::mixer::MixerConfig;
use ablation_zoo::layers::norm::{NormConfig, RmsNormConfig};
use ablation_zoo::layers::position::PositionConfig;
use ablation_zoo::model::weights::NonFinite;
use ablation_zoo::model::{ModelConfig, exchange, weights};
use ablation_zoo::{Result, device};
use burn::tensor::{Int, Tensor};

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/hf-llama");
    let imported = exchange::import(&folder, None, NonFinite::Refuse)?;
    let (class, params) = (imported.class.architecture(), imported.blueprint.num_params());
    println!("{class}, {} parameters, {} of them in embeddings", params.total, params.embedding);

    let device = device::open("cpu")?;
    let (expected, _) = weights::read(&folder.join("expected.safetensors"))?;
    let tokens = Tensor::<2, Int>::from_data(expected["tokens"].clone().convert::<i32>(), &device); // [b, t]
    let theirs = Tensor::<3>::from_data(expected["logits"].clone(), &device); // [b, t, v]

    let mut curves = Vec::new();
    let mut compare = |what: &str, change: fn(&mut ModelConfig)| -> Result<()> {
        let mut blueprint = imported.blueprint.clone();
        change(&mut blueprint.model);
        let model = blueprint.build(imported.weights.clone(), what, &device)?;
        let apart = (model.logits(tokens.clone()) - theirs.clone()).abs(); // [b, t, v]
        let difference = apart.clone().max().into_scalar::<f32>();
        let by_position: Vec<f32> = apart.max_dim(2).max_dim(0).into_data().iter::<f32>().collect(); // [t]
        let points = by_position.iter().enumerate().map(|(t, apart)| (t as f64, f64::from(*apart)));
        curves.push((what.to_string(), points.collect()));
        println!("  {what:<44} largest difference of a logit {difference:.1e}");
        Ok(())
    };
    compare("as it is", |_| {})?;
    compare("GELU in the gate instead of SiLU", |model| {
        if let FeedForwardConfig::GatedMlp(mlp) = &mut model.block.feed_forward {
            mlp.activation = Activation::Gelu;
        }
    })?;
    compare("no positions", |model| {
        if let MixerConfig::Attention(attention) = &mut model.block.mixer {
            attention.position = PositionConfig::None;
        }
    })?;
    compare("eps of the norms 1e-6 instead of 1e-5", |model| {
        model.norm = NormConfig::Rms(RmsNormConfig { eps: 1e-6 });
    })?;
    figure::draw(6, ["position", "largest difference of a logit"], figure::Spacing::Linear, &curves)
}

// Solution: a window hides only tokens that are further back than it is wide, so the first positions, which have nothing
// that far back, read the same. What changes no logit: `init`, which says how weights begin, and here they are read.
