//! Every choice of every slot in one small model each, and the laws that all of them obey.
//!
//! A new choice is one line in [`all`].

use burn::module::Param;
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};

use super::init::{InitConfig, MaximalUpdateInit, WidthScaledInit};
use super::norm_placement::{NormPlacement, ParallelConfig, ParallelNorms};
use super::parameter::{self, Map, Visit};
use super::{Decoder, LayerOverride, ModelConfig};
use crate::kernels::{self, Precision};
use crate::layers::convolution::{CanonConfig, ConvolutionConfig};
use crate::layers::embedding::{EmbeddingConfig, EmbeddingScale, FactorConfig, Head, TokenEmbeddingConfig};
use crate::layers::feed_forward::{
    Capacity, CapacityConfig, ExpertConfig, FeedForwardConfig, GatedMlpConfig, MlpConfig, MoeConfig, Router,
};
use crate::layers::mixer::{
    AttentionConfig, AttentionMask, LogitSoftcap, MixerConfig, QkNormConfig, TanhSoftcapConfig, WindowConfig,
};
use crate::layers::norm::NormConfig;
use crate::layers::position::rope_scaling::{StretchConfig, YarnConfig};
use crate::layers::position::{PositionConfig, RopeConfig, RopeScaling};
use crate::layers::{Bias, ForwardContext};
use crate::training::{Optimizer, TrainingConfig};

/// Vocabulary of the small models.
pub const V: usize = 11;
/// Their longest row.
pub const T: usize = 5;

/// A step that is small enough for the slope at its start to tell where it ends.
const STEP: f64 = 0.01;

/// Two layers of four heads.
pub fn base() -> ModelConfig {
    let init = InitConfig::WidthScaled(WidthScaledInit::default());
    ModelConfig { d_model: 24, n_layers: 2, n_heads: 4, init, ..ModelConfig::default() }
}

/// One model per choice, with its name.
pub fn all() -> Vec<(&'static str, ModelConfig)> {
    let token = TokenEmbeddingConfig::default();
    let rope = |scaling| PositionConfig::Rope(RopeConfig { scaling, ..RopeConfig::default() });
    let yarn = YarnConfig { factor: 4.0, original_max_position: 50, beta_fast: 4.0, ..YarnConfig::default() };
    let stretch = StretchConfig { factor: 4.0 };
    let moe = MoeConfig { n_experts: 3, ..MoeConfig::default() };
    let narrow = ExpertConfig::Mlp(MlpConfig { expansion: 1.0, bias: Bias::With, ..MlpConfig::default() });
    let gated = ExpertConfig::GatedMlp(GatedMlpConfig::default());
    let two = MoeConfig { top_k: 2, expert: gated, norm_topk_prob: true, z_loss: 0.01, ..moe };
    let full = Capacity::Factor(CapacityConfig { factor: 1.0 });
    vec![
        ("plain", base()),
        ("gated-mlp", feed_forward(FeedForwardConfig::GatedMlp(GatedMlpConfig::default()))),
        ("no feed-forward", feed_forward(FeedForwardConfig::None)),
        ("switch", feed_forward(FeedForwardConfig::Moe(MoeConfig { expert: narrow, capacity: full, ..moe }))),
        ("two gated experts", feed_forward(FeedForwardConfig::Moe(two))),
        (
            "shared experts",
            feed_forward(FeedForwardConfig::Moe(MoeConfig { n_shared: 2, router: Router::Sigmoid, ..two })),
        ),
        (
            "rope share",
            position(PositionConfig::Rope(RopeConfig { rotary_fraction: 0.34, ..RopeConfig::default() })),
        ),
        ("rope linear", position(rope(RopeScaling::Linear(stretch)))),
        ("rope ntk", position(rope(RopeScaling::Ntk(stretch)))),
        ("rope yarn", position(rope(RopeScaling::Yarn(yarn)))),
        ("alibi", position(PositionConfig::Alibi)),
        ("learned", position(PositionConfig::Learned)),
        ("sinusoidal", position(PositionConfig::Sinusoidal)),
        ("no position", position(PositionConfig::None)),
        ("offsets", attention(|a| a.bias = Bias::With)),
        ("grouped heads", attention(|a| a.n_kv_heads = Some(2))),
        ("wide heads", attention(|a| (a.d_head, a.n_kv_heads) = (Some(8), Some(2)))),
        ("window", attention(|a| a.mask = AttentionMask::SlidingWindow(WindowConfig { size: 3 }))),
        (
            "logit softcap",
            attention(|a| a.logit_softcap = LogitSoftcap::Tanh(TanhSoftcapConfig { max: 2.0 })),
        ),
        ("qk-norm per head", attention(|a| a.qk_norm = QkNormConfig::PerHead(Default::default()))),
        (
            "qk-norm joint",
            attention(|a| (a.qk_norm, a.n_kv_heads) = (QkNormConfig::Joint(Default::default()), Some(2))),
        ),
        (
            "everything in attention",
            attention(|a| {
                a.n_kv_heads = Some(2);
                a.position = PositionConfig::Alibi;
                a.mask = AttentionMask::SlidingWindow(WindowConfig { size: 2 });
                a.logit_softcap = LogitSoftcap::Tanh(TanhSoftcapConfig { max: 2.0 });
                a.qk_norm = QkNormConfig::PerHead(Default::default());
            }),
        ),
        ("average", with(|m| m.block.mixer = MixerConfig::Average(Default::default()))),
        ("post-norm", norm_placement(NormPlacement::Post)),
        ("output-norm", norm_placement(NormPlacement::Output)),
        ("sandwich", norm_placement(NormPlacement::Sandwich)),
        ("parallel", norm_placement(NormPlacement::Parallel(ParallelConfig::default()))),
        (
            "parallel, two norms",
            norm_placement(NormPlacement::Parallel(ParallelConfig { norms: ParallelNorms::Own })),
        ),
        ("residual scale", with(|m| m.block.residual_scale = 0.5)),
        ("canon", {
            let canon = ConvolutionConfig::Canon(CanonConfig { width: 3 });
            let mut model = attention(|a| a.convolution = canon);
            (model.block.mixer_convolution, model.block.feed_forward_convolution) = (canon, canon);
            model
        }),
        ("rms", with(|m| m.norm = NormConfig::Rms(Default::default()))),
        ("no norm", with(|m| m.norm = NormConfig::None)),
        ("untied", embedding(TokenEmbeddingConfig { head: Head::Untied, ..token })),
        ("root-width", embedding(TokenEmbeddingConfig { scale: EmbeddingScale::RootWidth, ..token })),
        (
            "factor",
            embedding(TokenEmbeddingConfig {
                scale: EmbeddingScale::Factor(FactorConfig { factor: 3.0 }),
                ..token
            }),
        ),
        (
            "layers",
            with(|m| {
                let mixer =
                    Some(AttentionConfig { position: PositionConfig::None, ..AttentionConfig::default() });
                let mixer = mixer.map(MixerConfig::Attention);
                m.layers =
                    vec![LayerOverride { at: vec![1], mixer, feed_forward: Some(FeedForwardConfig::None) }];
            }),
        ),
        ("canon, a layer without feed-forward", {
            let canon = ConvolutionConfig::Canon(CanonConfig { width: 3 });
            with(|m| {
                m.block.feed_forward_convolution = canon;
                let feed_forward = Some(FeedForwardConfig::None);
                m.layers = vec![LayerOverride { at: vec![1], mixer: None, feed_forward }];
            })
        }),
        ("gpt2 init", with(|m| m.init = InitConfig::Gpt2)),
        ("small init", with(|m| m.init = InitConfig::Small)),
        (
            "maximal update",
            with(|m| m.init = InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 12 })),
        ),
    ]
}

fn with(change: impl FnOnce(&mut ModelConfig)) -> ModelConfig {
    let mut model = base();
    change(&mut model);
    model
}

fn feed_forward(config: FeedForwardConfig) -> ModelConfig {
    with(|m| m.block.feed_forward = config)
}

fn attention(change: impl FnOnce(&mut AttentionConfig)) -> ModelConfig {
    let mut config = AttentionConfig::default();
    change(&mut config);
    with(|m| m.block.mixer = MixerConfig::Attention(config))
}

fn position(config: PositionConfig) -> ModelConfig {
    attention(|a| a.position = config)
}

fn norm_placement(norm_placement: NormPlacement) -> ModelConfig {
    with(|m| m.block.norm_placement = norm_placement)
}

fn embedding(config: TokenEmbeddingConfig) -> ModelConfig {
    with(|m| m.embedding = EmbeddingConfig::Token(config))
}

/// Two rows of the longest length.
pub fn tokens(device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::from([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]), device)
}

/// The parameter of this name.
pub fn value(model: &Decoder, name: &str) -> TensorData {
    struct Find<'a>(&'a str, Option<TensorData>);
    impl Visit for Find<'_> {
        fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            if name == self.0 {
                self.1 = Some(param.val().into_data());
            }
        }
    }
    let mut find = Find(name, None);
    parameter::visit(model, &mut find);
    find.1.unwrap_or_else(|| panic!("the model has no {name}"))
}

/// The loss of a training step on those rows.
fn loss(model: &Decoder, device: &Device) -> Tensor<1> {
    let mut ctx = ForwardContext::training();
    let hidden = model.hidden(tokens(device), &mut ctx).flatten::<2>(0, 1); // [n, d]
    let targets = Tensor::from_data(TensorData::from([2, 3, 4, 5, 6, 4, 3, 2, 1, 0]), device);
    let weights = Tensor::ones([2 * T], device);
    let (loss, _) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
    match ctx.take_auxiliary() {
        Some(auxiliary) => loss + auxiliary,
        None => loss,
    }
}

#[test]
fn a_later_token_changes_no_earlier_logit() {
    let device = crate::device::open("cpu").unwrap();
    let changed = Tensor::from_data(TensorData::from([[1, 2, 3, 9, 5], [5, 4, 3, 7, 1]]), &device);
    let early = |x: &Tensor<3>| x.clone().narrow(1, 0, 3).into_data();
    for (name, config) in all() {
        let model = config.init(V, T, 3, &device);
        let (one, two) = (model.logits(tokens(&device)), model.logits(changed.clone()));
        assert_eq!(early(&one), early(&two), "{name}");
        assert_ne!(one.into_data(), two.into_data(), "{name}");
    }
}

#[test]
fn every_choice_survives_being_written_and_read() {
    for (name, config) in all() {
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<ModelConfig>(&written).unwrap(), config, "{name}:\n{written}");
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    struct Ungraded<'a>(&'a Gradients, Vec<String>);
    impl Visit for Ungraded<'_> {
        fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0);
            if gradient.is_none_or(|g| g.abs().max().into_scalar::<f32>() == 0.0) {
                self.1.push(name.to_string());
            }
        }
    }
    let device = crate::device::open("cpu").unwrap().autodiff();
    for (name, config) in all() {
        let model = config.init(V, T, 3, &device);
        let gradients = loss(&model, &device).backward();
        let mut ungraded = Ungraded(&gradients, Vec::new());
        parameter::visit(&model, &mut ungraded);
        assert_eq!(ungraded.1, [""; 0], "{name}");
    }
}

/// A choice that mixed bf16 into f32 by accident would not compute at all.
#[test]
fn every_choice_has_its_loss_and_gradients_in_bf16_too() {
    struct Norms<'a>(&'a Gradients, f64);
    impl Visit for Norms<'_> {
        fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0).unwrap_or_else(|| panic!("{name} has no gradient"));
            assert_eq!(gradient.dtype(), DType::F32, "{name}");
            self.1 += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
    let device = crate::device::open("cpu").unwrap().autodiff();
    for (name, config) in all() {
        let model = config.init(V, T, 3, &device);
        let [(wide, norm), (low, low_norm)] = [Precision::F32, Precision::Bf16].map(|precision| {
            let loss = precision.scope(|| loss(&model, &device));
            let gradients = loss.backward();
            let mut norms = Norms(&gradients, 0.0);
            parameter::visit(&model, &mut norms);
            (loss.into_scalar::<f32>(), norms.1.sqrt())
        });
        assert!(wide != low && (wide / low - 1.0).abs() < 0.02, "{name}: {low} is not near {wide}");
        assert!((norm / low_norm - 1.0).abs() < 0.05, "{name}: {low_norm} is not near {norm}");
    }
}

#[test]
fn counts_from_the_config_are_those_of_the_built_model() {
    let device = crate::device::open("cpu").unwrap();
    for (name, config) in all() {
        let shapes = parameter::shapes(&config.init(V, T, 0, &device));
        let built: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let count = config.num_params(V, T);
        assert_eq!(count.total, built as u64, "{name}");
        let has_experts = matches!(config.block.feed_forward, FeedForwardConfig::Moe(_));
        assert_eq!(count.active < count.total, has_experts, "{name}");
    }
}

#[test]
fn ten_steps_down_the_gradient_are_ten_steps_down_the_loss() {
    struct Descend(Gradients);
    impl Map for Descend {
        fn map<const D: usize>(&mut self, _name: &str, value: Tensor<D>) -> Tensor<D> {
            let gradient = value.grad_remove(&mut self.0).expect("every parameter gets a gradient");
            Tensor::from_inner(value.inner() - gradient * STEP)
        }
    }
    let device = crate::device::open("cpu").unwrap().autodiff();
    for (name, config) in all() {
        let mut model = config.init(V, T, 3, &device);
        let mut losses = Vec::new();
        for _ in 0..=10 {
            let loss = loss(&model, &device);
            losses.push(loss.clone().into_scalar::<f32>());
            model = parameter::map(model, &mut Descend(loss.backward()));
        }
        assert!(losses.is_sorted_by(|before, after| before > after), "{name}: {losses:?}");
    }
}

/// On a machine with another device than the CPU: `ZOO_TEST_DEVICE=wgpu:0 cargo test ... -- --ignored another_device`.
#[test]
#[ignore = "needs ZOO_TEST_DEVICE, a device beside the CPU"]
fn every_choice_learns_on_another_device_as_on_the_cpu() {
    const STEPS: usize = 20;
    const TOLERANCE: f32 = 1e-4;
    let name = std::env::var("ZOO_TEST_DEVICE").expect("ZOO_TEST_DEVICE names a device");
    let (cpu, other) = (crate::device::open("cpu").unwrap(), crate::device::open(&name).unwrap());
    let train = |config: &ModelConfig, device: &Device| {
        let device = device.clone().autodiff();
        let TrainingConfig { optimizer, clip, .. } = TrainingConfig::default();
        let (mut model, mut optimizer) = (config.init(V, T, 3, &device), Optimizer::new(&optimizer, &clip));
        let mut losses = Vec::new();
        for _ in 0..STEPS {
            let loss = loss(&model, &device);
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = loss.backward();
            // As the loop of a run does it.
            model = match crate::device::computes_later(&device) {
                true => optimizer.step_unread(model, gradients, STEP, &device).0,
                false => optimizer.step(model, gradients, STEP).expect("gradients are finite").0,
            };
        }
        losses
    };
    let mut failures = Vec::new();
    for (choice, config) in all() {
        let (here, there) = (train(&config, &cpu), train(&config, &other));
        let apart = here.iter().zip(&there).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f32::max);
        println!("{choice:<26}{:.4} -> {:.4}, at most {apart:.1e} apart", here[0], here[STEPS - 1]);
        if apart.is_nan() || apart > TOLERANCE {
            failures.push(choice);
        }
    }
    assert_eq!(failures, [""; 0], "{name} and the CPU differ by more than {TOLERANCE:.0e}");
}
