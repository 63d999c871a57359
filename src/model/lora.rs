//! LoRA: a trained model is frozen, and each chosen matrix `W` becomes `W + (alpha / r) A B` with narrow `A` and `B`.
//!
//! Hu et al. 2021 (arXiv 2106.09685). One of the two starts at zero, so that nothing has changed before the first step:
//! `B` of a map, `A` of a table, whose rows would otherwise all start in the same few directions. Training multiplies
//! `A B` out and adds it once a step, `x (W + s A B)` for `x W + s (x A) B`: the same function, and cheaper whenever a
//! step has more tokens than `W` has rows. So the merged model is the adapted model, to the bit.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, ModelConfig};
use super::init::normal;
use super::parameter::{self, Map, Weights};
use super::weights;
use crate::error::Problem;
use crate::layers::embedding::Head;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::MixerConfig;

/// Which matrices are adapted, and how narrow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// `r` of projections inside a block.
    pub rank: usize,
    /// `r` of the tables of tokens.
    pub embedding_rank: usize,
    /// `A B` counts `alpha / r` times.
    pub alpha: f64,
    /// The matrices.
    pub targets: Vec<Target>,
}

/// A matrix that can be adapted, in every block that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The packed queries, keys and values of attention.
    Qkv,
    /// The map behind attention.
    Out,
    /// The first map of a feed-forward.
    Up,
    /// The gate of a feed-forward.
    Gate,
    /// The last map of a feed-forward.
    Down,
    /// The table of tokens; a tied head is the same.
    Embedding,
    /// An untied head.
    Head,
}

/// One matrix that is adapted.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The name of its parameter.
    pub name: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Columns of `A` and rows of `B`.
    pub rank: usize,
    /// What `A B` counts.
    pub scale: f64,
}

/// The two narrow matrices of one place.
#[derive(Module, Debug)]
pub struct Adapter {
    /// `[d_in, r]`.
    pub a: Param<Tensor<2>>,
    /// `[r, d_out]`.
    pub b: Param<Tensor<2>>,
}

/// A frozen decoder and what is learned beside it.
#[derive(Module, Debug)]
pub struct Adapted {
    /// As it was trained.
    pub base: Decoder,
    /// In the order of the places.
    pub adapters: Vec<Adapter>,
    #[module(skip)]
    places: Vec<Place>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig { rank: 8, embedding_rank: 16, alpha: 16.0, targets: vec![Target::Embedding, Target::Qkv] }
    }
}

impl Target {
    fn is_table(self) -> bool {
        matches!(self, Target::Embedding | Target::Head)
    }

    /// As in TOML.
    fn key(self) -> &'static str {
        match self {
            Target::Qkv => "qkv",
            Target::Out => "out",
            Target::Up => "up",
            Target::Gate => "gate",
            Target::Down => "down",
            Target::Embedding => "embedding",
            Target::Head => "head",
        }
    }
}

impl LoraConfig {
    /// The matrices that are adapted, from the config alone. Experts are none of them.
    pub fn places(&self, model: &ModelConfig, vocab_size: usize, seq_len: usize) -> Vec<Place> {
        self.targets.iter().flat_map(|target| self.places_of(*target, model, vocab_size, seq_len)).collect()
    }

    fn places_of(
        &self,
        target: Target,
        model: &ModelConfig,
        vocab_size: usize,
        seq_len: usize,
    ) -> Vec<Place> {
        let place = |name: String, shape: [usize; 2]| {
            let rank = if target.is_table() { self.embedding_rank } else { self.rank };
            Place { name, shape, rank, scale: self.alpha / rank as f64 }
        };
        let table = [vocab_size, model.d_model];
        match target {
            Target::Embedding => return vec![place("embedding.weight".into(), table)],
            Target::Head => {
                let untied = model.embedding.head() == Head::Untied;
                return untied.then(|| place("head.weight".into(), table)).into_iter().collect();
            }
            Target::Qkv | Target::Out | Target::Up | Target::Gate | Target::Down => {}
        }
        let (widths, d) = (model.widths(seq_len), model.d_model);
        let blocks = model.blocks().into_iter().enumerate();
        let shape = |block: &super::BlockConfig| {
            let attention = match &block.mixer {
                MixerConfig::Attention(attention) => Some(attention),
                MixerConfig::Average(_) => None,
            };
            let d_ff = match &block.feed_forward {
                FeedForwardConfig::Mlp(mlp) if target != Target::Gate => Some(mlp.d_ff(widths.d_model)),
                FeedForwardConfig::GatedMlp(mlp) => Some(mlp.d_ff(widths.d_model)),
                FeedForwardConfig::Mlp(_) | FeedForwardConfig::Moe(_) | FeedForwardConfig::None => None,
            };
            match target {
                Target::Qkv => {
                    attention.map(|attention| attention.qkv(&widths)).map(|map| [map.d_in, map.d_out])
                }
                Target::Out => {
                    attention.map(|attention| attention.out(&widths)).map(|map| [map.d_in, map.d_out])
                }
                Target::Up | Target::Gate => d_ff.map(|f| [d, f]),
                Target::Down => d_ff.map(|f| [f, d]),
                Target::Embedding | Target::Head => None,
            }
        };
        let sublayer = if matches!(target, Target::Qkv | Target::Out) { "mixer" } else { "feed_forward" };
        let name = |layer: usize| format!("blocks.{layer}.{sublayer}.{}.weight", target.key());
        blocks.filter_map(|(layer, block)| Some(place(name(layer), shape(&block)?))).collect()
    }

    /// `r (d_in + d_out)` for each matrix.
    pub fn num_params(&self, model: &ModelConfig, vocab_size: usize, seq_len: usize) -> u64 {
        let places = self.places(model, vocab_size, seq_len);
        places.iter().map(|place| (place.rank * (place.shape[0] + place.shape[1])) as u64).sum()
    }

    /// FLOPs of a step that do not depend on its tokens: `A B`, and back through it.
    pub fn flops_per_step(&self, model: &ModelConfig, vocab_size: usize, seq_len: usize) -> u64 {
        let places = self.places(model, vocab_size, seq_len);
        places.iter().map(|place| 3 * 2 * (place.rank * place.shape[0] * place.shape[1]) as u64).sum()
    }

    /// What is impossible about it for a model; keys are relative to the table.
    pub fn check(&self, model: &ModelConfig) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, rank) in [("rank", self.rank), ("embedding_rank", self.embedding_rank)] {
            if !(1..=model.d_model).contains(&rank) {
                let expected = format!("1 to d_model = {}", model.d_model);
                problems.push(Problem::new(rank.to_string()).key(key).expected(expected));
            }
        }
        if !(self.alpha > 0.0 && self.alpha <= 1e6) {
            let problem = Problem::new(self.alpha.to_string()).key("alpha");
            problems.push(problem.expected("above 0 and at most 1e6"));
        }
        if self.targets.is_empty() {
            problems.push(Problem::new("nothing").key("targets").expected("a matrix, for instance \"qkv\""));
        }
        for (index, target) in self.targets.iter().enumerate() {
            let name = target.key();
            if self.targets[..index].contains(target) {
                problems.push(Problem::new(format!("{name:?} twice")).key("targets").expected("each once"));
            } else if problems.is_empty() && self.places_of(*target, model, 1, 1).is_empty() {
                let problem = Problem::new(format!("the model has no {name:?}")).key("targets");
                problems.push(problem.help("name matrices that it has; those of experts are not adapted"));
            }
        }
        problems
    }
}

impl Adapted {
    /// A frozen `base` and adapters that change nothing yet; `seed` decides the half that is not zero.
    ///
    /// # Panics
    /// If a place is not in the model: a plan is checked before anything is built.
    pub fn new(base: Decoder, places: Vec<Place>, seed: u64, device: &Device) -> Self {
        let shapes: BTreeMap<_, _> = parameter::shapes(&base).into_iter().collect();
        let adapters = places.iter().map(|place| {
            let known = shapes.get(&place.name).is_some_and(|shape| shape == &place.shape);
            assert!(known, "no matrix {} of {:?} to adapt", place.name, place.shape);
            Adapter::new(place, seed, device)
        });
        let adapters = adapters.collect();
        Adapted { base, adapters, places }.frozen()
    }

    fn frozen(self) -> Self {
        parameter::freeze(self, |name| name.starts_with("base."))
    }

    /// The decoder with `W + s A B` in its places; gradients pass through to the adapters.
    pub fn merged(&self) -> Decoder {
        let pairs = self.places.iter().zip(&self.adapters);
        let deltas = pairs.map(|(place, adapter)| {
            (place.name.as_str(), adapter.a.val().matmul(adapter.b.val()) * place.scale)
        });
        parameter::derive(self.base.clone(), &mut Add { deltas: deltas.collect() })
    }

    /// Parameters that are trained.
    pub fn trained_params(&self) -> u64 {
        let sizes = self.adapters.iter().map(|adapter| adapter.a.val().dims()[0] + adapter.b.val().dims()[1]);
        sizes.zip(&self.places).map(|(size, place)| (size * place.rank) as u64).sum()
    }

    /// The weights of the decoder that it began from, which training leaves alone.
    pub fn base_weights(&self) -> Weights {
        weights::of(&self.base)
    }
}

impl Adapter {
    fn new(place: &Place, seed: u64, device: &Device) -> Self {
        let [d_in, d_out] = place.shape;
        let drawn = |name: &str, shape: [usize; 2], std: f64| {
            let values = normal(seed, &format!("lora {} {name}", place.name), shape[0] * shape[1], std);
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let zeros = |shape: [usize; 2]| Param::from_tensor(Tensor::zeros(shape, device));
        let (a, b) = ([d_in, place.rank], [place.rank, d_out]);
        match place.name.starts_with("blocks.") {
            true => Adapter { a: drawn("a", a, 1.0 / (d_in as f64).sqrt()), b: zeros(b) },
            false => Adapter { a: zeros(a), b: drawn("b", b, 1.0 / (d_out as f64).sqrt()) },
        }
    }
}

/// Adds a difference to some matrices.
struct Add<'a> {
    deltas: BTreeMap<&'a str, Tensor<2>>,
}

impl Map for Add<'_> {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        match self.deltas.remove(name) {
            Some(delta) => {
                let shape = value.dims();
                value + delta.reshape(shape)
            }
            None => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::embedding::{EmbeddingConfig, TokenEmbeddingConfig};
    use crate::layers::feed_forward::GatedMlpConfig;
    use crate::layers::linear::Linear;
    use crate::model::variants::{self, T, V};
    use burn::tensor::Int;

    /// Sums of a few dozen products, in two different orders.
    const ROUNDING: f64 = 1e-5;

    fn everything() -> (ModelConfig, LoraConfig) {
        let mut model = variants::base();
        model.block.feed_forward = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        model.embedding =
            EmbeddingConfig::Token(TokenEmbeddingConfig { head: Head::Untied, ..Default::default() });
        let targets = [
            Target::Embedding,
            Target::Head,
            Target::Qkv,
            Target::Out,
            Target::Gate,
            Target::Up,
            Target::Down,
        ];
        (model, LoraConfig { rank: 3, embedding_rank: 2, alpha: 6.0, targets: targets.into() })
    }

    /// With random numbers in both halves of every adapter.
    fn adapted(device: &Device) -> (Adapted, LoraConfig) {
        let (model, lora) = everything();
        let mut adapted = Adapted::new(model.init(V, T, 3, device), lora.places(&model, V, T), 5, device);
        for (index, adapter) in adapted.adapters.iter_mut().enumerate() {
            let random = |name: &str, shape: [usize; 2]| {
                let values = normal(9, &format!("{name} {index}"), shape[0] * shape[1], 0.1);
                Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
            };
            (adapter.a, adapter.b) =
                (random("a", adapter.a.val().dims()), random("b", adapter.b.val().dims()));
        }
        (adapted, lora)
    }

    fn tokens(device: &Device) -> Tensor<2, Int> {
        let ids: Vec<i32> = (0..2 * T as i32).map(|i| (i * 5 + 2) % V as i32).collect();
        Tensor::from_data(TensorData::new(ids, [2, T]), device)
    }

    fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f32>().map(f64::from).collect()
    }

    /// `x y` in f64.
    fn product(x: &[f64], y: &[f64], inner: usize) -> Vec<f64> {
        let columns = y.len() / inner;
        let cell = |row: &[f64], column: usize| {
            row.iter().enumerate().map(|(k, x)| x * y[k * columns + column]).sum()
        };
        x.chunks(inner).flat_map(|row| (0..columns).map(move |column| cell(row, column))).collect()
    }

    #[test]
    fn places_and_counts_from_the_config_are_those_of_the_built_model() {
        let device = crate::device::open("cpu").unwrap();
        let (model, lora) = everything();
        let base = model.init(V, T, 3, &device);
        let matrices: Vec<(String, Vec<usize>)> = parameter::shapes(&base)
            .into_iter()
            .filter(|(name, shape)| shape.len() == 2 && name.ends_with("weight"))
            .collect();
        let mut places: Vec<(String, Vec<usize>)> =
            lora.places(&model, V, T).into_iter().map(|place| (place.name, place.shape.to_vec())).collect();
        places.sort();
        let mut sorted = matrices.clone();
        sorted.sort();
        assert_eq!(places, sorted, "every matrix has a target");
        let adapted = Adapted::new(base, lora.places(&model, V, T), 5, &device);
        let built: usize = parameter::shapes(&adapted)
            .iter()
            .filter(|(name, _)| name.starts_with("adapters."))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!((adapted.trained_params(), lora.num_params(&model, V, T)), (built as u64, built as u64));
    }

    #[test]
    fn fresh_adapters_change_nothing_to_the_bit() {
        let device = crate::device::open("cpu").unwrap();
        let (model, lora) = everything();
        let base = model.init(V, T, 3, &device);
        let adapted = Adapted::new(base.clone(), lora.places(&model, V, T), 5, &device);
        assert_eq!(weights::of(&adapted.merged()), weights::of(&base));
    }

    /// In f64: `x W + b + s (x A) B`, the product in two narrow steps.
    #[test]
    fn the_merged_map_is_the_map_and_its_adapter_side_by_side() {
        let device = crate::device::open("cpu").unwrap();
        let (adapted, lora) = adapted(&device);
        let place = adapted.places.iter().position(|place| place.name == "blocks.1.feed_forward.down.weight");
        let place = place.unwrap();
        let Some(crate::layers::feed_forward::FeedForward::GatedMlp(mlp)) =
            adapted.merged().blocks.remove(1).feed_forward
        else {
            panic!("the feed-forward is gated")
        };
        let down: Linear = mlp.down;
        let [d_in, _] = adapted.places[place].shape;
        let x: Vec<f32> = normal(1, "x", 2 * 3 * d_in, 1.0);
        let input = Tensor::<3>::from_data(TensorData::new(x.clone(), [2, 3, d_in]), &device);
        let found = numbers(down.forward(input));
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let value = |name: &str| -> Vec<f64> {
            variants::value(&adapted.base, name).iter::<f32>().map(f64::from).collect()
        };
        let Adapter { a, b } = &adapted.adapters[place];
        let narrow = product(&x, &numbers(a.val()), d_in);
        let beside = product(&narrow, &numbers(b.val()), lora.rank);
        let own = product(&x, &value("blocks.1.feed_forward.down.weight"), d_in);
        let scale = lora.alpha / lora.rank as f64;
        for ((found, own), beside) in found.iter().zip(own).zip(&beside) {
            let expected = own + scale * beside;
            assert!(
                (found - expected).abs() < ROUNDING * expected.abs().max(1.0),
                "{found} is not {expected}"
            );
        }
        let largest = beside.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        assert!(largest > 0.1, "the adapter does something");
    }

    /// The gradient of each half of each adapter in a random direction, beside a finite difference.
    #[test]
    fn gradients_of_adapters_are_those_of_finite_differences_and_the_base_has_none() {
        let device = crate::device::open("cpu").unwrap().autodiff();
        let (model, _) = adapted(&device);
        let loss = |model: &Adapted| {
            let hidden = model.merged().logits(tokens(&device));
            (hidden.clone() * hidden).mean()
        };
        let gradients = loss(&model).backward();
        struct Trained<'a>(&'a burn::tensor::Gradients, Vec<String>);
        impl parameter::Visit for Trained<'_> {
            fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
                if param.val().grad(self.0).is_some() {
                    self.1.push(name.to_string());
                }
            }
        }
        let mut trained = Trained(&gradients, Vec::new());
        parameter::visit(&model, &mut trained);
        assert_eq!(trained.1.len(), 2 * model.adapters.len());
        assert!(trained.1.iter().all(|name| name.starts_with("adapters.")), "{:?}", trained.1);
        const STEP: f32 = 5e-3;
        for index in 0..model.adapters.len() {
            for half in ["a", "b"] {
                let of = |adapter: &Adapter| if half == "a" { adapter.a.val() } else { adapter.b.val() };
                let param = of(&model.adapters[index]);
                let shape = param.dims();
                let direction = normal(2, &format!("{half} {index}"), shape[0] * shape[1], 1.0);
                let gradient = numbers(param.grad(&gradients).unwrap());
                let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * f64::from(*d)).sum();
                let moved = |step: f32| {
                    let by =
                        Tensor::<2>::from_data(TensorData::new(direction.clone(), shape), &device) * step;
                    let mut model = model.clone();
                    let adapter = &mut model.adapters[index];
                    let value = Param::from_tensor((param.clone() + by).detach());
                    if half == "a" {
                        adapter.a = value
                    } else {
                        adapter.b = value
                    }
                    f64::from(loss(&model).into_scalar::<f32>())
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
                let close = (difference - expected).abs() < 2e-2 * expected.abs().max(2e-2);
                assert!(
                    close,
                    "{half} of {}: {expected}, by differences {difference}",
                    model.places[index].name
                );
            }
        }
    }

    #[test]
    fn impossible_adapters_are_refused_with_their_keys() {
        let (gated, lora) = everything();
        let keys = |lora: LoraConfig, model: &ModelConfig| -> Vec<String> {
            lora.check(model).into_iter().map(|problem| problem.to_string()).collect()
        };
        assert_eq!(keys(lora.clone(), &gated), [""; 0]);
        assert_eq!(
            keys(LoraConfig { rank: 0, ..lora.clone() }, &gated),
            ["rank: 0, expected 1 to d_model = 24"]
        );
        assert_eq!(
            keys(LoraConfig { alpha: 0.0, targets: vec![], ..lora.clone() }, &gated),
            [
                "alpha: 0, expected above 0 and at most 1e6",
                "targets: nothing, expected a matrix, for instance \"qkv\""
            ]
        );
        let twice = LoraConfig { targets: vec![Target::Qkv, Target::Qkv], ..lora.clone() };
        assert_eq!(keys(twice, &gated), ["targets: \"qkv\" twice, expected each once"]);
        let gate = LoraConfig { targets: vec![Target::Gate, Target::Head], ..lora };
        let problems = keys(gate, &variants::base());
        assert!(problems[0].starts_with("targets: the model has no \"gate\""), "{problems:?}");
    }
}
