//! The truths about growth, each with its precondition.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::*;
use crate::error::Result;
use crate::layers::Bias;
use crate::layers::embedding::{EmbeddingConfig, Head, TokenEmbeddingConfig};
use crate::layers::feed_forward::{ExpertConfig, FeedForwardConfig, GatedMlpConfig, MlpConfig, MoeConfig};
use crate::layers::mixer::{AttentionConfig, MixerConfig, QkNormConfig};
use crate::layers::norm::{Norm, NormConfig};
use crate::model::norm_placement::NormPlacement;
use crate::model::parameter::{self, Map, Weights};
use crate::model::variants::{self, T, V, tokens};
use crate::model::{Decoder, ModelConfig};
use crate::training::weights;

/// Sums of some hundred products in another order.
const ROUNDING: f32 = 1e-5;

fn device() -> Device {
    crate::device::open("cpu").unwrap()
}

/// Weights as if trained: biases and scales that are not zero and one either.
fn trained(config: &ModelConfig) -> Weights {
    struct Stir;
    impl Map for Stir {
        fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
            let n = value.shape().num_elements();
            let wave: Vec<f32> = (0..n).map(|i| ((i * i + name.len()) as f32).sin() / 5.0).collect();
            let wave = Tensor::<1>::from_floats(wave.as_slice(), &value.device()).reshape(value.shape());
            value + wave
        }
    }
    weights::of(&parameter::map(config.init(V, T, 3, &device()), &mut Stir))
}

fn build(config: &ModelConfig, values: &Weights) -> Decoder {
    weights::put(config.init(V, T, 0, &device()), values.clone(), "the test").unwrap()
}

fn fresh(config: &ModelConfig) -> Weights {
    weights::of(&config.init(V, T, 8, &device()))
}

fn logits(model: &Decoder) -> TensorData {
    model.logits(tokens(&device())).into_data()
}

fn gap(a: &TensorData, b: &TensorData) -> f32 {
    let differences = a.iter::<f32>().zip(b.iter::<f32>()).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn recipe(operator: Operator, direction: Direction, factor: usize) -> Recipe {
    Recipe { operator, direction, factor: Some(factor), order: LayerOrder::Stack }
}

fn ordered(operator: Operator, order: &str) -> Recipe {
    Recipe { operator, order: order.parse().unwrap(), ..Recipe::default() }
}

/// Logits before and after; the ramp of a random growth is at its start.
fn around(recipe: &Recipe, small: &ModelConfig) -> Result<[TensorData; 2]> {
    let growth = Growth::new(recipe, small).unwrap();
    let (old, fresh) = (trained(small), fresh(growth.big()));
    let big = build(growth.big(), &growth.weights(&old, &fresh)?);
    let big = match growth.ramp(V, T, &device()) {
        Some(ramp) => ramp.apply(&big, 0),
        None => big,
    };
    Ok([logits(&build(small, &old)), logits(&big)])
}

fn random() -> Operator {
    Operator::Random(RampConfig { ramp_steps: 4 })
}

fn stack() -> Operator {
    Operator::Stack(StackConfig::default())
}

fn llama() -> ModelConfig {
    let mut model = variants::base();
    model.norm = NormConfig::Rms(Default::default());
    model.embedding = EmbeddingConfig::Token(TokenEmbeddingConfig {
        head: Head::Untied,
        ..TokenEmbeddingConfig::default()
    });
    let attention = AttentionConfig { n_kv_heads: Some(2), bias: Bias::With, ..AttentionConfig::default() };
    model.block.mixer = MixerConfig::Attention(attention);
    model.block.feed_forward =
        FeedForwardConfig::GatedMlp(GatedMlpConfig { bias: Bias::With, ..GatedMlpConfig::default() });
    model
}

#[test]
fn a_stacked_layer_is_its_source_bit_for_bit() {
    let small = ModelConfig { n_layers: 3, ..llama() };
    let growth = Growth::new(&recipe(stack(), Direction::Depth, 4), &small).unwrap();
    let (old, big) = (trained(&small), fresh(growth.big()));
    let grown = growth.weights(&old, &big).unwrap();
    for (name, data) in &grown {
        let source = match name.strip_prefix("blocks.").and_then(|name| name.split_once('.')) {
            Some((layer, rest)) => format!("blocks.{}.{rest}", layer.parse::<usize>().unwrap() % 3),
            None => name.clone(),
        };
        assert_eq!(*data, old[&source], "{name}");
    }
    assert_eq!(grown.len(), big.len());
    let [before, after] = around(&recipe(stack(), Direction::Depth, 4), &small).unwrap();
    assert!(gap(&before, &after) > 0.01, "Gstack does not keep the function");
    assert_eq!(growth.promise(), Promise::NotMade);
}

#[test]
fn zero_in_depth_changes_no_logit_where_it_promises_so() {
    let orders = ["stack", "interleave", "1-2*3", "last:1"];
    let mut kept = 0;
    for (name, small) in variants::all() {
        for order in orders {
            let recipe = ordered(Operator::Zero, order);
            if recipe.big(&small).is_err() {
                continue;
            }
            let promise = Growth::new(&recipe, &small).unwrap().promise();
            let [before, after] = around(&recipe, &small).unwrap();
            match promise {
                Promise::Kept => assert_eq!(before, after, "{name}, {order}"),
                _ => assert!(gap(&before, &after) > 0.0, "{name}, {order}: {promise:?}"),
            }
            kept += usize::from(promise == Promise::Kept);
        }
    }
    assert!(kept > 100, "{kept} of all choices keep the promise");
}

#[test]
fn random_is_exact_at_step_0_and_an_ordinary_model_at_the_end_of_its_ramp() {
    for (name, small) in variants::all() {
        for direction in [Direction::Depth, Direction::Width] {
            let recipe = recipe(random(), direction, 2);
            let growth = Growth::new(&recipe, &small).unwrap();
            let [before, after] = around(&recipe, &small).unwrap();
            match (growth.promise(), direction) {
                (Promise::Kept, Direction::Depth) => assert_eq!(before, after, "{name}"),
                (Promise::Kept, Direction::Width) => {
                    assert!(gap(&before, &after) < ROUNDING, "{name}: {}", gap(&before, &after));
                }
                (broken, _) => assert!(gap(&before, &after) > ROUNDING, "{name}: {broken:?}"),
            }
            let (old, fresh) = (trained(&small), fresh(growth.big()));
            let big = build(growth.big(), &growth.weights(&old, &fresh).unwrap());
            let ramp = growth.ramp(V, T, &device()).unwrap();
            let at = |step: u64| logits(&ramp.apply(&big, step));
            assert!(gap(&at(2), &at(4)) > 0.0, "{name}: the ramp does something");
            assert_eq!(at(4), logits(&big), "{name}");
        }
    }
}

#[test]
fn width_keeps_the_function_where_it_promises_so() {
    let mut kept = BTreeMap::new();
    for (name, small) in variants::all().into_iter().chain([("llama", llama())]) {
        for (operator, factor) in [(Operator::Zero, 2), (Operator::Zero, 3), (stack(), 2), (stack(), 3)] {
            let recipe = recipe(operator, Direction::Width, factor);
            let promise = Growth::new(&recipe, &small).unwrap().promise();
            let [before, after] = around(&recipe, &small).unwrap();
            let gap = gap(&before, &after);
            let context = format!("{name}, {} by {factor}: {gap}, {promise:?}", operator.name());
            assert_eq!(promise == Promise::Kept, gap < ROUNDING, "{context}");
            *kept.entry(operator.name()).or_insert(0) += usize::from(promise == Promise::Kept);
        }
    }
    assert!(kept["stack"] > 40 && kept["zero"] > 5, "{kept:?}");
}

#[test]
fn width_zero_within_rounding_needs_rms_norm() {
    let tied = ModelConfig { norm: NormConfig::Rms(Default::default()), ..variants::base() };
    let experts =
        MoeConfig { expert: ExpertConfig::Mlp(MlpConfig::default()), n_experts: 3, ..Default::default() };
    let mut moe = llama();
    moe.block.feed_forward = FeedForwardConfig::Moe(experts);
    let mut joint = llama();
    joint.block.norm_placement = NormPlacement::Sandwich;
    let MixerConfig::Attention(attention) = &mut joint.block.mixer else { panic!("it has attention") };
    attention.qk_norm = QkNormConfig::Joint(Default::default());
    let recipe = recipe(Operator::Zero, Direction::Width, 2);
    for small in [tied, llama(), moe, joint] {
        assert_eq!(Growth::new(&recipe, &small).unwrap().promise(), Promise::Kept);
        let [before, after] = around(&recipe, &small).unwrap();
        assert!(gap(&before, &after) < ROUNDING, "{}", gap(&before, &after));
    }
    let layer_norm = variants::base();
    let Promise::Broken(reasons) = Growth::new(&recipe, &layer_norm).unwrap().promise() else {
        panic!("it is")
    };
    assert!(reasons[0].contains("LayerNorm"), "{reasons:?}");
}

#[test]
fn small_and_big_configs_are_each_others_inverse() {
    for (name, small) in variants::all() {
        for operator in [stack(), Operator::Zero] {
            for (direction, factor) in [(Direction::Depth, 3), (Direction::Width, 2)] {
                let recipe = recipe(operator, direction, factor);
                let big = recipe.big(&small).unwrap();
                assert_eq!(recipe.small(&big).unwrap(), small, "{name}");
                let (small, big) = (small.num_params(V, T).total, big.num_params(V, T).total);
                assert!(big > small, "{name}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused_with_its_key() {
    let key =
        |recipe: &Recipe, big: &ModelConfig| recipe.small(big).unwrap_err().problems[0].key.clone().unwrap();
    let big = ModelConfig { n_layers: 6, ..llama() };
    assert_eq!(key(&recipe(stack(), Direction::Depth, 4), &big), "factor");
    assert_eq!(key(&ordered(stack(), "12-3*3"), &big), "order");
    let error = recipe(stack(), Direction::Width, 3).small(&big).unwrap_err();
    assert!(error.to_string().contains("factor") && error.to_string().contains("n_heads = 4"), "{error}");
    let mut layers = ModelConfig { n_layers: 4, ..variants::base() };
    layers.layers = vec![crate::model::LayerOverride {
        at: vec![3],
        mixer: None,
        feed_forward: Some(FeedForwardConfig::None),
    }];
    assert_eq!(key(&recipe(stack(), Direction::Depth, 2), &layers), "order");
    layers.layers[0].at = vec![1, 3];
    assert_eq!(recipe(stack(), Direction::Depth, 2).small(&layers).unwrap().layers[0].at, [1]);
    let in_width = Recipe { direction: Direction::Width, ..ordered(stack(), "interleave") };
    assert_eq!(in_width.check()[0].key.as_deref(), Some("order"));
    let learned = recipe(Operator::Learn(LearnConfig::default()), Direction::Depth, 2);
    assert_eq!(learned.check_model(&layers)[0].key.as_deref(), Some("operator"));
}

#[test]
fn copies_part_because_their_shares_differ() {
    let growth = Growth::new(&recipe(stack(), Direction::Width, 2), &llama()).unwrap();
    let old = trained(&llama());
    let grown = growth.weights(&old, &fresh(growth.big())).unwrap();
    let numbers = |weights: &Weights, name: &str| weights[name].iter::<f32>().collect::<Vec<_>>();
    let (before, after) = (
        numbers(&old, "blocks.0.feed_forward.down.weight"),
        numbers(&grown, "blocks.0.feed_forward.down.weight"),
    );
    let (d, half) = (24, before.len() / 24);
    for (row, column) in [(0, 0), (3, 5), (half - 1, d - 1)] {
        let first = after[row * 2 * d + column];
        let copy = after[(row + half) * 2 * d + column];
        assert!((first / before[row * d + column] - 1.0 / 3.0).abs() < 1e-5);
        assert!((copy / first - 2.0).abs() < 1e-5, "the copy is read twice as much");
    }
}

#[test]
fn noise_mixes_the_scheme_of_init_into_maps_alone() {
    let noisy = Operator::Stack(StackConfig { noise: 0.25 });
    let small = variants::base();
    let growth = Growth::new(&recipe(noisy, Direction::Depth, 2), &small).unwrap();
    let (old, fresh) = (trained(&small), fresh(growth.big()));
    let grown = growth.weights(&old, &fresh).unwrap();
    let first = |weights: &Weights, name: &str| weights[name].iter::<f32>().next().unwrap();
    let (name, source) = ("blocks.3.mixer.qkv.weight", "blocks.1.mixer.qkv.weight");
    let expected = 0.75 * first(&old, source) + 0.25 * first(&fresh, name);
    assert_eq!(first(&grown, name), expected);
    assert_eq!(grown["embedding.weight"], old["embedding.weight"]);
    assert_eq!(grown["blocks.3.mixer_norm.gamma"], old["blocks.1.mixer_norm.gamma"]);
    assert_eq!(growth.promise(), Promise::NotMade);
}

#[test]
fn moments_follow_their_weights() {
    let small = llama();
    let old = trained(&small);
    let flat = |name: &str, data: &TensorData, end: &str| {
        let values: Vec<f32> = data.iter::<f32>().map(f32::abs).collect();
        let shape = [values.len()];
        (format!("{name}.{end}"), TensorData::new(values, shape))
    };
    let moments: Weights =
        old.iter().flat_map(|(name, data)| [flat(name, data, "m"), flat(name, data, "v")]).collect();
    let grown = |operator: Operator, direction: Direction| {
        let growth = Growth::new(&recipe(operator, direction, 2), &small).unwrap();
        growth.moments(&moments, &old, &fresh(growth.big())).unwrap()
    };
    let numbers = |weights: &Weights, name: &str| weights[name].iter::<f32>().collect::<Vec<_>>();
    let stacked = grown(stack(), Direction::Depth);
    assert_eq!(stacked["blocks.3.mixer.qkv.weight.v"], moments["blocks.1.mixer.qkv.weight.v"]);
    assert_eq!(stacked.len(), 2 * fresh(&recipe(stack(), Direction::Depth, 2).big(&small).unwrap()).len());
    let random = grown(random(), Direction::Depth);
    assert_eq!(random["blocks.1.mixer.qkv.weight.m"], moments["blocks.1.mixer.qkv.weight.m"]);
    assert!(numbers(&random, "blocks.3.mixer.qkv.weight.m").iter().all(|value| *value == 0.0));
    let wide = grown(stack(), Direction::Width);
    let (gain, old) =
        (numbers(&wide, "blocks.0.mixer_norm.gamma.m"), numbers(&moments, "blocks.0.mixer_norm.gamma.m"));
    assert!((gain[0] / old[0] - 1.0 / 3.0).abs() < 1e-6 && (gain[24] / old[0] - 2.0 / 3.0).abs() < 1e-6);
    let square = numbers(&wide, "blocks.0.mixer_norm.gamma.v");
    assert!((square[24] / old[0] - 4.0 / 9.0).abs() < 1e-6);
}

#[test]
fn each_copy_before_a_tied_head_gets_the_whole_gradient() {
    let device = device().autodiff();
    let small = variants::base();
    let growth = Growth::new(&recipe(stack(), Direction::Width, 2), &small).unwrap();
    let old = trained(&small);
    let grown = growth.weights(&old, &fresh(growth.big())).unwrap();
    let gradient = |config: &ModelConfig, values: &Weights| {
        let model = weights::put(config.init(V, T, 0, &device), values.clone(), "the test").unwrap();
        let gradients = model.logits(tokens(&device)).powi_scalar(2).sum().backward();
        let Some(Norm::Layer(norm)) = &model.norm else { panic!("it has a norm") };
        norm.gamma.val().grad(&gradients).unwrap().into_data().iter::<f32>().collect::<Vec<_>>()
    };
    let before = gradient(&small, &old);
    let moments =
        Weights::from([("norm.gamma.m".to_string(), TensorData::new(before.clone(), [before.len()]))]);
    let carried = growth.moments(&moments, &old, &fresh(growth.big())).unwrap();
    let (carried, after) = (weights::floats(&carried["norm.gamma.m"]), gradient(growth.big(), &grown));
    assert_eq!(carried, before.repeat(2));
    let largest = before.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    for (carried, after) in carried.iter().zip(&after) {
        assert!((carried - after).abs() < 10.0 * ROUNDING * largest, "{carried} is not {after}");
    }
}

#[test]
fn ligo_starts_as_stack_and_its_matrices_get_gradients() {
    let device = device().autodiff();
    for (direction, small) in [(Direction::Depth, llama()), (Direction::Width, llama())] {
        let learn = recipe(Operator::Learn(LearnConfig::default()), direction, 2);
        let growth = Growth::new(&learn, &small).unwrap();
        let old = trained(&small);
        let seed = learn::Seed::new(&old, &device);
        let ligo = Ligo::new(&growth, &seed, 5, &device);
        let empty = growth.big().init(V, T, 0, &device);
        let grown = ligo.grow(&growth, &seed, empty);
        if direction == Direction::Depth {
            let stacked = growth.weights(&old, &fresh(growth.big())).unwrap();
            assert_eq!(weights::of(&grown), stacked);
        }
        let loss = grown.logits(tokens(&device)).powi_scalar(2).sum();
        let gradients = loss.backward();
        struct Graded<'a>(&'a burn::tensor::Gradients, usize, Vec<String>);
        impl parameter::Visit for Graded<'_> {
            fn visit<const D: usize>(&mut self, name: &str, param: &burn::module::Param<Tensor<D>>) {
                self.1 += 1;
                let gradient = param.val().grad(self.0);
                if gradient.is_none_or(|g| g.abs().max().into_scalar::<f32>() == 0.0) {
                    self.2.push(name.to_string());
                }
            }
        }
        let mut graded = Graded(&gradients, 0, Vec::new());
        parameter::visit(&ligo, &mut graded);
        assert_eq!(graded.2, [""; 0], "{direction:?}");
        assert_eq!(graded.1, if direction == Direction::Depth { 16 } else { 6 }, "{direction:?}");
    }
}

#[test]
fn ligo_widens_a_joint_norm_of_a_single_head() {
    let mut small = ModelConfig { n_heads: 1, ..llama() };
    let MixerConfig::Attention(attention) = &mut small.block.mixer else { panic!("it has attention") };
    (attention.n_kv_heads, attention.qk_norm) = (Some(1), QkNormConfig::Joint(Default::default()));
    let learn = recipe(Operator::Learn(LearnConfig::default()), Direction::Width, 2);
    let growth = Growth::new(&learn, &small).unwrap();
    let seed = learn::Seed::new(&trained(&small), &device());
    let ligo = Ligo::new(&growth, &seed, 5, &device());
    let grown = weights::of(&ligo.grow(&growth, &seed, growth.big().init(V, T, 0, &device())));
    for part in ["queries", "keys"] {
        assert_eq!(grown[&format!("blocks.0.mixer.qk_norm.{part}.gamma")].num_elements(), 48);
    }
}

#[test]
fn another_model_s_weights_are_refused_by_name() {
    let growth = Growth::new(&recipe(stack(), Direction::Depth, 2), &llama()).unwrap();
    let mut old = trained(&llama());
    old.remove("blocks.1.mixer.qkv.weight");
    let error = growth.weights(&old, &fresh(growth.big())).unwrap_err();
    assert_eq!(error.to_string(), "the small model has no tensor blocks.1.mixer.qkv.weight");
}

#[test]
fn stacked_modules_are_what_growth_makes_of_their_weights_and_share_no_parameter() {
    let device = crate::device::open("cpu").unwrap();
    let config = variants::base();
    let small = config.init(V, 5, 3, &device);
    let stacked = super::stack(&small, 2);
    let recipe = Recipe { factor: Some(2), ..Recipe::default() };
    let (grown, big) = super::grow(&small, &config, &recipe, 3).unwrap();
    assert_eq!(big.n_layers, 2 * config.n_layers);
    assert_eq!(crate::model::weights::of(&stacked), crate::model::weights::of(&grown));
    let mut ids = burn::module::list_param_ids(&stacked);
    ids.extend(burn::module::list_param_ids(&small));
    let n = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), n, "each parameter has an identity of its own");
}
