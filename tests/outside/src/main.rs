//! Blocks of the zoo and of burn-nn in one module, trained by Burn's own optimizer; fails unless the loss falls.

use std::process::ExitCode;

use ablation_zoo::data::TokenizerConfig;
use ablation_zoo::prelude::*;
use burn::module::Module;
use burn::nn;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Int, Tensor};

const SYMBOLS: usize = 16;
const D: usize = 32;
const LENGTH: usize = 24;
const PERIOD: usize = 6;
const ROWS: usize = 16;
const STEPS: usize = 150;

#[derive(Module, Debug)]
struct Net {
    embedding: nn::Embedding,
    attention: Attention,
    mlp: GatedMlp,
    moe: Moe,
    norm: nn::RmsNorm,
    head: nn::Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let widths = Widths::new(D, 4, LENGTH);
        Net {
            embedding: nn::EmbeddingConfig::new(SYMBOLS, D).init(device),
            attention: AttentionConfig::default().init(&widths, device),
            mlp: GatedMlpConfig::default().init(D, device),
            moe: MoeConfig { n_experts: 4, top_k: 2, ..MoeConfig::default() }.init(D, device),
            norm: nn::RmsNormConfig::new(D).init(device),
            head: nn::LinearConfig::new(D, SYMBOLS).init(device),
        }
    }

    /// `[b, t] -> [b, t, v]`
    fn forward(&self, x: Tensor<2, Int>) -> Tensor<3> {
        let x = self.embedding.forward(x); // [b, t, d]
        let x = x.clone() + self.attention.forward(self.norm.forward(x));
        let x = x.clone() + self.mlp.forward(self.norm.forward(x));
        let x = x.clone() + self.moe.forward(self.norm.forward(x));
        self.head.forward(self.norm.forward(x))
    }
}

/// Rows that repeat after a while, `[b, t + 1]`.
fn rows(device: &Device) -> Tensor<2, Int> {
    let once = Tensor::<2>::random([ROWS, PERIOD], Distribution::Uniform(0.0, SYMBOLS as f64), device);
    once.int().repeat_dim(1, LENGTH / PERIOD + 1).narrow(1, 0, LENGTH + 1)
}

fn main() -> ExitCode {
    let device = device::open("cpu").expect("the feature flex is there").autodiff();
    device.seed(0);
    let (mut net, mut adam) = (Net::new(&device), AdamWConfig::new().init());
    let loss_of = CrossEntropyLossConfig::new().init(&device);
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let rows = rows(&device);
        let logits = net.forward(rows.clone().narrow(1, 0, LENGTH)).reshape([ROWS * LENGTH, SYMBOLS]);
        let loss = loss_of.forward(logits, rows.narrow(1, 1, LENGTH).reshape([ROWS * LENGTH]));
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = adam.step(3e-3, net, gradients);
        losses.push(loss.into_scalar::<f32>());
    }
    let (first, last) = (losses[0], losses[STEPS - 1]);
    println!("loss {first:.3} at first, {last:.3} after {STEPS} steps");
    let absent = TokenizerConfig::Gpt2.open([]).expect_err("the feature tokenizers is absent").to_string();
    println!("gpt2: {absent}");
    match last < 0.8 * first && absent.contains("\"tokenizers\"") {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
