//! `min sum_i w_i L_i(r, s)` over shares: `r_i = (w_i alpha_i G_i(s) / lambda)^(1 / (alpha_i + 1)) - r0_i`
//! for own-share laws.
//!
//! Ge et al. 2024, section 3.3, leave the multiplier to a numeric solver; each share falls as `lambda` rises,
//! so bisection finds the one at which they add up to 1. Each term is convex in its share, so the optimum is
//! the only one. For laws of all shares, [`numeric_optimum`] descends by exponentiated gradient (Kivinen and
//! Warmuth 1997).

use serde::Serialize;

use super::{Bimix, DomainLaw, MixtureLaw};
use crate::error::{Error, Problem, Result};

/// The best shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Optimum {
    /// One per domain; 0 for a domain that no target is measured on (own-share laws) or that only hurts.
    pub shares: Vec<f64>,
    /// `sum_i w_i L_i` there.
    pub loss: f64,
}

const BISECTIONS: usize = 200;
const MAX_STEPS: usize = 50_000;

/// A step that lowers the loss by less than this share of it is the last.
const TOLERANCE: f64 = 1e-15;

/// The closed form, for `weights` of the targets among `domains` domains, at a time.
///
/// # Errors
/// A law of all shares; two targets of one domain; not one positive weight per target; no target whose loss
/// depends on its share.
pub fn closed_optimum(law: &MixtureLaw, weights: &[f64], domains: usize, steps: f64) -> Result<Optimum> {
    check(law, weights)?;
    let mut owners = law.targets.clone();
    owners.sort_unstable();
    owners.dedup();
    if owners.len() < law.targets.len() {
        let problem = Problem::new("two targets of one domain");
        return Err(Error::config(problem.help("use the numeric optimum")));
    }
    let laws = law.laws.iter().map(|law| match law {
        DomainLaw::Bimix(law) => Ok(*law),
        DomainLaw::Exponential(_) => {
            let problem = Problem::new("a law of all shares has no closed optimum");
            Err(Error::config(problem.help("use the numeric optimum")))
        }
    });
    let laws: Vec<Bimix> = laws.collect::<Result<_>>()?;
    let share = |(law, weight): (&Bimix, &f64), ln_lambda: f64| {
        let ln = ((weight * law.alpha * law.at_whole(steps)).ln() - ln_lambda) / (law.alpha + 1.0);
        (ln.exp() - law.offset).max(0.0)
    };
    let shares_at =
        |ln_lambda| laws.iter().zip(weights).map(|pair| share(pair, ln_lambda)).collect::<Vec<f64>>();
    let steepest =
        laws.iter().zip(weights).map(|(law, w)| w * law.alpha * law.at_whole(steps)).fold(0.0, f64::max);
    if steepest <= 0.0 {
        return Err(Error::data(Problem::new("no loss depends on its share").expected("an alpha above 0")));
    }
    // At the low end one share alone is above 1, at the high end all together are below.
    let (mut low, mut high) = (steepest.ln() - 30.0, steepest.ln() + 60.0);
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if shares_at(middle).iter().sum::<f64>() > 1.0 { low = middle } else { high = middle }
    }
    let mut shares = vec![0.0; domains];
    for (&owner, share) in law.targets.iter().zip(shares_at(0.5 * (low + high))) {
        shares[owner] = share;
    }
    Ok(Optimum { loss: total(law, weights, &shares, steps), shares })
}

/// The lowest loss that descent from equal shares reaches; for convex losses (own-share and exponential) the
/// lowest of all.
///
/// # Errors
/// Not one positive weight per target.
pub fn numeric_optimum(law: &MixtureLaw, weights: &[f64], domains: usize, steps: f64) -> Result<Optimum> {
    check(law, weights)?;
    let mut shares = vec![1.0 / domains as f64; domains];
    let mut loss = total(law, weights, &shares, steps);
    let mut rate = 1.0;
    for _ in 0..MAX_STEPS {
        let mut gradient = vec![0.0; domains];
        for (target, weight) in weights.iter().enumerate() {
            law.add_gradient(target, *weight, &shares, steps, &mut gradient);
        }
        let mean: f64 = gradient.iter().zip(&shares).map(|(g, r)| g * r).sum();
        let moved: Vec<f64> =
            shares.iter().zip(&gradient).map(|(r, g)| r * (-rate * (g - mean)).exp()).collect();
        let sum: f64 = moved.iter().sum();
        let moved: Vec<f64> = moved.iter().map(|r| r / sum).collect();
        let next = total(law, weights, &moved, steps);
        if next < loss {
            let fall = loss - next;
            (shares, loss, rate) = (moved, next, rate * 1.2);
            if fall < TOLERANCE * loss {
                break;
            }
        } else if rate < 1e-12 {
            break;
        } else {
            rate *= 0.5;
        }
    }
    Ok(Optimum { shares, loss })
}

fn check(law: &MixtureLaw, weights: &[f64]) -> Result<()> {
    if weights.len() == law.targets.len() && weights.iter().all(|w| *w > 0.0 && w.is_finite()) {
        return Ok(());
    }
    let problem = Problem::new(format!("weights {weights:?} for {} targets", law.targets.len()));
    Err(Error::config(problem.expected("one positive weight per target")))
}

fn total(law: &MixtureLaw, weights: &[f64], shares: &[f64], steps: f64) -> f64 {
    weights.iter().enumerate().map(|(target, weight)| weight * law.loss(target, shares, steps)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::mixture::Exponential;

    fn own(offsets: [f64; 4]) -> MixtureLaw {
        let constants =
            [(0.12, 30.0, 0.45, 1.1), (0.03, 60.0, 0.6, 2.0), (0.07, 20.0, 0.35, 1.5), (0.5, 5.0, 0.2, 0.3)];
        let laws = constants.into_iter().zip(offsets);
        let laws =
            laws.map(|((alpha, b, beta, c), offset)| DomainLaw::Bimix(Bimix { alpha, b, beta, c, offset }));
        MixtureLaw { targets: vec![2, 0, 4, 1], laws: laws.collect() }
    }

    #[test]
    fn the_closed_form_is_what_the_numeric_solver_finds() {
        let weights = [1.0, 2.0, 0.5, 1.5];
        for offsets in [[0.0; 4], [0.01, 0.002, 0.05, 0.02]] {
            let law = own(offsets);
            let closed = closed_optimum(&law, &weights, 5, 4000.0).unwrap();
            let numeric = numeric_optimum(&law, &weights, 5, 4000.0).unwrap();
            assert!((closed.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert_eq!(closed.shares[3], 0.0);
            assert!(
                closed.loss <= numeric.loss && numeric.loss < closed.loss * (1.0 + 1e-7),
                "{closed:?} {numeric:?}"
            );
            for (a, b) in closed.shares.iter().zip(&numeric.shares) {
                assert!((a - b).abs() < 2e-3, "{closed:?} {numeric:?}");
            }
        }
    }

    #[test]
    fn a_domain_that_is_learned_from_others_gets_nothing() {
        // Its offset is so large that the first token of its own is worth less than one of the others'.
        let closed = closed_optimum(&own([0.0, 0.9, 0.0, 0.0]), &[1.0; 4], 5, 4000.0).unwrap();
        assert_eq!(closed.shares[0], 0.0);
        assert!((closed.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_exponential_law_is_minimised_where_its_gradient_is_level() {
        let laws = [[-2.0, 0.5, 0.1], [0.3, -1.5, 0.2]]
            .map(|rates| DomainLaw::Exponential(Exponential { floor: 1.0, rates: rates.to_vec() }));
        let law = MixtureLaw { targets: vec![0, 1], laws: laws.to_vec() };
        let best = numeric_optimum(&law, &[1.0, 1.0], 3, 1.0).unwrap();
        let mut gradient = vec![0.0; 3];
        for target in 0..2 {
            law.add_gradient(target, 1.0, &best.shares, 1.0, &mut gradient);
        }
        assert!(best.shares[2] < 1e-6, "{best:?}");
        assert!((gradient[0] - gradient[1]).abs() < 1e-4 && gradient[2] > gradient[0], "{gradient:?}");
        assert!(closed_optimum(&law, &[1.0, 1.0], 3, 1.0).is_err());
        assert!(numeric_optimum(&law, &[1.0], 3, 1.0).is_err());
    }
}
