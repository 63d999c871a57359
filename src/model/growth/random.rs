//! G_random: new layers and units start as they would without growth, and a ramp lets them in.
//!
//! Masked structural growth (Yao et al. 2023, arXiv 2305.02869), in one hop as in the Gstack paper: while the ramp rises
//! from 0 to 1, what new layers add to the residual stream and what is written into new units is multiplied by it, and
//! scales of norms over new units by `sqrt((d + c (D - d)) / D)`. At 0 the function is the small model's; from 1 on
//! the model is an ordinary one.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::take::{Entry, Take, each};
use super::trace::{Layer, Part, Role, Trace};
use crate::error::Problem;
use crate::model::parameter;

/// Settings of random growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RampConfig {
    /// Steps from 0 to 1.
    pub ramp_steps: u64,
}

impl Default for RampConfig {
    fn default() -> Self {
        RampConfig { ramp_steps: 200 }
    }
}

impl RampConfig {
    /// What is impossible about it; keys are relative to `[growth]`.
    pub(super) fn check(&self) -> Vec<Problem> {
        match self.ramp_steps {
            0 => vec![Problem::new("0").key("operator.ramp_steps").expected("at least 1")],
            _ => Vec::new(),
        }
    }

    /// The ramp after `step` steps of the big model.
    pub fn share(&self, step: u64) -> f64 {
        (step as f64 / self.ramp_steps as f64).min(1.0)
    }
}

/// Old entries of old layers stay, all else is fresh.
pub(super) fn take(entry: &Entry) -> Take {
    let is_new = entry.is_new(Role::In) || entry.is_new(Role::Out) || entry.trace.layer == Layer::New;
    if is_new { Take::Fresh(1.0) } else { Take::Old(1.0) }
}

/// What a parameter is multiplied by while the ramp is at `c`.
#[derive(Debug, Clone)]
enum Mask {
    /// By `c`: the gate of a new layer.
    Whole,
    /// By `c` where this is 1: what is written into new units.
    New(TensorData),
    /// By `sqrt(r + c (1 - r))`, with the share `r` of old units: the scale of a norm.
    Gain(f64),
}

/// Lets new layers and units in, step by step.
#[derive(Debug, Clone)]
pub struct Ramp {
    config: RampConfig,
    masks: BTreeMap<String, Mask>,
}

impl Ramp {
    pub(super) fn new(config: &RampConfig, traces: &[(String, Trace)]) -> Self {
        let mask = |(name, trace): &(String, Trace)| Some((name.clone(), Mask::of(trace)?));
        Ramp { config: *config, masks: traces.iter().filter_map(mask).collect() }
    }

    /// The model as it computes at `step` of the big model's training: gradients reach the parameters of `model`
    /// through it.
    pub fn apply<M: Module>(&self, model: &M, step: u64) -> M {
        let share = self.config.share(step);
        match share < 1.0 {
            true => parameter::derive(model.clone(), &mut Masked { masks: &self.masks, share }),
            false => model.clone(),
        }
    }
}

impl Mask {
    /// None for a parameter that is there as it is from the start.
    fn of(trace: &Trace) -> Option<Self> {
        if trace.layer == Layer::New && trace.is_gate {
            return Some(Mask::Whole);
        }
        let columns = &trace.axes[1];
        if columns.role != Role::Out || columns.units.len() == columns.n_small {
            return None;
        }
        if trace.part == Part::Gain {
            return Some(Mask::Gain(columns.n_small as f64 / columns.units.len() as f64));
        }
        let mut is_new = Vec::new();
        each(trace, |entry, _| is_new.push(if entry.column.is_new() { 1.0_f32 } else { 0.0 }));
        let n = is_new.len();
        Some(Mask::New(TensorData::new(is_new, [n])))
    }
}

struct Masked<'a> {
    masks: &'a BTreeMap<String, Mask>,
    share: f64,
}

impl parameter::Map for Masked<'_> {
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        let shape = value.shape();
        match self.masks.get(name) {
            None => value,
            Some(Mask::Whole) => value * self.share,
            Some(Mask::Gain(old)) => value * (old + self.share * (1.0 - old)).sqrt(),
            Some(Mask::New(is_new)) => {
                let is_new = Tensor::<1>::from_data(is_new.clone(), &value.device()).reshape(shape);
                value * (is_new * (self.share - 1.0) + 1.0)
            }
        }
    }
}
