//! `R2 = 1 - sum (ln L - ln Lhat)^2 / sum (ln L - mean)^2` and `mean |Lhat / L - 1|`, on measurements that
//! the fit has not seen.
//!
//! Ge et al. 2024, section 4 (both numbers, held-out steps, held-out mixtures).

use serde::Serialize;

use super::{Form, MixtureLaw, Mixtures, Observation, fit};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::Bootstrap;

/// What is left out at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folds {
    /// All measurements of one mixture.
    LeaveOneMixtureOut,
    /// One of `count` groups of mixtures of like size.
    Shuffled {
        /// How many groups.
        count: usize,
        /// Seed of the grouping.
        seed: u64,
    },
}

/// How well one target is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// R2 of log losses; 1 is perfect, 0 as good as the mean, minus infinity where all losses are alike.
    pub r2: f64,
    /// Mean of `|predicted - measured| / measured`.
    pub mean_relative_error: f64,
    /// Measurements that could be predicted: all but those at share 0 of a law without an offset.
    pub points: usize,
}

impl Score {
    /// Of pairs `(measured, predicted)`; those whose prediction is infinite are left out.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let pairs: Vec<(f64, f64)> =
            pairs.into_iter().filter(|(_, predicted)| predicted.is_finite()).collect();
        let n = pairs.len() as f64;
        let mean = pairs.iter().map(|(measured, _)| measured.ln()).sum::<f64>() / n;
        let around_mean: f64 = pairs.iter().map(|(measured, _)| (measured.ln() - mean).powi(2)).sum();
        let around_law: f64 =
            pairs.iter().map(|(measured, predicted)| (measured / predicted).ln().powi(2)).sum();
        let relative: f64 =
            pairs.iter().map(|(measured, predicted)| (predicted / measured - 1.0).abs()).sum();
        Score { r2: 1.0 - around_law / around_mean, mean_relative_error: relative / n, points: pairs.len() }
    }

    /// Means over targets of R2 and of the relative error.
    pub fn means(scores: &[Score]) -> (f64, f64) {
        let n = scores.len() as f64;
        (
            scores.iter().map(|s| s.r2).sum::<f64>() / n,
            scores.iter().map(|s| s.mean_relative_error).sum::<f64>() / n,
        )
    }
}

/// One score per target, each mixture predicted by laws that were fitted without it.
///
/// # Errors
/// Fewer than two folds or more folds than mixtures; those of [`fit`].
pub fn cross_validate(mixtures: &Mixtures, form: Form, folds: Folds) -> Result<Vec<Score>> {
    Ok(held_out_predictions(mixtures, form, folds)?.into_iter().map(Score::of).collect())
}

/// Pairs `(measured, predicted)` per target, each mixture predicted by laws that were fitted without it.
///
/// # Errors
/// Those of [`cross_validate`].
pub fn held_out_predictions(mixtures: &Mixtures, form: Form, folds: Folds) -> Result<Vec<Vec<(f64, f64)>>> {
    let fold_of = fold_numbers(mixtures, folds)?;
    let mut predicted = vec![Vec::new(); mixtures.targets().len()];
    for fold in 0..=fold_of.iter().copied().max().unwrap_or(0) {
        let law = fit(&mixtures.filtered(|index, _| fold_of[index] != fold), form)?;
        add_predictions(&law, &mixtures.filtered(|index, _| fold_of[index] == fold), &mut predicted);
    }
    Ok(predicted)
}

/// One score per target at `from` steps and later, by laws fitted to what came before.
///
/// # Errors
/// Nothing at `from` steps or later; those of [`fit`].
pub fn extrapolate_steps(mixtures: &Mixtures, form: Form, from: f64) -> Result<Vec<Score>> {
    let late = mixtures.filtered(|_, o| o.steps >= from);
    let early = mixtures.filtered(|_, o| o.steps < from);
    if late.observations().is_empty() || early.observations().is_empty() {
        let problem = Problem::new(format!("a cut at {from} steps leaves nothing on one side"));
        return Err(Error::config(problem.expected("a time between the first and the last measurement")));
    }
    let mut predicted = vec![Vec::new(); mixtures.targets().len()];
    add_predictions(&fit(&early, form)?, &late, &mut predicted);
    Ok(predicted.into_iter().map(Score::of).collect())
}

fn add_predictions(law: &MixtureLaw, unseen: &Mixtures, out: &mut [Vec<(f64, f64)>]) {
    for (target, pairs) in out.iter_mut().enumerate() {
        let pair = |o: &Observation| (o.losses[target], law.loss(target, &o.shares, o.steps));
        pairs.extend(unseen.observations().iter().map(pair));
    }
}

/// The fold of each measurement.
fn fold_numbers(mixtures: &Mixtures, folds: Folds) -> Result<Vec<usize>> {
    let numbers = mixtures.mixture_numbers();
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let (count, order) = match folds {
        Folds::LeaveOneMixtureOut => (distinct.len(), distinct.clone()),
        Folds::Shuffled { count, seed } => {
            let bootstrap = Bootstrap { replicates: 1, seed, ..Bootstrap::default() };
            (count, bootstrap.run(|draws| draws.shuffled(&distinct)).remove(0))
        }
    };
    if count < 2 || count > distinct.len() {
        let problem = Problem::new(format!("{count} folds of {} mixtures", distinct.len()));
        return Err(Error::config(problem.expected("from two to as many as there are mixtures")));
    }
    let position = |number: &usize| order.iter().position(|other| other == number).unwrap_or(0) % count;
    Ok(numbers.iter().map(position).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;
    use crate::laws::mixture::{AtZero, Bimix, DomainLaw};

    const TRUTH: [Bimix; 3] = [
        Bimix { alpha: 0.12, b: 30.0, beta: 0.45, c: 1.1, offset: 0.0 },
        Bimix { alpha: 0.03, b: 60.0, beta: 0.6, c: 2.0, offset: 0.0 },
        Bimix { alpha: 0.07, b: 20.0, beta: 0.35, c: 1.5, offset: 0.0 },
    ];

    /// Six mixtures of three domains (the third loss is of domain 0), ten times each.
    fn measured(noise: f64) -> Mixtures {
        let mut draws = Draws::for_test(8);
        let rows = [
            [0.1, 0.2, 0.7],
            [0.7, 0.1, 0.2],
            [0.3, 0.6, 0.1],
            [0.4, 0.3, 0.3],
            [0.05, 0.9, 0.05],
            [0.2, 0.4, 0.4],
        ];
        let observation = |(shares, steps): ([f64; 3], f64)| {
            let own = [1, 2, 0];
            let loss = |k: usize, draws: &mut Draws| {
                TRUTH[k].loss(shares[own[k]], steps) * (noise * draws.normal()).exp()
            };
            Observation {
                shares: shares.to_vec(),
                steps,
                losses: (0..3).map(|k| loss(k, &mut draws)).collect(),
            }
        };
        let times = |shares| (1..=10).map(move |k| (shares, 1000.0 * k as f64));
        Mixtures::new(vec![1, 2, 0], rows.into_iter().flat_map(times).map(observation).collect()).unwrap()
    }

    #[test]
    fn the_constants_of_generated_losses_are_recovered() {
        let law = fit(&measured(0.0), Form::Bimix(AtZero::Drop)).unwrap();
        for (found, truth) in law.laws.iter().zip(TRUTH) {
            let DomainLaw::Bimix(found) = found else { panic!("own-share law") };
            for (found, truth) in
                [(found.alpha, truth.alpha), (found.beta, truth.beta), (found.b, truth.b), (found.c, truth.c)]
            {
                assert!((found / truth - 1.0).abs() < 1e-4, "{found} {truth}");
            }
        }
    }

    #[test]
    fn unseen_mixtures_and_later_steps_are_predicted_within_the_noise() {
        let noisy = measured(0.002);
        let form = Form::Bimix(AtZero::Drop);
        for scores in [
            cross_validate(&noisy, form, Folds::LeaveOneMixtureOut).unwrap(),
            extrapolate_steps(&noisy, form, 9000.0).unwrap(),
        ] {
            let (_, error) = Score::means(&scores);
            // |noise| has the mean 0.0016; the laws' own errors add to it.
            assert!((0.0008..0.005).contains(&error), "{scores:?}");
        }
        let scores = cross_validate(&noisy, form, Folds::LeaveOneMixtureOut).unwrap();
        assert!(scores.iter().all(|score| score.r2 > 0.98 && score.points == 60), "{scores:?}");
    }

    #[test]
    fn a_law_that_knows_nothing_of_time_refuses_times() {
        let error = fit(&measured(0.0), Form::OwnShare(AtZero::Offset)).unwrap_err().to_string();
        assert!(error.contains("measurements at 1000 and at 2000 steps"), "{error}");
    }

    #[test]
    fn the_mean_scores_zero_and_the_truth_one() {
        let measured = [1.0_f64, 2.0, 4.0];
        assert_eq!(Score::of(measured.map(|m| (m, m))).r2, 1.0);
        assert!(Score::of(measured.map(|m| (m, 2.0))).r2.abs() < 1e-12);
        assert_eq!(Score::of([(1.0, 1.1), (2.0, f64::INFINITY)]).points, 1);
    }

    #[test]
    fn folds_part_mixtures_evenly_and_never_split_one() {
        let mixtures = measured(0.0);
        let numbers = fold_numbers(&mixtures, Folds::Shuffled { count: 3, seed: 5 }).unwrap();
        for fold in 0..3 {
            assert_eq!(numbers.iter().filter(|number| **number == fold).count(), 20);
        }
        assert!(numbers.chunks(10).all(|times| times.iter().all(|number| *number == times[0])));
        assert!(fold_numbers(&mixtures, Folds::Shuffled { count: 7, seed: 5 }).is_err());
    }
}
