//! `FLOPs_scratch / FLOPs_other - 1` at equal loss: how much sooner another way of training arrives, and when
//! to grow.
//!
//! Du et al. 2024 (arXiv 2405.15319, "Gstack"), section 3.2 (speed-up) and 4.2 (how long to train the small
//! model). A run that has not arrived by its end, or was there before its first point, bounds the answer from
//! one side.

use std::fmt;

use super::curves::{Curve, Descent, Passage, Smoothing};
use crate::error::{Error, Problem, Result};

/// The answer, as far as the curves give it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speedup {
    /// Both runs pass the loss: 0.5 means that scratch needs half as many FLOPs again.
    Measured(f64),
    /// Scratch had not arrived by its end, or the other was there before its first point.
    AtLeast(f64),
    /// The other had not arrived by its end, or scratch was there before its first point.
    AtMost(f64),
    /// Neither curve says anything about this loss, or both bound the answer from different sides.
    Unknown,
}

/// How long to train the small model before it is grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowthGuideline {
    /// Tokens `d` of the small model.
    pub tokens: f64,
    /// Whether the formula was made for such a run.
    pub range: Range,
}

/// Whether a formula was made for what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Within the sizes and budgets of its source.
    Within,
    /// Outside: do not use it, sweep `d` at about a tenth of the budget's tokens instead.
    Outside,
}

/// Sizes that the guideline was fitted to and shown for, in parameters.
const GUIDELINE_PARAMS: (f64, f64) = (4e8, 7.5e10);

/// Budgets likewise, in FLOPs: from the 410M on some 10 B tokens up to the 70B on 2 T.
const GUIDELINE_FLOPS: (f64, f64) = (2e19, 1e24);

/// The speed-up of `other` over `scratch` at `loss` nats, where each first gets down to it; both along one axis, `other`
/// with all that went before it counted ([`Curve::after`]).
///
/// # Errors
/// Curves along different axes or of different stages.
pub fn speedup(scratch: &Curve, other: &Curve, loss: f64, smoothing: Smoothing) -> Result<Speedup> {
    if (scratch.axis, scratch.stage) != (other.axis, other.stage) {
        let kinds =
            [scratch, other].map(|c| format!("{:?} is {} along {}", c.name, c.stage, c.axis)).join(", ");
        return Err(Error::config(Problem::new(kinds).expected("curves of one stage along one axis")));
    }
    let (scratch, other) = (Descent::new(scratch, smoothing), Descent::new(other, smoothing));
    Ok(match (scratch.passage(loss), other.passage(loss)) {
        (Passage::At(slow), Passage::At(fast)) => Speedup::Measured(slow / fast - 1.0),
        (Passage::After(slow), Passage::At(fast) | Passage::Before(fast))
        | (Passage::At(slow), Passage::Before(fast)) => Speedup::AtLeast(slow / fast - 1.0),
        (Passage::At(slow) | Passage::Before(slow), Passage::After(fast))
        | (Passage::Before(slow), Passage::At(fast)) => Speedup::AtMost(slow / fast - 1.0),
        (Passage::After(_), Passage::After(_)) | (Passage::Before(_), Passage::Before(_)) => Speedup::Unknown,
    })
}

/// `log10 d = 0.88 log10 N + 163.27 / log10 C - 5.74` for a target of `params` parameters and a budget of
/// `flops`.
///
/// Far below its range it asks for more tokens than the budget holds (a million parameters on 1.2e14 FLOPs:
/// 7000 times).
pub fn growth_guideline(params: f64, flops: f64) -> GrowthGuideline {
    let tokens = 10.0_f64.powf(0.88 * params.log10() + 163.27 / flops.log10() - 5.74);
    let within = |value: f64, (low, high): (f64, f64)| (low..=high).contains(&value);
    let covered = within(params, GUIDELINE_PARAMS) && within(flops, GUIDELINE_FLOPS);
    let range = if covered { Range::Within } else { Range::Outside };
    GrowthGuideline { tokens, range }
}

impl fmt::Display for GrowthGuideline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} B tokens", self.tokens / 1e9)?;
        match self.range {
            Range::Within => Ok(()),
            Range::Outside => write!(
                f,
                " (outside the guideline's range of {:.1e} to {:.1e} parameters and {:.0e} to {:.0e} FLOPs; \
                 sweep d around a tenth of the tokens instead)",
                GUIDELINE_PARAMS.0, GUIDELINE_PARAMS.1, GUIDELINE_FLOPS.0, GUIDELINE_FLOPS.1
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;
    use crate::laws::curves::{Axis, Stage};

    /// Loss `20 (C / speed)^-0.05` from 1e15 to 1e17 FLOPs, so that equal loss takes `speed` times fewer
    /// FLOPs.
    fn run(speed: f64, noise: f64) -> Curve {
        let mut draws = Draws::for_test(speed.to_bits());
        let flops = (0..500).map(|k| 1e15 * 100.0_f64.powf(k as f64 / 499.0));
        let points = flops.map(|c| (c, 20.0 * (c * speed).powf(-0.05) + noise * draws.normal()));
        Curve::new("run", Axis::Flops, Stage::Raw, points.collect::<Vec<_>>()).unwrap()
    }

    fn at(loss_flops: f64, noise: f64) -> Speedup {
        let loss = 20.0 * loss_flops.powf(-0.05);
        speedup(&run(1.0, noise), &run(1.5, noise), loss, Smoothing::Kernel(0.1)).unwrap()
    }

    #[test]
    fn half_as_many_flops_again_is_a_speedup_of_fifty_percent() {
        let Speedup::Measured(exact) = at(1e16, 0.0) else { panic!("measured") };
        assert!((exact - 0.5).abs() < 1e-3, "{exact}");
        let Speedup::Measured(noisy) = at(1e16, 0.001) else { panic!("measured") };
        assert!((noisy - 0.5).abs() < 0.1, "{noisy}");
    }

    #[test]
    fn beyond_the_ends_of_the_runs_the_answer_is_a_bound() {
        // Scratch ends at 1e17; the other is there at 0.67e17 and goes on to what scratch would reach at
        // 1.5e17.
        let Speedup::AtLeast(bound) = at(1.4e17, 0.0) else { panic!("{:?}", at(1.4e17, 0.0)) };
        assert!((bound - (1.0 / (1.4 / 1.5) - 1.0)).abs() < 1e-3, "{bound}");
        let Speedup::AtLeast(bound) = at(1.2e15, 0.0) else { panic!("{:?}", at(1.2e15, 0.0)) };
        assert!((bound - 0.2).abs() < 1e-3, "{bound}");
        assert_eq!(at(2e17, 0.0), Speedup::Unknown);
        assert_eq!(at(5e14, 0.0), Speedup::Unknown);
    }

    #[test]
    fn a_slower_run_that_does_not_arrive_gives_an_upper_bound() {
        let loss = 20.0 * 0.8e17_f64.powf(-0.05);
        let answer = speedup(&run(1.0, 0.0), &run(0.5, 0.0), loss, Smoothing::Interpolate);
        let Speedup::AtMost(bound) = answer.unwrap() else { panic!("bounded") };
        assert!((bound + 0.2).abs() < 1e-3, "{bound}");
    }

    #[test]
    fn what_was_spent_before_counts() {
        let loss = 20.0 * 1e16_f64.powf(-0.05);
        let later = run(1.5, 0.0).after(1e16 / 3.0);
        let answer = speedup(&run(1.0, 0.0), &later, loss, Smoothing::Interpolate).unwrap();
        let Speedup::Measured(found) = answer else { panic!("{answer:?}") };
        assert!(found.abs() < 1e-3, "{found}");
    }

    #[test]
    fn the_guideline_gives_the_numbers_of_the_paper() {
        for (params, tokens, expected) in
            [(8e9, 15e12, 6.58e9), (7e9, 2e12, 11.11e9), (13e9, 2e12, 15.84e9), (70e9, 2e12, 42.48e9)]
        {
            let found = growth_guideline(params, 6.0 * params * tokens);
            assert!((found.tokens / expected - 1.0).abs() < 1e-3, "{found}");
            assert_eq!(found.range, Range::Within, "{found}");
        }
    }

    #[test]
    fn the_guideline_warns_where_it_asks_for_more_than_the_budget() {
        let small = growth_guideline(1e6, 1.2e14);
        assert!(small.tokens > 1000.0 * 1.2e14 / 6e6 && small.range == Range::Outside);
        assert!(small.to_string().contains("outside the guideline's range"), "{small}");
    }
}
