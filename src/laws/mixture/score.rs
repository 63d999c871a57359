//! `R2 = 1 - sum (ln L - ln Lhat)^2 / sum (ln L - mean)^2` and `mean |Lhat / L - 1|`, on measurements that
//! the fit has not seen.
//!
//! Ge et al. 2024, section 4 (both numbers, held-out steps, held-out mixtures). One shuffling of mixtures into folds may be
//! an unlucky one: folds are drawn several times, and scores say how far apart that leaves them.

use serde::Serialize;

use super::{Form, Mixtures, fit};
use crate::error::{Error, Problem, Result};
use crate::laws::bootstrap::Bootstrap;

/// What is left out at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folds {
    /// All measurements of one mixture.
    LeaveOneMixtureOut,
    /// One of `count` groups of mixtures of like size.
    Shuffled {
        /// The number of groups.
        count: usize,
        /// Seed of the grouping.
        seed: u64,
        /// The number of times that groups are drawn.
        repeats: u64,
    },
}

/// A loss that the law has not seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixturePrediction {
    /// The first measurement of its mixture.
    pub mixture: usize,
    /// The loss as it was measured.
    pub measured: f64,
    /// As the law has it; infinite at share 0 of a law without an offset.
    pub predicted: f64,
}

/// A share of less than this, times the lowest that a law was fitted to, is out of its sight.
pub const FAR: f64 = 0.1;

/// Predictions of each target.
pub type Predictions = Vec<Vec<MixturePrediction>>;

/// The scores of the predictions of one target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// R2 of log losses; 1 is perfect, 0 as good as the mean, minus infinity where all losses are alike.
    pub r2: f64,
    /// The lowest and the highest R2 over shufflings.
    pub r2_range: (f64, f64),
    /// Mean of `|predicted - measured| / measured`.
    pub mean_relative_error: f64,
    /// Measurements that could be predicted: all but those at share 0 of a law without an offset, and those at shares
    /// far below all that it was fitted to.
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
        let r2 = 1.0 - around_law / around_mean;
        Score { r2, r2_range: (r2, r2), mean_relative_error: relative / n, points: pairs.len() }
    }

    /// Of predictions.
    pub fn of_predictions<'a>(predictions: impl IntoIterator<Item = &'a MixturePrediction>) -> Self {
        Score::of(predictions.into_iter().map(|p| (p.measured, p.predicted)))
    }

    /// The medians over shufflings, at least one.
    pub fn over(scores: &[Score]) -> Self {
        let sorted = |of: fn(&Score) -> f64| {
            let mut values: Vec<f64> = scores.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let r2 = sorted(|score| score.r2);
        Score {
            r2: median(&r2),
            r2_range: (r2[0], r2[r2.len() - 1]),
            mean_relative_error: median(&sorted(|score| score.mean_relative_error)),
            points: scores.iter().map(|score| score.points).min().unwrap_or(0),
        }
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

/// The middle of sorted values.
fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// One score per target, each mixture predicted by laws that were fitted without it.
///
/// # Errors
/// Fewer than two folds or more folds than mixtures; those of [`fit`].
pub fn cross_validate(mixtures: &Mixtures, form: Form, folds: Folds) -> Result<Vec<Score>> {
    let shufflings = held_out_predictions(mixtures, form, folds)?;
    let score = |target: usize| {
        let scores = shufflings.iter().map(|predictions| Score::of_predictions(&predictions[target]));
        Score::over(&scores.collect::<Vec<Score>>())
    };
    Ok((0..mixtures.targets().len()).map(score).collect())
}

/// The predictions of each shuffling, each mixture predicted by laws that were fitted without it.
///
/// What a law says at share 0, or at one below a [tenth](FAR) of all that it was fitted to, does not count: nothing tells
/// it, and the one mixture with so little would decide about the law.
///
/// # Errors
/// Those of [`cross_validate`].
pub fn held_out_predictions(mixtures: &Mixtures, form: Form, folds: Folds) -> Result<Vec<Predictions>> {
    let numbers = mixtures.mixture_numbers();
    let shuffling = |fold_of: Vec<usize>| -> Result<Predictions> {
        let mut predicted = vec![Vec::new(); mixtures.targets().len()];
        for fold in 0..=fold_of.iter().copied().max().unwrap_or(0) {
            let seen = mixtures.filtered(|index, _| fold_of[index] != fold);
            let law = fit(&seen, form)?;
            let unseen = || (0..fold_of.len()).filter(|index| fold_of[*index] == fold);
            for (target, all) in predicted.iter_mut().enumerate() {
                let own = law.targets[target];
                let lowest = seen.observations().iter().map(|o| o.shares[own]).fold(f64::INFINITY, f64::min);
                for index in unseen() {
                    let o = &mixtures.observations()[index];
                    if o.shares[own] >= FAR * lowest {
                        let (measured, predicted) = (o.losses[target], law.loss(target, &o.shares, o.steps));
                        all.push(MixturePrediction { mixture: numbers[index], measured, predicted });
                    }
                }
            }
        }
        Ok(predicted)
    };
    fold_numbers(mixtures, &numbers, folds)?.into_iter().map(shuffling).collect()
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
    let law = fit(&early, form)?;
    let pair = |target: usize| {
        let law = &law;
        late.observations().iter().map(move |o| (o.losses[target], law.loss(target, &o.shares, o.steps)))
    };
    Ok((0..mixtures.targets().len()).map(|target| Score::of(pair(target))).collect())
}

/// The fold of each measurement, once for each shuffling. Mixtures are shuffled in the order of their shares, so that the
/// order of the rows decides nothing.
fn fold_numbers(mixtures: &Mixtures, numbers: &[usize], folds: Folds) -> Result<Vec<Vec<usize>>> {
    let mut distinct = numbers.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let shares = |number: &usize| &mixtures.observations()[*number].shares;
    distinct.sort_by(|a, b| shares(a).partial_cmp(shares(b)).unwrap_or(std::cmp::Ordering::Equal));
    let (count, orders) = match folds {
        Folds::LeaveOneMixtureOut => (distinct.len(), vec![distinct.clone()]),
        Folds::Shuffled { count, seed, repeats } => {
            let bootstrap = Bootstrap { replicates: repeats.max(1), seed, ..Bootstrap::default() };
            (count, bootstrap.run(|draws| draws.shuffled(&distinct)))
        }
    };
    if count < 2 || count > distinct.len() {
        let problem = Problem::new(format!("{count} folds of {} mixtures", distinct.len()));
        return Err(Error::config(problem.expected("from two to as many as there are mixtures")));
    }
    let folds = |order: Vec<usize>| {
        let mut fold_of = vec![0; mixtures.observations().len()];
        order.iter().enumerate().for_each(|(place, number)| fold_of[*number] = place % count);
        numbers.iter().map(|number| fold_of[*number]).collect()
    };
    Ok(orders.into_iter().map(folds).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::bootstrap::Draws;
    use crate::laws::mixture::{AtZero, Bimix, DomainLaw, Observation};

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
        let of = |mixtures: &Mixtures, count| {
            fold_numbers(
                mixtures,
                &mixtures.mixture_numbers(),
                Folds::Shuffled { count, seed: 5, repeats: 4 },
            )
        };
        let shufflings = of(&mixtures, 3).unwrap();
        for numbers in &shufflings {
            for fold in 0..3 {
                assert_eq!(numbers.iter().filter(|number| **number == fold).count(), 20);
            }
            assert!(numbers.chunks(10).all(|times| times.iter().all(|number| *number == times[0])));
        }
        assert!(shufflings.len() == 4 && shufflings[0] != shufflings[1]);
        assert!(of(&mixtures, 7).is_err());
        let reversed = mixtures.observations().iter().rev().cloned().collect();
        let mut back = of(&Mixtures::new(vec![1, 2, 0], reversed).unwrap(), 3).unwrap();
        back.iter_mut().for_each(|numbers| numbers.reverse());
        assert_eq!(back, shufflings, "the order of the rows decides nothing");
    }

    #[test]
    fn the_only_mixture_with_little_of_a_domain_is_not_scored_there() {
        let mut observations = measured(0.0).observations().to_vec();
        observations.retain(|o| o.steps == 1000.0);
        for (share, folds) in [
            (0.0, Folds::LeaveOneMixtureOut),
            (0.0, Folds::Shuffled { count: 3, seed: 1, repeats: 5 }),
            (0.004, Folds::LeaveOneMixtureOut),
        ] {
            observations[4].shares = vec![0.1, 0.9 - share, share];
            let mixtures = Mixtures::new(vec![1, 2, 0], observations.clone()).unwrap();
            let scores = cross_validate(&mixtures, Form::OwnShare(AtZero::Offset), folds).unwrap();
            assert_eq!(scores.iter().map(|score| score.points).collect::<Vec<_>>(), [6, 5, 6], "{scores:?}");
        }
    }

    #[test]
    fn scores_of_several_shufflings_are_their_median_and_range() {
        let score = |r2: f64| Score { r2, r2_range: (r2, r2), mean_relative_error: 1.0 - r2, points: 3 };
        let over = Score::over(&[score(0.9), score(-3.0), score(0.8)]);
        assert_eq!((over.r2, over.r2_range), (0.8, (-3.0, 0.9)));
        assert!((over.mean_relative_error - 0.2).abs() < 1e-12);
    }
}
