//! What a comparison says: every arm with its interval and its ratio to the control. `report.json` holds it.

use serde::{Deserialize, Serialize};

use super::evidence::{Basis, MissingRun, Published, TuningTrial};
use super::factors::FactorialResult;
use super::parts::{BitsApart, DomainResult};
use super::speedup::ArmSpeedup;
use super::walk::WalkResult;
pub use crate::measure::Measure;
use crate::measure::MeasureContext;
use crate::run::Environment;
use crate::statistics::{Compared, Contrast, Design, Effect, Estimate};

/// Version of the format of `report.json`.
pub const FORMAT: u32 = 1;

/// The answer of an ablation in numbers and sentences; what `report.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this format.
    pub format: u32,
    /// The ablation.
    pub name: String,
    /// The profile it was run in.
    pub profile: String,
    /// The command that makes it again.
    pub command: String,
    /// What is asked.
    pub question: String,
    /// Where the question comes from.
    pub source: String,
    /// What is held fixed, and whatever else a reader must know.
    pub notes: Vec<String>,
    /// The arm that the others are compared with.
    pub control: String,
    /// What the arms are compared by.
    pub measure: Measure,
    /// How many seeds were planned and when they are looked at; reports of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Design>,
    /// The answer: the headline, then a few sentences.
    pub answer: Vec<String>,
    /// What to do next and what it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What weakens the answer, a sentence each.
    pub cautions: Vec<String>,
    /// The arms in the order of the evidence.
    pub arms: Vec<ArmResult>,
    /// What each step of a walk does, if one made the arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<WalkResult>,
    /// What each level does, if a product of levels made the arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factorial: Option<FactorialResult>,
    /// How much sooner arms reach the control's last loss, if some arm grows its model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speedups: Vec<ArmSpeedup>,
    /// Runs that chose learning rates.
    pub tuning: Vec<TuningTrial>,
    /// Planned runs that gave no number.
    pub missing: Vec<MissingRun>,
    /// The machines and versions, each once, in the order of the runs.
    pub environments: Vec<Environment>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Its name.
    pub arm: String,
    /// What it is called in sentences, tables and figures, if not by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What is made equal before it is compared.
    pub basis: Basis,
    /// What differs from the control.
    pub differs: String,
    /// What it holds equal to the control.
    pub holds: String,
    /// The peak learning rate.
    pub rate: f64,
    /// How many runs were measured.
    pub n_runs: usize,
    /// Those runs.
    pub runs: Vec<RunResult>,
    /// All parameters of the model; none without a run.
    pub params: Option<u64>,
    /// Parameters but for the token tables.
    pub non_embedding_params: Option<u64>,
    /// Parameters that work on any one token.
    pub active_params: Option<u64>,
    /// How often each document was seen, if that is what the length says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<u64>,
    /// What stood before the biographies in which facts were read.
    #[serde(default, skip_serializing_if = "is_alone")]
    pub context: MeasureContext,
    /// Bits per parameter, if the data is made of facts.
    pub bits_per_param: Option<Estimate>,
    /// `R_max`: bits per parameter of a model of this size that knows everything.
    pub max_bits_per_param: Option<f64>,
    /// Loss on held-out text in nats per token, if there is any.
    pub held_out_loss: Option<Estimate>,
    /// Share of questions answered right, if any were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Estimate>,
    /// What else came of questions about strangers, if any were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exam: Option<QaTestResult>,
    /// The same in parts, for a model that was taught to answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extraction: Vec<ExtractionResult>,
    /// Against the control, with all other arms of its basis and all looks: interval, p and finding; none for the control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Why nothing is claimed of it whatever its interval says, and the command to ask instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_claimed: Option<String>,
    /// The measure of the comparison as a ratio to the control, paired by seed and by itself; none for the control.
    pub ratio_to_control: Option<Effect>,
    /// The measure of the comparison as a difference from the control, paired by seed and by itself; none for the control.
    pub difference_to_control: Option<Effect>,
    /// Why there is no ratio, if there is none.
    pub no_ratio: Option<String>,
    /// What the source found.
    pub published: Option<Published>,
    /// Whether that agrees.
    pub verdict: Option<Verdict>,
    /// Bits per attribute.
    pub attributes: Vec<AttributeResult>,
    /// Names and values apart, and without the cost of guessing the source; for mixtures and what they are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<BitsApart>,
    /// Loss on what each domain of a mixture keeps from training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainResult>,
    /// Share of people all of whose values are known.
    pub fully_known: Option<Estimate>,
    /// Mean training loss of the last 5 % of steps, in nats per token.
    pub final_loss: Option<Estimate>,
    /// Seconds of training of a run.
    pub seconds: Option<Estimate>,
    /// Tokens read in a run, mean over seeds.
    pub tokens: Option<f64>,
    /// FLOPs of training of a run, mean over seeds.
    pub flops: Option<f64>,
    /// Typical standard error of one run's bits per parameter from the choice of renderings; not part of the
    /// interval over seeds, which contains it already.
    pub measurement_error: Option<f64>,
}

fn is_alone(context: &MeasureContext) -> bool {
    *context == MeasureContext::Alone
}

/// One run of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its seed.
    pub seed: u64,
    /// Hash of its plan.
    pub fingerprint: String,
    /// The measure of the comparison.
    pub value: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// When it ended, UTC.
    pub finished: String,
}

/// Bits stored of one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeResult {
    /// For instance `birth city`.
    pub name: String,
    /// Bits stored per person.
    pub bits: Estimate,
    /// Bits per person of a model that knows it.
    pub max_bits: f64,
}

/// Right answers of a model that was taught to answer, about one attribute or all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractionResult {
    /// For instance `birth city`; `all attributes` is the mean over them.
    pub name: String,
    /// About people whom nobody asked about in training.
    pub accuracy: Estimate,
    /// About people who were asked about.
    pub asked: Estimate,
    /// Values of the former that it went on with in a text of the training kind, before it was taught to answer.
    pub recited: Estimate,
}

/// What came of questions about strangers besides right answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QaTestResult {
    /// Answers in the form of right ones, in percent, at the number of chunks that the run is judged by.
    pub format_percent: Estimate,
    /// How far an encoder's reader answers from its decoder with the chunks in its own window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherResult>,
    /// Perplexity of the ends of long documents, by how many of the last chunks are read, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentResult>,
}

/// Perplexity of the ends of long documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentResult {
    /// Chunks before the end that there are to read.
    pub chunks: u64,
    /// `e` to the mean loss of a run's tokens, over runs.
    pub perplexity: Estimate,
}

/// How far a reader answers from its teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherResult {
    /// Chunks, the most of those asked about that fit the teacher's window.
    pub chunks: u64,
    /// `KL(teacher || reader)` of the answer, in nats.
    pub nats: Estimate,
}

/// How a result stands to the published one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval holds the published ratio.
    Agrees,
    /// The interval excludes it.
    Disagrees,
    /// The interval does not decide, and why.
    Undecided(String),
    /// It was found elsewhere, and where.
    NotComparable(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Agrees => f.write_str("agrees"),
            Verdict::Disagrees => f.write_str("disagrees"),
            Verdict::Undecided(why) => write!(f, "undecided: {why}"),
            Verdict::NotComparable(why) => write!(f, "not comparable: {why}"),
        }
    }
}

impl ArmResult {
    /// The number that the comparison is about.
    pub fn primary(&self, measure: Measure) -> Option<&Estimate> {
        match measure {
            Measure::BitsPerParam => self.bits_per_param.as_ref(),
            Measure::HeldOutLoss => self.held_out_loss.as_ref(),
            Measure::Answers => self.answers.as_ref(),
        }
    }

    /// The ratio to the control, if there is one: with all other arms, or, of earlier reports, by itself.
    pub fn ratio(&self) -> Option<&Estimate> {
        let compared = self.compared.as_ref().filter(|compared| compared.contrast == Contrast::Ratio);
        let alone = || self.ratio_to_control.as_ref().map(|effect| &effect.estimate);
        compared.map(|compared| &compared.estimate).or_else(alone)
    }

    /// What may be claimed of it: its comparison, unless a reason speaks against any.
    pub fn claim(&self) -> Option<&Compared> {
        self.compared.as_ref().filter(|_| self.not_claimed.is_none())
    }

    /// Its label, or else its name, with the basis in parentheses where it is not the primary one.
    pub fn label(&self) -> String {
        let name = self.label.as_ref().unwrap_or(&self.arm);
        match self.basis {
            Basis::Primary => name.clone(),
            basis @ (Basis::EqualRate | Basis::EqualRmax) => format!("{name} ({})", basis.label()),
        }
    }
}

impl Comparison {
    /// The control of the primary comparison.
    pub fn control_arm(&self) -> &ArmResult {
        self.primary_arms().find(|arm| arm.arm == self.control).expect("the control was checked to be an arm")
    }

    /// The sentences that stand alone: what a walk found, the headline, and how sure it is.
    pub fn headline(&self) -> &[String] {
        let is_sure = self.design.is_some() && self.primary_arms().any(|arm| arm.claim().is_some());
        let has_effects = self.walk.is_some() || self.factorial.is_some();
        let n = 1 + usize::from(has_effects) + usize::from(is_sure);
        &self.answer[..n.min(self.answer.len())]
    }

    /// The number of seeds of the next planned look, if this was not the last and something is not settled.
    pub fn next_look(&self) -> Option<u64> {
        let mut claims = self.primary_arms().filter_map(ArmResult::claim);
        let seeds = self.primary_arms().map(|arm| arm.n_runs as u64).max()?;
        let next = self.design.as_ref()?.looks.iter().copied().find(|&look| look > seeds)?;
        claims.any(|compared| !compared.finding.is_settled()).then_some(next)
    }

    /// The arms of the primary comparison.
    pub fn primary_arms(&self) -> impl Iterator<Item = &ArmResult> {
        self.arms.iter().filter(|arm| arm.basis == Basis::Primary)
    }
}
