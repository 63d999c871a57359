//! Growing the model of a finished run, without training on: the big model, and what growth did to the function.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::json;

use super::export::make_empty;
use super::folder::{CONFIG, MODEL, Run};
use crate::error::{Error, Problem, Result};
use crate::model::growth::{Carry, Growth, Promise, Recipe};
use crate::model::{Decoder, ModelConfig, ParamCount};
use crate::plan::Plan;
use crate::training::fit::tensors;
use crate::training::{Growing, InitialState, Job, Meters, Resume, Timing, manifest, weights};

/// The number of sequences that both models read.
const PROBE_ROWS: usize = 8;

/// The effects of a growth.
#[derive(Debug, Clone, Serialize)]
pub struct GrowthReport {
    /// The run whose model was grown.
    pub run: String,
    /// What new layers and units start from.
    pub operator: &'static str,
    /// The layer of the small model, from 1, that each layer of the big one comes from.
    pub layers: Vec<usize>,
    /// The fraction of neighbouring layers that were neighbours before.
    pub connection_rate: f64,
    /// Whether the operator keeps the function, and why not.
    pub promise: String,
    /// The largest difference of a logit between both models on `probe_tokens` tokens.
    pub function_gap: f64,
    /// The number of tokens that both models read.
    pub probe_tokens: usize,
    /// The parameters before growth.
    pub before: ParamCount,
    /// The parameters after growth.
    pub after: ParamCount,
}

/// Grows the model of the finished `run` into `folder`: `model.safetensors`, `config.json` and `growth.json`.
///
/// A random growth is measured at the start of its ramp; a learned one trains its matrices on the run's data.
///
/// # Errors
/// The run is not finished or damaged, the recipe does not fit its model, or `folder` holds something.
pub fn grow(run: &Run, recipe: &Recipe, folder: &Path, device: &Device) -> Result<GrowthReport> {
    run.verify()?;
    let plan = run.plan()?;
    let growth = fitting(recipe, &plan.model)?;
    make_empty(folder)?;
    let (vocab_size, seq_len) = (plan.data.vocab_size()?, plan.data.seq_len());
    let path = run.file(MODEL);
    let small = weights::read_finite(&path)?;
    let build = |config: &ModelConfig, values: &weights::Weights| {
        weights::put(
            config.init(vocab_size, seq_len, plan.seed, device),
            values.clone(),
            &path.display().to_string(),
        )
    };
    let before = build(&plan.model, &small)?;
    let grown = grown(&plan, &growth, small, device)?;
    let after = build(growth.big(), &grown)?;
    let seen = growth.ramp(vocab_size, seq_len, device).map(|ramp| ramp.apply(&after, 0));
    let (function_gap, probe_tokens) = gap(&plan, &before, seen.as_ref().unwrap_or(&after), device)?;
    let report = GrowthReport {
        run: run.folder().to_string(),
        operator: recipe.operator.name(),
        layers: growth.sources().iter().map(|layer| layer + 1).collect(),
        connection_rate: growth.connection_rate(),
        promise: in_words(&growth.promise()),
        function_gap,
        probe_tokens,
        before: plan.model.num_params(vocab_size, seq_len),
        after: growth.big().num_params(vocab_size, seq_len),
    };
    weights::write(&folder.join(MODEL), &grown, &[])?;
    let config = json!({"format": 1, "model": growth.big(), "vocab_size": vocab_size, "seq_len": seq_len});
    manifest::write_json(&folder.join(CONFIG), &config)?;
    manifest::write_json(&folder.join("growth.json"), &report)?;
    Ok(report)
}

/// The growth of `small`, with the flags as keys of its problems.
fn fitting(recipe: &Recipe, small: &ModelConfig) -> Result<Growth> {
    let flag = |problem: Problem| {
        let key = problem.key.as_ref().map_or("--operator".to_string(), |key| format!("--{key}"));
        problem.key(key.replace('_', "-"))
    };
    let mut problems = recipe.check();
    problems.extend(recipe.check_model(small));
    let growth = match problems.is_empty() {
        true => Growth::new(recipe, small),
        false => Err(Error { kind: crate::error::Kind::Config, problems }),
    };
    growth.map_err(|error| Error { problems: error.problems.into_iter().map(flag).collect(), ..error })
}

fn grown(plan: &Plan, growth: &Growth, small: weights::Weights, device: &Device) -> Result<weights::Weights> {
    let step = plan.steps()?;
    let timing = Timing { budget: 0, small: step, learning: 0, spared: 0, resume: Resume::default() };
    let growing = Growing { growth: growth.clone(), optimizer: Carry::Fresh, timing };
    let job = Job { model: growth.big(), data: &plan.data, training: &plan.training, seed: plan.seed };
    let small = InitialState { model: small, moments: None, step, meters: Meters::default() };
    Ok(growing.begin(&job, Some(small), device)?.model)
}

/// The largest difference of a logit on sequences of the run's data.
fn gap(plan: &Plan, before: &Decoder, after: &Decoder, device: &Device) -> Result<(f64, usize)> {
    let job = Job { model: &plan.model, data: &plan.data, training: &plan.training, seed: plan.seed };
    let batch = job.open_data()?.batch(0, PROBE_ROWS);
    let (tokens, _, _) = tensors(&batch, device);
    let difference: Tensor<3> = before.logits(tokens.clone()) - after.logits(tokens);
    Ok((difference.abs().max().into_scalar::<f32>() as f64, batch.rows * batch.seq_len))
}

fn in_words(promise: &Promise) -> String {
    match promise {
        Promise::NotMade => "the operator does not keep the function".to_string(),
        Promise::Kept => "the operator keeps the function".to_string(),
        Promise::Broken(reasons) => format!("the function is not kept: {}", reasons.join("; ")),
    }
}
