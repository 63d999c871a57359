//! What a report is made of, before anything is computed from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::walk::PathEffects;
use crate::error::{Error, Problem, Result};
use crate::measure::Measure;
use crate::plan::Factorial;
use crate::run::RunRecord;
use crate::statistics::Design;

/// Everything a report is made of; the caller gathers it from plan and store.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The ablation, for instance `mlp`.
    pub name: String,
    /// The profile it was run in.
    pub profile: String,
    /// The command that makes it again, for instance `zoo run mlp`.
    pub command: String,
    /// What is asked.
    pub question: String,
    /// Where the question comes from.
    pub source: String,
    /// What is held fixed, and whatever else a reader must know; a sentence each.
    pub notes: Vec<String>,
    /// The arm that the others are compared with.
    pub control: String,
    /// The arms, the control among them, in the order to show.
    pub arms: Vec<ArmEvidence>,
    /// Runs that chose learning rates; they are shown, never reported.
    pub tuning: Vec<TuningTrial>,
    /// Planned runs that gave no number.
    pub missing: Vec<MissingRun>,
    /// What cannot be read of the runs that are there, a sentence each.
    pub damaged: Vec<String>,
    /// The walk that made the arms, if one did.
    pub walk: Option<PathEffects>,
    /// The product of levels that made the arms, if one did.
    pub factorial: Option<Factorial>,
    /// How many seeds are planned and when they are looked at.
    pub design: Design,
    /// The number of runs at a time on this machine, for the cost of more.
    pub parallel_runs: usize,
}

/// One arm and its finished runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmEvidence {
    /// Its name in the ablation.
    pub name: String,
    /// What it is called in sentences, tables and figures, if not by its name.
    pub label: Option<String>,
    /// What differs from the control, as choices; empty for the control.
    pub differs: String,
    /// What it holds equal to the control: `parameters`, `active-flops`, `nothing`.
    pub holds: String,
    /// What the source found for this arm.
    pub published: Option<Published>,
    /// What is made equal before it is compared.
    pub basis: Basis,
    /// The peak learning rate of its runs.
    pub rate: f64,
    /// Its finished runs, one per seed.
    pub runs: Vec<RunEvidence>,
}

/// What is made equal before an arm is compared with its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Each arm at its own best learning rate, on the same data: the answer.
    Primary,
    /// All arms at the learning rate of the control.
    EqualRate,
    /// As many facts for each arm as give it the `R_max` of the control.
    EqualRmax,
}

/// What the source found, and where it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// In the words of the ablation file.
    pub text: String,
    /// The ratio to the control, if the source gives a number.
    pub ratio: Option<Claim>,
    /// The arm's bits per parameter, if the source gives those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_param: Option<Claim>,
    /// Where it holds, to be read after "published at", for instance `≥ 1 M parameters`.
    pub scale: String,
    /// The smallest model of the source, in parameters, if it is known.
    pub min_params: Option<u64>,
    /// How often each document was seen, if the claim depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<u64>,
}

/// A published number: a ratio to the control, or bits per parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// It is about this.
    About(f64),
    /// It is this or less ("more than 1.5 times fewer" is at most 0.667).
    AtMost(f64),
    /// It is this or more.
    AtLeast(f64),
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Claim::About(value) => write!(f, "about {value}"),
            Claim::AtMost(value) => write!(f, "at most {value}"),
            Claim::AtLeast(value) => write!(f, "at least {value}"),
        }
    }
}

impl Published {
    /// The number that is claimed, with its unit; the text where there is none.
    pub fn number(&self) -> String {
        match (self.bits_per_param, self.ratio) {
            (Some(claim), _) => format!("{claim} bits/param"),
            (None, Some(claim)) => format!("{claim} x control"),
            (None, None) => self.text.clone(),
        }
    }
}

/// One finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvidence {
    /// Its seed.
    pub seed: u64,
    /// Plan, environment, counts, training and measurements.
    pub record: RunRecord,
    /// What training logged on the way, in order.
    pub curve: Vec<CurvePoint>,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Tokens read until then.
    pub tokens: u64,
    /// FLOPs of training until then.
    pub flops: f64,
    /// Seconds of training until then.
    pub seconds: f64,
    /// Training loss in nats per token.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Bits per parameter on a few people, at some points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_param: Option<f64>,
}

/// A run that was made to choose a learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningTrial {
    /// Whose rate.
    pub arm: String,
    /// The peak learning rate that was tried.
    pub rate: f64,
    /// The value of every tuned key, where more than one is tuned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// The seed.
    pub seed: u64,
    /// What was reached: right answers, bits per parameter, or held-out loss where there are neither; no finite number if
    /// it diverged.
    pub value: f64,
}

/// The cause of a run that nobody has started.
pub(super) const NOT_RUN: &str = "not run yet";

/// A planned run that gave no number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MissingRun {
    /// Its arm.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// Why: not run yet, or what failed.
    pub cause: String,
}

impl ArmEvidence {
    /// The number of each of its runs that has one.
    pub fn values(&self, measure: Measure) -> Vec<f64> {
        self.runs.iter().filter_map(|run| measure.of(&run.record.measurements)).collect()
    }

    /// The same with their seeds.
    pub fn of_seeds(&self, measure: Measure) -> Vec<(u64, f64)> {
        self.runs.iter().filter_map(|run| Some((run.seed, measure.of(&run.record.measurements)?))).collect()
    }
}

impl Basis {
    /// For a label after the arm's name; nothing for the primary comparison.
    pub fn label(self) -> &'static str {
        match self {
            Basis::Primary => "",
            Basis::EqualRate => "equal rate",
            Basis::EqualRmax => "equal R_max",
        }
    }
}

impl Evidence {
    /// Whether a comparison can be made of it at all; everything that forbids it.
    pub fn check(&self) -> Result<()> {
        let problems: Vec<Problem> =
            [self.check_runs(), self.check_control(), self.check_seeds(), self.check_devices()]
                .into_iter()
                .flatten()
                .collect();
        if problems.is_empty() { Ok(()) } else { Err(Error { kind: crate::error::Kind::Data, problems }) }
    }

    fn runs(&self) -> impl Iterator<Item = &RunEvidence> {
        self.arms.iter().flat_map(|arm| &arm.runs)
    }

    fn check_runs(&self) -> Option<Problem> {
        self.runs().next().is_none().then(|| {
            let causes = self.causes(|run| run.cause != NOT_RUN);
            Problem::new(format!("no finished run of {} in profile {}{causes}", self.name, self.profile))
                .expected("at least one")
                .help(format!("run `{}` first", self.command))
        })
    }

    fn check_control(&self) -> Option<Problem> {
        self.runs().next()?;
        let known = self.arms.iter().any(|arm| arm.name == self.control && arm.basis == Basis::Primary);
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        let causes = self.causes(|run| run.arm == self.control);
        (!known).then(|| match causes.is_empty() {
            true => Problem::new(format!("the control \"{}\" is not among the arms", self.control))
                .expected(format!("one of {}", names.join(", "))),
            false => Problem::new(format!("no finished run of the control \"{}\"{causes}", self.control))
                .expected("at least one, for all arms are compared with it")
                .help(format!("mend the cause and `{}`", self.command)),
        })
    }

    /// Why some of the missing runs are, each cause once; empty if none of these is missing.
    fn causes(&self, of: impl Fn(&MissingRun) -> bool) -> String {
        let some = self.missing.iter().filter(|run| of(run));
        let causes: BTreeSet<&str> = some.map(|run| run.cause.as_str()).collect();
        let causes: Vec<&str> = causes.into_iter().collect();
        if causes.is_empty() { String::new() } else { format!(" ({})", causes.join("; ")) }
    }

    fn check_seeds(&self) -> Option<Problem> {
        self.arms.iter().find_map(|arm| {
            let mut seen = BTreeSet::new();
            let twice = arm.runs.iter().find(|run| !seen.insert(run.seed))?;
            let found = format!("arm \"{}\" has two runs of seed {}", arm.name, twice.seed);
            Some(
                Problem::new(found)
                    .expected("one run per seed")
                    .help("report one version of the plan at a time"),
            )
        })
    }

    /// Kinds of device are never mixed: the same plan gives other numbers, and other seconds, on another kind.
    fn check_devices(&self) -> Option<Problem> {
        let kinds: BTreeSet<&str> = self.runs().map(|run| run.record.environment.device.as_str()).collect();
        (kinds.len() > 1).then(|| {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            Problem::new(format!("runs of {} in one comparison", kinds.join(" and ")))
                .expected("one kind of device")
                .help("make one report per kind of device")
        })
    }
}
