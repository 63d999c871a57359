//! The answer in sentences, made from the numbers and never beyond them: the finding, its size, its certainty, and what
//! to do next.

use super::comparison::{ArmResult, Comparison, Measure};
use super::evidence::Basis;
use super::number::{self, list, plural};
use super::walk::{StepResult, WalkResult};
use crate::plan::ablation::CONTROL;
use crate::statistics::{CONFIDENCE, Compared, Contrast, Finding, MIN_SEEDS};

/// Arms that the headline names; the rest are counted.
const NAMED: usize = 6;

/// Times as many seeds halve an interval.
const HALVES: u64 = 4;

/// The headline, the certainty of it, a sentence or two per arm, and the scale at which all of it holds.
pub fn answer(comparison: &Comparison) -> Vec<String> {
    let of_walk = comparison.walk.as_ref().map(|walk| of_walk(comparison.measure, walk));
    let of_factors = comparison.factorial.as_ref().map(|found| found.in_words(unit(comparison.measure)));
    let mut sentences: Vec<String> =
        of_walk.into_iter().chain(of_factors).chain([headline(comparison)]).collect();
    sentences.extend(certainty(comparison));
    let compared = comparison.arms.iter().filter(|arm| arm.arm != comparison.control);
    sentences.extend(compared.map(about));
    sentences.extend(about_control(comparison));
    sentences.push(scale(comparison));
    sentences
}

/// What was found of each arm of the primary comparison, the largest effects first, in a sentence each.
fn headline(comparison: &Comparison) -> String {
    let mut arms: Vec<&ArmResult> =
        comparison.primary_arms().filter(|arm| arm.arm != comparison.control).collect();
    if arms.is_empty() {
        return format!(
            "There is nothing to compare yet: {} is the only arm.",
            named(comparison.control_arm())
        );
    }
    let rank = |arm: &&ArmResult| match arm.claim() {
        Some(Compared { finding: Finding::Above | Finding::Below, contrast, estimate, .. }) => {
            (0, -contrast.scale(estimate.mean).abs())
        }
        Some(Compared { finding: Finding::Equivalent, .. }) => (1, 0.0),
        Some(Compared { finding: Finding::Bounded, .. }) => (2, 0.0),
        Some(Compared { finding: Finding::Open, .. }) => (3, 0.0),
        Some(Compared { finding: Finding::TooFew, .. }) => (4, 0.0),
        None => (5, 0.0),
    };
    arms.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let claimed: Vec<&ArmResult> = arms.iter().copied().filter(|arm| arm.claim().is_some()).collect();
    let found = |(place, arm): (usize, &&ArmResult)| {
        let place = if place == 0 { Place::First } else { Place::Later };
        Some(finding(comparison, arm, arm.claim()?, place))
    };
    let mut sentences: Vec<String> = claimed.iter().enumerate().take(NAMED).filter_map(found).collect();
    if claimed.len() > NAMED {
        sentences.push(format!("{} more are in the table.", claimed.len() - NAMED));
    }
    sentences.extend(not_claimed(&arms));
    sentences.join(" ")
}

/// The arms of which nothing is claimed, those with one reason together.
fn not_claimed(arms: &[&ArmResult]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for arm in arms.iter().filter(|arm| arm.claim().is_none()) {
        let reason = arm.not_claimed.clone().or_else(|| arm.no_ratio.clone());
        let reason = reason.unwrap_or_else(|| "it was not measured".to_string());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(named(arm)),
            None => reasons.push((reason, vec![named(arm)])),
        }
    }
    let all = |names: &Vec<String>| names.len() == arms.len() && names.len() > 1;
    reasons
        .iter()
        .map(|(reason, names)| match all(names) {
            true => format!("No comparison: {reason}."),
            false => format!("No comparison of {}: {reason}.", list(names)),
        })
        .collect()
}

/// Where a sentence stands: the first says what its numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

/// One arm in a sentence.
fn finding(comparison: &Comparison, arm: &ArmResult, compared: &Compared, place: Place) -> String {
    let name = named(arm);
    let range = number::range(&compared.estimate).unwrap_or_default();
    let range = match place {
        Place::First => format!("{:.0} % interval {range}", 100.0 * CONFIDENCE),
        Place::Later => range,
    };
    let margin = comparison.design.as_ref().map_or(1.0, |design| design.margin);
    let seeds = match compared.settles_at {
        Some(seeds) => format!("; about {seeds} seeds would settle it"),
        None => String::new(),
    };
    match compared.finding {
        Finding::Above | Finding::Below => {
            format!("{name} {} ({range}).", size(comparison, compared))
        }
        Finding::Equivalent => {
            let least = least(compared.contrast, comparison.measure, margin);
            format!("{name}: no difference of {least} or more ({range}).")
        }
        Finding::Bounded => format!("{name}: no detectable difference ({range})."),
        Finding::Open => {
            format!("{name}: open, {} ({range}){seeds}.", number::mean(&compared.estimate))
        }
        Finding::TooFew => format!(
            "{name}: no answer yet, {} ({}).",
            number::mean(&compared.estimate),
            compared.estimate.reason.as_deref().unwrap_or("too few seeds")
        ),
    }
}

/// The margin of equivalence in the unit of the measure.
fn least(contrast: Contrast, measure: Measure, margin: f64) -> String {
    match (contrast, measure) {
        (Contrast::Ratio, _) => format!("{} %", number::short(100.0 * (margin - 1.0))),
        (Contrast::Difference, Measure::HeldOutLoss) => format!("{} nats", number::three(margin.ln())),
        (Contrast::Difference, Measure::Answers) => {
            format!("{} of a hundred questions", number::short(100.0 * margin.ln()))
        }
        (Contrast::Difference, Measure::BitsPerParam) => format!("{} bits", number::three(margin.ln())),
    }
}

/// What an arm does, in the unit of the measure.
fn size(comparison: &Comparison, compared: &Compared) -> String {
    let mean = number::mean(&compared.estimate);
    let amount = number::fixed(compared.estimate.mean.abs(), number::decimals(compared.estimate.mean));
    let of = format!("{}'s", named(comparison.control_arm()));
    let is_less = compared.finding == Finding::Below;
    match (comparison.measure, compared.contrast) {
        (Measure::BitsPerParam, Contrast::Ratio) => format!("stores {mean} times {of} bits per parameter"),
        (Measure::BitsPerParam, Contrast::Difference) => {
            let direction = if is_less { "fewer" } else { "more" };
            format!("stores {amount} bits per parameter {direction} than {}", named(comparison.control_arm()))
        }
        (Measure::HeldOutLoss, _) => {
            let verb = if is_less { "lowers" } else { "raises" };
            format!("{verb} {of} held-out loss by {amount} nats per token")
        }
        (Measure::Answers, _) => {
            let direction = if is_less { "fewer" } else { "more" };
            let points = number::three(100.0 * compared.estimate.mean.abs());
            format!(
                "answers {points} of a hundred questions {direction} than {}",
                named(comparison.control_arm())
            )
        }
    }
}

/// How sure all of it is together, and whether more seeds were planned.
fn certainty(comparison: &Comparison) -> Option<String> {
    let design = comparison.design.as_ref()?;
    let compared: Vec<&ArmResult> = comparison.primary_arms().filter(|arm| arm.claim().is_some()).collect();
    let seeds = compared.iter().map(|arm| arm.n_runs).max()?;
    let arms = match compared.len() {
        1 => "The interval holds".to_string(),
        n => format!("The intervals of all {n} arms hold together"),
    };
    let looks = if design.looks.len() > 1 { ", whichever look is the last," } else { "" };
    let share = 100.0 * CONFIDENCE;
    let more = match comparison.next_look() {
        Some(next) => format!(" The next look is at {}.", plural(next as usize, "seed")),
        None => String::new(),
    };
    Some(format!("{arms}{looks} with {share:.0} % confidence, over {} per arm.{more}", plural(seeds, "seed")))
}

/// What to do next, with its cost by the seconds of the runs so far, so many of them at a time.
pub fn next(comparison: &Comparison, ablation: &str, parallel: usize) -> Option<String> {
    let design = comparison.design.as_ref()?;
    let compared = || comparison.primary_arms().filter_map(ArmResult::claim);
    let seeds = comparison.primary_arms().map(|arm| arm.n_runs as u64).max()?;
    let (purpose, seeds) = match (comparison.next_look(), compared().filter_map(|c| c.settles_at).max()) {
        (Some(_), _) => {
            return Some(format!("Next: `{}` goes on with the planned seeds.", comparison.command));
        }
        (None, Some(settles)) => ("To settle what is open", settles),
        (None, None) if compared().next().is_some() && seeds >= design.least() => {
            ("To halve the intervals", HALVES * seeds)
        }
        (None, None) => return None,
    };
    let (mut runs, mut seconds) = (0, 0.0);
    for arm in comparison.primary_arms() {
        let more = seeds.saturating_sub(arm.n_runs as u64);
        runs += more;
        seconds += more as f64 * arm.seconds.as_ref().map_or(0.0, |seconds| seconds.mean);
    }
    let cost = number::about(seconds / parallel.max(1) as f64);
    let runs = plural(runs as usize, "more run");
    Some(format!(
        "{purpose}, as an exploration: `{ablation} --set repeat.seeds={seeds}`, {runs}, about {cost}."
    ))
}

/// Which step of a walk moves the measure, if one is shown to do so at both ends.
fn of_walk(measure: Measure, walk: &WalkResult) -> String {
    let moved = match measure {
        Measure::BitsPerParam => "bits per parameter",
        Measure::HeldOutLoss => "held-out loss",
        Measure::Answers => "share of right answers",
    };
    let (from, to) = (quoted(&walk.from), quoted(&walk.to));
    match walk.culprit() {
        Some(StepResult { name, added: Some(added), removed: Some(removed), .. }) => {
            let [added, removed] = [added, removed]
                .map(|effect| format!("{} {}", what(effect.contrast), number::estimate(&effect.estimate)));
            format!(
                "Of all steps from {from} to {to}, {} moves the {moved} furthest: {added} where it is added to {from}, \
                 {removed} in {to} against {to} without it.",
                quoted(name)
            )
        }
        _ => format!("No single step from {from} to {to} is shown to move the {moved} at both ends."),
    }
}

/// One arm: what was found, how sure it is, and how it stands to what was published.
fn about(arm: &ArmResult) -> String {
    let name = named(arm);
    let changes = match arm.differs.is_empty() {
        true => String::new(),
        false => format!(" It changes {}.", arm.differs),
    };
    let found = match (&arm.not_claimed, &arm.compared) {
        (Some(reason), _) => format!("Nothing is claimed of {name}: {reason}."),
        (None, Some(compared)) if compared.finding == Finding::TooFew => format!(
            "{name}: {} {}; fewer than {MIN_SEEDS} seeds give no interval, so this is no answer yet.",
            what(compared.contrast),
            number::mean(&compared.estimate)
        ),
        (None, Some(compared)) => {
            let p = compared.p.map_or_else(String::new, |p| format!(", p {}", equals(p)));
            format!(
                "{name}: {} {}{p}, {} against {} of the control.",
                what(compared.contrast),
                number::estimate(&compared.estimate),
                plural(compared.estimate.n, "seed"),
                compared.n_control
            )
        }
        (None, None) => {
            let why = arm.no_ratio.as_deref().unwrap_or("it was not measured");
            format!("{name} has no ratio to the control: {why}.")
        }
    };
    found + &changes + &published_note(arm)
}

/// What an effect is counted in.
fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::BitsPerParam => "multiple of the bits per parameter",
        Measure::HeldOutLoss => "difference of the held-out loss",
        Measure::Answers => "difference of the share of right answers",
    }
}

fn equals(p: f64) -> String {
    let p = number::p(p);
    if p.starts_with('<') { p } else { format!("= {p}") }
}

fn what(contrast: Contrast) -> &'static str {
    match contrast {
        Contrast::Ratio => "ratio",
        Contrast::Difference => "difference",
    }
}

/// The control beside what was published about it, if anything was.
fn about_control(comparison: &Comparison) -> Option<String> {
    let control = comparison.control_arm();
    let (bits, _) = control.bits_per_param.as_ref().zip(control.published.as_ref())?;
    let range = number::range(bits).map_or(String::new(), |range| format!("95 % interval {range}, "));
    let (name, mean, seeds) = (named(control), number::mean(bits), plural(bits.n, "seed"));
    Some(format!("{name} stores {mean} bits per parameter ({range}{seeds}).{}", published_note(control)))
}

fn published_note(arm: &ArmResult) -> String {
    match (&arm.published, &arm.verdict) {
        (Some(published), Some(verdict)) => format!(" Published: {}; {verdict}.", published.text),
        (None, _) | (_, None) => String::new(),
    }
}

fn scale(comparison: &Comparison) -> String {
    let sizes: Vec<u64> = comparison.primary_arms().filter_map(|arm| arm.params).collect();
    let least = sizes.iter().min().map_or(String::new(), |&n| number::millions(n as f64));
    let most = sizes.iter().max().map_or(String::new(), |&n| number::millions(n as f64));
    let size = if least == most { least } else { format!("{least} to {most}") };
    let devices: Vec<&str> = comparison.environments.iter().take(1).map(|e| e.device.as_str()).collect();
    format!(
        "This was measured at {size} parameters (profile {}, {}); it says nothing about other sizes.",
        comparison.profile,
        list(&devices)
    )
}

/// A name of an arm inside a sentence, where a bare `none` would be read as a word.
pub fn quoted(name: &str) -> String {
    format!("“{name}”")
}

/// An arm inside a sentence: its label as it is, or else its name in quotes, with its basis.
pub fn named(arm: &ArmResult) -> String {
    let own = || if arm.arm == CONTROL { "the control".to_string() } else { quoted(&arm.arm) };
    let name = arm.label.clone().unwrap_or_else(own);
    match arm.basis {
        Basis::Primary => name,
        basis @ (Basis::EqualRate | Basis::EqualRmax) => format!("{name} at {}", basis.label()),
    }
}
