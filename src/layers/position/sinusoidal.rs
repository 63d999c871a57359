//! Sinusoidal positions: `x = E[token] + P[position]`, `P[t, 2i] = sin(t 10000^(-2i/d))`, `P[t, 2i + 1]` its cosine.
//!
//! Vaswani et al. 2017 (arXiv 1706.03762), section 3.5. Waves have amplitude one, so the embedding is usually scaled
//! up beside them (`embedding.scale = "root-width"`).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::layers::Widths;

/// The longest wave is this times `2 pi`.
const BASE: f64 = 10_000.0;

/// The waves of all positions; constants, not parameters.
#[derive(Module, Debug)]
pub struct SinusoidalPositions {
    /// `[t, d]`.
    waves: Tensor<2>,
}

impl SinusoidalPositions {
    /// The waves of `widths.seq_len` positions.
    pub fn new(widths: &Widths, device: &Device) -> Self {
        let (t, d) = (widths.seq_len, widths.d_model);
        let wave = |n: usize| {
            let (position, channel) = (n / d, n % d);
            let angle = position as f64 * BASE.powf(-((channel - channel % 2) as f64) / d as f64);
            if channel.is_multiple_of(2) { angle.sin() as f32 } else { angle.cos() as f32 }
        };
        let waves: Vec<f32> = (0..t * d).map(wave).collect();
        SinusoidalPositions { waves: Tensor::from_data(TensorData::new(waves, [t, d]), device) }
    }

    /// `[t, d]`.
    pub fn table(&self) -> Tensor<2> {
        self.waves.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_pairs_of_sine_and_cosine() {
        let widths = Widths::new(4, 1, 3);
        let table = SinusoidalPositions::new(&widths, &crate::device::open("cpu").unwrap()).table();
        let values = table.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(values[..4], [0.0, 1.0, 0.0, 1.0]);
        let second: Vec<f32> =
            [2f64.sin(), 2f64.cos(), 0.02f64.sin(), 0.02f64.cos()].map(|v| v as f32).into();
        assert_eq!(values[8..], second);
    }
}
