//! A small trained model becomes the start of a big one: pure functions from config and named weights to config and
//! named weights.
//!
//! Du et al. 2024, "Stacking Your Transformers" (arXiv 2405.15319), sort what had been published into four operators,
//! each of which works in depth (more layers) or in width (wider layers, more heads of the same size):
//!
//! | operator | depth | width | keeps the function |
//! |---|---|---|---|
//! | [`mod@stack`] | copies of layers in an [`LayerOrder`] (Gstack) | copies of units, what reads them shared out unevenly | width |
//! | [`zero`] | copies that add nothing at first | new units that nothing reaches at first | yes |
//! | [`random`] | new layers that a ramp lets in | new units that a ramp lets in | yes |
//! | [`learn`] | mixtures of layers, trained (LiGO) | mixtures of units, trained | no |
//!
//! Every parameter of the big model has a name of its own, and so moments of its own in the optimizer: nothing is
//! shared after growth.

pub mod learn;
pub mod order;
mod promise;
pub mod random;
mod recipe;
pub mod stack;
mod take;
mod trace;
pub mod zero;

#[cfg(test)]
mod tests;

pub use learn::{LearnConfig, Ligo};
pub use order::{LayerOrder, connection_rate};
pub use promise::Promise;
pub use random::{Ramp, RampConfig};
pub use recipe::{Direction, Operator, Recipe};
pub use stack::{StackConfig, stack};
pub use take::{Carry, Growth, grow};
