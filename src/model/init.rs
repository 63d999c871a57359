//! The values that weights start from: a function of (seed, parameter name), made on the host.
//!
//! Arms of an ablation therefore share the weights they have in common, a new sublayer shifts nobody's random stream,
//! and every backend starts from the same numbers.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::decoder::ModelConfig;
use super::parameter::{self, Map};
use crate::error::Problem;

/// Which scheme. Norm scales start at one, biases and short convolutions at zero, under all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitConfig {
    /// All weights from N(0, std^2).
    Normal(NormalInit),
    /// All weights from N(0, (factor / sqrt(d))^2): the same size of activations at every width.
    WidthScaled(WidthScaledInit),
    /// GPT-2: N(0, 0.02^2), and projections into the residual stream smaller by sqrt(2 n_layers).
    Gpt2,
    /// GPT-NeoX: N(0, 2 / (5 d)) (Nguyen and Salazar 2019, arXiv 1910.05895), and projections into the residual stream from
    /// N(0, (2 / (n_layers sqrt(d)))^2).
    Small,
    /// Maximal update (Yang et al. 2022, arXiv 2203.03466, Table 8): embeddings from N(0, std^2), projections smaller by the root
    /// of the width over the base width, an untied head smaller by the width over the base width; and learning rates
    /// of projections and untied head smaller by the width over the base width ([`Scheme::lr_multiplier`]). A tied head
    /// stays as its table is.
    MaximalUpdate(MaximalUpdateInit),
}

/// Settings of the normal scheme.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NormalInit {
    /// Standard deviation.
    pub std: f64,
}

/// Settings of the width-scaled scheme.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WidthScaledInit {
    /// Standard deviation times `sqrt(d_model)`.
    pub factor: f64,
}

/// Settings of the maximal update scheme.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaximalUpdateInit {
    /// Standard deviation at the base width.
    pub std: f64,
    /// The `d_model` at which the learning rate was tuned.
    pub base_width: usize,
}

impl Default for NormalInit {
    fn default() -> Self {
        NormalInit { std: 0.02 }
    }
}

impl Default for WidthScaledInit {
    fn default() -> Self {
        WidthScaledInit { factor: 0.6 }
    }
}

impl Default for MaximalUpdateInit {
    fn default() -> Self {
        MaximalUpdateInit { std: 0.02, base_width: 256 }
    }
}

impl Default for InitConfig {
    fn default() -> Self {
        InitConfig::Normal(NormalInit::default())
    }
}

/// A scheme with its numbers worked out for one model: standard deviations, and learning rates as multiples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scheme {
    /// Embeddings of tokens and positions.
    table: Start,
    /// Maps inside a block.
    map: Start,
    /// Maps that end on the residual stream.
    residual: Start,
    /// An untied head.
    head: Start,
}

/// How the weights of one role start and learn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Start {
    std: f64,
    lr: f64,
}

impl Scheme {
    fn new(std: f64, residual_std: f64) -> Self {
        let start = Start { std, lr: 1.0 };
        Scheme { table: start, map: start, residual: Start { std: residual_std, lr: 1.0 }, head: start }
    }

    /// By its name alone: tables are outside the blocks, and the map of a sublayer that ends on the residual stream
    /// is called `out` or `down`.
    fn weight(&self, name: &str) -> Start {
        let role = match name.strip_prefix("blocks.") {
            Some(name) if name.ends_with(".out.weight") || name.ends_with(".down.weight") => &self.residual,
            Some(_) => &self.map,
            None if name.starts_with("head.") => &self.head,
            None => &self.table,
        };
        *role
    }

    /// Standard deviation of the weight of this name; none for scales and biases, which start at one and zero.
    pub fn std(&self, name: &str) -> Option<f64> {
        name.ends_with(".weight").then(|| self.weight(name).std)
    }

    /// What the learning rate of the parameter of this name is multiplied by.
    pub fn lr_multiplier(&self, name: &str) -> f64 {
        if name.ends_with(".weight") { self.weight(name).lr } else { 1.0 }
    }
}

impl InitConfig {
    /// What is impossible about it; keys are relative to `init`.
    pub fn check(&self) -> Vec<Problem> {
        let (key, value) = match self {
            InitConfig::Normal(config) => ("std", config.std),
            InitConfig::WidthScaled(config) => ("factor", config.factor),
            InitConfig::MaximalUpdate(config) if config.base_width == 0 => ("base_width", 0.0),
            InitConfig::MaximalUpdate(config) => ("std", config.std),
            InitConfig::Gpt2 | InitConfig::Small => return Vec::new(),
        };
        match value.is_finite() && value > 0.0 {
            true => Vec::new(),
            false => vec![Problem::new(value.to_string()).key(key).expected("a number above 0")],
        }
    }

    /// Works out the numbers for a model.
    pub fn scheme(&self, model: &ModelConfig) -> Scheme {
        let (d, n_layers) = (model.d_model as f64, model.n_layers as f64);
        match self {
            InitConfig::Normal(config) => Scheme::new(config.std, config.std),
            InitConfig::WidthScaled(config) => {
                Scheme::new(config.factor / d.sqrt(), config.factor / d.sqrt())
            }
            InitConfig::Gpt2 => Scheme::new(0.02, 0.02 / (2.0 * n_layers).sqrt()),
            InitConfig::Small => Scheme::new((2.0 / (5.0 * d)).sqrt(), 2.0 / (n_layers * d.sqrt())),
            InitConfig::MaximalUpdate(config) => {
                let (std, shrunk) = (config.std, config.base_width as f64 / d);
                let map = Start { std: std * shrunk.sqrt(), lr: shrunk };
                let head = Start { std: std * shrunk, lr: shrunk };
                Scheme { table: Start { std, lr: 1.0 }, map, residual: map, head }
            }
        }
    }
}

/// Fills all parameters of a module from the hash of (seed, name): the same values on every backend.
pub fn fill<M: Module>(module: M, scheme: &Scheme, seed: u64) -> M {
    parameter::map(module, &mut Fill { scheme: *scheme, seed })
}

struct Fill {
    scheme: Scheme,
    seed: u64,
}

impl Map for Fill {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let n = value.shape().num_elements();
        let values = match self.scheme.std(name) {
            Some(std) => normal(self.seed, name, n, std),
            None if name.ends_with(".gamma") => vec![1.0; n],
            None => vec![0.0; n],
        };
        Tensor::from_data(TensorData::new(values, value.shape()), &value.device())
    }
}

/// `n` values of N(0, std^2), by Box and Muller's transform of a ChaCha8 stream keyed by (seed, name).
pub(super) fn normal(seed: u64, name: &str, n: usize, std: f64) -> Vec<f32> {
    let mut hasher = blake3::Hasher::new_derive_key("ablation-zoo parameter init");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut rng = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        let radius = std * (-2.0 * uniform().ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * uniform()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::variants;

    const ROLES: [&str; 6] = [
        "embedding.weight",
        "position.weight",
        "head.weight",
        "blocks.0.mixer.qkv.weight",
        "blocks.1.mixer.out.weight",
        "blocks.1.feed_forward.experts.down.weight",
    ];

    fn scheme(init: InitConfig) -> Scheme {
        init.scheme(&ModelConfig { d_model: 400, n_layers: 8, ..variants::base() })
    }

    fn stds(init: InitConfig) -> [f64; 6] {
        ROLES.map(|name| scheme(init).std(name).expect("it is a weight"))
    }

    #[test]
    fn schemes_are_their_formulas() {
        let normal = InitConfig::Normal(NormalInit { std: 0.1 });
        assert_eq!(stds(normal), [0.1; 6]);
        assert_eq!(stds(InitConfig::WidthScaled(WidthScaledInit { factor: 1.0 })), [0.05; 6]);
        assert_eq!(stds(InitConfig::Gpt2), [0.02, 0.02, 0.02, 0.02, 0.005, 0.005]);
        let small = (2.0f64 / 2000.0).sqrt();
        assert_eq!(stds(InitConfig::Small), [small, small, small, small, 0.0125, 0.0125]);
        let wide = InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 100 });
        assert_eq!(stds(wide), [0.1, 0.1, 0.025, 0.05, 0.05, 0.05]);
    }

    #[test]
    fn maximal_update_slows_maps_and_head_and_nothing_else() {
        let wide = scheme(InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 100 }));
        assert_eq!(ROLES.map(|name| wide.lr_multiplier(name)), [1.0, 1.0, 0.25, 0.25, 0.25, 0.25]);
        for name in ["norm.gamma", "blocks.0.mixer.qkv.bias", "blocks.0.mixer_norm.beta"] {
            assert_eq!((wide.lr_multiplier(name), wide.std(name)), (1.0, None), "{name}");
            assert_eq!(scheme(InitConfig::Gpt2).lr_multiplier(name), 1.0);
        }
    }

    #[test]
    fn a_built_model_has_the_schemes_deviations() {
        let init = InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 16 });
        let config = ModelConfig { d_model: 64, init, ..variants::base() };
        let model = config.init(500, 5, 1, &crate::device::open("cpu").unwrap());
        for (name, expected) in [("embedding.weight", 0.1), ("blocks.0.mixer.qkv.weight", 0.05)] {
            let values: Vec<f64> = variants::value(&model, name).iter::<f64>().collect();
            let std = (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
            assert!((std / expected - 1.0).abs() < 0.03, "{name}: {std}, within five sigma of 12288 draws");
        }
    }

    #[test]
    fn impossible_schemes_are_refused_with_their_keys() {
        let key = |init: InitConfig| init.check()[0].key.clone().unwrap();
        assert_eq!(key(InitConfig::Normal(NormalInit { std: -0.1 })), "std");
        assert_eq!(
            key(InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 0 })),
            "base_width"
        );
    }
}
