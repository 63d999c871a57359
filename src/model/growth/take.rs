//! Doing it: each operator says of an entry what it is taken from, and this is the one place that takes.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::order::connection_rate;
use super::promise::Promise;
use super::random::Ramp;
use super::recipe::{Operator, Recipe};
use super::trace::{Role, Trace, Tracer, Unit};
use super::{random, stack, zero};
use crate::error::{Error, Problem, Result};
use crate::model::parameter::{self, Weights};
use crate::model::weights::floats;
use crate::model::{Decoder, ModelConfig, weights};

/// What happens to the moments of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carry {
    /// They start at zero, as in the Gstack paper.
    #[default]
    Fresh,
    /// They are copied with the weights; those of what is new start at zero.
    Copy,
}

/// An entry of a parameter of the big model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub trace: &'a Trace,
    pub row: Unit,
    pub column: Unit,
}

/// What an entry is taken from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Take {
    /// The small model, times a number.
    Old(f32),
    /// The big model as it would start without growth, times a number.
    Fresh(f32),
    /// Nothing.
    Zero,
}

/// A small model, a big one, and the way from one to the other.
#[derive(Debug, Clone)]
pub struct Growth {
    recipe: Recipe,
    small: ModelConfig,
    big: ModelConfig,
    tracer: Tracer,
}

impl Entry<'_> {
    /// Both units with the roles of their axes.
    pub fn units(&self) -> [(Role, Unit); 2] {
        let [rows, columns] = &self.trace.axes;
        [(rows.role, self.row), (columns.role, self.column)]
    }

    /// Whether a unit of this role is a copy.
    pub fn is_new(&self, role: Role) -> bool {
        self.units().iter().any(|(of, unit)| *of == role && unit.is_new())
    }

    /// What a scale is multiplied by so that a norm over silent new units gives what it gave without them.
    pub fn dilution(&self) -> f32 {
        let columns = &self.trace.axes[1];
        (columns.n_small as f32 / columns.units.len() as f32).sqrt()
    }
}

/// The decoder that `small`, which was built from `config`, grows into by `recipe`, and its config. What is new starts
/// from the values that `seed` gives.
///
/// [`Operator::Learn`] starts where [`stack`](super::stack()) does.
///
/// # Errors
/// What does not fit; keys are relative to `[growth]`; or `small` was not built from `config`.
pub fn grow(
    small: &Decoder,
    config: &ModelConfig,
    recipe: &Recipe,
    seed: u64,
) -> Result<(Decoder, ModelConfig)> {
    let growth = Growth::new(recipe, config)?;
    let device = small.embedding.weight.val().device();
    let fresh = growth.big().init(small.vocab_size(), small.seq_len(), seed, &device);
    let grown = growth.weights(&weights::of(small), &weights::of(&fresh))?;
    Ok((weights::put(fresh, grown, "growth")?, growth.big))
}

impl Growth {
    /// The growth of `small` by `recipe`.
    ///
    /// # Errors
    /// What does not fit; keys are relative to `[growth]`.
    pub fn new(recipe: &Recipe, small: &ModelConfig) -> Result<Self> {
        let big = recipe.big(small)?;
        let tracer = Tracer::new(recipe, small, &big)?;
        Ok(Growth { recipe: recipe.clone(), small: small.clone(), big, tracer })
    }

    /// The recipe that the model is grown by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The config of the small model.
    pub fn small(&self) -> &ModelConfig {
        &self.small
    }

    /// The config of the big model.
    pub fn big(&self) -> &ModelConfig {
        &self.big
    }

    /// The layer of the small model, from 0, that each layer of the big one comes from.
    pub fn sources(&self) -> &[usize] {
        &self.tracer.sources
    }

    /// The share of neighbouring layers that were neighbours before.
    pub fn connection_rate(&self) -> f64 {
        connection_rate(self.sources())
    }

    /// Whether the big model starts with the function of the small one.
    pub fn promise(&self) -> Promise {
        Promise::of(self)
    }

    /// The weights of the big model; `fresh` are those that it would start from without growth.
    ///
    /// [`Operator::Learn`] starts where `stack` does; its matrices are trained by
    /// [`training::growth`](crate::training::growth).
    ///
    /// # Errors
    /// `weights` are not those of the small model.
    pub fn weights(&self, weights: &Weights, fresh: &Weights) -> Result<Weights> {
        let mut grown = Weights::new();
        for (name, data) in fresh {
            let source = self.tracer.source(name);
            let old = weights.get(&source).ok_or_else(|| missing(&source))?;
            let trace = self.tracer.trace(name, &old.shape().to_vec(), &data.shape().to_vec());
            let values = self.grow(&trace, &floats(old), &floats(data));
            grown.insert(name.clone(), TensorData::new(values, data.shape()));
        }
        Ok(grown)
    }

    fn grow(&self, trace: &Trace, old: &[f32], fresh: &[f32]) -> Vec<f32> {
        let noise = match self.recipe.operator {
            Operator::Stack(config) if stack::is_noisy(trace) => config.noise as f32,
            _ => 0.0,
        };
        let mut values = Vec::with_capacity(fresh.len());
        each(trace, |entry, from| {
            let fresh = fresh[values.len()];
            let value = match self.take(&entry) {
                Take::Old(share) => share * old[from],
                Take::Fresh(share) => share * fresh,
                Take::Zero => 0.0,
            };
            values.push(if noise > 0.0 { (1.0 - noise) * value + noise * fresh } else { value });
        });
        values
    }

    /// The moments of the big model's optimizer, for
    /// [`Optimizer::restore`](crate::training::Optimizer::restore); `fresh` are weights of the big model, for their
    /// names and shapes.
    ///
    /// A copy of a unit gets the share of the gradient that it will get: what reads it reads only a share.
    ///
    /// # Errors
    /// `moments` are not those of the small model.
    pub fn moments(&self, moments: &Weights, weights: &Weights, fresh: &Weights) -> Result<Weights> {
        let mut grown = Weights::new();
        for (name, data) in fresh {
            let source = self.tracer.source(name);
            let small = weights.get(&source).ok_or_else(|| missing(&source))?.shape().to_vec();
            let trace = self.tracer.trace(name, &small, &data.shape().to_vec());
            for (end, power) in [("m", 1), ("v", 2)] {
                let Some(old) = moments.get(&format!("{source}.{end}")) else { continue };
                let values = self.grow_moment(&trace, &floats(old), power);
                let shape = [values.len()];
                grown.insert(format!("{name}.{end}"), TensorData::new(values, shape));
            }
        }
        Ok(grown)
    }

    fn grow_moment(&self, trace: &Trace, old: &[f32], power: i32) -> Vec<f32> {
        let mut values = Vec::new();
        each(trace, |entry, from| {
            values.push(match self.take(&entry) {
                Take::Old(_) => self.gradient_share(&entry).powi(power) * old[from],
                Take::Fresh(_) | Take::Zero => 0.0,
            });
        });
        values
    }

    fn gradient_share(&self, entry: &Entry) -> f32 {
        match self.recipe.operator {
            Operator::Stack(_) => stack::gradient_share(entry, self.big.embedding.head()),
            Operator::Zero | Operator::Random(_) | Operator::Learn(_) => 1.0,
        }
    }

    fn take(&self, entry: &Entry) -> Take {
        match self.recipe.operator {
            Operator::Stack(_) | Operator::Learn(_) => stack::take(entry, self.big.embedding.head()),
            Operator::Zero => zero::take(entry),
            Operator::Random(_) => random::take(entry),
        }
    }

    /// The ramp that lets new units in, if the operator has one; both models for rows of `seq_len` tokens of
    /// `vocab_size`.
    pub fn ramp(&self, vocab_size: usize, seq_len: usize, device: &Device) -> Option<Ramp> {
        let Operator::Random(config) = self.recipe.operator else { return None };
        let shapes = |model: &ModelConfig| parameter::shapes(&model.init(vocab_size, seq_len, 0, device));
        let small: BTreeMap<String, Vec<usize>> = shapes(&self.small).into_iter().collect();
        let trace = |(name, big): (String, Vec<usize>)| {
            let trace = self.tracer.trace(&name, &small[&self.tracer.source(&name)], &big);
            (name, trace)
        };
        let traces: Vec<(String, Trace)> = shapes(&self.big).into_iter().map(trace).collect();
        Some(Ramp::new(&config, &traces))
    }
}

/// Calls `f` for every entry in order, with the index of the entry of the small model that it comes from.
pub(super) fn each(trace: &Trace, mut f: impl FnMut(Entry, usize)) {
    let [rows, columns] = &trace.axes;
    for &row in &rows.units {
        for &column in &columns.units {
            f(Entry { trace, row, column }, row.from * columns.n_small + column.from);
        }
    }
}

fn missing(name: &str) -> Error {
    Error::data(Problem::new(format!("the small model has no tensor {name}")))
}
