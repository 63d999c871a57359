//! AdamW as a mapper over the module; its state is `name -> (m, v)` and a step.
//!
//! Two passes. The first reads the gradients in module order into their joint norm; a norm that is not finite stops
//! there, before any weight has changed. The second updates weights and moments in place, with the clip scale folded
//! into the same kernel. Loshchilov and Hutter 2019 (arXiv 1711.05101).

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Gradients, Tensor};

use super::config::{AdamwConfig, Clip, Decay, OptimizerConfig};
use crate::kernels::{self, AdamwStep};
use crate::model::parameter::{self, Map, Visit};

/// The optimizer with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: AdamwConfig,
    clip: Clip,
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
        Optimizer { config, clip: *clip, step: 0, moments: BTreeMap::new() }
    }

    /// Updates done so far.
    pub fn steps_done(&self) -> u64 {
        self.step
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
        let grad_norm = global_norm(&model, &gradients);
        if !grad_norm.is_finite() {
            return Err(Box::new((model, NonFinite { grad_norm })));
        }
        self.step += 1;
        let grad_scale = match self.clip {
            Clip::GlobalNorm(clip) if grad_norm > clip.max => clip.max / grad_norm,
            Clip::GlobalNorm(_) | Clip::None => 1.0,
        };
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
        let mut update =
            Update { gradients: &mut gradients, moments: &mut self.moments, step, decay: config.decay };
        Ok((parameter::map(model, &mut update), grad_norm))
    }
}

/// The Euclidean norm of all gradients together.
fn global_norm<M: Module>(model: &M, gradients: &Gradients) -> f64 {
    struct Norm<'a> {
        gradients: &'a Gradients,
        square_sum: f64,
    }
    impl Visit for Norm<'_> {
        fn visit<const D: usize>(&mut self, _name: &str, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                self.square_sum += kernels::square_sum(gradient).into_scalar::<f32>() as f64;
            }
        }
    }
    let mut norm = Norm { gradients, square_sum: 0.0 };
    parameter::visit(model, &mut norm);
    norm.square_sum.sqrt()
}

struct Update<'a> {
    gradients: &'a mut Gradients,
    moments: &'a mut BTreeMap<String, Moments>,
    step: AdamwStep,
    decay: Decay,
}

impl Map for Update<'_> {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let Some(gradient) = value.grad_remove(self.gradients) else { return value };
        let shape = value.shape();
        let decays = D > 1 || self.decay == Decay::All;
        let step = AdamwStep { weight_decay: if decays { self.step.weight_decay } else { 0.0 }, ..self.step };
        let value = value.inner().flatten::<1>(0, D - 1); // [n]
        let gradient = gradient.flatten::<1>(0, D - 1); // [n]
        let Moments { m, v } = self
            .moments
            .remove(name)
            .unwrap_or_else(|| Moments { m: value.zeros_like(), v: value.zeros_like() });
        let (value, m, v) = kernels::adamw(value, gradient, m, v, &step);
        self.moments.insert(name.to_string(), Moments { m, v });
        Tensor::from_inner(value.reshape(shape))
    }
}
