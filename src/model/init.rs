//! The values that weights start from: a function of (seed, parameter name), made on the host.
//!
//! Arms of an ablation therefore share the weights they have in common, a new sublayer shifts nobody's random stream,
//! and every backend starts from the same numbers.

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, ModelConfig};
use super::parameter::{self, Map};
use crate::error::Problem;

/// Which scheme. Offsets start at zero and norm scales at one under all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitConfig {
    /// All weights from N(0, std^2).
    Normal(NormalInit),
    /// All weights from N(0, (factor / sqrt(d))^2): the same size of activations at every width.
    WidthScaled(WidthScaledInit),
    /// GPT-2: N(0, 0.02^2), and maps into the residual stream smaller by sqrt(2 n_layers).
    Gpt2,
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

impl Default for InitConfig {
    fn default() -> Self {
        InitConfig::Normal(NormalInit::default())
    }
}

/// A scheme with its numbers worked out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scheme {
    /// Standard deviation of weights.
    pub std: f64,
    /// Standard deviation of maps into the residual stream.
    pub residual_std: f64,
}

impl InitConfig {
    /// What is impossible about it; keys are relative to `[model]`.
    pub fn check(&self) -> Vec<Problem> {
        let (key, value) = match self {
            InitConfig::Normal(config) => ("init.std", config.std),
            InitConfig::WidthScaled(config) => ("init.factor", config.factor),
            InitConfig::Gpt2 => return Vec::new(),
        };
        match value.is_finite() && value > 0.0 {
            true => Vec::new(),
            false => vec![Problem::new(value.to_string()).key(key).expected("a number above 0")],
        }
    }

    /// Works out the numbers for a model.
    pub fn scheme(&self, model: &ModelConfig) -> Scheme {
        match self {
            InitConfig::Normal(config) => Scheme { std: config.std, residual_std: config.std },
            InitConfig::WidthScaled(config) => {
                let std = config.factor / (model.d_model as f64).sqrt();
                Scheme { std, residual_std: std }
            }
            InitConfig::Gpt2 => {
                Scheme { std: 0.02, residual_std: 0.02 / (2.0 * model.n_layers as f64).sqrt() }
            }
        }
    }
}

/// Fills all parameters of `model` from the hash of (seed, name).
pub fn fill(model: Decoder, scheme: &Scheme, seed: u64) -> Decoder {
    parameter::map(model, &mut Fill { scheme: *scheme, seed })
}

struct Fill {
    scheme: Scheme,
    seed: u64,
}

impl Map for Fill {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let n = value.shape().num_elements();
        let values = match name.rsplit('.').next() {
            Some("gamma") => vec![1.0; n],
            Some("bias" | "beta") => vec![0.0; n],
            _ if name.ends_with("mixer.out.weight") || name.ends_with("feed_forward.down.weight") => {
                normal(self.seed, name, n, self.scheme.residual_std)
            }
            _ => normal(self.seed, name, n, self.scheme.std),
        };
        Tensor::from_data(TensorData::new(values, value.shape()), &value.device())
    }
}

/// `n` values of N(0, std^2), by Box and Muller's transform of a ChaCha8 stream keyed by (seed, name).
fn normal(seed: u64, name: &str, n: usize, std: f64) -> Vec<f32> {
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
