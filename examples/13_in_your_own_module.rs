//! Lesson 13: blocks of the zoo in a module of your own, trained by Burn's optimizer.
//!
//! A config draws a layer (`init`), a layer maps tensors (`forward`), and a struct that derives `Module` may hold layers
//! of the zoo and of `burn::nn` side by side. Each sequence repeats its first half; attention finds the token that is to
//! be repeated, and a mixture of experts stands where an MLP would. The loss is that of the second half, whose floor is
//! 0: before training it is about ln 16 = 2.77.
//!
//! ```text
//! cargo run --release --example 13_in_your_own_module
//! ```
//!
//! Exercise: give attention `position: PositionConfig::None`. What is the best that it can do now? Then put a second
//! attention before it and see whether two layers find the token without positions.
//! The solution is at the end of the file.

mod figure;

use ablation_zoo::prelude::*;
use burn::nn;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn_optim::{AdamWConfig, GradientsParams};

const VOCABULARY: usize = 16;
const HALF: usize = 12;
const D: usize = 64;

#[derive(Module, Debug)]
struct Repeater {
    embedding: nn::Embedding,
    norm: RmsNorm,
    attention: Attention,
    mlp_norm: nn::LayerNorm,
    experts: Moe,
    head: nn::Linear,
}

impl Repeater {
    fn new(device: &Device) -> Self {
        let widths = Widths::new(D, 4, 2 * HALF); // d_model, n_heads, seq_len
        Repeater {
            embedding: nn::EmbeddingConfig::new(VOCABULARY, D).init(device),
            norm: RmsNormConfig::default().init(D, device),
            attention: AttentionConfig::default().init(&widths, device),
            mlp_norm: nn::LayerNormConfig::new(D).init(device),
            experts: MoeConfig { n_experts: 4, top_k: 2, ..MoeConfig::default() }.init(D, device),
            head: nn::LinearConfig::new(D, VOCABULARY).init(device),
        }
    }

    /// `[b, t] -> [b, t, v]`; the context collects what keeps the experts in use.
    fn forward(&self, tokens: Tensor<2, Int>, ctx: &mut ForwardContext) -> Tensor<3> {
        let x = self.embedding.forward(tokens); // [b, t, d]
        let x = x.clone() + self.attention.forward(self.norm.forward(x));
        let x = x.clone() + self.experts.forward_with(self.mlp_norm.forward(x), ctx);
        self.head.forward(x)
    }

    /// Nats per token of the second half, and the load-balance loss of the experts.
    fn losses(&self, first: Tensor<2, Int>) -> (Tensor<1>, Tensor<1>) {
        let [b, _] = first.dims();
        let mut ctx = ForwardContext::training();
        let logits = self.forward(Tensor::cat(vec![first.clone(), first.clone()], 1), &mut ctx);
        let logits = logits.narrow(1, HALF - 1, HALF).reshape([b * HALF, VOCABULARY]);
        let loss = nn::loss::CrossEntropyLossConfig::new().init(&logits.device());
        let balance = ctx.take_auxiliary().expect("training collects it");
        (loss.forward(logits, first.reshape([b * HALF])), balance)
    }
}

fn main() -> ablation_zoo::Result<()> {
    let device = device::open("cpu")?.autodiff();
    device.seed(0);
    let mut model = Repeater::new(&device);
    let mut optimizer = AdamWConfig::new().init();
    let batch = || {
        let uniform = Distribution::Uniform(0.0, VOCABULARY as f64);
        Tensor::<2>::random([32, HALF], uniform, &device).floor().int()
    };
    println!("{} parameters", model.num_params());
    let mut curve = Vec::new();
    for step in 0..=300 {
        let (loss, balance) = model.losses(batch());
        let nats = loss.clone().into_scalar::<f32>();
        if step % 50 == 0 {
            println!("step {step:>3}: {nats:.3} nats per repeated token");
        }
        curve.push((f64::from(step), f64::from(nats)));
        let gradients = GradientsParams::from_grads((loss + balance).backward(), &model);
        model = optimizer.step(3e-3, model, gradients);
    }
    figure::draw(
        13,
        ["step", "loss (nats per token)"],
        figure::Spacing::Linear,
        &[("repeating".to_string(), curve)],
    )
}

// Solution: it stays near 2.48 nats, little below ln 16 = 2.77. Without positions all that one attention can tell is which
// tokens have occurred, and not which followed the last one like this. A second one before it has the causal mask to learn
// from: each position sees a different number of tokens.
