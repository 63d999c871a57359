//! RoPE: channel pair `i` of position `t` is turned by `t * theta^(-2i/r)`, so that a score depends on distance only.
//!
//! Su et al. 2021 (arXiv 2104.09864). Half-split pairing as in GPT-NeoX: channel `i` turns with `i + r/2`, where
//! `r = rotary_fraction * k` channels of each head are rotated and the rest pass through. GPT-NeoX, and the GPT-2 of the
//! knowledge capacity paper, rotate a quarter.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::RopeScaling;
use crate::error::Problem;
use crate::kernels;
use crate::layers::start::checked;
use crate::layers::within;

/// Settings of RoPE.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RopeConfig {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Share of each head that is rotated, in (0, 1].
    pub rotary_fraction: f64,
    /// How the waves are stretched for sequences longer than the trained ones.
    pub scaling: RopeScaling,
}

impl Default for RopeConfig {
    fn default() -> Self {
        RopeConfig { theta: 10_000.0, rotary_fraction: 1.0, scaling: RopeScaling::None }
    }
}

/// Cosines and sines of all positions, `[t, r/2]`; constants, not parameters.
///
/// ```
/// use ablation_zoo::prelude::*;
/// use burn::prelude::*;
///
/// let device = device::open("cpu")?;
/// let rope = RopeConfig { rotary_fraction: 0.5, ..RopeConfig::default() }.init(16, 128, &device); // d_head, seq_len
/// let queries = Tensor::<4>::ones([2, 4, 10, 16], &device); // [b, h, t, k]
/// assert_eq!(rope.forward(queries, 0).dims(), [2, 4, 10, 16]);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct RopeTable {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl RopeConfig {
    /// Rotated channels of a head: the even number nearest below `rotary_fraction * k`.
    pub fn rotated(&self, d_head: usize) -> usize {
        (self.rotary_fraction * d_head as f64 / 2.0 + 1e-9) as usize * 2
    }

    /// What is impossible about it in heads of this width.
    pub fn check(&self, d_head: usize) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(self.rotary_fraction > 0.0 && self.rotary_fraction <= 1.0) {
            problems.push(
                Problem::new(self.rotary_fraction.to_string())
                    .key("rotary_fraction")
                    .expected("a number in (0, 1]"),
            );
        } else if self.rotated(d_head) < 2 {
            let found =
                format!("{} of a head of {} channels is less than one pair", self.rotary_fraction, d_head);
            problems.push(
                Problem::new(found)
                    .key("rotary_fraction")
                    .help("use wider heads or a larger rotary_fraction"),
            );
        }
        if !(self.theta.is_finite() && self.theta > 1.0) {
            problems.push(Problem::new(self.theta.to_string()).key("theta").expected("a base above 1"));
        }
        problems.extend(within("scaling", self.scaling.check()));
        problems
    }

    /// The angles of heads of width `d_head` in sequences of up to `seq_len`.
    ///
    /// # Panics
    /// If [`RopeConfig::check`] finds a problem.
    pub fn init(&self, d_head: usize, seq_len: usize, device: &Device) -> RopeTable {
        checked(self.check(d_head), || self.table(self.rotated(d_head) / 2, seq_len, device))
    }

    fn table(&self, half: usize, t: usize, device: &Device) -> RopeTable {
        let (frequencies, amplitude) = (self.scaling.frequencies(self.theta, half), self.scaling.amplitude());
        let table = |f: fn(f64) -> f64| {
            let angle = |i: usize| (i / half) as f64 * frequencies[i % half];
            let values: Vec<f32> = (0..t * half).map(|i| (amplitude * f(angle(i))) as f32).collect();
            Tensor::from_data(TensorData::new(values, [t, half]), device)
        };
        RopeTable { cos: table(f64::cos), sin: table(f64::sin) }
    }
}

impl RopeTable {
    /// Turns queries or keys whose first position is `start`.
    ///
    /// # Shapes
    /// `[b, h, t, k] -> [b, h, t, k]`
    ///
    /// # Panics
    /// If `start + t` is longer than the sequences that it was made for.
    pub fn forward(&self, x: Tensor<4>, start: usize) -> Tensor<4> {
        let [_, _, t, _] = x.dims();
        let longest = self.cos.dims()[0];
        assert!(start + t <= longest, "positions up to {}, angles of {longest}", start + t);
        kernels::rope(x, &self.rows(start, t))
    }

    /// The rows of `t` positions from `start` on.
    pub fn rows(&self, start: usize, t: usize) -> kernels::Rope {
        let rows = |table: &Tensor<2>| match start == 0 && table.dims()[0] == t {
            true => table.clone(),
            false => table.clone().narrow(0, start, t),
        };
        kernels::Rope { cos: rows(&self.cos), sin: rows(&self.sin) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "narrow")]
    fn as_many_rows_as_the_table_has_begin_at_its_start_alone() {
        let device = crate::device::open("cpu").unwrap();
        let table = RopeConfig::default().init(4, 3, &device);
        assert_eq!(table.rows(0, 3).cos.dims(), [3, 2]);
        table.rows(1, 3);
    }
}
