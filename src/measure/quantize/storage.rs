//! How a rounded model would be stored.

use serde::{Deserialize, Serialize};

use crate::model::weights::Weights;

/// Bits of a weight that is not rounded, and of a scale.
const FLOAT_BITS: u64 = 32;

/// How a rounded model would be stored, scales and all that stays in float included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// Bits of a rounded weight.
    pub bits: u32,
    /// Mean over all parameters, in bits.
    pub bits_per_param: f64,
    /// All of it, in bits.
    pub total_bits: u64,
    /// Parameters that are rounded.
    pub rounded_params: u64,
    /// Scales, of 32 bits each.
    pub scales: u64,
    /// Tensors that are rounded.
    pub rounded: Vec<String>,
    /// Tensors that stay in 32-bit float.
    pub in_float: Vec<String>,
}

impl Storage {
    /// Everything in float.
    pub(super) fn float(bits: u32, weights: &Weights) -> Self {
        let params: u64 = weights.values().map(|data| data.num_elements() as u64).sum();
        Storage {
            bits,
            bits_per_param: FLOAT_BITS as f64,
            total_bits: params * FLOAT_BITS,
            rounded_params: 0,
            scales: 0,
            rounded: Vec::new(),
            in_float: weights.keys().cloned().collect(),
        }
    }

    /// A tensor is rounded, with so many scales.
    pub(super) fn note(&mut self, name: &str, params: u64, scales: u64) {
        let all = self.total_bits as f64 / self.bits_per_param;
        self.total_bits =
            self.total_bits - params * (FLOAT_BITS - u64::from(self.bits)) + scales * FLOAT_BITS;
        self.bits_per_param = self.total_bits as f64 / all;
        self.rounded_params += params;
        self.scales += scales;
        self.in_float.retain(|other| other != name);
        self.rounded.push(name.to_string());
    }
}
