//! G_direct: new layers and units are copies.
//!
//! In depth a layer is its source, bit for bit: Gstack (Du et al. 2024, arXiv 2405.15319). The function changes, the
//! loss jumps, and recovers within a few hundred steps.
//!
//! In width every unit is there several times, and what reads it reads a share of each copy; the shares are uneven, so
//! that copies get different gradients and part (Net2Net, Chen et al. 2016, arXiv 1511.05641; LEMON, Wang et al. 2023,
//! arXiv 2310.07999). The widths of residual stream and heads are whole multiples of the old ones, so that copies leave
//! every mean and mean square as it was and norms keep their scales; the function stays what it was. (The paper
//! multiplies scales by `sqrt(d/D)`, which is right for silent new units and not for copies.)

use serde::{Deserialize, Serialize};

use super::take::{Entry, Take};
use super::trace::{Layer, Part, Role, Trace, Unit};
use crate::error::Problem;
use crate::layers::embedding::Head;
use crate::model::{Decoder, parameter};

/// Settings of growth by copies.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StackConfig {
    /// The share `a` of noise in each linear layer, `(1 - a) w + a e`, with `e` as the scheme of init draws it; the paper
    /// finds 0.2 slightly better than 0, and more worse (Appendix I).
    pub noise: f64,
}

/// The decoder with all its blocks `factor` times, one stack on the other (Gstack: the paper's G_direct in depth). Every
/// parameter of the result is its own, with gradients and moments of its own.
///
/// ```
/// use ablation_zoo::prelude::*;
///
/// let device = device::open("cpu")?;
/// let small = ModelConfig { d_model: 32, n_layers: 2, n_heads: 2, ..ModelConfig::default() };
/// let small = small.init(100, 16, 0, &device); // vocabulary, sequence length, seed
/// assert_eq!(stack(&small, 4).blocks.len(), 8);
/// # Ok::<(), ablation_zoo::Error>(())
/// ```
pub fn stack(small: &Decoder, factor: usize) -> Decoder {
    let mut big = small.clone();
    big.blocks = (0..factor).flat_map(|_| small.blocks.clone()).collect();
    parameter::renewed(big)
}

impl StackConfig {
    /// What is impossible about it; keys are relative to `[growth]`.
    pub(super) fn check(&self) -> Vec<Problem> {
        match (0.0..=1.0).contains(&self.noise) {
            true => Vec::new(),
            false => {
                let problem = Problem::new(self.noise.to_string()).key("operator.noise");
                vec![problem.expected("a share from 0 to 1")]
            }
        }
    }
}

/// Noise is for the linear layers of layers.
pub(super) fn is_noisy(trace: &Trace) -> bool {
    trace.part == Part::Map && trace.layer != Layer::Outside
}

/// What reads a unit `copies` times reads this share of copy number `copy`: 1/3 and 2/3 of two.
fn share(unit: Unit) -> f32 {
    let (copy, copies) = (unit.copy as f32, unit.copies as f32);
    2.0 * (copy + 1.0) / (copies * (copies + 1.0))
}

fn product(entry: &Entry, role: Role) -> f32 {
    entry.units().iter().filter(|(of, _)| *of == role).map(|(_, unit)| share(*unit)).product()
}

/// All is copied; what is read is shared out. A tied head reads the whole table, so that the norm before it gives each
/// copy an equal part.
pub(super) fn take(entry: &Entry, head: Head) -> Take {
    match (entry.trace.is_last_norm, head) {
        (true, Head::Tied) => Take::Old(1.0 / entry.column.copies as f32),
        (true, Head::Untied) | (false, _) => Take::Old(product(entry, Role::In)),
    }
}

/// The share of the old gradient that an entry gets; the whole of it before a tied head, whose table is there in full
/// for each copy.
pub(super) fn gradient_share(entry: &Entry, head: Head) -> f32 {
    match (entry.trace.is_last_norm, head) {
        (true, Head::Tied) => 1.0,
        (true, Head::Untied) | (false, _) => product(entry, Role::Out),
    }
}
