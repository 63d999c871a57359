//! A challenge to an answer: the same comparison under settings that should not matter, and whether it stands.

use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::number;
use crate::statistics::{Compared, Finding};

/// An answer under every nuisance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// The ablation.
    pub name: String,
    /// The profile.
    pub profile: String,
    /// The command that makes it again.
    pub command: String,
    /// What is asked.
    pub question: String,
    /// The arms but the control.
    pub arms: Vec<ChallengedArm>,
}

/// One arm under every nuisance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChallengedArm {
    /// Its name.
    pub arm: String,
    /// What it is called.
    pub label: String,
    /// As it was asked, with as many seeds as the rest.
    pub reference: Option<Compared>,
    /// Under each nuisance, in their order.
    pub cases: Vec<Case>,
}

/// One arm under one nuisance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What is changed, in words.
    pub nuisance: String,
    /// By what it is multiplied.
    pub factor: f64,
    /// The overrides that make it.
    pub sets: Vec<String>,
    /// What was found; none where nothing was measured or nothing may be claimed.
    pub compared: Option<Compared>,
    /// Why not, if not.
    pub why_not: Option<String>,
    /// How it stands to the reference.
    pub outcome: ChallengeOutcome,
}

/// How an answer under a nuisance stands to the answer that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeOutcome {
    /// The same verdict.
    Holds,
    /// The same direction; an effect that is no longer shown, or one that now is.
    Weaker,
    /// The other direction, but the interval does not exclude the first.
    Leans,
    /// An effect of the other direction.
    Turns,
    /// Nothing to compare.
    NoAnswer,
}

impl ChallengeOutcome {
    /// As it stands in a table.
    pub fn label(self) -> &'static str {
        match self {
            ChallengeOutcome::Holds => "holds",
            ChallengeOutcome::Weaker => "same direction, other verdict",
            ChallengeOutcome::Leans => "other direction, not shown",
            ChallengeOutcome::Turns => "turns",
            ChallengeOutcome::NoAnswer => "no answer",
        }
    }

    fn of(reference: Option<&Compared>, case: Option<&Compared>) -> ChallengeOutcome {
        let (Some(reference), Some(case)) = (reference, case) else { return ChallengeOutcome::NoAnswer };
        let side = |compared: &Compared| compared.contrast.scale(compared.estimate.mean) > 0.0;
        let effects = (reference.finding.is_effect(), case.finding.is_effect());
        match (side(reference) == side(case), effects) {
            (true, (a, b)) if a == b => ChallengeOutcome::Holds,
            (false, (false, false)) => ChallengeOutcome::Holds,
            (true, _) => ChallengeOutcome::Weaker,
            (false, (true, true)) => ChallengeOutcome::Turns,
            (false, (true, false)) => ChallengeOutcome::Leans,
            (false, (false, true)) => ChallengeOutcome::Turns,
        }
    }
}

/// A variant of the ablation: what was changed, by what, by which overrides, and what came of it.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What is changed, in words.
    pub nuisance: String,
    /// By what it is multiplied.
    pub factor: f64,
    /// The overrides that make it.
    pub sets: Vec<String>,
    /// What came of it; none if not a run of its control finished.
    pub comparison: Option<Comparison>,
}

/// Sets the answer of `reference` beside that of every variant.
pub fn challenge(reference: &Comparison, command: String, variants: &[Variant]) -> Challenge {
    let arm = |arm: &super::comparison::ArmResult| {
        let case = |variant: &Variant| {
            let found = variant.comparison.as_ref();
            let found =
                found.and_then(|comparison| comparison.primary_arms().find(|other| other.arm == arm.arm));
            let compared = found.and_then(|found| found.claim().cloned());
            let why_not = match (&compared, found) {
                (Some(_), _) => None,
                (None, Some(found)) => found.not_claimed.clone().or_else(|| found.no_ratio.clone()),
                (None, None) => Some("no run of it, or of its control, finished".to_string()),
            };
            let outcome = ChallengeOutcome::of(arm.claim(), compared.as_ref());
            let (nuisance, factor, sets) = (variant.nuisance.clone(), variant.factor, variant.sets.clone());
            Case { nuisance, factor, sets, compared, why_not, outcome }
        };
        ChallengedArm {
            arm: arm.arm.clone(),
            label: super::answer::named(arm),
            reference: arm.claim().cloned(),
            cases: variants.iter().map(case).collect(),
        }
    };
    Challenge {
        name: reference.name.clone(),
        profile: reference.profile.clone(),
        command,
        question: reference.question.clone(),
        arms: reference.primary_arms().filter(|arm| arm.arm != reference.control).map(arm).collect(),
    }
}

impl ChallengedArm {
    /// One sentence: what was found, how often it holds, and what is the smallest change that turns it.
    pub fn in_words(&self) -> String {
        let Some(reference) = &self.reference else {
            return format!("{}: there is no answer that could be challenged.", self.label);
        };
        let answered: Vec<&Case> =
            self.cases.iter().filter(|case| case.outcome != ChallengeOutcome::NoAnswer).collect();
        let count =
            |outcome: ChallengeOutcome| answered.iter().filter(|case| case.outcome == outcome).count();
        let (holds, turns) = (count(ChallengeOutcome::Holds), count(ChallengeOutcome::Turns));
        let found = match reference.finding {
            Finding::Above | Finding::Below => number::estimate(&reference.estimate),
            Finding::Equivalent | Finding::Bounded | Finding::Open | Finding::TooFew => {
                format!("no effect shown, {}", number::estimate(&reference.estimate))
            }
        };
        let direction = match reference.finding.is_effect() {
            true => format!("direction holds under {}", holds + count(ChallengeOutcome::Weaker)),
            false => format!("verdict holds under {holds}"),
        };
        let turned = |outcomes: &[ChallengeOutcome]| {
            let mut cases: Vec<&&Case> =
                answered.iter().filter(|case| outcomes.contains(&case.outcome)).collect();
            cases.sort_by(|a, b| a.factor.ln().abs().total_cmp(&b.factor.ln().abs()));
            cases.iter().map(|case| format!("{} x {}", case.nuisance, case.factor)).collect::<Vec<_>>()
        };
        let fragile = turned(&[ChallengeOutcome::Turns, ChallengeOutcome::Leans, ChallengeOutcome::Weaker]);
        let end = match (turns, fragile.is_empty()) {
            (0, true) => "nothing that was tried changes it".to_string(),
            (0, false) => format!("no longer the same verdict under {}", number::list(&fragile)),
            (_, _) => format!("it turns under {}", number::list(&turned(&[ChallengeOutcome::Turns]))),
        };
        let verdict = if reference.finding.is_effect() {
            format!(", the verdict under {holds}")
        } else {
            String::new()
        };
        format!("{}: {found}. The {direction} of {} changes{verdict}; {end}.", self.label, answered.len())
    }
}

/// The challenge in Markdown: a sentence per arm, then a table.
pub fn markdown(challenge: &Challenge) -> String {
    let literal = super::table::literal;
    let mut text = format!("{}\n\n", literal(&challenge.question));
    for arm in &challenge.arms {
        text += &format!("- {}\n", literal(&arm.in_words()));
    }
    text += "\n| arm | changed | times | result | verdict |\n|---|---|---:|---:|---|\n";
    for row in rows(challenge) {
        text += &format!("| {} |\n", row.map(|cell| literal(&cell)).join(" | "));
    }
    text + &format!("\nMade by `{}`.\n", challenge.command)
}

/// One row per arm and nuisance: arm, what is changed, by what, what was found, how it stands.
pub fn rows(challenge: &Challenge) -> Vec<[String; 5]> {
    let shown = |compared: &Option<Compared>| {
        compared.as_ref().map_or("—".to_string(), |compared| number::estimate(&compared.estimate))
    };
    let of_arm = |arm: &ChallengedArm| {
        let first =
            [arm.label.clone(), "as asked".into(), String::new(), shown(&arm.reference), String::new()];
        let case = |case: &Case| {
            let outcome = case.why_not.clone().unwrap_or_else(|| case.outcome.label().to_string());
            [
                arm.label.clone(),
                case.nuisance.clone(),
                case.factor.to_string(),
                shown(&case.compared),
                outcome,
            ]
        };
        std::iter::once(first).chain(arm.cases.iter().map(case)).collect::<Vec<_>>()
    };
    challenge.arms.iter().flat_map(of_arm).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;

    fn variant(scale: impl Fn(&str) -> f64) -> Variant {
        let mut evidence = fake::evidence();
        for arm in &mut evidence.arms {
            let scale = scale(&arm.name);
            for run in &mut arm.runs {
                run.record.measurements.capacity.as_mut().unwrap().bits_per_param *= scale;
            }
        }
        let comparison = Some(compare(&evidence).unwrap());
        Variant { nuisance: "learning rate".to_string(), factor: 2.0, sets: Vec::new(), comparison }
    }

    #[test]
    fn an_answer_holds_turns_or_weakens_and_the_sentence_says_which() {
        let reference = compare(&fake::evidence()).unwrap();
        let same = variant(|_| 1.0);
        let turned = variant(|arm| if arm == "none" { 3.0 } else { 1.0 });
        let gone = Variant { comparison: None, ..same.clone() };
        let challenge = challenge(&reference, "zoo challenge mlp".to_string(), &[same, turned, gone]);
        let none = challenge.arms.iter().find(|arm| arm.arm == "none").unwrap();
        let outcomes: Vec<ChallengeOutcome> = none.cases.iter().map(|case| case.outcome).collect();
        assert_eq!(outcomes, [ChallengeOutcome::Holds, ChallengeOutcome::Turns, ChallengeOutcome::NoAnswer]);
        let said = none.in_words();
        assert!(said.contains("The direction holds under 1 of 2 changes, the verdict under 1"), "{said}");
        assert!(said.ends_with("it turns under learning rate x 2."), "{said}");
        let table = markdown(&challenge);
        assert_eq!(table.lines().filter(|line| line.starts_with("| “")).count(), 3 * 4, "{table}");
        let json = serde_json::to_string(&challenge).unwrap();
        assert_eq!(serde_json::from_str::<Challenge>(&json).unwrap().arms.len(), 3);
    }
}
