//! The answer in sentences, made from the numbers and never beyond them.

use super::comparison::{ArmResult, Comparison, Measure};
use super::evidence::Basis;
use super::number::{self, list, plural};
use super::statistics::{Contrast, Effect, MIN_SEEDS};
use super::walk::{StepResult, WalkResult};

/// What an effect amounts to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finding {
    More,
    Less,
    NotAfterHolm,
    NotShown,
    TooFew,
    NoNumber,
}

/// A corrected p above this shows nothing.
const SIGNIFICANT: f64 = 0.05;

impl Finding {
    fn of(effect: Option<(Contrast, Effect)>) -> Finding {
        let Some((contrast, effect)) = effect else { return Finding::NoNumber };
        match effect.estimate.excludes(contrast.none()) {
            None => Finding::TooFew,
            Some(false) => Finding::NotShown,
            Some(true) if effect.p_holm.is_some_and(|p| p > SIGNIFICANT) => Finding::NotAfterHolm,
            Some(true) if effect.estimate.mean > contrast.none() => Finding::More,
            Some(true) => Finding::Less,
        }
    }
}

/// The effect of an arm; where nothing is left to make a ratio of, the difference.
fn effect(comparison: &Comparison, arm: &'_ ArmResult) -> Option<(Contrast, Effect)> {
    let difference = || Some((Contrast::Difference, arm.difference_to_control.clone()?));
    arm.effect(comparison.measure).map(|(contrast, effect)| (contrast, effect.clone())).or_else(difference)
}

/// The headline, a few sentences per arm, and the scale at which all of it holds.
pub fn answer(comparison: &Comparison) -> Vec<String> {
    let others: Vec<&ArmResult> =
        comparison.primary_arms().filter(|arm| arm.arm != comparison.control).collect();
    let of_walk = comparison.walk.as_ref().map(|walk| of_walk(comparison.measure, walk));
    let mut sentences: Vec<String> = of_walk.into_iter().chain([headline(comparison, &others)]).collect();
    let compared = comparison.arms.iter().filter(|arm| arm.arm != comparison.control);
    sentences.extend(compared.map(|arm| about(comparison, arm)));
    sentences.extend(about_control(comparison));
    sentences.push(scale(comparison));
    sentences
}

fn headline(comparison: &Comparison, others: &[&ArmResult]) -> String {
    let control = quoted(&comparison.control);
    let (more, less) = match comparison.measure {
        Measure::BitsPerParam => ("more bits per parameter", "fewer bits per parameter"),
        Measure::HeldOutLoss => ("a higher held-out loss", "a lower held-out loss"),
        Measure::Answers => ("more questions", "fewer questions"),
    };
    let verb = match comparison.measure {
        Measure::BitsPerParam => ["stores", "store"],
        Measure::HeldOutLoss => ["has", "have"],
        Measure::Answers => ["answers", "answer"],
    };
    let part = |finding: Finding, [one, many]: [&str; 2], rest: String| {
        let found = others.iter().filter(|arm| Finding::of(effect(comparison, arm)) == finding);
        let names: Vec<String> = found.map(|arm| quoted(&arm.arm)).collect();
        let verb = if names.len() == 1 { one } else { many };
        (!names.is_empty()).then(|| format!("{} {verb} {rest}", list(&names)))
    };
    let parts = [
        part(Finding::Less, verb, format!("{less} than {control}")),
        part(Finding::More, verb, format!("{more} than {control}")),
        part(
            Finding::NotAfterHolm,
            ["differs", "differ"],
            format!("from {control}, but not after Holm's correction"),
        ),
        part(Finding::NotShown, ["is", "are"], format!("not shown to differ from {control}")),
        part(Finding::TooFew, ["has", "have"], "too few seeds for an answer".to_string()),
        part(Finding::NoNumber, ["has", "have"], format!("no ratio to {control}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => format!("There is nothing to compare yet: {control} is the only arm."),
        false => format!("{}.", parts.join("; ")),
    }
}

/// Which step of a walk moves the measure, if one is shown to do so at both ends.
fn of_walk(measure: Measure, walk: &WalkResult) -> String {
    let (contrast, what) = match measure {
        Measure::BitsPerParam => (Contrast::Ratio, "bits per parameter"),
        Measure::HeldOutLoss => (Contrast::Difference, "held-out loss"),
        Measure::Answers => (Contrast::Difference, "share of right answers"),
    };
    let (from, to) = (quoted(&walk.from), quoted(&walk.to));
    match walk.culprit(contrast) {
        Some(StepResult { name, added: Some(added), removed: Some(removed), .. }) => format!(
            "Of all steps from {from} to {to}, {} moves the {what} furthest: {} added to {from}{}, {} in {to} against \
             {to} without it{}.",
            quoted(name),
            numbers(contrast, added),
            holm_note(added),
            numbers(contrast, removed),
            holm_note(removed)
        ),
        _ => format!("No single step from {from} to {to} is shown to move the {what} at both ends."),
    }
}

/// One arm: what was found, how sure it is, and how it stands to what was published.
fn about(comparison: &Comparison, arm: &ArmResult) -> String {
    let (name, control) = (quoted_label(arm), quoted(&comparison.control));
    let Some((contrast, effect)) = effect(comparison, arm) else {
        let why = arm.no_ratio.as_deref().unwrap_or("it was not measured");
        return format!("{name} has no ratio to {control}: {why}.");
    };
    let effect = &effect;
    let numbers = numbers(contrast, effect);
    let found = match Finding::of(Some((contrast, effect.clone()))) {
        Finding::More | Finding::Less | Finding::NotAfterHolm => {
            let found = size(comparison.measure, contrast, effect.estimate.mean, &control);
            format!(
                "{name} {found} ({numbers}). The interval excludes {}{}.",
                contrast.none(),
                holm_note(effect)
            )
        }
        Finding::NotShown => format!(
            "{name} is not shown to differ from {control} ({numbers}): the interval includes {}.{}",
            contrast.none(),
            power_note(contrast, effect)
        ),
        Finding::TooFew | Finding::NoNumber => format!(
            "{name} against {control}: {numbers}; fewer than {MIN_SEEDS} seeds give no interval, so this is no \
             answer yet."
        ),
    };
    found + &published_note(arm)
}

/// The control beside what was published about it, if anything was.
fn about_control(comparison: &Comparison) -> Option<String> {
    let control = comparison.control_arm();
    let (bits, _) = control.bits_per_param.as_ref().zip(control.published.as_ref())?;
    let range = number::range(bits).map_or(String::new(), |range| format!("95 % interval {range}, "));
    let (name, mean, seeds) = (quoted(&control.arm), number::mean(bits), plural(bits.n, "seed"));
    Some(format!("{name} stores {mean} bits per parameter ({range}{seeds}).{}", published_note(control)))
}

fn numbers(contrast: Contrast, effect: &Effect) -> String {
    let what = match contrast {
        Contrast::Ratio => "ratio",
        Contrast::Difference => "difference",
    };
    let mean = number::mean(&effect.estimate);
    let seeds = plural(effect.estimate.n, "seed");
    match number::range(&effect.estimate) {
        Some(range) => format!("{what} {mean}, 95 % interval {range}, {seeds}"),
        None => format!("{what} {mean}, {seeds}"),
    }
}

fn size(measure: Measure, contrast: Contrast, mean: f64, control: &str) -> String {
    match measure {
        Measure::BitsPerParam if contrast == Contrast::Difference => {
            let direction = if mean < 0.0 { "fewer" } else { "more" };
            format!("stores {} bits per parameter {direction} than {control}", number::three(mean.abs()))
        }
        Measure::BitsPerParam if (mean - 1.0).abs() < 0.1 => {
            let direction = if mean < 1.0 { "fewer" } else { "more" };
            let percent = number::three(100.0 * (mean - 1.0).abs());
            format!("stores {percent} % {direction} bits per parameter than {control}")
        }
        Measure::BitsPerParam if mean < 1.0 => {
            format!("stores {} times fewer bits per parameter than {control}", number::three(1.0 / mean))
        }
        Measure::BitsPerParam => {
            format!("stores {} times as many bits per parameter as {control}", number::three(mean))
        }
        Measure::HeldOutLoss => {
            let direction = if mean < 0.0 { "lower" } else { "higher" };
            format!(
                "has a held-out loss {} nats per token {direction} than {control}",
                number::three(mean.abs())
            )
        }
        Measure::Answers => {
            let direction = if mean < 0.0 { "fewer" } else { "more" };
            let points = number::three(100.0 * mean.abs());
            format!("answers {points} of a hundred questions {direction} than {control}")
        }
    }
}

/// Several arms tested at once find something by chance; silent where the correction changes nothing.
fn holm_note(effect: &Effect) -> String {
    match effect.p_holm {
        Some(p) if p > SIGNIFICANT => {
            format!(", but not after Holm's correction for several arms (p = {})", number::p(p))
        }
        Some(_) | None => String::new(),
    }
}

fn power_note(contrast: Contrast, effect: &Effect) -> String {
    let Some(detectable) = effect.detectable else { return String::new() };
    let least = match contrast {
        Contrast::Ratio => format!("factor below {}", number::three(detectable)),
        Contrast::Difference => format!("difference below {}", number::three(detectable)),
    };
    format!(" A {least} would usually be missed with {} of this spread.", plural(effect.estimate.n, "seed"))
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

/// The name of an arm with its basis, inside a sentence.
pub fn quoted_label(arm: &ArmResult) -> String {
    match arm.basis {
        Basis::Primary => quoted(&arm.arm),
        basis @ (Basis::EqualRate | Basis::EqualRmax) => format!("{} at {}", quoted(&arm.arm), basis.label()),
    }
}
