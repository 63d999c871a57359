//! One arm of an ablation at one size, and whether it matches the control in what it says.

use serde::{Deserialize, Serialize};

use super::ablation::{Tune, TunedKey};
use super::reader;
use super::resolved::Resolved;
use super::tree::{Node, Origin, Value, dotted};
use super::writer;
use crate::Result;
use crate::data::ExternalFile;
use crate::error::Problem;
use crate::model::ParamCount;

/// The largest relative difference of two arms that are matched.
const TOLERANCE: f64 = 0.02;

/// One arm at one size.
#[derive(Debug, Clone)]
pub struct Arm {
    /// The name of the arm; the control's is [`CONTROL`](super::ablation::CONTROL).
    pub name: String,
    /// What the arm is called in sentences, tables and figures, if not by its name.
    pub label: Option<String>,
    /// The row of the model's sizes; empty when no size is named.
    pub size: String,
    /// What the arm is matched on with the control.
    pub holds: MatchOn,
    /// The plan of the arm and where its keys come from; its seed is not set.
    pub resolved: Resolved,
    /// The parameters of the model, counted from the config.
    pub params: ParamCount,
    /// Training FLOPs per token, exact counting.
    pub flops_per_token: u64,
    /// Data files outside the program, read once for all runs.
    pub(super) files: Vec<ExternalFile>,
}

/// What an arm is matched on with the control, within 2 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchOn {
    /// The total number of parameters.
    Parameters,
    /// The training FLOPs per token.
    ActiveFlops,
    /// Neither: the difference itself is what the arm is about.
    #[default]
    Nothing,
}

/// What is adjusted so that an arm matches the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// The width of the feed-forward is adjusted.
    Expansion,
    /// Nothing: the arm is verified as it is written.
    #[default]
    Nothing,
}

/// What an arm says it is matched on, and where it says so.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub holds: MatchOn,
    pub fit: Match,
    /// The key of `match_on`.
    pub key: String,
    /// Where `match_on` was written.
    pub said: Option<Origin>,
}

impl Held {
    /// Reads `match_on` and `match` of the table under `path`; without a `default`, `match_on` must be there.
    pub fn read(table: &Node, path: &[&str], origin: Option<&Origin>, problems: &mut Vec<Problem>) -> Self {
        let key = |key: &str| dotted(&[path, &[key]].concat());
        let [said, fit] = ["match_on", "match"].map(|key| table.get(&[key]));
        if said.is_none() {
            let problem = Problem::new("match_on is missing").key(dotted(path)).at_origin(origin);
            let expected = "match_on = one of \"parameters\", \"active-flops\", \"nothing\"";
            problems.push(problem.expected(expected));
        }
        let holds: MatchOn = read_at(said, &[path, &["match_on"]].concat(), problems);
        let matched: Match = read_at(fit, &[path, &["match"]].concat(), problems);
        if matched != Match::Nothing && holds == MatchOn::Nothing && said.is_some() {
            let problem = Problem::new("match_on = \"nothing\" leaves nothing to match").key(key("match"));
            let problem = problem.at_origin(fit.and_then(|fit| fit.origin.as_ref()));
            problems.push(problem.help("say match_on = \"parameters\" or \"active-flops\""));
        }
        Held { holds, fit: matched, key: key("match_on"), said: said.and_then(|said| said.origin.clone()) }
    }
}

fn read_at<T: serde::de::DeserializeOwned + Default>(
    node: Option<&Node>,
    path: &[&str],
    problems: &mut Vec<Problem>,
) -> T {
    match node.map(|node| reader::read(node, path)) {
        Some(Ok(value)) => value,
        Some(Err(wrong)) => {
            problems.extend(wrong);
            T::default()
        }
        None => T::default(),
    }
}

impl Arm {
    /// The arm that this one asks the same question as: of `none@equal-rmax` it is `none`.
    pub fn question(&self) -> &str {
        self.name.split('@').next().unwrap_or(&self.name)
    }

    /// Whether it has trials of its own; an arm at another basis takes the value of the arm it repeats.
    pub fn is_tuned(&self) -> bool {
        self.question() == self.name
    }

    pub(super) fn new(
        name: &str,
        size: Option<&str>,
        holds: MatchOn,
        resolved: Result<Resolved, Vec<Problem>>,
    ) -> Result<Self, Vec<Problem>> {
        let resolved = resolved?;
        let counts =
            resolved.plan.num_params().and_then(|params| Ok((params, resolved.plan.flops_per_token()?)));
        let (params, flops) = counts.map_err(|error| error.problems)?;
        Ok(Arm {
            name: name.to_string(),
            label: None,
            size: size.unwrap_or_default().to_string(),
            holds,
            params,
            flops_per_token: flops.exact,
            files: Vec::new(),
            resolved,
        })
    }

    /// The plan with a value of each tuned key, read but not checked.
    pub(super) fn with_values(&self, tune: &Tune, values: &[f64]) -> Result<Resolved, Vec<Problem>> {
        let edit = |(tuned, &value): (&TunedKey, &f64)| {
            let whole = value.fract() == 0.0 && value.abs() < 1e15;
            let value = if whole { Value::Integer(value as i128) } else { Value::Float(value) };
            (tuned.path(), Some(value.into()))
        };
        self.resolved.edited(tune.keys.iter().zip(values).map(edit))
    }

    /// The parameters over those of `control`.
    pub fn relative_params(&self, control: &Arm) -> f64 {
        self.params.total as f64 / control.params.total as f64
    }

    /// The FLOPs per token over those of `control`.
    pub fn relative_flops(&self, control: &Arm) -> f64 {
        self.flops_per_token as f64 / control.flops_per_token as f64
    }
}

/// Verifies that the arm matches the control in what it says.
pub(super) fn verify(control: &Arm, arm: &Arm, held: &Held) -> Result<(), Vec<Problem>> {
    let (what, ours, theirs, ratio) = match arm.holds {
        MatchOn::Parameters => {
            ("parameters", arm.params.total, control.params.total, arm.relative_params(control))
        }
        MatchOn::ActiveFlops => {
            ("FLOPs per token", arm.flops_per_token, control.flops_per_token, arm.relative_flops(control))
        }
        MatchOn::Nothing => return Ok(()),
    };
    if (ratio - 1.0).abs() <= TOLERANCE {
        return Ok(());
    }
    let at_size = if arm.size.is_empty() { String::new() } else { format!(" at size {}", arm.size) };
    let percent = (ratio - 1.0) * 100.0;
    let whose = if held.key.starts_with("arms.") { String::new() } else { format!("{}: ", arm.name) };
    let found = format!("{whose}{ours} {what} against {theirs} of the control{at_size}, {percent:+.1} %");
    let problem = Problem::new(found).key(held.key.clone()).at_origin(held.said.as_ref());
    let problem = problem.expected("a difference of at most 2 %");
    let help = match held.fit {
        Match::Nothing => {
            "change the arm's widths, let match = \"expansion\" do it, or say match_on = \"nothing\""
        }
        Match::Expansion => "no width of the feed-forward makes up for it: say match_on = \"nothing\"",
    };
    Err(vec![problem.help(help)])
}

/// Adds each arm of other size than the control once more, with people in proportion to its parameters.
pub(super) fn equal_rmax(arms: &mut Vec<Arm>, said: Option<&Node>, problems: &mut Vec<Problem>) {
    let people = ["data".to_string(), "people".to_string()];
    for index in 1..arms.len() {
        let (control, arm) = (&arms[0], &arms[index]);
        let ratio = arm.relative_params(control);
        if (ratio - 1.0).abs() <= TOLERANCE {
            continue;
        }
        let written = writer::write(&arm.resolved.plan);
        let Some(Value::Integer(count)) = written.get(&people).map(|node| &node.value) else {
            let problem = Problem::new("the dataset has no people").key("compare.equal-rmax");
            problems.push(problem.at_origin(said.and_then(|node| node.origin.as_ref())));
            return;
        };
        let count = ((*count as f64 * ratio).round() as i128).max(1);
        let resolved = arm.resolved.with(&people, Value::Integer(count).into()).and_then(Resolved::checked);
        let size = (!arm.size.is_empty()).then_some(arm.size.as_str());
        match Arm::new(&format!("{}@equal-rmax", arm.name), size, MatchOn::Nothing, resolved) {
            Ok(arm) => arms.push(arm),
            Err(wrong) => problems.extend(wrong),
        }
    }
}
