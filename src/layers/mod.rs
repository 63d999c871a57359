//! Tensor to tensor: a folder is a slot of the block, a file is a variant of that slot.
//!
//! Shape legend, used in every file:
//!
//! | letter | meaning | letter | meaning |
//! |---|---|---|---|
//! | `b` | batch (sequences) | `h` | attention heads |
//! | `t` | time (positions in a sequence) | `g` | key-value heads |
//! | `s` | key time | `k` | width of a head |
//! | `d` | model width | `f` | feed-forward width |
//! | `v` | vocabulary | `n` | `b * t`, rows and time flattened |
//! | `e` | experts | `c` | slots of an expert |
//!
//! Every layer works by itself, `config.init(&widths, &device).forward(x)`; inside a model all have one signature,
//! `forward_with(&self, x: Tensor<3>, ctx: &mut ForwardContext) -> Tensor<3>`. Every config
//! answers three questions without building anything: is it possible ([`Widths`] given), how many parameters, how
//! many FLOPs.

pub mod convolution;
pub mod cross_attention;
pub mod embedding;
pub mod feed_forward;
pub mod linear;
pub mod mixer;
pub mod norm;
mod forward_context;
pub mod position;
pub(crate) mod start;

pub use forward_context::{CapturedInput, EncoderStates, ForwardContext, Mode};

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// Whether a linear or a norm adds a learned bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// A learned bias, zero at the start.
    With,
    /// No bias.
    #[default]
    Without,
}

impl Bias {
    /// Parameters of a bias of `width` channels.
    pub fn num_params(self, width: usize) -> u64 {
        match self {
            Bias::With => width as u64,
            Bias::Without => 0,
        }
    }
}

/// The widths that a parent passes down to its sublayers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Width of the residual stream, `d`.
    pub d_model: usize,
    /// Query heads, `h`.
    pub n_heads: usize,
    /// The longest sequence, `t`.
    pub seq_len: usize,
}

impl Widths {
    /// The widths of an ordinary sublayer.
    pub fn new(d_model: usize, n_heads: usize, seq_len: usize) -> Self {
        Widths { d_model, n_heads, seq_len }
    }

    /// Width of one head, `k = d / h`.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
    }
}

/// Puts the name of a slot before the keys of what is wrong inside it.
pub(crate) fn within(slot: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let prefix = |problem: Problem| {
        let key = problem.key.as_ref().map_or(slot.to_string(), |key| format!("{slot}.{key}"));
        problem.key(key)
    };
    problems.into_iter().map(prefix).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use crate::model::parameter::{self, Visit};
    use crate::prelude::*;

    const WIDTHS: Widths = Widths { d_model: 24, n_heads: 4, seq_len: 7 };

    fn device() -> Device {
        crate::device::open("cpu").unwrap()
    }

    /// Outputs of each layer by itself for inputs of size one, and what no gradient reaches.
    fn check<M: burn::module::Module>(name: &str, layer: M, forward: impl Fn(&M, Tensor<3>) -> Tensor<3>) {
        let device = device().autodiff();
        let x = Tensor::<3>::random([2, 7, 24], Distribution::Normal(0.0, 1.0), &device);
        let y = forward(&layer, x);
        let size = y.clone().square().mean().into_scalar::<f32>().sqrt();
        assert!((0.1..10.0).contains(&size), "{name}: outputs of size {size}");
        struct Reached<'a>(&'a burn::tensor::Gradients, Vec<String>);
        impl Visit for Reached<'_> {
            fn visit<const D: usize>(&mut self, name: &str, param: &burn::module::Param<Tensor<D>>) {
                let gradient = param.val().grad(self.0);
                if gradient.is_none_or(|g| g.abs().max().into_scalar::<f32>() == 0.0) {
                    self.1.push(name.to_string());
                }
            }
        }
        let weights = Tensor::<3>::random([2, 7, 24], Distribution::Normal(0.0, 1.0), &device);
        let gradients = (y * weights).sum().backward();
        let mut reached = Reached(&gradients, Vec::new());
        parameter::visit(&layer, &mut reached);
        assert_eq!(reached.1, Vec::<String>::new(), "{name}: parameters that do not learn");
    }

    #[test]
    fn each_layer_by_itself_keeps_the_size_of_its_input_and_learns_everywhere() {
        let d = device().autodiff();
        let bias = Bias::With;
        check("linear", LinearConfig::new(24, 24, bias).init(&d), |m, x| m.forward(x));
        check("layer norm", LayerNormConfig::default().init(24, &d), |m, x| m.forward(x));
        check("rms norm", RmsNormConfig::default().init(24, &d), |m, x| m.forward(x));
        check("mlp", MlpConfig { bias, ..Default::default() }.init(24, &d), |m, x| m.forward(x));
        check("gated mlp", GatedMlpConfig { bias, ..Default::default() }.init(24, &d), |m, x| m.forward(x));
        let experts = MoeConfig { n_experts: 2, top_k: 2, n_shared: 1, ..Default::default() };
        check("moe", experts.init(24, &d), |m, x| m.forward(x));
        let attention = AttentionConfig { n_kv_heads: Some(2), ..Default::default() };
        check("attention", attention.init(&WIDTHS, &d), |m, x| m.forward(x));
        check("average", AverageConfig { bias }.init(24, &d), |m, x| m.forward(x));
        let block = BlockConfig::default().init(&WIDTHS, &NormConfig::default(), &d);
        check("block", block, |m, x| m.forward(x));
    }

    #[test]
    fn a_tensor_of_any_rank_gives_the_numbers_of_its_tokens() {
        let d = device();
        let x = Tensor::<3>::random([2, 3, 24], Distribution::Normal(0.0, 1.0), &d);
        let mlp = GatedMlpConfig::default().init(24, &d);
        let norm = LayerNormConfig::default().init(24, &d);
        let moe = MoeConfig { top_k: 2, ..Default::default() }.init(24, &d);
        let whole = moe.forward(norm.forward(mlp.forward(x.clone())));
        let rows = moe.forward(norm.forward(mlp.forward(x.clone().reshape([6, 24]))));
        let deep = moe.forward(norm.forward(mlp.forward(x.reshape([1, 2, 1, 3, 24]))));
        assert_eq!(whole.clone().reshape([6, 24]).into_data(), rows.into_data());
        assert_eq!(whole.reshape([1, 2, 1, 3, 24]).into_data(), deep.into_data());
    }

    #[test]
    fn two_layers_of_one_config_differ() {
        let d = device();
        let weight = || MlpConfig::default().init(8, &d).up.weight.val().into_data();
        assert_ne!(weight(), weight());
    }

    #[test]
    fn what_is_impossible_is_refused_by_check_and_never_built() {
        let refused =
            |build: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(build)).is_err();
        let d = device();
        let odd = Widths::new(30, 4, 7);
        assert!(!AttentionConfig::default().check(&odd).is_empty());
        assert!(refused(&|| drop(AttentionConfig::default().init(&odd, &d))));
        assert!(refused(&|| drop(MlpConfig { expansion: 0.0, ..Default::default() }.init(8, &d))));
        assert!(refused(&|| drop(GatedMlpConfig::default().init(0, &d))));
        assert!(refused(&|| drop(MoeConfig { top_k: 9, ..Default::default() }.init(8, &d))));
        assert!(refused(&|| drop(RmsNormConfig { eps: f64::NAN }.init(8, &d))));
        assert!(refused(&|| drop(RopeConfig { rotary_fraction: 0.1, ..Default::default() }.init(8, 16, &d))));
        assert!(refused(&|| drop(LinearConfig::new(0, 8, Bias::Without).init(&d))));
        assert!(refused(&|| drop(EmbeddingConfig::default().init(0, 8, &d))));
    }
}
