//! Several arms against one control: interval, p and finding of each from one statistic, `(m_a - m_c) / sqrt(s_a^2 / n_a +
//! s_c^2 / n_c)` on logarithms for ratios (Welch 1947), at a level that covers all arms and all looks of the design.
//!
//! Seeds are not paired: over the 59 arms of docs/results what a seed shares with its control explains next to nothing
//! (correlation 0.05 within arms), and unpaired seeds have about twice the degrees of freedom. Where they do share something
//! the interval is too wide, never too narrow.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::design::Design;
use super::estimate::{Contrast, Estimate, MIN_SEEDS, Spread};

/// More seeds than this are not named as a remedy.
const MOST_SEEDS: u64 = 1024;

/// An arm against its control, at a level that covers all arms and looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Ratio or difference.
    pub contrast: Contrast,
    /// The ratio of geometric means, or the difference of means, with its simultaneous interval; `n` counts the arm's seeds.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The seeds of the control.
    pub n_control: usize,
    /// Two-sided p, adjusted for all arms and looks: below 0.05 exactly where the interval excludes no effect.
    pub p: Option<f64>,
    /// What it amounts to.
    pub finding: Finding,
    /// The number of seeds that would settle it, if the spread and the effect are what they seem; of open ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles_at: Option<u64>,
}

/// What an interval amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The interval lies above no effect.
    Above,
    /// The interval lies below no effect.
    Below,
    /// The interval holds no effect and lies within the margin of equivalence: no difference that matters.
    Equivalent,
    /// The interval holds no effect and is as narrow as was asked for.
    Bounded,
    /// Neither.
    Open,
    /// Too few seeds for an interval.
    TooFew,
}

impl Finding {
    /// Whether more seeds are not needed: the effect is decided, or bounded.
    pub fn is_settled(self) -> bool {
        match self {
            Finding::Above | Finding::Below | Finding::Equivalent | Finding::Bounded => true,
            Finding::Open | Finding::TooFew => false,
        }
    }

    /// Whether the interval excludes no effect.
    pub fn is_effect(self) -> bool {
        match self {
            Finding::Above | Finding::Below => true,
            Finding::Equivalent | Finding::Bounded | Finding::Open | Finding::TooFew => false,
        }
    }
}

/// The test of Welch, before any level is chosen.
#[derive(Debug, Clone, Copy)]
struct Welch {
    mean: f64,
    error: f64,
    dof: f64,
    /// The variance of one seed of every side.
    variance: f64,
    /// The seeds of the side that has fewest.
    fewest: usize,
    sides: usize,
}

impl Welch {
    /// The sum of means, each times its weight; degrees of freedom after Welch and Satterthwaite.
    fn of(contrast: Contrast, sides: &[(f64, &[f64])]) -> Result<Welch, String> {
        if contrast == Contrast::Ratio
            && sides.iter().any(|(_, values)| values.iter().any(|&value| value <= 0.0))
        {
            return Err("a value is not above zero, so it has no ratio".to_string());
        }
        let spread = |values: &[f64]| {
            let scaled: Vec<f64> = values.iter().map(|&value| contrast.scale(value)).collect();
            Spread::of(&scaled).ok_or("a side has no value")
        };
        let sides = sides.iter().map(|(weight, values)| Ok((*weight, spread(values)?)));
        let sides: Vec<(f64, Spread)> = sides.collect::<Result<_, &str>>()?;
        let sum = |of: &dyn Fn(f64, Spread) -> f64| {
            sides.iter().map(|&(weight, side)| of(weight, side)).sum::<f64>()
        };
        let of_mean = |weight: f64, side: Spread| (weight * side.standard_error).powi(2);
        let variance = sum(&of_mean);
        let shares = sum(&|weight, side| of_mean(weight, side).powi(2) / (side.n as f64 - 1.0));
        let dof = match variance > 0.0 {
            true => variance.powi(2) / shares,
            false => sum(&|_, side| side.n as f64 - 1.0),
        };
        Ok(Welch {
            mean: sum(&|weight, side| weight * side.mean),
            error: variance.sqrt(),
            dof,
            variance: sum(&|weight, side| of_mean(weight, side) * side.n as f64),
            fewest: sides.iter().map(|(_, side)| side.n).min().unwrap_or(0),
            sides: sides.len(),
        })
    }

    /// An arm against its control.
    fn against(contrast: Contrast, arm: &[f64], control: &[f64]) -> Result<Welch, String> {
        if arm.is_empty() || control.is_empty() {
            let whose = if arm.is_empty() { "it" } else { "the control" };
            return Err(format!("{whose} has no finished run"));
        }
        Welch::of(contrast, &[(1.0, arm), (-1.0, control)])
    }

    /// What an interval at a level amounts to, without p.
    fn compared(
        &self,
        contrast: Contrast,
        level: f64,
        design: &Design,
        n: usize,
        n_control: usize,
    ) -> Compared {
        let few = match self.fewest {
            1 => Some(format!("1 seed; an interval needs {MIN_SEEDS}")),
            n if n < MIN_SEEDS => Some(format!("{n} seeds; an interval needs {MIN_SEEDS}")),
            _ => None,
        };
        let half = few.is_none().then(|| self.half(level));
        let estimate = Estimate {
            mean: contrast.back(self.mean),
            low: half.map(|half| contrast.back(self.mean - half)),
            high: half.map(|half| contrast.back(self.mean + half)),
            n,
            reason: few,
        };
        let finding = self.finding(level, design);
        Compared { contrast, estimate, n_control, p: None, finding, settles_at: None }
    }

    /// The same with p and, where it is open, with what would settle it.
    fn whole(&self, compared: Compared, design: &Design, look: usize, arms: usize) -> Compared {
        let p = compared.estimate.low.map(|_| design.adjusted(self.p(), look, arms));
        let settles_at = if compared.finding == Finding::Open { self.settles_at(arms, design) } else { None };
        Compared { p, settles_at, ..compared }
    }

    /// The seeds of one look at which half an interval is no wider than the effect seems, or than was asked for.
    fn settles_at(&self, arms: usize, design: &Design) -> Option<u64> {
        let narrow = self.mean.abs().max(design.within);
        let half = |n: u64| {
            let level = Design { looks: vec![n], ..design.clone() }.levels(arms)[0];
            quantile(level, self.sides as f64 * (n as f64 - 1.0)) * (self.variance / n as f64).sqrt()
        };
        (design.most() + 1..=MOST_SEEDS).find(|&n| half(n) <= narrow)
    }

    fn half(&self, level: f64) -> f64 {
        quantile(level, self.dof) * self.error
    }

    fn p(&self) -> f64 {
        match (self.mean == 0.0, self.error > 0.0) {
            (true, _) => 1.0,
            (false, true) => 2.0 * student(self.dof).cdf(-(self.mean / self.error).abs()),
            (false, false) => 0.0,
        }
    }

    fn finding(&self, level: f64, design: &Design) -> Finding {
        if self.fewest < MIN_SEEDS {
            return Finding::TooFew;
        }
        let (half, margin) = (self.half(level), design.margin.ln());
        match (self.mean - half, self.mean + half) {
            (low, _) if low > 0.0 => Finding::Above,
            (_, high) if high < 0.0 => Finding::Below,
            (low, high) if low > -margin && high < margin => Finding::Equivalent,
            _ if half <= design.within => Finding::Bounded,
            _ => Finding::Open,
        }
    }
}

/// Sets an arm against its control at a look of a design with so many `arms`, each value the result of one seed.
///
/// # Errors
/// A sentence, if one of them has no value, or if a ratio is asked of values that are not above zero.
pub fn compare(
    contrast: Contrast,
    arm: &[f64],
    control: &[f64],
    design: &Design,
    look: usize,
    arms: usize,
) -> Result<Compared, String> {
    let welch = Welch::against(contrast, arm, control)?;
    let found = welch.compared(contrast, design.levels(arms)[look], design, arm.len(), control.len());
    Ok(welch.whole(found, design, look, arms))
}

/// The same at a level that is known already, without p and without what would settle it.
///
/// # Errors
/// As [`compare`].
pub fn compare_at(
    level: f64,
    contrast: Contrast,
    arm: &[f64],
    control: &[f64],
    design: &Design,
) -> Result<Compared, String> {
    let welch = Welch::against(contrast, arm, control)?;
    Ok(welch.compared(contrast, level, design, arm.len(), control.len()))
}

/// A sum of means, each times its weight (on logarithms for ratios), at a look of a design with so many `contrasts`.
///
/// # Errors
/// A sentence, if a side has fewer than three values, or a ratio is asked of values that are not above zero.
pub fn compare_cells(
    contrast: Contrast,
    cells: &[(f64, &[f64])],
    design: &Design,
    look: usize,
    contrasts: usize,
) -> Result<Compared, String> {
    let fewest = cells.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    if fewest < MIN_SEEDS {
        return Err(format!("a cell has {fewest} seeds; an interval needs {MIN_SEEDS}"));
    }
    let welch = Welch::of(contrast, cells)?;
    let found = welch.compared(contrast, design.levels(contrasts)[look], design, fewest, fewest);
    Ok(welch.whole(found, design, look, contrasts))
}

/// Whether no arm needs more seeds: each is decided or bounded, or has so few values that more would not help.
pub fn decide(contrast: Contrast, control: &[f64], arms: &[Vec<f64>], design: &Design, look: usize) -> bool {
    let level = design.levels(arms.len())[look];
    design.looks[look] >= MIN_SEEDS as u64 && decide_at(level, contrast, control, arms, design)
}

/// The same at a level that is known already.
pub fn decide_at(
    level: f64,
    contrast: Contrast,
    control: &[f64],
    arms: &[Vec<f64>],
    design: &Design,
) -> bool {
    // What has no ratio is compared by its difference, whose width has no meaning beforehand.
    let plain = Design { within: 0.0, margin: 1.0, ..design.clone() };
    let settled = |arm: &Vec<f64>| {
        let ratio = Welch::against(contrast, arm, control).map(|welch| welch.finding(level, design));
        let plain =
            |_| Welch::against(Contrast::Difference, arm, control).map(|welch| welch.finding(level, &plain));
        ratio.or_else(plain).map_or(true, |found| found.is_settled() || found == Finding::TooFew)
    };
    arms.iter().all(settled)
}

fn student(dof: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, dof).expect("two values or more have a degree of freedom")
}

fn quantile(level: f64, dof: f64) -> f64 {
    student(dof).inverse_cdf(1.0 - level / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: [f64; 4] = [1.00, 1.05, 0.95, 1.02];

    fn ratio(arm: &[f64], design: &Design, arms: usize) -> Compared {
        compare(Contrast::Ratio, arm, &CONTROL, design, 0, arms).unwrap()
    }

    /// By hand, the density integrated numerically: t = -15.4058 at 4.7360 degrees of freedom, p = 3.1524e-5, 95 % interval
    /// of the logarithm -0.77241 to -0.54830.
    #[test]
    fn one_arm_at_one_look_is_the_test_of_welch() {
        let arm = [0.50, 0.53, 0.48, 0.57];
        let found = ratio(&arm, &Design::fixed(4), 1);
        assert!((found.estimate.low.unwrap().ln() + 0.772_41).abs() < 1e-4, "{found:?}");
        assert!((found.estimate.high.unwrap().ln() + 0.548_30).abs() < 1e-4, "{found:?}");
        assert!((found.p.unwrap() / 3.1524e-5 - 1.0).abs() < 1e-3, "{found:?}");
        assert_eq!((found.finding, found.n_control), (Finding::Below, 4));
    }

    #[test]
    fn an_interval_excludes_one_exactly_where_its_p_is_below_five_percent() {
        for design in [Design::fixed(4), Design::sequential(4, 16, 0.1)] {
            for arms in [1, 3, 8] {
                for step in 0..200 {
                    let shift = 1.0 + 0.002 * f64::from(step);
                    let found =
                        ratio(&[1.0 * shift, 1.04 * shift, 0.97 * shift, 1.01 * shift], &design, arms);
                    let excludes = found.estimate.excludes(1.0).unwrap();
                    assert_eq!(excludes, found.p.unwrap() < 0.05, "{found:?}");
                    assert_eq!(excludes, found.finding.is_effect());
                }
            }
        }
    }

    #[test]
    fn more_arms_and_more_looks_widen_the_interval() {
        let arm = [0.90, 0.96, 0.91, 0.97];
        let wide = |design: &Design, arms| {
            let estimate = ratio(&arm, design, arms).estimate;
            estimate.high.unwrap() / estimate.low.unwrap()
        };
        let looks = Design::sequential(4, 16, 0.1);
        assert!(wide(&Design::fixed(4), 1) < wide(&Design::fixed(4), 3));
        assert!(wide(&Design::fixed(4), 3) < wide(&looks, 3));
    }

    #[test]
    fn a_narrow_interval_around_one_is_an_answer_and_a_wide_one_says_how_many_seeds_it_needs() {
        let design = Design::fixed(4);
        let near: Vec<f64> = (0..4).map(|k| 1.0 + 0.005 * f64::from(k)).collect();
        let same = compare(Contrast::Ratio, &near, &near, &design, 0, 1).unwrap();
        assert_eq!((same.finding, same.settles_at), (Finding::Equivalent, None));
        let bounded = Design { margin: 1.001, ..design.clone() };
        let same = compare(Contrast::Ratio, &near, &near, &bounded, 0, 1).unwrap();
        assert_eq!(same.finding, Finding::Bounded);
        let open = ratio(&[0.6, 1.4, 1.0, 0.8], &design, 1);
        assert_eq!(open.finding, Finding::Open);
        let settles = open.settles_at.unwrap();
        assert!((20..200).contains(&settles), "{settles}");
    }

    #[test]
    fn two_seeds_give_a_mean_and_a_reason_and_nothing_below_zero_a_ratio() {
        let few = ratio(&[0.5, 0.6], &Design::fixed(2), 1);
        assert_eq!((few.finding, few.p, few.estimate.low), (Finding::TooFew, None, None));
        assert_eq!(few.estimate.reason.unwrap(), "2 seeds; an interval needs 3");
        let below = compare(Contrast::Ratio, &[-0.1, 0.1, 0.2], &CONTROL, &Design::fixed(3), 0, 1);
        assert_eq!(below.unwrap_err(), "a value is not above zero, so it has no ratio");
        let none = compare(Contrast::Ratio, &[], &CONTROL, &Design::fixed(3), 0, 1);
        assert_eq!(none.unwrap_err(), "it has no finished run");
    }

    #[test]
    fn runs_that_agree_in_every_bit_have_no_width_and_no_effect() {
        let same = [1.5; 3];
        let found = compare(Contrast::Ratio, &same, &same, &Design::fixed(3), 0, 1).unwrap();
        assert_eq!((found.estimate.low, found.estimate.high, found.p), (Some(1.0), Some(1.0), Some(1.0)));
        assert_eq!(found.finding, Finding::Equivalent);
    }

    #[test]
    fn all_arms_go_on_together_until_each_is_settled() {
        let design = Design::sequential(4, 16, 0.1);
        let clear = vec![0.5, 0.52, 0.49, 0.51];
        let open = vec![0.7, 1.3, 1.1, 0.8];
        assert!(decide(Contrast::Ratio, &CONTROL, std::slice::from_ref(&clear), &design, 0));
        assert!(!decide(Contrast::Ratio, &CONTROL, &[clear.clone(), open], &design, 0));
        // Nothing comes of more seeds where all have diverged.
        assert!(decide(Contrast::Ratio, &CONTROL, &[clear.clone(), Vec::new()], &design, 0));
        let nothing = vec![-0.01, 0.01, 0.0, 0.005];
        assert!(decide(Contrast::Ratio, &CONTROL, &[clear, nothing], &design, 0));
    }

    /// Two factors of two levels, an effect of 2 of the first, none of the second, and no interaction.
    #[test]
    fn a_main_effect_is_the_mean_over_the_other_factor_and_an_interaction_the_difference_of_differences() {
        let cell = |mean: f64| [0.97, 1.0, 1.03, 1.01].map(|scatter| mean * scatter);
        let (a, b, c, d) = (cell(1.0), cell(1.0), cell(2.0), cell(2.0));
        let design = Design::fixed(4);
        let of = |weights: [f64; 4]| {
            let cells: Vec<(f64, &[f64])> = weights.into_iter().zip([&a[..], &b, &c, &d]).collect();
            compare_cells(Contrast::Ratio, &cells, &design, 0, 3).unwrap()
        };
        let main = of([-0.5, -0.5, 0.5, 0.5]);
        assert!((main.estimate.mean - 2.0).abs() < 1e-12 && main.finding == Finding::Above, "{main:?}");
        let interaction = of([1.0, -1.0, -1.0, 1.0]);
        assert!((interaction.estimate.mean - 1.0).abs() < 1e-12 && !interaction.finding.is_effect());
        // Four cells of one variance: sqrt(4 (0.5^2) s^2 / n) and sqrt(4 s^2 / n).
        let wide =
            |compared: &Compared| (compared.estimate.high.unwrap() / compared.estimate.low.unwrap()).ln();
        assert!((wide(&interaction) / wide(&main) - 2.0).abs() < 1e-9);
        let few: Vec<(f64, &[f64])> = vec![(1.0, &a[..2]), (-1.0, &b[..])];
        assert!(compare_cells(Contrast::Ratio, &few, &design, 0, 1).is_err());
    }
}
