//! One file per measurement; what they find is kept in [`Measurements`].

pub mod record;
pub mod capacity;
pub mod loss;
pub mod speed;

pub use record::{AttributeBits, Capacity, Loss, MeasureConfig, Measurements, People};
