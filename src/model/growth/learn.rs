//! G_learn: new layers and units are mixtures of old ones, and the weights of the mixtures are trained for a few steps.
//!
//! LiGO, Wang et al. 2023 (arXiv 2303.00980). In depth each parameter of a layer is `sum_j D[l, j] W_j`, with matrices
//! of their own for queries, keys, values and every other parameter; they start as the order says, so that LiGO starts
//! as `stack`. In width a map becomes `B_in W B_out^T`; axes that count the same units share a matrix, which starts as the
//! identity over random rows. Afterwards the matrices are multiplied out and forgotten.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::recipe::Direction;
use super::take::Growth;
use super::trace::{Tracer, is_packed, packed};
use crate::error::Problem;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::{AttentionConfig, MixerConfig, QkNormConfig};
use crate::model::init::normal;
use crate::model::parameter::{self, Map, Weights};
use crate::model::weights::floats;
use crate::model::{Decoder, ModelConfig};

/// Settings of learned growth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnConfig {
    /// Steps that the matrices are trained for; they are charged like steps of the big model.
    pub steps: u64,
    /// Their learning rate.
    pub lr: f64,
}

impl Default for LearnConfig {
    fn default() -> Self {
        LearnConfig { steps: 100, lr: 1e-3 }
    }
}

impl LearnConfig {
    /// What is impossible about it; keys are relative to `[growth]`.
    pub(super) fn check(&self) -> Vec<Problem> {
        match self.lr > 0.0 && self.lr <= 10.0 {
            true => Vec::new(),
            false => {
                let problem = Problem::new(self.lr.to_string()).key("operator.lr");
                vec![problem.expected("a rate above 0 and at most 10")]
            }
        }
    }

    /// What of `model` it cannot mix; keys are relative to `[growth]`.
    pub(super) fn check_model(&self, model: &ModelConfig, direction: Direction) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |found: &str| {
            let problem = Problem::new(found).key("operator");
            problems.push(problem.help("choose \"stack\", \"zero\" or \"random\""));
        };
        if !model.layers.is_empty() {
            refuse("layers that differ cannot be mixed");
        }
        if direction == Direction::Width && matches!(model.block.feed_forward, FeedForwardConfig::Moe(_)) {
            refuse("experts cannot be mixed in width");
        }
        problems
    }
}

/// A matrix of a mixture.
#[derive(Module, Debug)]
pub struct Mixture {
    /// `[new, old]`.
    pub weight: Param<Tensor<2>>,
}

/// The matrices of all mixtures, trained like a model.
#[derive(Module, Debug)]
pub struct Ligo {
    mixtures: Vec<Mixture>,
    #[module(skip)]
    keys: Vec<String>,
}

/// The weights of a small model as constants on a device.
#[derive(Debug)]
pub struct Seed {
    /// As rows and columns; a bias is one row.
    tensors: BTreeMap<String, Tensor<2>>,
}

/// A stretch of an axis: the key of its matrix, its old and its new width.
type Stretch = (Option<String>, usize, usize);

impl Seed {
    /// Puts `weights` on `device`.
    pub fn new(weights: &Weights, device: &Device) -> Self {
        let tensor = |data: &TensorData| {
            let [rows, columns] = rows_and_columns(&data.shape().to_vec());
            Tensor::<2>::from_data(TensorData::new(floats(data), [rows, columns]), device)
        };
        Seed { tensors: weights.iter().map(|(name, data)| (name.clone(), tensor(data))).collect() }
    }
}

fn rows_and_columns(shape: &[usize]) -> [usize; 2] {
    match shape {
        [rows, columns] => [*rows, *columns],
        _ => [1, shape.iter().product()],
    }
}

impl Ligo {
    /// The matrices that growth starts with; `seed` draws the random rows.
    pub fn new(growth: &Growth, small: &Seed, seed: u64, device: &Device) -> Self {
        let mut matrices = BTreeMap::new();
        for (name, tensor) in &small.tensors {
            match growth.recipe().direction {
                Direction::Depth => depth_matrices(growth, name, &mut matrices),
                Direction::Width => width_matrices(growth, name, tensor.dims(), seed, &mut matrices),
            }
        }
        let (keys, mixtures) = matrices
            .into_iter()
            .map(|(key, data): (String, TensorData)| {
                (key, Mixture { weight: Param::from_tensor(Tensor::from_data(data, device)) })
            })
            .unzip();
        Ligo { keys, mixtures }
    }

    fn matrix(&self, key: &str) -> Tensor<2> {
        let at = self.keys.iter().position(|known| known == key).expect("every key has its matrix");
        self.mixtures[at].weight.val()
    }

    /// The big model as the matrices make it; `empty` is any big model on the same device. Gradients reach the
    /// matrices through it.
    pub fn grow(&self, growth: &Growth, small: &Seed, empty: Decoder) -> Decoder {
        let grown = match growth.recipe().direction {
            Direction::Depth => self.deepen(growth, small),
            Direction::Width => self.widen(growth, small),
        };
        parameter::derive(empty, &mut Replace(grown))
    }

    fn deepen(&self, growth: &Growth, small: &Seed) -> BTreeMap<String, Tensor<2>> {
        let mut grown = BTreeMap::new();
        for (name, tensor) in &small.tensors {
            match Tracer::layer_of(name) {
                None => drop(grown.insert(name.clone(), tensor.clone())),
                Some((0, rest)) => self.mix_layers(growth, small, rest, &mut grown),
                Some(_) => {}
            }
        }
        grown
    }

    /// `[l, n] -> [L, n]` for one parameter of all layers, with queries, keys and values apart.
    fn mix_layers(&self, growth: &Growth, small: &Seed, rest: &str, grown: &mut BTreeMap<String, Tensor<2>>) {
        let layer = |i: usize| small.tensors[&format!("blocks.{i}.{rest}")].clone();
        let [rows, _] = layer(0).dims();
        let mut stretches = Vec::new();
        let mut start = 0;
        for (key, width) in depth_keys(growth, rest, layer(0).dims()[1]) {
            let old = (0..growth.small().n_layers)
                .map(|i| layer(i).narrow(1, start, width).reshape([1, (rows * width) as i32]));
            let old = Tensor::cat(old.collect(), 0); // [l, n]
            stretches.push((self.matrix(&key).matmul(old), width)); // [L, n]
            start += width;
        }
        for i in 0..growth.big().n_layers {
            let parts = stretches
                .iter()
                .map(|(mixed, width)| mixed.clone().narrow(0, i, 1).reshape([rows as i32, *width as i32]));
            grown.insert(format!("blocks.{i}.{rest}"), Tensor::cat(parts.collect(), 1));
        }
    }

    fn widen(&self, growth: &Growth, small: &Seed) -> BTreeMap<String, Tensor<2>> {
        let widen = |(name, tensor): (&String, &Tensor<2>)| {
            let [rows, columns] = axes(growth, name, tensor.dims());
            let tensor = self.widen_axis(tensor.clone().transpose(), &rows).transpose();
            (name.clone(), self.widen_axis(tensor, &columns))
        };
        small.tensors.iter().map(widen).collect()
    }

    /// Columns `[r, n] -> [r, N]`, stretch by stretch.
    fn widen_axis(&self, x: Tensor<2>, stretches: &[Stretch]) -> Tensor<2> {
        let mut start = 0;
        let parts = stretches.iter().map(|(key, old, _)| {
            let part = x.clone().narrow(1, start, *old);
            start += old;
            match key {
                Some(key) => part.matmul(self.matrix(key).transpose()),
                None => part,
            }
        });
        Tensor::cat(parts.collect(), 1)
    }
}

/// Puts tensors in by name.
struct Replace(BTreeMap<String, Tensor<2>>);

impl Map for Replace {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let grown = self.0.remove(name).expect("both models have the same parameters");
        grown.reshape(value.shape())
    }
}

/// The keys of the matrices of one parameter of a layer, with the widths of their stretches.
fn depth_keys(growth: &Growth, rest: &str, columns: usize) -> Vec<(String, usize)> {
    match is_packed(&format!(".{rest}")) {
        false => vec![(rest.to_string(), columns)],
        true => {
            let widths = packed(&growth.small().block, growth.small());
            let keys = ["queries", "keys", "values"].map(|part| format!("{rest}.{part}"));
            keys.into_iter().zip(widths).collect()
        }
    }
}

/// Tiled identities: the big layer is its source.
fn depth_matrices(growth: &Growth, name: &str, matrices: &mut BTreeMap<String, TensorData>) {
    let Some((0, rest)) = Tracer::layer_of(name) else { return };
    let (old, new) = (growth.small().n_layers, growth.big().n_layers);
    let mut tiled = vec![0.0_f32; new * old];
    growth.sources().iter().enumerate().for_each(|(layer, source)| tiled[layer * old + source] = 1.0);
    for (key, _) in depth_keys(growth, rest, 0) {
        matrices.insert(key, TensorData::new(tiled.clone(), [new, old]));
    }
}

/// The identity over rows of N(0, 1 / new).
fn width_matrices(
    growth: &Growth,
    name: &str,
    shape: [usize; 2],
    seed: u64,
    matrices: &mut BTreeMap<String, TensorData>,
) {
    for (key, old, new) in axes(growth, name, shape).into_iter().flatten() {
        let Some(key) = key else { continue };
        let random = normal(seed, &format!("growth.{key}"), (new - old) * old, (new as f64).powf(-0.5));
        let mut values = vec![0.0_f32; old * old];
        (0..old).for_each(|i| values[i * old + i] = 1.0);
        values.extend(random);
        matrices.insert(key, TensorData::new(values, [new, old]));
    }
}

/// The stretches of both axes of a parameter.
fn axes(growth: &Growth, name: &str, [rows, columns]: [usize; 2]) -> [Vec<Stretch>; 2] {
    let (small, big) = (growth.small(), growth.big());
    let model = || vec![(Some("model".to_string()), small.d_model, big.d_model)];
    let (old, new) = (packed(&small.block, small), packed(&big.block, big));
    let part = |i: usize| (Some(["queries", "keys", "values"][i].to_string()), old[i], new[i]);
    let mixed = || match old[0] == old[2] || old[0] == 0 {
        true => vec![part(2)],
        false => vec![(Some("mixed".to_string()), old[0], new[0])],
    };
    let hidden = |d: usize| vec![(Some("hidden".to_string()), d, hidden_width(big))];
    let keep = |n: usize| vec![(None, n, n)];
    let end = |ends: &[&str]| ends.iter().any(|end| name.contains(end));
    let joint = matches!(
        small.block.mixer,
        MixerConfig::Attention(AttentionConfig { qk_norm: QkNormConfig::Joint(_), .. })
    );
    let column = match () {
        () if is_packed(name) => (0..3).map(part).collect(),
        () if end(&[".mixer.values."]) => vec![part(2)],
        () if end(&[".qk_norm."]) && joint => vec![part(usize::from(end(&[".keys."])))],
        () if end(&[".qk_norm."]) => keep(columns),
        () if end(&[".up.", ".gate."]) => hidden(columns),
        () => model(),
    };
    let row = match () {
        () if end(&[".bias", ".gamma", ".beta", ".kernel"]) || !name.starts_with("blocks.") => keep(rows),
        () if end(&[".mixer.out."]) => mixed(),
        () if end(&[".down."]) => hidden(rows),
        () => model(),
    };
    [row, column]
}

/// Width of the feed-forward of a model without experts.
fn hidden_width(model: &ModelConfig) -> usize {
    let widths = model.widths(1);
    match &model.block.feed_forward {
        FeedForwardConfig::Mlp(config) => config.d_ff(widths.d_model),
        FeedForwardConfig::GatedMlp(config) => config.d_ff(widths.d_model),
        FeedForwardConfig::Moe(_) | FeedForwardConfig::None => 0,
    }
}
