//! Laws of rounding, PyTorch's numbers, Burn's own quantization, and whole models.

use std::path::Path;

use burn::module::ParamId;
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue};
use burn::tensor::{Device, Distribution, Tensor, TensorData};

use super::config::{ColumnOrder, GptqConfig, GroupConfig, QuantizeConfig, RtnConfig, Scale, Scope};
use super::gptq;
use super::grid::Grid;
use super::inverse::Square;
use super::matrix::Matrix;
use crate::data::{BioDConfig, DataConfig, Dataset};
use crate::measure::{MeasureConfig, capacity};
use crate::model::parameter::{self, Map};
use crate::model::weights;
use crate::model::{Decoder, variants};

/// Points are products of a scale and a small integer: one rounding of `f32`, relative.
const ONE_ROUNDING: f32 = 1.2e-7;

fn device() -> Device {
    crate::device::open("cpu").unwrap()
}

/// Numbers in [-1, 1) without a pattern that a grid could share.
fn noise(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i * 7 + i * 3 + seed * 131) as f32 * 0.618).sin()).collect()
}

fn rounded(matrix: &Matrix, bits: u32, scale: Scale) -> Matrix {
    let mut copy = matrix.clone();
    Grid::of(matrix, bits, scale).round_all(&mut copy);
    copy
}

const SCALES: [Scale; 3] = [Scale::Tensor, Scale::Channel, Scale::Group(GroupConfig { size: 5 })];

#[test]
fn weights_that_lie_on_the_grid_stay_to_the_bit() {
    for bits in 2..=8 {
        let most = (1i32 << (bits - 1)) - 1;
        let points =
            (0..4 * 12).map(|i| if i % 12 % 5 == 0 { most } else { (i * 37) % (2 * most + 1) - most });
        let matrix = Matrix { n_in: 12, values: points.map(|k| k as f32 / 1024.0).collect() };
        for scale in SCALES {
            assert_eq!(rounded(&matrix, bits, scale), matrix, "{bits} bits, {scale:?}");
        }
    }
}

#[test]
fn no_weight_moves_by_more_than_half_a_scale_and_finer_scales_move_them_less() {
    let sized = noise(17 * 9, 1).into_iter().enumerate();
    let sized = sized.map(|(i, v)| v * (1 + i / 17) as f32 * (1 + i % 17 / 5) as f32);
    let matrix = Matrix { n_in: 17, values: sized.collect() };
    for bits in 2..=8 {
        let error = |scale: Scale| -> f64 {
            let (grid, after) = (Grid::of(&matrix, bits, scale), rounded(&matrix, bits, scale));
            let pairs = matrix.values.iter().zip(&after.values).enumerate();
            pairs
                .map(|(i, (before, after))| {
                    let half = grid.scale(i / 17, i % 17) / 2.0;
                    assert!(
                        (before - after).abs() <= half * (1.0 + 4.0 * ONE_ROUNDING * 128.0),
                        "weight {i}"
                    );
                    f64::from(before - after).powi(2)
                })
                .sum()
        };
        let [tensor, channel, group] = SCALES.map(error);
        assert!(group < channel && channel < tensor, "{bits} bits: {group} {channel} {tensor}");
    }
}

#[test]
fn zeros_stay_zeros_and_scales_are_counted() {
    let matrix = Matrix { n_in: 7, values: vec![0.0; 21] };
    assert_eq!(rounded(&matrix, 4, Scale::Channel), matrix);
    assert_eq!(SCALES.map(|scale| Grid::of(&matrix, 4, scale).scales().len()), [1, 3, 6]);
}

/// What the outputs for `x` are off by, squared and summed.
fn output_error(before: &Matrix, after: &Matrix, x: &[f32]) -> f64 {
    let change: Vec<f64> = before.values.iter().zip(&after.values).map(|(a, b)| f64::from(a - b)).collect();
    let row_error = |input: &[f32]| -> f64 {
        let outputs = change.chunks_exact(before.n_in);
        outputs.map(|e| e.iter().zip(input).map(|(e, x)| e * f64::from(*x)).sum::<f64>().powi(2)).sum()
    };
    x.chunks_exact(before.n_in).map(row_error).sum()
}

fn second_moments(x: &[f32], n: usize) -> Square {
    let mut gram = Square::zeros(n);
    for row in x.chunks_exact(n) {
        for i in 0..n {
            for j in 0..n {
                gram.values[i * n + j] += f64::from(row[i]) * f64::from(row[j]);
            }
        }
    }
    gram
}

/// Inputs of `n` channels that are mixtures of three sources and a little noise.
fn correlated(rows: usize, n: usize, seed: usize) -> Vec<f32> {
    let (sources, mixing, own) = (noise(rows * 3, seed), noise(3 * n, seed + 1), noise(rows * n, seed + 2));
    let value = |row: usize, i: usize| {
        let mixed: f32 = (0..3).map(|s| sources[row * 3 + s] * mixing[s * n + i]).sum();
        mixed + 0.1 * own[row * n + i]
    };
    (0..rows * n).map(|k| value(k / n, k % n)).collect()
}

#[test]
fn on_correlated_inputs_gptq_disturbs_the_output_less_than_the_nearest_points() {
    let n = 24;
    for seed in 0..5 {
        let before = Matrix { n_in: n, values: noise(n * 10, 100 + seed) };
        let x = correlated(200, n, seed);
        let gram = second_moments(&x, n);
        for (bits, scale) in [(8, Scale::Tensor), (4, Scale::Channel), (3, SCALES[2]), (2, Scale::Channel)] {
            let near = output_error(&before, &rounded(&before, bits, scale), &x);
            for order in [ColumnOrder::Stored, ColumnOrder::Activation] {
                let mut after = before.clone();
                let config = GptqConfig { order, ..GptqConfig::default() };
                gptq::round(&mut after, &Grid::of(&before, bits, scale), &gram, &config);
                let error = output_error(&before, &after, &x);
                assert!(error < 0.8 * near, "{bits} bits, {order:?}, seed {seed}: {error} against {near}");
            }
        }
    }
}

#[test]
fn without_inputs_and_with_independent_ones_gptq_takes_the_nearest_points() {
    let before = Matrix { n_in: 6, values: noise(18, 3) };
    let nearest = rounded(&before, 3, Scale::Channel);
    let mut independent = Square::zeros(6);
    independent.values.iter_mut().step_by(7).enumerate().for_each(|(i, v)| *v = 1.0 + i as f64);
    for gram in [Square::zeros(6), independent] {
        let mut after = before.clone();
        gptq::round(&mut after, &Grid::of(&before, 3, Scale::Channel), &gram, &GptqConfig::default());
        assert_eq!(after, nearest);
    }
}

#[test]
fn pytorch_rounds_to_the_same_weights() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/gptq.safetensors");
    let (tensors, _) = weights::read(&path).unwrap();
    let values = |name: &str| -> Vec<f32> { tensors[name].iter::<f32>().collect() };
    let before = Matrix { n_in: 12, values: values("w") };
    let gram = second_moments(&values("x"), 12);
    let check = |name: String, after: &Matrix| {
        for (i, (ours, theirs)) in after.values.iter().zip(values(&name)).enumerate() {
            let off = (ours - theirs).abs();
            assert!(off <= 2.0 * ONE_ROUNDING * theirs.abs(), "{name}, weight {i}: {ours} against {theirs}");
        }
    };
    for (bits, group) in [(8, 0), (4, 12), (3, 5), (2, 4)] {
        let scale = match group {
            0 => Scale::Tensor,
            12 => Scale::Channel,
            size => Scale::Group(GroupConfig { size }),
        };
        check(format!("rtn.{bits}.{group}"), &rounded(&before, bits, scale));
        for (order, word) in [(ColumnOrder::Stored, "stored"), (ColumnOrder::Activation, "activation")] {
            let mut after = before.clone();
            let config = GptqConfig { order, ..GptqConfig::default() };
            gptq::round(&mut after, &Grid::of(&before, bits, scale), &gram, &config);
            check(format!("gptq.{bits}.{group}.{word}"), &after);
        }
    }
}

#[test]
fn burn_rounds_to_the_same_weights() {
    let values = noise(32 * 6, 9);
    for (bits, value) in [(8, QuantValue::Q8S), (4, QuantValue::Q4S), (2, QuantValue::Q2S)] {
        let scheme = QuantScheme::default().with_value(value).with_store(QuantStore::Native);
        let tensor = Tensor::<2>::from_data(TensorData::new(values.clone(), [6, 32]), &device());
        let burn: Vec<f32> =
            tensor.quantize_dynamic(&scheme).dequantize().into_data().iter::<f32>().collect();
        let ours = rounded(&Matrix { n_in: 32, values: values.clone() }, bits, Scale::Tensor);
        for (i, (ours, burn)) in ours.values.iter().zip(burn).enumerate() {
            assert!((ours - burn).abs() <= 4.0 * ONE_ROUNDING, "{bits} bits, weight {i}: {ours} and {burn}");
        }
    }
}

fn people() -> DataConfig {
    DataConfig::BioD(BioDConfig {
        people: 64,
        attributes: 2,
        diversity: 4,
        alphabet: 4,
        name_pool: 4,
        ..BioDConfig::default()
    })
}

fn model(config: &crate::model::ModelConfig, data: &DataConfig) -> (Decoder, Dataset) {
    struct Fill;
    impl Map for Fill {
        fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
            let values: Vec<f32> = noise(value.shape().num_elements(), name.len());
            let noise = Tensor::<1>::from_floats(values.as_slice(), &value.device()).reshape(value.shape());
            value + noise * 0.1 // what starts at zero too
        }
    }
    let model = config.init(data.vocab_size().unwrap(), data.seq_len(), 3, &device());
    (parameter::map(model, &mut Fill), data.open(3, 1).unwrap())
}

fn configs(bits: u32, weights: Scope) -> [QuantizeConfig; 2] {
    [
        QuantizeConfig::Rtn(RtnConfig { bits, weights, ..RtnConfig::default() }),
        QuantizeConfig::Gptq(GptqConfig { bits, weights, tokens: 500, ..GptqConfig::default() }),
    ]
}

#[test]
fn every_choice_of_every_slot_can_be_rounded_and_its_bits_add_up() {
    let data = people();
    for (name, config) in variants::all() {
        let (model, rows) = model(&config, &data);
        let params = config.num_params(data.vocab_size().unwrap(), data.seq_len()).total;
        for quantize in configs(4, Scope::Linear).into_iter().chain(configs(4, Scope::All)) {
            let done = quantize.apply(&model, &rows, data.seq_len(), &device()).unwrap().unwrap();
            let storage = done.storage;
            let in_float = params - storage.rounded_params;
            let total = 4 * storage.rounded_params + 32 * (storage.scales + in_float);
            assert_eq!(storage.total_bits, total, "{name}, {quantize:?}");
            assert!((storage.bits_per_param - total as f64 / params as f64).abs() < 1e-9, "{name}");
            let (before, after) = (weights::of(&model), weights::of(&done.model));
            for (tensor, data) in &before {
                let changed = *data != after[tensor];
                assert_eq!(changed, storage.rounded.contains(tensor), "{name}: {tensor}");
                assert_ne!(changed, storage.in_float.contains(tensor), "{name}: {tensor}");
            }
            let tables = storage.rounded.iter().any(|tensor| tensor == "embedding.weight");
            assert_eq!(tables, quantize.rounding().unwrap().scope == Scope::All, "{name}");
        }
    }
}

#[test]
fn eight_bits_change_what_a_model_knows_less_than_two() {
    let data = people();
    let (model, rows) = model(&variants::base(), &data);
    let bits = |model: &Decoder| {
        let measured = capacity::measure(model, &rows, &MeasureConfig::default(), 1, &device());
        measured.unwrap().unwrap().bits
    };
    let float = bits(&model);
    let change = |bits_of_weight: u32| {
        configs(bits_of_weight, Scope::All).map(|quantize| {
            let done = quantize.apply(&model, &rows, data.seq_len(), &device()).unwrap().unwrap();
            (bits(&done.model) - float).abs()
        })
    };
    let (fine, coarse) = (change(8), change(2));
    for (fine, coarse) in fine.into_iter().zip(coarse) {
        assert!(fine < 0.1 * coarse, "{fine} against {coarse}");
    }
}

#[test]
fn inputs_of_linear_maps_are_heard_once_and_in_order() {
    let data = people();
    let (model, rows) = model(&variants::base(), &data);
    let done = configs(4, Scope::Linear)[0].apply(&model, &rows, data.seq_len(), &device());
    let expected = ["mixer.qkv", "mixer.out", "feed_forward.up", "feed_forward.down"];
    let expected: Vec<String> =
        (0..2).flat_map(|i| expected.map(|part| format!("blocks.{i}.{part}.weight"))).collect();
    assert_eq!(done.unwrap().unwrap().storage.rounded, expected);
    let mut deaf = crate::layers::ForwardContext::new();
    deaf.capture(ParamId::new(), 1, &Tensor::random([1, 2, 3], Distribution::Default, &device()));
    assert!(deaf.take_captured().is_empty());
}

#[test]
fn impossible_roundings_are_refused_with_their_keys() {
    let keys = |config: QuantizeConfig| -> Vec<String> {
        config.check().into_iter().map(|problem| problem.key.unwrap_or_default()).collect()
    };
    let rtn = RtnConfig::default();
    assert_eq!(keys(QuantizeConfig::Rtn(RtnConfig { bits: 1, ..rtn })), ["bits"]);
    assert_eq!(keys(QuantizeConfig::Rtn(RtnConfig { bits: 16, ..rtn })), ["bits"]);
    let scale = Scale::Group(GroupConfig { size: 0 });
    assert_eq!(keys(QuantizeConfig::Rtn(RtnConfig { scale, ..rtn })), ["scale.size"]);
    let gptq = GptqConfig { tokens: 0, damping: f64::NAN, ..GptqConfig::default() };
    assert_eq!(keys(QuantizeConfig::Gptq(gptq)), ["tokens", "damping"]);
    assert_eq!(keys(QuantizeConfig::None), [""; 0]);
}
