//! The gate before a claim: where a comparison says nothing about the question, why, and what to run instead.
//!
//! Intervals may be narrow and still about something else: about data that both models know by heart, about models that
//! have learned nothing, about a profile that only shows that every step works.

use super::comparison::{ArmResult, Comparison, Measure};
use super::evidence::{Basis, Evidence};
use super::number;
use crate::training::Length;

/// The profile in which every step of the job runs and nothing is learned.
const SMOKE: &str = "smoke";

/// Two means this close to `R_max` measure the data, not the models.
const CEILING: f64 = 0.97;

/// A control below this share of `R_max` has learned next to nothing.
const FLOOR: f64 = 0.02;

/// How many times more people, or longer training, the remedy asks for.
const MORE: u64 = 4;

/// Notes for each arm but the control why nothing is claimed of it, if something speaks against any claim.
pub(super) fn close(comparison: &mut Comparison, evidence: &Evidence) {
    let Some(control) = comparison.arms.iter().find(|arm| arm.arm == comparison.control && arm.n_runs > 0)
    else {
        return;
    };
    let everywhere = smoke(comparison).or_else(|| unlearned(comparison, control, evidence));
    let control = (control.bits_per_param.as_ref().map(|bits| bits.mean), control.max_bits_per_param);
    for arm in comparison.arms.iter_mut().filter(|arm| arm.arm != evidence.control) {
        arm.not_claimed = everywhere.clone().or_else(|| ceiling(control, arm, evidence));
    }
}

fn smoke(comparison: &Comparison) -> Option<String> {
    (comparison.profile == SMOKE).then(|| {
        let command = comparison.command.replace(" --profile smoke", "");
        format!("the smoke profile only shows that every step works; ask by `{command}`")
    })
}

/// A control that has learned next to nothing has nothing that could be lost.
fn unlearned(comparison: &Comparison, control: &ArmResult, evidence: &Evidence) -> Option<String> {
    let longer = longer(evidence);
    match comparison.measure {
        Measure::BitsPerParam => {
            let (bits, max) = (control.bits_per_param.as_ref()?.mean, control.max_bits_per_param?);
            (bits < FLOOR * max).then(|| {
                let (bits, max) = (number::three(bits), number::three(max));
                format!(
                    "the control has learned next to nothing ({bits} of {max} bits per parameter){longer}"
                )
            })
        }
        Measure::HeldOutLoss => {
            let loss = control.held_out_loss.as_ref()?.mean;
            let plan = evidence.arms.iter().flat_map(|arm| &arm.runs).map(|run| &run.record.plan).next()?;
            let guessing = (plan.vocab_size().ok()? as f64).ln();
            (loss >= guessing).then(|| {
                let (loss, guessing) = (number::three(loss), number::three(guessing));
                format!(
                    "the control's held-out loss of {loss} nats per token is no better than guessing ({guessing}){longer}"
                )
            })
        }
        Measure::Answers => None,
    }
}

/// Both know nearly everything: what differs is what there was to know.
fn ceiling(control: (Option<f64>, Option<f64>), arm: &ArmResult, evidence: &Evidence) -> Option<String> {
    let share = |(bits, max): (Option<f64>, Option<f64>)| Some(bits? / max?);
    let ours = share((arm.bits_per_param.as_ref().map(|bits| bits.mean), arm.max_bits_per_param))?;
    let theirs = share(control)?;
    (ours.min(theirs) > CEILING).then(|| {
        let [ours, theirs] = [ours, theirs].map(|share| format!("{:.1} %", 100.0 * share));
        let known = format!("it knows {ours} and the control {theirs} of everything there is to know");
        match people(evidence) {
            Some(people) => {
                let people = MORE * people;
                format!(
                    "{known}; more people tell them apart: `{} --set data.people={people}`",
                    evidence.command
                )
            }
            None => format!("{known}; only more people could tell them apart"),
        }
    })
}

fn people(evidence: &Evidence) -> Option<u64> {
    let control =
        evidence.arms.iter().find(|arm| arm.name == evidence.control && arm.basis == Basis::Primary)?;
    control.runs.first()?.record.plan.data.people()
}

/// The remedy for what has learned too little.
fn longer(evidence: &Evidence) -> String {
    let plan = evidence.arms.iter().flat_map(|arm| &arm.runs).map(|run| &run.record.plan).next();
    let count = plan.and_then(|plan| match &plan.training.length {
        Length::Exposures(length) | Length::Steps(length) | Length::Tokens(length) => Some(length.count),
        Length::Flops(_) => None,
    });
    match count {
        Some(count) => {
            format!("; train longer: `{} --set training.length.count={}`", evidence.command, MORE * count)
        }
        None => "; train longer".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compare, fake};
    use super::*;
    use crate::data::{BioDConfig, DataConfig};
    use crate::training::config::Count;

    fn with(change: impl Fn(&mut Evidence)) -> Comparison {
        let mut evidence = fake::evidence();
        change(&mut evidence);
        compare(&evidence).unwrap()
    }

    fn set_bits(evidence: &mut Evidence, share_of_max: impl Fn(&str) -> f64) {
        for arm in &mut evidence.arms {
            let share = share_of_max(&arm.name);
            for run in &mut arm.runs {
                let capacity = run.record.measurements.capacity.as_mut().unwrap();
                capacity.bits_per_param =
                    share * capacity.max_bits_per_param * (1.0 + 1e-4 * run.seed as f64);
            }
        }
    }

    #[test]
    fn a_smoke_profile_claims_nothing_whatever_its_intervals_say() {
        let comparison = with(|evidence| {
            evidence.profile = "smoke".to_string();
            evidence.command = "zoo run mlp --profile smoke".to_string();
        });
        assert_eq!(
            comparison.answer[0],
            "No comparison: the smoke profile only shows that every step works; ask by `zoo run mlp`."
        );
        assert!(comparison.primary_arms().all(|arm| arm.claim().is_none()));
    }

    #[test]
    fn two_models_that_know_everything_are_not_compared_and_one_that_does_is() {
        let comparison = with(|evidence| {
            set_bits(evidence, |arm| if arm == "none" { 0.5 } else { 0.99 });
            for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
                run.record.plan.data = DataConfig::BioD(BioDConfig { people: 3072, ..BioDConfig::default() });
            }
        });
        let reasons: Vec<bool> = comparison.primary_arms().map(|arm| arm.not_claimed.is_some()).collect();
        assert_eq!(reasons, [false, true, true, false]);
        let said = &comparison.answer[0];
        assert!(
            said.contains("of everything there is to know") && said.contains("data.people=12288"),
            "{said}"
        );
    }

    #[test]
    fn a_control_that_learned_nothing_is_no_control() {
        for share in [-0.1, 0.01] {
            let comparison = with(|evidence| {
                set_bits(evidence, |_| share);
                for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
                    run.record.plan.training.length = Length::Exposures(Count { count: 30 });
                }
            });
            let said = &comparison.answer[0];
            assert!(said.starts_with("No comparison: the control has learned next to nothing"), "{said}");
            assert!(said.contains("training.length.count=120"), "{said}");
        }
    }

    #[test]
    fn a_loss_of_guessing_is_no_loss() {
        let mut evidence = fake::evidence_of_text();
        for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            run.record.measurements.held_out.as_mut().unwrap().nats_per_token += 10.0;
        }
        let said = &compare(&evidence).unwrap().answer[0];
        assert!(said.contains("is no better than guessing"), "{said}");
    }
}
