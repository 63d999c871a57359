//! Fused operations: a reference form in plain Burn tensors beside a fast form with its own backward.
//!
//! Every kernel is a plain function from tensors to tensors. On the Flex CPU backend in f32, with or without
//! autodiff, it takes its fast form: one pass over the data, the backward written by hand, the vector width chosen
//! at run time ([`level()`]). Everywhere else it takes its reference form, ordinary tensor code whose gradient Burn
//! derives; that form is also the text to read. f64 always takes the reference form, so that finite differences can
//! check it, and the fast form is checked against it.
//!
//! The bits of a fast form depend on its inputs and on [`level()`] alone, not on the number of threads.
//!
//! Legend of shapes: b batch, t time, s key time, d model, h heads, g key-value heads, k head width, f feed-forward
//! width, v vocabulary, n = b t tokens.

mod activation;
mod adamw;
mod attention;
#[cfg(all(test, feature = "flex"))]
mod check;
mod cross_entropy;
mod embedding;
#[cfg(feature = "flex")]
mod flex;
mod level;
mod linear;
mod norm;
mod precision;
mod rope;

pub use activation::{Activation, activation, gated};
pub use adamw::{AdamwStep, adamw, square_sum};
pub use attention::{Heads, causal_attention};
pub use cross_entropy::linear_cross_entropy;
pub use embedding::embedding;
pub use level::{Level, VARIABLE, has_bf16_dot, level, parse_level};
pub use linear::{linear, linear_add};
pub use norm::{layer_norm, rms_norm};
pub use precision::{Precision, is_said_in_f32, to_compute_dtype, upcast};
pub use rope::{Rope, rope};

/// The form that kernels in f32 take on a device: fast on the CPU if the machine can, else the reference.
pub fn level_on(device: &burn::tensor::Device) -> Level {
    #[cfg(feature = "flex")]
    return flex::level_on(device);
    #[cfg(not(feature = "flex"))]
    return {
        let _ = device;
        Level::Reference
    };
}

/// The name of the kernels that compute on a device in a precision: that of the level, and in bf16 how its fast form
/// multiplies pairs, since the two ways round differently.
pub fn name_on(device: &burn::tensor::Device, precision: Precision) -> String {
    let level = level_on(device);
    let pairs = match precision {
        Precision::Bf16 if level != Level::Reference && level::has_bf16_dot() => "+bf16dot",
        Precision::Bf16 if level != Level::Reference => "+bf16fma",
        Precision::F32 | Precision::Bf16 => "",
    };
    format!("{}{pairs}", level.name())
}

/// For benches and parity checks: the plain tensor code behind each kernel, whatever the device.
pub mod reference {
    pub use super::activation::reference::{activation, gated};
    pub use super::adamw::reference::{adamw, square_sum};
    pub use super::attention::reference::causal_attention;
    pub use super::cross_entropy::reference::linear_cross_entropy;
    pub use super::embedding::reference::embedding;
    pub use super::linear::reference::{linear, linear_add};
    pub use super::norm::reference::{layer_norm, rms_norm};
    pub use super::rope::reference::rope;
}
