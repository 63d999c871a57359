//! From evidence to a comparison: intervals over seeds, arms against their control, verdicts on what was published.

use std::collections::BTreeSet;

use super::comparison::{
    ArmResult, AttributeResult, Comparison, DocumentResult, ExtractionResult, FORMAT, Measure, QaTestResult,
    RunResult, TeacherResult, Verdict,
};
use super::evidence::{
    ArmEvidence, Basis, Claim, Evidence, MissingRun, NOT_RUN, Published, RunEvidence, TuningTrial,
};
use super::number;
use super::speedup::speedups;
use super::{answer, caution, factors, gate, parts};
use crate::error::Result;
use crate::measure::{AnswerPoint, AttributeAnswers, Capacity, Extraction, MeasureContext};
use crate::run::Environment;
use crate::statistics::{
    Compared, Contrast, Design, Effect, Estimate, compare as against, compare_cells, holm, root_mean_square,
};

/// Published ratios are given with two digits or read from plots: so far from one still agrees with it.
const PUBLISHED_ROUNDING: f64 = 1.05;

/// Compares every arm with its control.
///
/// # Errors
/// If nothing is finished, the control is no arm, a seed comes twice in an arm, or kinds of device are mixed.
pub fn compare(evidence: &Evidence) -> Result<Comparison> {
    evidence.check()?;
    let measure = choose_measure(evidence);
    let (measured, mut missing) = measured(evidence, measure);
    let (tuning, diverged): (Vec<TuningTrial>, Vec<TuningTrial>) =
        evidence.tuning.iter().cloned().partition(|trial| trial.value.is_finite());
    missing.extend(diverged.into_iter().map(|trial| MissingRun {
        cause: format!("tuning at rate {} gave no number", number::rate(trial.rate)),
        arm: trial.arm,
        seed: trial.seed,
    }));
    let control = |arm: &ArmEvidence| control_of(&measured, &evidence.control, arm);
    let mut arms: Vec<ArmResult> = measured.iter().map(|arm| result(arm, control(arm), measure)).collect();
    correct_for_many(&mut arms, &evidence.control);
    let family = Family::of(evidence);
    for (result, arm) in arms.iter_mut().zip(&measured) {
        result.compared = control(arm).and_then(|control| family.compare(measure, arm, control));
        result.verdict = verdict_of(result.published.as_ref(), result);
    }
    let walk = evidence.walk.as_ref().map(|walk| walk.result(&measured, measure, &family));
    let factorial = evidence.factorial.as_ref();
    let factorial =
        factorial.map(|made| factors::result(made, &measured, &evidence.control, measure, &family));
    let mut comparison = Comparison {
        format: FORMAT,
        name: evidence.name.clone(),
        profile: evidence.profile.clone(),
        command: evidence.command.clone(),
        question: evidence.question.clone(),
        source: evidence.source.clone(),
        notes: evidence.notes.clone(),
        control: evidence.control.clone(),
        measure,
        design: Some(evidence.design.clone()),
        answer: Vec::new(),
        next: None,
        cautions: Vec::new(),
        arms,
        walk,
        factorial,
        speedups: speedups(evidence),
        tuning,
        missing,
        environments: environments(evidence),
    };
    gate::close(&mut comparison, evidence);
    comparison.answer = answer::answer(&comparison);
    comparison.next = answer::next(&comparison, &evidence.command, evidence.parallel_runs);
    let sooner = comparison.speedups.iter().map(|speedup| speedup.in_words(&comparison.control));
    comparison.answer.extend(sooner.collect::<Vec<_>>());
    comparison.cautions = caution::cautions(&comparison, &evidence.tuning);
    comparison.cautions.extend(caution::computed_otherwise(evidence));
    comparison.cautions.extend(evidence.damaged.clone());
    Ok(comparison)
}

/// The most telling measure that a run has.
fn choose_measure(evidence: &Evidence) -> Measure {
    let runs = evidence.arms.iter().flat_map(|arm| &arm.runs);
    let measures = runs.map(|run| Measure::of_run(&run.record.plan.data, &run.record.measurements));
    measures.min().unwrap_or(Measure::HeldOutLoss)
}

/// What all comparisons of one basis share: their number, and the look that they are made at.
pub(super) struct Family {
    design: Design,
    look: usize,
    /// The number of arms beside the control.
    arms: usize,
}

impl Family {
    /// The primary arms, whether they have run or not; the other bases have no more.
    fn of(evidence: &Evidence) -> Family {
        let planned =
            evidence.arms.iter().map(|arm| &arm.name).chain(evidence.missing.iter().map(|run| &run.arm));
        let bare = planned.map(|name| name.split('@').next().unwrap_or(name));
        let names: BTreeSet<&str> = bare.filter(|name| *name != evidence.control).collect();
        // Runs that nobody has begun belong to a look that was not taken yet.
        let tried = evidence.missing.iter().filter(|run| run.cause != NOT_RUN).map(|run| run.seed);
        let seeds = evidence.arms.iter().flat_map(|arm| arm.runs.iter().map(|run| run.seed)).chain(tried);
        let seeds = seeds.filter(|&seed| seed <= evidence.design.most());
        let look = evidence.design.look_of(seeds.max().unwrap_or(0));
        Family { design: evidence.design.clone(), look, arms: names.len().max(1) }
    }

    /// The same with so many comparisons.
    pub(super) fn with(&self, arms: usize) -> Family {
        Family { design: self.design.clone(), look: self.look, arms: arms.max(1) }
    }

    /// A sum of means of cells, each times its weight.
    pub(super) fn compare_cells(&self, measure: Measure, cells: &[(f64, &[f64])]) -> Option<Compared> {
        compare_cells(measure.contrast(), cells, &self.design, self.look, self.arms).ok()
    }

    /// An arm against another in the way of the measure; by their difference where nothing is left to make a ratio of.
    pub(super) fn compare(
        &self,
        measure: Measure,
        arm: &ArmEvidence,
        control: &ArmEvidence,
    ) -> Option<Compared> {
        let by = |contrast| {
            let (arm, control) = (arm.values(measure), control.values(measure));
            against(contrast, &arm, &control, &self.design, self.look, self.arms).ok()
        };
        by(measure.contrast()).or_else(|| by(Contrast::Difference))
    }
}

/// The arms with only the runs that have a number, and the list of those that have none.
fn measured(evidence: &Evidence, measure: Measure) -> (Vec<ArmEvidence>, Vec<MissingRun>) {
    let (mut arms, mut missing) = (evidence.arms.clone(), evidence.missing.clone());
    for arm in &mut arms {
        let unmeasured = arm.runs.extract_if(.., |run| measure.of(&run.record.measurements).is_none());
        missing.extend(unmeasured.map(|run| MissingRun {
            arm: arm.name.clone(),
            seed: run.seed,
            cause: format!("finished, but its {} was not measured", measure.label()),
        }));
    }
    (arms, missing)
}

/// The control on the same basis, or else the primary one; none for the control itself.
fn control_of<'a>(arms: &'a [ArmEvidence], control: &str, arm: &ArmEvidence) -> Option<&'a ArmEvidence> {
    let on = |basis| arms.iter().find(|other| other.name == control && other.basis == basis);
    if arm.name == control { None } else { on(arm.basis).or_else(|| on(Basis::Primary)) }
}

fn result(arm: &ArmEvidence, control: Option<&ArmEvidence>, measure: Measure) -> ArmResult {
    let first = arm.runs.first().map(|run| run.record.params);
    let compared = |contrast| {
        control.map(|control| Effect::of(contrast, &arm.of_seeds(measure), &control.of_seeds(measure)))
    };
    let (ratio, difference) = (compared(Contrast::Ratio), compared(Contrast::Difference));
    let no_ratio = match (ratio.as_ref(), control) {
        (Some(Err(_)), Some(_)) if arm.runs.is_empty() => Some("it has no finished run".to_string()),
        (Some(Err(_)), Some(control)) if control.runs.is_empty() => {
            Some("the control has no finished run".to_string())
        }
        (ratio, _) => ratio.and_then(|ratio| ratio.as_ref().err().cloned()),
    };
    let ratio = ratio.and_then(Result::ok);
    let bits = over_capacity(arm, |capacity| capacity.bits_per_param);
    let exposures = arm.runs.first().and_then(|run| run.record.plan.training.length.exposures());
    ArmResult {
        arm: arm.name.clone(),
        label: arm.label.clone(),
        basis: arm.basis,
        differs: arm.differs.clone(),
        holds: arm.holds.clone(),
        rate: arm.rate,
        n_runs: arm.runs.len(),
        runs: arm.runs.iter().filter_map(|run| run_result(run, measure)).collect(),
        params: first.map(|params| params.total),
        non_embedding_params: first.map(|params| params.non_embedding()),
        active_params: first.map(|params| params.active),
        exposures,
        verdict: None,
        context: context(arm),
        bits_per_param: bits,
        max_bits_per_param: over_capacity(arm, |capacity| capacity.max_bits_per_param).map(|max| max.mean),
        held_out_loss: over_runs(arm, |run| Some(run.record.measurements.held_out?.nats_per_token)),
        answers: over_runs(arm, |run| run.record.measurements.right_answers()),
        exam: exam(arm),
        extraction: extraction(arm),
        published: arm.published.clone(),
        compared: None,
        not_claimed: None,
        ratio_to_control: ratio,
        difference_to_control: difference.and_then(Result::ok),
        no_ratio,
        attributes: attributes(arm),
        apart: parts::apart(arm, control),
        domains: parts::domains(arm),
        fully_known: over_capacity(arm, |capacity| capacity.fully_known),
        final_loss: over_runs(arm, |run| Some(run.record.training.final_loss)),
        seconds: over_runs(arm, |run| Some(run.record.training.seconds)),
        tokens: over_runs(arm, |run| Some(run.record.training.tokens as f64)).map(|tokens| tokens.mean),
        flops: over_runs(arm, |run| Some(run.record.training.flops)).map(|flops| flops.mean),
        measurement_error: measurement_error(arm),
    }
}

fn run_result(run: &RunEvidence, measure: Measure) -> Option<RunResult> {
    Some(RunResult {
        seed: run.seed,
        fingerprint: run.record.fingerprint.clone(),
        value: measure.of(&run.record.measurements)?,
        seconds: run.record.training.seconds,
        finished: run.record.environment.finished.clone(),
    })
}

/// What stood before the biographies of an arm; all its runs have one `[measure]`.
fn context(arm: &ArmEvidence) -> MeasureContext {
    let of_run = |run: &RunEvidence| Some(run.record.measurements.capacity.as_ref()?.context);
    arm.runs.iter().find_map(of_run).unwrap_or_default()
}

fn over_runs(arm: &ArmEvidence, number: impl Fn(&RunEvidence) -> Option<f64>) -> Option<Estimate> {
    Estimate::of(&arm.runs.iter().filter_map(number).collect::<Vec<f64>>())
}

fn over_capacity(arm: &ArmEvidence, number: impl Fn(&Capacity) -> f64) -> Option<Estimate> {
    over_runs(arm, |run| run.record.measurements.capacity.as_ref().map(&number))
}

fn measurement_error(arm: &ArmEvidence) -> Option<f64> {
    let capacities = arm.runs.iter().filter_map(|run| run.record.measurements.capacity.as_ref());
    root_mean_square(&capacities.map(|capacity| capacity.measurement_error).collect::<Vec<f64>>())
}

fn attributes(arm: &ArmEvidence) -> Vec<AttributeResult> {
    let first = arm.runs.iter().find_map(|run| run.record.measurements.capacity.as_ref());
    let of_first = first.map_or(&[][..], |capacity| &capacity.attributes);
    let named = |run: &RunEvidence, name: &str| {
        let capacity = run.record.measurements.capacity.as_ref()?;
        Some(capacity.attributes.iter().find(|attribute| attribute.name == name)?.bits)
    };
    of_first
        .iter()
        .filter_map(|attribute| {
            let bits = over_runs(arm, |run| named(run, &attribute.name))?;
            Some(AttributeResult { name: attribute.name.clone(), bits, max_bits: attribute.max_bits })
        })
        .collect()
}

/// Whether answers keep their form, how far they are from a teacher's, and how the ends of documents are read.
fn exam(arm: &ArmEvidence) -> Option<QaTestResult> {
    let point = |run: &RunEvidence, chunks: Option<u64>, number: fn(&AnswerPoint) -> Option<f64>| {
        let answers = run.record.measurements.answers.as_ref()?;
        let chunks = chunks.unwrap_or(answers.judged_by);
        number(answers.points.iter().find(|point| point.chunks == chunks)?)
    };
    let format_percent = over_runs(arm, |run| point(run, None, |point| Some(100.0 * point.format)))?;
    let points = arm.runs.iter().filter_map(|run| run.record.measurements.answers.as_ref());
    let taught = points.flat_map(|answers| &answers.points).filter(|point| point.teacher_nats.is_some());
    let teacher = taught.map(|point| point.chunks).max().and_then(|chunks| {
        let nats = over_runs(arm, |run| point(run, Some(chunks), |point| point.teacher_nats))?;
        Some(TeacherResult { chunks, nats })
    });
    let first = arm.runs.iter().find_map(|run| run.record.measurements.answers.as_ref());
    let document = |chunks: u64| {
        let perplexity = over_runs(arm, |run| {
            let documents = &run.record.measurements.answers.as_ref()?.documents;
            Some(documents.iter().find(|point| point.chunks == chunks)?.perplexity())
        })?;
        Some(DocumentResult { chunks, perplexity })
    };
    let documents = first.into_iter().flat_map(|answers| &answers.documents);
    let documents = documents.filter_map(|point| document(point.chunks)).collect();
    Some(QaTestResult { format_percent, teacher, documents })
}

/// Right answers about all attributes, and about each.
fn extraction(arm: &ArmEvidence) -> Vec<ExtractionResult> {
    let found = |run: &'_ RunEvidence| run.record.measurements.extraction.clone();
    let Some(first) = arm.runs.iter().find_map(found) else { return Vec::new() };
    let all = |number: fn(&Extraction) -> f64| over_runs(arm, |run| found(run).as_ref().map(number));
    let each = |name: &str, number: fn(&AttributeAnswers) -> f64| {
        over_runs(arm, |run| found(run)?.attributes.iter().find(|answers| answers.name == name).map(number))
    };
    let mean = all(|all| all.accuracy).zip(all(|all| all.asked_accuracy)).zip(all(|all| all.recited));
    let result = |name: &str, ((accuracy, asked), recited)| ExtractionResult {
        name: name.to_string(),
        accuracy,
        asked,
        recited,
    };
    let one = |attribute: &AttributeAnswers| {
        let name = &attribute.name;
        let numbers = each(name, |one| one.accuracy).zip(each(name, |one| one.asked_accuracy));
        numbers.zip(each(name, |one| one.recited)).map(|numbers| result(name, numbers))
    };
    let mean = mean.map(|numbers| result("all attributes", numbers));
    mean.into_iter().chain(first.attributes.iter().filter_map(one)).collect()
}

/// How what was found of an arm stands to a claim about it.
pub(super) fn verdict_of(published: Option<&Published>, arm: &ArmResult) -> Option<Verdict> {
    verdict(published, arm.params, arm.exposures, arm.ratio(), arm.bits_per_param.as_ref())
}

/// How a ratio, or bits per parameter where these are what was published, stand to the claim.
fn verdict(
    published: Option<&Published>,
    params: Option<u64>,
    exposures: Option<u64>,
    ratio: Option<&Estimate>,
    bits: Option<&Estimate>,
) -> Option<Verdict> {
    let published = published?;
    let (claim, estimate, what, no_effect) = match (published.bits_per_param, published.ratio) {
        (Some(claim), _) => (claim, bits, "bits per parameter", None),
        (None, Some(claim)) => (claim, ratio, "ratio", Some(1.0)),
        (None, None) => return Some(Verdict::NotComparable("no ratio was published".to_string())),
    };
    if let Some(params) = params.filter(|&params| published.min_params.is_none_or(|least| params < least)) {
        let here = number::millions(params as f64);
        return Some(Verdict::NotComparable(format!(
            "{here} parameters here, published at {}",
            published.scale
        )));
    }
    if params.is_some() && published.exposures.is_some_and(|there| exposures != Some(there)) {
        let here = exposures.map_or("another length".to_string(), |here| format!("{here} exposures"));
        return Some(Verdict::NotComparable(format!("{here} here, published at {}", published.scale)));
    }
    let (Some(_), Some(estimate)) = (params, estimate) else {
        let nothing = bits.and_then(|bits| bits.high).is_some_and(|high| high <= 0.0);
        return Some(match claim {
            Claim::AtMost(value) if nothing && value >= 0.0 => Verdict::Agrees,
            _ => Verdict::Undecided(format!("no {what} was measured")),
        });
    };
    let Some((low, high)) = estimate.low.zip(estimate.high) else {
        return Some(Verdict::Undecided("too few seeds".to_string()));
    };
    Some(claim.against(low, high, no_effect))
}

impl Claim {
    /// The verdict of an interval on this claim; one that holds both the claim and no effect at all decides nothing.
    fn against(self, low: f64, high: f64, no_effect: Option<f64>) -> Verdict {
        let near = |a: f64, b: f64| a <= b * PUBLISHED_ROUNDING && b <= a * PUBLISHED_ROUNDING;
        let holds = |value: f64| low <= value * PUBLISHED_ROUNDING && high >= value / PUBLISHED_ROUNDING;
        if let (Claim::About(value), Some(none)) = (self, no_effect)
            && !near(value, none)
            && holds(value)
            && (low..=high).contains(&none)
        {
            return Verdict::Undecided(format!("the interval holds the published ratio and {none}"));
        }
        let (agrees, disagrees) = match self {
            Claim::About(value) => (holds(value), !holds(value)),
            Claim::AtMost(value) => (high <= value, low > value),
            Claim::AtLeast(value) => (low >= value, high < value),
        };
        match (agrees, disagrees) {
            (true, _) => Verdict::Agrees,
            (_, true) => Verdict::Disagrees,
            (false, false) => Verdict::Undecided("the interval holds the published bound".to_string()),
        }
    }
}

/// Corrects the p values of each basis for all arms but the control. An arm that was not run again at a basis stands there
/// already and counts with its primary p, one that has no ratio with the p of its difference.
fn correct_for_many(arms: &mut [ArmResult], control: &str) {
    let at = |arms: &[ArmResult], name: &str, basis| {
        arms.iter().position(|arm| arm.arm == name && arm.basis == basis)
    };
    let mut names: Vec<String> = Vec::new();
    for arm in arms.iter().filter(|arm| arm.arm != control) {
        if !names.contains(&arm.arm) {
            names.push(arm.arm.clone());
        }
    }
    for basis in [Basis::Primary, Basis::EqualRate, Basis::EqualRmax] {
        let found = names.iter().filter_map(|name| at(arms, name, basis).or(at(arms, name, Basis::Primary)));
        let found: Vec<usize> = found.collect();
        for contrast in [Contrast::Ratio, Contrast::Difference] {
            let p = |&index: &usize| Some((index, p_of(&arms[index], contrast)?));
            let (family, p): (Vec<usize>, Vec<f64>) = found.iter().filter_map(p).unzip();
            for (index, corrected) in family.into_iter().zip(holm(&p)) {
                let arm = &mut arms[index];
                let effect = match contrast {
                    Contrast::Ratio => arm.ratio_to_control.as_mut(),
                    Contrast::Difference => arm.difference_to_control.as_mut(),
                };
                let tested = effect.filter(|effect| arm.basis == basis && effect.p.is_some());
                tested.into_iter().for_each(|effect| effect.p_holm = Some(corrected));
            }
        }
    }
}

fn p_of(arm: &ArmResult, contrast: Contrast) -> Option<f64> {
    let difference = arm.difference_to_control.as_ref();
    match contrast {
        Contrast::Ratio => arm.ratio_to_control.as_ref().or(difference)?.p,
        Contrast::Difference => difference?.p,
    }
}

/// Each machine and version once, with the time of its last run.
fn environments(evidence: &Evidence) -> Vec<Environment> {
    let mut distinct: Vec<Environment> = Vec::new();
    for run in evidence.arms.iter().flat_map(|arm| &arm.runs) {
        let here = &Environment { weights_of: None, ..run.record.environment.clone() };
        let same = |other: &&mut Environment| {
            Environment { finished: here.finished.clone(), ..(**other).clone() } == *here
        };
        match distinct.iter_mut().find(same) {
            Some(known) => known.finished = known.finished.clone().max(here.finished.clone()),
            None => distinct.push(here.clone()),
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;
    use crate::data::{DataConfig, MixtureConfig};
    use crate::error::Kind;
    use crate::measure::Loss;
    use crate::statistics::design::Planned;

    fn arm<'a>(comparison: &'a Comparison, name: &str, basis: Basis) -> &'a ArmResult {
        comparison.arms.iter().find(|arm| arm.arm == name && arm.basis == basis).unwrap()
    }

    #[test]
    fn every_arm_has_its_interval_and_its_ratio_to_the_control() {
        let comparison = compare(&fake::evidence()).unwrap();
        let none = arm(&comparison, "none", Basis::Primary);
        let ratio = none.ratio_to_control.as_ref().unwrap();
        let by_hand = (0.57f64 / 1.20 * 0.55 / 1.17 * 0.58 / 1.23).cbrt();
        assert!((ratio.estimate.mean - by_hand).abs() < 1e-12);
        assert_eq!(ratio.estimate.excludes(1.0), Some(true));
        assert!(ratio.p_holm.unwrap() >= ratio.p.unwrap());
        assert!((none.bits_per_param.as_ref().unwrap().mean - 0.5667).abs() < 1e-4);
        assert_eq!((none.n_runs, none.params, none.measurement_error), (3, Some(49_900), Some(0.004)));
        assert_eq!(comparison.control_arm().ratio_to_control, None);
    }

    #[test]
    fn the_headline_has_the_finding_its_size_and_its_interval_the_largest_first() {
        let comparison = compare(&fake::evidence()).unwrap();
        assert_eq!(
            comparison.answer[0],
            "“none” stores 0.472 times “gpt2”'s bits per parameter (95 % interval 0.434 to 0.514). “gated” stores 1.15 \
             times “gpt2”'s bits per parameter (1.06 to 1.25). “quarter”: no difference of 10 % or more (0.91 to 1.06)."
        );
        assert_eq!(
            comparison.answer[1],
            "The intervals of all 3 arms hold together with 95 % confidence, over 3 seeds per arm."
        );
        let none = &comparison.answer[4];
        assert!(
            none.starts_with("“none”: ratio 0.472 (0.434 to 0.514), p < 0.001, 3 seeds against 3"),
            "{none}"
        );
        assert!(none.ends_with(
            "It changes feed_forward = none. Published: more than 1.5× fewer; not comparable: 0.050 M parameters here, \
             published at ≥ 1 M parameters, 100 exposures."
        ));
        assert!(comparison.answer[5].ends_with("it says nothing about other sizes."));
        assert_eq!(
            comparison.next.as_deref(),
            Some(
                "To halve the intervals, as an exploration: `zoo run mlp --set repeat.seeds=12`, 36 more runs, about 26 min."
            )
        );
    }

    #[test]
    fn an_arm_is_called_by_its_label_everywhere_but_in_the_data() {
        let mut evidence = fake::evidence();
        evidence.arms[3].label = Some("no MLP".to_string());
        let comparison = compare(&evidence).unwrap();
        assert!(comparison.answer[0].starts_with("no MLP stores 0.472 times"), "{}", comparison.answer[0]);
        assert_eq!(
            (comparison.arms[3].arm.as_str(), comparison.arms[3].label().as_str()),
            ("none", "no MLP")
        );
    }

    #[test]
    fn an_open_arm_says_how_many_seeds_would_settle_it_and_the_next_look_is_named() {
        let mut evidence = fake::evidence();
        for (run, bits) in evidence.arms[2].runs.iter_mut().zip([0.9, 1.5, 1.1]) {
            run.record.measurements.capacity.as_mut().unwrap().bits_per_param = bits;
        }
        let comparison = compare(&evidence).unwrap();
        let said = &comparison.answer[0];
        assert!(said.contains("“quarter”: open, 0.9") && said.contains("seeds would settle it."), "{said}");
        let next = comparison.next.unwrap();
        assert!(
            next.starts_with("To settle what is open, as an exploration: `zoo run mlp --set repeat.seeds=")
        );
        evidence.design = Design::sequential(3, 16, 0.1);
        let comparison = compare(&evidence).unwrap();
        assert!(comparison.answer[1].ends_with("The next look is at 4 seeds."), "{}", comparison.answer[1]);
        assert_eq!(comparison.next.unwrap(), "Next: `zoo run mlp` goes on with the planned seeds.");
        let waiting = |seed| MissingRun { arm: "gated".to_string(), seed, cause: NOT_RUN.to_string() };
        let before: Vec<_> = comparison.arms.iter().map(|arm| arm.compared.clone()).collect();
        evidence.missing = vec![waiting(4)];
        let after = compare(&evidence).unwrap().arms;
        assert!(after.iter().map(|arm| &arm.compared).eq(&before), "a look that nobody took changes nothing");
        evidence.design.planned = Planned::ByHand;
        let cautions = compare(&evidence).unwrap().cautions;
        assert!(cautions.iter().any(|caution| caution.contains("set on the command line: an exploration")));
    }

    #[test]
    fn gaps_are_named_and_nothing_is_claimed_from_two_seeds() {
        let comparison = compare(&fake::evidence_with_gaps()).unwrap();
        let gated = arm(&comparison, "gated", Basis::Primary).ratio_to_control.as_ref().unwrap();
        assert_eq!((gated.estimate.n, gated.estimate.low, gated.p_holm), (2, None, None));
        let said = &comparison.answer[0];
        assert!(said.contains("“gated”: no answer yet, 1.13 (2 seeds; an interval needs 3)."), "{said}");
        assert!(said.ends_with("No comparison of “quarter”: it has no finished run."), "{said}");
        assert_eq!(arm(&comparison, "quarter", Basis::Primary).n_runs, 0);
        assert_eq!(comparison.missing.len(), 3);
        assert!(comparison.missing[2].cause.starts_with("finished, but its bits per parameter"));
        let equal_rate = arm(&comparison, "none", Basis::EqualRate);
        assert_eq!(equal_rate.compared.as_ref().unwrap().estimate.n, 3);
    }

    #[test]
    fn runs_of_another_kernel_level_and_curves_that_were_changed_are_named() {
        let mut evidence = fake::evidence();
        assert!(
            !compare(&evidence).unwrap().cautions.iter().any(|caution| caution.contains("computed alike"))
        );
        evidence.arms[1].runs[0].record.environment.kernels = "portable".to_string();
        evidence.damaged = vec!["metrics.jsonl was changed.".to_string()];
        let cautions = compare(&evidence).unwrap().cautions;
        let named = format!("portable kernels ({} seed 1)", evidence.arms[1].name);
        assert!(cautions.iter().any(|caution| caution.contains(&named)), "{cautions:?}");
        assert!(cautions.contains(&"metrics.jsonl was changed.".to_string()));
    }

    #[test]
    fn a_tuning_run_that_diverged_is_named_and_chooses_nothing() {
        let mut evidence = fake::evidence();
        evidence.tuning[7].value = f64::NAN;
        let comparison = compare(&evidence).unwrap();
        assert_eq!(comparison.tuning.len(), evidence.tuning.len() - 1);
        assert_eq!(comparison.missing[0].cause, "tuning at rate 2e-3 gave no number");
    }

    #[test]
    fn text_without_facts_is_compared_by_held_out_loss() {
        let comparison = compare(&fake::evidence_of_text()).unwrap();
        assert_eq!(comparison.measure, Measure::HeldOutLoss);
        let none = arm(&comparison, "none", Basis::Primary);
        let difference = none.difference_to_control.as_ref().unwrap();
        assert!((difference.estimate.mean - (1.2 - 0.5667)).abs() < 1e-4);
        assert_eq!(none.bits_per_param, None);
        let said = &comparison.answer[0];
        assert!(said.starts_with("“none” raises “gpt2”'s held-out loss by 0.633 nats per token"), "{said}");
    }

    #[test]
    fn an_arm_that_holds_nothing_is_compared_by_the_difference() {
        let mut evidence = fake::evidence();
        let none = evidence.arms.iter_mut().find(|arm| arm.name == "none").unwrap();
        for run in &mut none.runs {
            run.record.measurements.capacity.as_mut().unwrap().bits_per_param -= 2.0;
        }
        let comparison = compare(&evidence).unwrap();
        let says = "“none” stores 2.63 bits per parameter fewer than “gpt2” (95 % interval −2.7";
        assert!(comparison.answer[0].starts_with(says), "{:?}", comparison.answer);
        let bits = arm(&comparison, "none", Basis::Primary).bits_per_param.clone();
        let published = |value| Published {
            text: String::new(),
            ratio: Some(Claim::AtMost(value)),
            bits_per_param: None,
            scale: "≥ 1 M".to_string(),
            min_params: Some(10_000),
            exposures: None,
        };
        let says = |params| verdict(Some(&published(0.5)), Some(params), None, None, bits.as_ref()).unwrap();
        assert_eq!(says(20_000), Verdict::Agrees);
        assert!(matches!(says(5_000), Verdict::NotComparable(_)));
    }

    #[test]
    fn a_mixture_without_a_studied_domain_is_compared_by_the_loss_over_all_domains() {
        let mut evidence = fake::evidence();
        for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            run.record.measurements.held_out = Some(Loss { nats_per_token: 2.0, tokens: 1_000 });
            run.record.plan.data = DataConfig::Mixture(MixtureConfig::default());
        }
        assert_eq!(compare(&evidence).unwrap().measure, Measure::HeldOutLoss);
        let studied = MixtureConfig { studied: Some("useful".to_string()), ..MixtureConfig::default() };
        for run in evidence.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            run.record.plan.data = DataConfig::Mixture(studied.clone());
        }
        assert_eq!(compare(&evidence).unwrap().measure, Measure::BitsPerParam);
    }

    #[test]
    fn a_published_ratio_is_judged_only_at_its_own_scale() {
        let published = |claim, min_params| Published {
            text: String::new(),
            ratio: claim,
            bits_per_param: None,
            scale: "≥ 1 M".to_string(),
            min_params,
            exposures: None,
        };
        let ratio = Estimate::of(&[0.5, 0.52, 0.48]).unwrap();
        let judged = |claim, params| {
            verdict(Some(&published(claim, Some(1000))), Some(params), None, Some(&ratio), None).unwrap()
        };
        assert_eq!(judged(Some(Claim::About(0.5)), 1000), Verdict::Agrees);
        assert_eq!(judged(Some(Claim::About(0.8)), 1000), Verdict::Disagrees);
        assert_eq!(judged(Some(Claim::AtMost(0.667)), 1000), Verdict::Agrees);
        assert_eq!(judged(Some(Claim::AtLeast(0.667)), 1000), Verdict::Disagrees);
        assert!(matches!(judged(Some(Claim::AtMost(0.5)), 1000), Verdict::Undecided(_)));
        assert!(matches!(judged(Some(Claim::About(0.5)), 999), Verdict::NotComparable(_)));
        assert!(matches!(judged(None, 1000), Verdict::NotComparable(_)));
        let unknown = published(Some(Claim::About(0.5)), None);
        assert!(matches!(
            verdict(Some(&unknown), Some(1000), None, Some(&ratio), None),
            Some(Verdict::NotComparable(_))
        ));
        let of_100 = Published { exposures: Some(100), ..published(Some(Claim::About(0.5)), Some(1000)) };
        let at = |exposures| verdict(Some(&of_100), Some(1000), exposures, Some(&ratio), None).unwrap();
        assert_eq!(at(Some(100)), Verdict::Agrees);
        let says = "not comparable: 300 exposures here, published at ≥ 1 M";
        assert_eq!(at(Some(300)).to_string(), says);
        assert!(matches!(at(None), Verdict::NotComparable(_)));
    }

    #[test]
    fn an_interval_that_holds_the_published_ratio_and_one_decides_nothing() {
        let wide = |value: f64| Claim::About(value).against(0.6, 1.2, Some(1.0));
        assert!(matches!(wide(0.77), Verdict::Undecided(_)));
        assert_eq!(
            (wide(1.0), wide(0.96), wide(1.3)),
            (Verdict::Agrees, Verdict::Agrees, Verdict::Disagrees)
        );
        assert_eq!(Claim::About(0.77).against(0.6, 0.9, Some(1.0)), Verdict::Agrees);
        assert_eq!(Claim::About(2.0).against(0.9, 2.1, None), Verdict::Agrees, "bits have no such value");
    }

    #[test]
    fn every_arm_is_in_holms_family_at_every_basis() {
        let mut evidence = fake::evidence();
        let again = ArmEvidence { basis: Basis::EqualRate, ..evidence.arms[3].clone() };
        evidence.arms.push(again);
        for run in &mut evidence.arms[2].runs {
            run.record.measurements.capacity.as_mut().unwrap().bits_per_param -= 2.0;
        }
        let comparison = compare(&evidence).unwrap();
        let quarter = arm(&comparison, "quarter", Basis::Primary);
        assert_eq!(quarter.ratio_to_control, None);
        let p = |name, basis| arm(&comparison, name, basis).ratio_to_control.clone().unwrap();
        let three = [
            p("gated", Basis::Primary).p.unwrap(),
            quarter.difference_to_control.as_ref().unwrap().p.unwrap(),
            p("none", Basis::Primary).p.unwrap(),
        ];
        let corrected = holm(&three)[2];
        assert_eq!(p("none", Basis::Primary).p_holm, Some(corrected));
        assert_eq!(p("none", Basis::EqualRate).p_holm, Some(corrected), "two arms stand there already");
    }

    #[test]
    fn a_rate_at_the_edge_of_what_was_tried_is_said_to_be_and_a_failed_trial_was_tried() {
        let says = |evidence: &Evidence| {
            let cautions = compare(evidence).unwrap().cautions;
            cautions.into_iter().filter(|caution| caution.contains("at the edge")).collect::<Vec<_>>()
        };
        let mut evidence = fake::evidence();
        assert!(says(&evidence).is_empty());
        evidence.arms[3].rate = 2e-3;
        assert_eq!(
            says(&evidence),
            ["The learning rate of “none” lies at the edge of what was tried (2e-3)."]
        );
        let last = evidence.tuning.last().unwrap().clone();
        evidence.tuning.push(TuningTrial { rate: 4e-3, value: f64::NEG_INFINITY, ..last });
        assert!(says(&evidence).is_empty());
        evidence.arms[3].rate = 1e-3;
        evidence.tuning.iter_mut().for_each(|trial| trial.rate = 1e-3);
        assert!(says(&evidence).is_empty(), "another key was tuned");
    }

    #[test]
    fn evidence_that_cannot_be_compared_is_an_error_with_a_remedy() {
        let mut nothing = fake::evidence();
        nothing.arms.iter_mut().for_each(|arm| arm.runs.clear());
        let error = compare(&nothing).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no finished run of mlp in profile quick, expected at least one; run `zoo run mlp` first"
        );
        let mut broken = fake::evidence();
        broken.control = "gtp2".to_string();
        broken.arms[1].runs[2].seed = 1;
        broken.arms[2].runs[0].record.environment.device = "cuda".to_string();
        let error = compare(&broken).unwrap_err();
        assert_eq!((error.kind, error.problems.len()), (Kind::Data, 3));
    }

    #[test]
    fn a_control_without_a_finished_run_is_named_with_its_causes() {
        let mut evidence = fake::evidence();
        evidence.arms.remove(0);
        evidence.missing = (1..=3)
            .map(|seed| MissingRun {
                arm: "gpt2".to_string(),
                seed,
                cause: "step 3: the loss is inf".to_string(),
            })
            .collect();
        assert_eq!(
            compare(&evidence).unwrap_err().to_string(),
            "no finished run of the control \"gpt2\" (step 3: the loss is inf), expected at least one, for all arms are \
             compared with it; mend the cause and `zoo run mlp`"
        );
        evidence.arms.clear();
        let error = compare(&evidence).unwrap_err().to_string();
        assert!(
            error.starts_with("no finished run of mlp in profile quick (step 3: the loss is inf)"),
            "{error}"
        );
    }

    #[test]
    fn a_comparison_survives_its_json() {
        for evidence in [fake::evidence(), fake::evidence_with_gaps(), fake::evidence_of_text()] {
            let comparison = compare(&evidence).unwrap();
            let json = serde_json::to_string(&comparison).unwrap();
            let read: Comparison = serde_json::from_str(&json).unwrap();
            // to 12 decimals: reading JSON may move the last bit of a number
            assert!(format!("{read:.12?}") == format!("{comparison:.12?}"));
        }
    }

    #[test]
    fn a_machine_is_listed_once_with_its_last_run() {
        let environments = compare(&fake::evidence()).unwrap().environments;
        assert_eq!((environments.len(), environments[0].finished.as_str()), (1, "2026-11-21T13:00:00Z"));
    }
}
