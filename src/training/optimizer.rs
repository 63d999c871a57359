//! AdamW as a mapper over the module; its state is `name -> (m, v)` and a step.
//!
//! Two passes. The first reads the gradients in module order into their joint norm; a norm that is not finite stops
//! there, before any weight has changed. The second updates weights and moments in place, with the clip scale folded
//! into the same kernel. Loshchilov and Hutter 2019 (arXiv 1711.05101).
//!
//! A device beside the CPU would stand still while the norm is read: there norm and scale can stay on the device
//! ([`Optimizer::step_unread`]), and who reads the norm later finds out whether the weights are still numbers.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Gradients, Tensor};

use super::config::{AdamwConfig, Clip, Decay, OptimizerConfig};
use crate::kernels::{self, AdamwStep};
use crate::model::init::Scheme;
use crate::model::parameter::{self, Map, Visit};

/// The optimizer with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: AdamwConfig,
    clip: Clip,
    /// By which parameters learn at rates of their own; absent: all learn at the same.
    scheme: Option<Scheme>,
    /// Updates done so far.
    pub(super) step: u64,
    /// Moments per parameter name, flat.
    pub(super) moments: BTreeMap<String, Moments>,
}

/// Running means of the gradient and of its square, flat `[n]`.
#[derive(Debug)]
pub(super) struct Moments {
    pub(super) m: Tensor<1>,
    pub(super) v: Tensor<1>,
}

/// The joint norm of the gradients is not a finite number; no weight has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NonFinite {
    /// The norm: infinite or not a number.
    pub grad_norm: f64,
}

impl Optimizer {
    /// An optimizer that has done no step.
    pub fn new(config: &OptimizerConfig, clip: &Clip) -> Self {
        let OptimizerConfig::Adamw(config) = *config;
        Optimizer { config, clip: *clip, scheme: None, step: 0, moments: BTreeMap::new() }
    }

    /// The same with the learning rates of a scheme of initial values. Weight decay, `lr * weight_decay`, stays what it
    /// is at every rate, as in the authors' code for maximal update (Yang et al. 2022, arXiv 2203.03466).
    pub fn with_rates(self, scheme: Scheme) -> Self {
        Optimizer { scheme: Some(scheme), ..self }
    }

    /// Updates every parameter of `model` that has a gradient; returns the model and the norm of all gradients before
    /// clipping.
    ///
    /// # Errors
    /// [`NonFinite`], with the model as it was, when the norm is not finite.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        mut gradients: Gradients,
        lr: f64,
    ) -> Result<(M, f64), Box<(M, NonFinite)>> {
        let grad_norm = match squares(&model, &gradients) {
            Some(squares) => squares.into_data().iter::<f32>().map(f64::from).sum::<f64>().sqrt(),
            None => 0.0,
        };
        if !grad_norm.is_finite() {
            return Err(Box::new((model, NonFinite { grad_norm })));
        }
        let scale = match self.clip {
            Clip::GlobalNorm(clip) if grad_norm > clip.max => clip.max / grad_norm,
            Clip::GlobalNorm(_) | Clip::None => 1.0,
        };
        Ok((self.update(model, &mut gradients, lr, scale, None), grad_norm))
    }

    /// The same without a read: the norm stays on the device, `[1]`, f32. One that is not finite has made the weights so.
    pub fn step_unread<M: Module>(
        &mut self,
        model: M,
        mut gradients: Gradients,
        lr: f64,
        device: &Device,
    ) -> (M, Tensor<1>) {
        let norm = match squares(&model, &gradients) {
            Some(squares) => squares.sum().sqrt(),
            None => Tensor::zeros([1], &device.clone().inner()),
        };
        let scale = match self.clip {
            Clip::GlobalNorm(clip) => Some((norm.clone().recip() * clip.max).clamp_max(1.0)),
            Clip::None => None,
        };
        (self.update(model, &mut gradients, lr, 1.0, scale), norm)
    }

    /// `scale` is a factor that only the device knows.
    fn update<M: Module>(
        &mut self,
        model: M,
        gradients: &mut Gradients,
        lr: f64,
        grad_scale: f64,
        scale: Option<Tensor<1>>,
    ) -> M {
        self.step += 1;
        let config = &self.config;
        let step = AdamwStep {
            lr,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
            step: self.step,
            grad_scale,
        };
        let (decay, scheme, moments) = (config.decay, self.scheme, &mut self.moments);
        parameter::map(model, &mut Update { gradients, scale, moments, step, decay, scheme })
    }
}

/// The gradients of two parts of a step, summed for every parameter of `model`.
pub fn add<M: Module>(model: &M, before: Gradients, after: Gradients) -> Gradients {
    struct Add {
        before: Gradients,
        after: Gradients,
    }
    impl Visit for Add {
        fn visit<const D: usize>(&mut self, _name: &str, param: &Param<Tensor<D>>) {
            let param = param.val();
            if let Some(before) = param.grad_remove(&mut self.before) {
                let sum = match param.grad_remove(&mut self.after) {
                    Some(after) => before + after,
                    None => before,
                };
                param.grad_replace(&mut self.after, sum);
            }
        }
    }
    let mut sums = Add { before, after };
    parameter::visit(model, &mut sums);
    sums.after
}

/// The square sums of all gradients, one after the other, so that they are read in one go.
fn squares<M: Module>(model: &M, gradients: &Gradients) -> Option<Tensor<1>> {
    struct SquareSums<'a> {
        gradients: &'a Gradients,
        sums: Vec<Tensor<1>>,
    }
    impl Visit for SquareSums<'_> {
        fn visit<const D: usize>(&mut self, _name: &str, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                self.sums.push(kernels::square_sum(gradient));
            }
        }
    }
    let mut squares = SquareSums { gradients, sums: Vec::new() };
    parameter::visit(model, &mut squares);
    (!squares.sums.is_empty()).then(|| Tensor::cat(squares.sums, 0))
}

struct Update<'a> {
    gradients: &'a mut Gradients,
    scale: Option<Tensor<1>>,
    moments: &'a mut BTreeMap<String, Moments>,
    step: AdamwStep,
    decay: Decay,
    scheme: Option<Scheme>,
}

impl Update<'_> {
    /// The numbers for one parameter: at its own rate, decaying if it does.
    fn step_of<const D: usize>(&self, name: &str) -> AdamwStep {
        let share = self.scheme.map_or(1.0, |scheme| scheme.lr_multiplier(name));
        let decays = D > 1 || self.decay == Decay::All;
        let weight_decay = if decays { self.step.weight_decay / share } else { 0.0 };
        AdamwStep { lr: self.step.lr * share, weight_decay, ..self.step }
    }
}

impl Map for Update<'_> {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let Some(gradient) = value.grad_remove(self.gradients) else { return value };
        let (shape, checkpointing) = (value.shape(), value.gradient_checkpointing_strategy());
        let step = self.step_of::<D>(name);
        let value = value.inner().flatten::<1>(0, D - 1); // [n]
        let mut gradient = gradient.flatten::<1>(0, D - 1); // [n]
        if let Some(scale) = &self.scale {
            gradient = gradient * scale.clone();
        }
        let Moments { m, v } = self
            .moments
            .remove(name)
            .unwrap_or_else(|| Moments { m: value.zeros_like(), v: value.zeros_like() });
        let (value, m, v) = kernels::adamw(value, gradient, m, v, &step);
        self.moments.insert(name.to_string(), Moments { m, v });
        let value = Tensor::from_inner(value.reshape(shape));
        match checkpointing {
            Some(strategy) => value.with_gradient_checkpointing_strategy(strategy),
            None => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::kernels;
    use crate::layers::embedding::{EmbeddingConfig, Head, TokenEmbeddingConfig};
    use crate::layers::feed_forward::{FeedForwardConfig, GatedMlpConfig, MlpConfig};
    use crate::layers::mixer::{AttentionConfig, MixerConfig};
    use crate::layers::norm::NormConfig;
    use crate::layers::position::{PositionConfig, RopeConfig};
    use crate::layers::{Bias, ForwardContext};
    use crate::model::init::{InitConfig, MaximalUpdateInit};
    use crate::model::{Decoder, ModelConfig};
    use crate::training::config::GlobalNormConfig;
    use crate::training::fit::tensors;
    use crate::training::weights::{self, Weights};
    use burn::tensor::Device;

    const ROWS: usize = 2;
    const T: usize = 6;
    const V: usize = 11;
    /// Sums of some hundred f32 products in another order; AdamW divides by the root of the square, so that an offset
    /// whose gradient is only rounding (a key's, to which softmax is blind) still moves by a little.
    const TOLERANCE: f64 = 1e-4;

    fn gpt2() -> ModelConfig {
        let position = PositionConfig::Rope(RopeConfig { rotary_fraction: 0.5, ..RopeConfig::default() });
        let mixer = AttentionConfig { bias: Bias::With, position, ..AttentionConfig::default() };
        let mut model = ModelConfig { d_model: 16, n_layers: 2, n_heads: 4, ..ModelConfig::default() };
        model.block.mixer = MixerConfig::Attention(mixer);
        model.block.feed_forward =
            FeedForwardConfig::Mlp(MlpConfig { bias: Bias::With, ..MlpConfig::default() });
        model
    }

    fn llama() -> ModelConfig {
        let mixer = AttentionConfig { n_kv_heads: Some(2), ..AttentionConfig::default() };
        let embedding = EmbeddingConfig::Token(TokenEmbeddingConfig {
            head: Head::Untied,
            ..TokenEmbeddingConfig::default()
        });
        let norm = NormConfig::Rms(Default::default());
        let mut model =
            ModelConfig { d_model: 16, n_layers: 2, n_heads: 4, norm, embedding, ..ModelConfig::default() };
        model.block.mixer = MixerConfig::Attention(mixer);
        model.block.feed_forward = FeedForwardConfig::GatedMlp(GatedMlpConfig::default());
        model
    }

    fn numbers(reference: &Weights, name: &str) -> Vec<f64> {
        reference[name].clone().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let close = (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
            assert!(close, "{what}[{i}]: {found} is not {expected}");
        }
    }

    /// Losses of every token and the loss to differentiate.
    fn losses(model: &Decoder, batch: &Batch, device: &Device) -> (Tensor<1>, Vec<f64>) {
        let (tokens, targets, weights) = tensors(batch, device);
        let hidden = model.hidden(tokens, &mut ForwardContext::new()).flatten::<2>(0, 1);
        let (loss, each) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
        (loss, each.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect())
    }

    #[test]
    fn three_steps_agree_with_pytorch_in_losses_norms_and_weights() {
        let device = crate::device::open("cpu").unwrap().autodiff();
        for (kind, config) in [("gpt2", gpt2()), ("llama", llama())] {
            let file = format!("{}/tests/reference/decoder-{kind}.safetensors", env!("CARGO_MANIFEST_DIR"));
            let (reference, _) = weights::read(file.as_ref()).unwrap();
            let before = reference.iter().filter_map(|(name, data)| {
                name.strip_prefix("before.").map(|name| (name.to_string(), data.clone()))
            });
            let mut model = weights::put(config.init(V, T, 0, &device), before.collect(), &file).unwrap();
            let ids = |name: &str| numbers(&reference, name).into_iter().map(|id| id as i32).collect();
            let weights = vec![1.0; ROWS * T];
            let batch =
                Batch { tokens: ids("tokens"), targets: ids("targets"), weights, rows: ROWS, seq_len: T };
            let adamw = AdamwConfig { weight_decay: 0.1, ..AdamwConfig::default() };
            let clip = Clip::GlobalNorm(GlobalNormConfig { max: 1.0 });
            let mut optimizer = Optimizer::new(&OptimizerConfig::Adamw(adamw), &clip);
            for step in 0..3 {
                let (loss, each) = losses(&model, &batch, &device);
                assert_close(
                    &each,
                    &numbers(&reference, &format!("losses.{step}")),
                    &format!("{kind} losses {step}"),
                );
                let (updated, norm) = optimizer.step(model, loss.backward(), 1e-2).unwrap();
                assert_close(
                    &[norm],
                    &numbers(&reference, &format!("grad_norm.{step}")),
                    &format!("{kind} norm {step}"),
                );
                model = updated;
            }
            for (name, data) in super::super::weights::of(&model) {
                let found: Vec<f64> =
                    data.try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect();
                assert_close(
                    &found,
                    &numbers(&reference, &format!("after.{name}")),
                    &format!("{kind} {name}"),
                );
            }
        }
    }

    /// The weights of `config` after one step of rate 0.01 from the same start, with the rates of `rates` if given.
    fn after_a_step(config: &ModelConfig, weight_decay: f64, rates: Option<InitConfig>) -> Weights {
        let device = crate::device::open("cpu").unwrap().autodiff();
        let model = config.init(V, T, 0, &device);
        let weights = vec![1.0; ROWS * T];
        let (tokens, targets) = ((0..12).map(|i| i % 7).collect(), (0..12).map(|i| (i + 3) % 11).collect());
        let batch = Batch { tokens, targets, weights, rows: ROWS, seq_len: T };
        let adamw = AdamwConfig { weight_decay, eps: 1e-30, ..AdamwConfig::default() };
        let optimizer = Optimizer::new(&OptimizerConfig::Adamw(adamw), &Clip::None);
        let mut optimizer = match rates {
            Some(init) => optimizer.with_rates(init.scheme(config)),
            None => optimizer,
        };
        let (loss, _) = losses(&model, &batch, &device);
        weights::of(&optimizer.step(model, loss.backward(), 1e-2).unwrap().0)
    }

    /// The largest distance between two values of one parameter.
    fn distance(a: &Weights, b: &Weights, name: &str) -> f64 {
        numbers(a, name).iter().zip(numbers(b, name)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Adam's first step is its rate, whatever the gradient.
    #[test]
    fn maximal_update_trains_maps_and_head_slower_by_the_width_and_nothing_else() {
        let mup = InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 4 });
        let config = llama();
        let device = crate::device::open("cpu").unwrap();
        let start = weights::of(&config.init(V, T, 0, &device));
        let after = after_a_step(&config, 0.0, Some(mup));
        for name in start.keys() {
            let is_map = name.ends_with(".weight") && name != "embedding.weight";
            let rate = if is_map { 1e-2 * 4.0 / 16.0 } else { 1e-2 };
            let moved = distance(&start, &after, name);
            assert!((moved / rate - 1.0).abs() < 1e-3, "{name} moved by {moved}, its rate is {rate}");
        }
    }

    #[test]
    fn weights_decay_alike_at_every_rate() {
        let mup = Some(InitConfig::MaximalUpdate(MaximalUpdateInit { std: 0.1, base_width: 4 }));
        let config = llama();
        let start = weights::of(&config.init(V, T, 0, &crate::device::open("cpu").unwrap()));
        let (plain, decayed) = (after_a_step(&config, 0.0, mup), after_a_step(&config, 0.5, mup));
        for name in ["embedding.weight", "head.weight", "blocks.1.mixer.qkv.weight"] {
            let largest = numbers(&start, name).iter().fold(0.0f64, |most, w| most.max(w.abs()));
            let shrunk = distance(&plain, &decayed, name) / largest;
            assert!((shrunk / (1e-2 * 0.5) - 1.0).abs() < 1e-2, "{name} shrank by {shrunk}");
        }
    }

    #[test]
    fn all_other_schemes_train_at_one_rate_to_the_bit() {
        for init in [InitConfig::default(), InitConfig::Gpt2, InitConfig::Small] {
            let with = after_a_step(&gpt2(), 0.1, Some(init));
            assert_eq!(with, after_a_step(&gpt2(), 0.1, None), "{init:?}");
        }
    }
}
