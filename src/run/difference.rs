//! What differs between two finished runs: their plans, what was measured, the curves, the weights. Where and how fast
//! they ran does not count.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::folder::{MEASUREMENTS, MODEL, Run};
use crate::error::{Error, Result};
use crate::input;
use crate::plan::difference::{Difference, between};
use crate::training::{Metrics, manifest};

/// The differences between two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDifference {
    /// The choices and settings that differ.
    pub plan: Vec<Difference>,
    /// The numbers of `measurements.json` that differ, without the plan, the environment, seconds and memory.
    pub measured: Vec<Number>,
    /// The difference of the metrics, if they are not the same.
    pub curve: Option<CurveDifference>,
    /// Whether the trained weights are the same, bit for bit.
    pub weights: Agreement,
}

/// One number, or word, that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    /// The path of the number in `measurements.json`.
    pub key: String,
    /// The value in the first run; null if it is not there.
    pub a: Json,
    /// The value in the second run; null if it is not there.
    pub b: Json,
}

/// The difference of two curves, seconds aside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurveDifference {
    /// The first step whose line differs, or is missing in one of them.
    pub first_step: u64,
    /// The number of steps that both have a line of.
    pub lines: usize,
    /// The largest difference of their losses, in nats per token.
    pub largest_loss_difference: f64,
}

/// Whether two things are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// The two are the same.
    Same,
    /// The two are different.
    Different,
}

impl RunDifference {
    /// Whether the runs are equal.
    pub fn is_none(&self) -> bool {
        let same = self.weights == Agreement::Same;
        self.plan.is_empty() && self.measured.is_empty() && self.curve.is_none() && same
    }
}

/// Compares two finished runs.
///
/// # Errors
/// One of them is not finished, or a file of it is missing or not the one that was sealed.
pub fn between_runs(a: &Run, b: &Run) -> Result<RunDifference> {
    let (first, second) = (a.record()?, b.record()?);
    Ok(RunDifference {
        plan: between(&first.plan, &second.plan),
        measured: numbers(&measured(a)?, &measured(b)?),
        curve: curve(&a.history()?.lines, &b.history()?.lines),
        weights: match weights(a)? == weights(b)? {
            true => Agreement::Same,
            false => Agreement::Different,
        },
    })
}

/// The leaves of `measurements.json` that a repetition must find again.
fn measured(run: &Run) -> Result<BTreeMap<String, Json>> {
    let path = run.file(MEASUREMENTS);
    let text = input::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let damaged = |e: serde_json::Error| Error::io("read", &path, e.into());
    let record: Json = serde_json::from_slice(&text).map_err(damaged)?;
    let mut leaves = BTreeMap::new();
    for part in ["params", "training", "measurements"] {
        flatten(part.to_string(), &record[part], &mut leaves);
    }
    leaves.retain(|key, _| !is_of_the_machine(key));
    Ok(leaves)
}

fn is_of_the_machine(key: &str) -> bool {
    matches!(key, "training.seconds" | "training.elapsed" | "training.peak_bytes")
        || key.ends_with(".tokens_per_second")
}

fn flatten(key: String, value: &Json, leaves: &mut BTreeMap<String, Json>) {
    match value {
        Json::Object(table) => {
            table.iter().for_each(|(name, value)| flatten(format!("{key}.{name}"), value, leaves))
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(format!("{key}.{i}"), item, leaves))
        }
        leaf => {
            leaves.insert(key, leaf.clone());
        }
    }
}

fn numbers(a: &BTreeMap<String, Json>, b: &BTreeMap<String, Json>) -> Vec<Number> {
    let only_b = b.keys().filter(|key| !a.contains_key(*key));
    let mut keys: Vec<&String> = a.keys().chain(only_b).collect();
    keys.sort();
    let value = |of: &BTreeMap<String, Json>, key: &str| of.get(key).cloned().unwrap_or(Json::Null);
    let row = |key: &String| Number { key: key.clone(), a: value(a, key), b: value(b, key) };
    keys.into_iter().map(row).filter(|number| number.a != number.b).collect()
}

fn curve(a: &[Metrics], b: &[Metrics]) -> Option<CurveDifference> {
    let timeless = |line: &Metrics| Metrics { seconds: 0.0, ..*line };
    let of: BTreeMap<u64, Metrics> = b.iter().map(|line| (line.step, timeless(line))).collect();
    let differs = |line: &&Metrics| of.get(&line.step) != Some(&timeless(line));
    let steps: BTreeMap<u64, ()> = a.iter().map(|line| (line.step, ())).collect();
    let missing = b.iter().map(|line| line.step).find(|step| !steps.contains_key(step));
    let first_step = a.iter().find(differs).map(|line| line.step).into_iter().chain(missing).min();
    let both: Vec<f64> =
        a.iter().filter_map(|line| Some((line.loss - of.get(&line.step)?.loss).abs())).collect();
    first_step.map(|first_step| CurveDifference {
        first_step,
        lines: both.len(),
        largest_loss_difference: both.into_iter().fold(0.0, f64::max),
    })
}

/// The hash of the weights' file, after a look whether it still is the one that was sealed.
fn weights(run: &Run) -> Result<Option<String>> {
    let manifest = manifest::read(run.path())?;
    let Some(sealed) = manifest.files.iter().find(|file| file.name == MODEL) else { return Ok(None) };
    manifest::verify_file(run.path(), MODEL)?;
    Ok(Some(sealed.blake3.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(step: u64, loss: f64) -> Metrics {
        let (tokens, flops, seconds, lr, grad_norm) = (step, 1.0, step as f64 * loss, 0.1, 1.0);
        Metrics { step, tokens, flops, seconds, lr, loss, auxiliary: None, grad_norm, probe: None }
    }

    #[test]
    fn curves_differ_from_the_first_step_that_is_other_or_missing() {
        let a = [line(1, 3.0), line(2, 2.0), line(3, 1.0)];
        let slower: Vec<Metrics> = a.iter().map(|line| Metrics { seconds: 99.0, ..*line }).collect();
        assert_eq!(curve(&a, &slower), None);
        let other = [a[0], line(2, 2.5), a[2]];
        let found = curve(&a, &other).unwrap();
        assert_eq!((found.first_step, found.lines, found.largest_loss_difference), (2, 3, 0.5));
        assert_eq!(curve(&a[..2], &a).unwrap().first_step, 3);
        assert_eq!(curve(&a, &a[1..]).unwrap().first_step, 1);
    }

    #[test]
    fn numbers_differ_by_their_place_and_those_of_the_machine_do_not_count() {
        let leaves = |value: Json| {
            let mut leaves = BTreeMap::new();
            flatten("measurements".to_string(), &value, &mut leaves);
            leaves
        };
        let a = leaves(json!({"capacity": {"bits": 1.5, "attributes": [{"bits": 2}]}, "held_out": null}));
        let b =
            leaves(json!({"capacity": {"bits": 1.5, "attributes": [{"bits": 3}]}, "held_out": null, "x": 1}));
        let found = numbers(&a, &b);
        let keys: Vec<&str> = found.iter().map(|number| number.key.as_str()).collect();
        assert_eq!(keys, ["measurements.capacity.attributes.0.bits", "measurements.x"]);
        assert_eq!((&found[1].a, &found[1].b), (&Json::Null, &json!(1)));
        assert!(is_of_the_machine("training.seconds") && !is_of_the_machine("training.final_loss"));
    }
}
