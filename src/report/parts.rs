//! What a mixture does to names, to values and to each of its domains, apart.

use serde::{Deserialize, Serialize};

use super::evidence::{ArmEvidence, RunEvidence};
use crate::measure::Capacity;
use crate::statistics::{Contrast, Effect, Estimate};

/// Bits per parameter of names and of values, and without the cost of guessing the source of a document.
///
/// A name is read before anything has told which source the document is of. The guess costs `-log2` of the source's
/// share of the rows that open with a document, in bits a person; no training can save them, unless a marker says it.
/// Values are never touched by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BitsApart {
    /// Bits of names per parameter.
    pub names: Estimate,
    /// Bits of values per parameter.
    pub values: Estimate,
    /// Bits per parameter for a reader who is told the source; the same as all bits where nothing has to be guessed.
    pub given_source: Estimate,
    /// What guessing the source costs, in bits a person; 0 where a marker tells it, or where there is one source.
    pub source_bits: f64,
    /// The values alone, as a ratio to the control, paired by seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_of_values: Option<Effect>,
    /// Bits given the source, as a ratio to the control, paired by seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_given_source: Option<Effect>,
}

/// The loss on what one domain keeps from training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainResult {
    /// The name of its source.
    pub name: String,
    /// Nats per token.
    pub loss: Estimate,
}

/// Names and values apart; `None` where no run of the arm or its control has several sources.
pub(super) fn apart(arm: &ArmEvidence, control: Option<&ArmEvidence>) -> Option<BitsApart> {
    let mixed = |run: &RunEvidence| !run.record.measurements.domains.is_empty();
    let all = arm.runs.iter().chain(control.into_iter().flat_map(|control| &control.runs));
    if !all.clone().any(mixed) {
        return None;
    }
    let per_param = |bits: f64, capacity: &Capacity| bits / capacity.params as f64;
    let values = |capacity: &Capacity| per_param(capacity.value_bits, capacity);
    let ratio = |number: &dyn Fn(&Capacity) -> f64| {
        Effect::of(Contrast::Ratio, &of_seeds(arm, number), &of_seeds(control?, number)).ok()
    };
    let mean = |number: &dyn Fn(&Capacity) -> f64| {
        Estimate::of(&of_seeds(arm, number).into_iter().map(|(_, value)| value).collect::<Vec<f64>>())
    };
    let source_bits = |capacity: &Capacity| capacity.given_source.map_or(0.0, |given| given.source_bits);
    Some(BitsApart {
        names: mean(&|capacity| per_param(capacity.name_bits, capacity))?,
        values: mean(&values)?,
        given_source: mean(&given_source)?,
        source_bits: mean(&source_bits)?.mean,
        ratio_of_values: ratio(&values),
        ratio_given_source: ratio(&given_source),
    })
}

fn given_source(capacity: &Capacity) -> f64 {
    capacity.given_source.map_or(capacity.bits_per_param, |given| given.bits_per_param)
}

fn of_seeds(arm: &ArmEvidence, number: &dyn Fn(&Capacity) -> f64) -> Vec<(u64, f64)> {
    let measured = |run: &RunEvidence| Some((run.seed, number(run.record.measurements.capacity.as_ref()?)));
    arm.runs.iter().filter_map(measured).collect()
}

/// The loss of each domain of a mixture.
pub(super) fn domains(arm: &ArmEvidence) -> Vec<DomainResult> {
    let first = arm.runs.first().map_or(&[][..], |run| &run.record.measurements.domains);
    let loss = |name: &str| {
        let of_run = |run: &RunEvidence| {
            let domains = &run.record.measurements.domains;
            domains.iter().find(|domain| domain.name == name).map(|domain| domain.nats_per_token)
        };
        Estimate::of(&arm.runs.iter().filter_map(of_run).collect::<Vec<f64>>())
    };
    let one = |name: &String| Some(DomainResult { name: name.clone(), loss: loss(name)? });
    first.iter().filter_map(|domain| one(&domain.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::{fake, table};
    use crate::measure::{DomainLoss, GivenSource};

    /// Three bits a person of guessing in the arm `none`, which is a mixture of two domains.
    #[test]
    fn names_values_and_domains_of_mixtures_stand_apart() {
        let mut evidence = fake::evidence();
        assert!(
            compare(&evidence).unwrap().arms.iter().all(|arm| arm.apart.is_none() && arm.domains.is_empty())
        );
        for run in evidence.arms.iter_mut().filter(|arm| arm.name == "none").flat_map(|arm| &mut arm.runs) {
            let measured = &mut run.record.measurements;
            let domain =
                |name: &str, nats: f64| DomainLoss { name: name.into(), nats_per_token: nats, tokens: 9 };
            measured.domains = vec![domain("junk", 5.0), domain("useful", 2.0 + 0.1 * run.seed as f64)];
            let capacity = measured.capacity.as_mut().unwrap();
            let bits = capacity.bits + 3.0 * capacity.people as f64;
            capacity.given_source = Some(GivenSource {
                source_bits: 3.0,
                name_bits: capacity.name_bits + 3.0 * capacity.people as f64,
                bits,
                bits_per_param: bits / capacity.params as f64,
            });
        }
        let comparison = compare(&evidence).unwrap();
        let none = comparison.primary_arms().find(|arm| arm.arm == "none").unwrap();
        let apart = none.apart.as_ref().unwrap();
        let (bits, given) = (none.bits_per_param.as_ref().unwrap(), &apart.given_source);
        let people = evidence.arms[0].runs[0].record.measurements.capacity.as_ref().unwrap().people as f64;
        let params = none.params.unwrap() as f64;
        assert!((given.mean - bits.mean - 3.0 * people / params).abs() < 1e-12);
        assert!((apart.names.mean + apart.values.mean - bits.mean).abs() < 1e-12);
        assert_eq!(apart.source_bits, 3.0);
        let [with, without] =
            [&none.ratio_to_control, &apart.ratio_given_source].map(|ratio| ratio.as_ref().unwrap());
        assert!(without.estimate.mean > with.estimate.mean);
        let losses: Vec<_> =
            none.domains.iter().map(|domain| (domain.name.as_str(), domain.loss.mean)).collect();
        assert_eq!(losses[0], ("junk", 5.0));
        assert!((losses[1].1 - 2.2).abs() < 1e-12);
        let markdown = table::markdown(&comparison);
        assert!(markdown.contains("| none | 3.00 |"), "{markdown}");
    }
}
