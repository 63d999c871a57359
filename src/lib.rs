//! A modular model zoo on [Burn](https://burn.dev), for architecture ablations that answer with an interval.
//!
//! A **model** is a list of choices; an **ablation** is a question with one control and the arms that change one
//! thing; a **dataset** is what all of them must learn. All three are TOML; a **plan** is the three put together,
//! checked and printed before anything runs. Layers of the code, bottom to top; each uses only those below it:
//!
//! | layer | modules |
//! |---|---|
//! | 0 base | [`error`], [`input`], [`visible`], [`device`] |
//! | 1 kernels | [`kernels`]: fused operations beside their reference form |
//! | 2 layers | [`layers`]: tensor to tensor; a folder is a slot, a file is a variant |
//! | 3 models and data | [`model`], [`data`]: independent of each other |
//! | 4 work | [`training`], [`measure`], [`laws`], [`statistics`] |
//! | 5 plan | [`plan`]: TOML to a typed, checked plan |
#![cfg_attr(feature = "cli", doc = "| 6 run and report, with the feature `cli` | [`run`], [`report`] |")]
//!
//! The blocks work in a module of your own as well, [`prelude`] has them:
//!
//! ```
//! use ablation_zoo::prelude::*;
//! use burn::prelude::*;
//!
//! #[derive(Module, Debug)]
//! struct MyBlock {
//!     attention: Attention,
//!     norm: RmsNorm,
//!     mlp: GatedMlp,
//!     head: burn::nn::Linear,
//! }
//!
//! let device = device::open("cpu")?;
//! let widths = Widths::new(64, 4, 128); // d_model, n_heads, seq_len
//! let mine = MyBlock {
//!     attention: AttentionConfig::default().init(&widths, &device),
//!     norm: RmsNormConfig::default().init(64, &device),
//!     mlp: GatedMlpConfig::default().init(64, &device),
//!     head: burn::nn::LinearConfig::new(64, 10).init(&device),
//! };
//! let x = Tensor::<3>::zeros([2, 16, 64], &device);
//! let x = x.clone() + mine.attention.forward(x);
//! let y = mine.head.forward(x.clone() + mine.mlp.forward(mine.norm.forward(x)));
//! assert_eq!(y.dims(), [2, 16, 10]);
//! # Ok::<(), ablation_zoo::Error>(())
//! ```
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
pub mod prelude;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod run;
pub mod statistics;
pub mod training;
pub mod visible;

pub use error::{Error, Result};
