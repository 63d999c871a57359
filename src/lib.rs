//! A modular model zoo on [Burn](https://burn.dev), for architecture ablations that answer with an interval.
//!
//! A **model** is a row of choices; an **ablation** is a question with one control and the arms that change one
//! thing; a **dataset** is what all of them must learn. All three are TOML; a **plan** is the three put together,
//! checked and printed before anything runs. Floors, bottom to top; each uses only those below it:
//!
//! | floor | modules |
//! |---|---|
//! | 0 ground | [`error`], [`input`], [`visible`], [`device`] |
//! | 1 kernels | [`kernels`]: fused operations beside their reference form |
//! | 2 layers | [`layers`]: tensor to tensor; a folder is a slot, a file is a variant |
//! | 3 models and data | [`model`], [`data`]: they do not know each other |
//! | 4 work | [`training`], [`measure`], [`laws`] |
//! | 5 plan | [`plan`]: TOML to a typed, checked plan |
#![cfg_attr(feature = "cli", doc = "| 6 run and report, with the feature `cli` | [`run`], [`report`] |")]
#![recursion_limit = "256"]
#![warn(missing_docs)]

pub mod data;
pub mod device;
pub mod error;
pub mod input;
pub mod kernels;
pub mod laws;
pub mod layers;
pub mod measure;
pub mod model;
pub mod plan;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod run;
pub mod training;
pub mod visible;

pub use error::{Error, Result};
