//! Who goes to which expert: choices, and places where there are fewer than tokens that want one.
//!
//! Everything is comparison, running sum and gather over static shapes, so that it works alike on every backend and
//! reads nothing back; only an unlimited capacity asks the device how full the fullest expert is. All first choices
//! come before all second ones, and within them earlier tokens before later ones (Lepikhin et al. 2020,
//! arXiv 2006.16668).

use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// The expert capacity: how many tokens an expert takes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// As many as the fullest expert needs: no token is dropped.
    #[default]
    Unlimited,
    /// So many times an even share of the choices.
    Factor(CapacityConfig),
}

/// Settings of a limited capacity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CapacityConfig {
    /// The capacity over an even share of the choices.
    pub factor: f64,
}

impl Default for CapacityConfig {
    fn default() -> Self {
        CapacityConfig { factor: 2.0 }
    }
}

impl Capacity {
    /// What is impossible about it; keys are relative to the capacity.
    pub fn check(&self) -> Vec<Problem> {
        match self {
            Capacity::Factor(CapacityConfig { factor }) if !(factor.is_finite() && *factor > 0.0) => {
                vec![Problem::new(factor.to_string()).key("factor").expected("a number above 0")]
            }
            Capacity::Unlimited | Capacity::Factor(_) => Vec::new(),
        }
    }

    /// Places of each of `load.len()` experts when `n` tokens make `k` choices each.
    fn places(&self, n: usize, k: usize, load: &Tensor<1, Int>) -> usize {
        let [e] = load.dims();
        let places = match self {
            Capacity::Unlimited => load.clone().max().into_scalar::<i32>() as usize,
            Capacity::Factor(config) => (config.factor * (k * n) as f64 / e as f64).ceil() as usize,
        };
        places.clamp(1, n)
    }
}

/// Where the tokens of one mixture went in one pass.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Choices of each expert, `[e]`, dropped ones included.
    pub load: Tensor<1, Int>,
    /// Places of each expert, `c`.
    pub places: usize,
}

/// How well the experts of a mixture were used.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertLoad {
    /// Share of all choices that each expert found.
    pub shares: Vec<f64>,
    /// Share of all choices that found no place.
    pub dropped: f64,
}

impl Routing {
    /// The places that no token came to, `[e, c, 1]`.
    pub(super) fn empty_slots(&self) -> Tensor<3, Bool> {
        let ([e], c) = (self.load.dims(), self.places);
        let place = Tensor::<1, Int>::arange(0..c as i64, &self.load.device());
        let place = place.unsqueeze_dim::<2>(0).expand([e, c]); // [e, c]
        let load = self.load.clone().unsqueeze_dim::<2>(1).expand([e, c]); // [e, c]
        place.greater_equal(load).unsqueeze_dim::<3>(2)
    }

    /// Reads the counts back.
    pub fn expert_load(&self) -> ExpertLoad {
        let load: Vec<f64> = self.load.to_data().iter::<f64>().collect();
        let choices: f64 = load.iter().sum();
        let dropped: f64 = load.iter().map(|load| (load - self.places as f64).max(0.0)).sum();
        ExpertLoad { shares: load.iter().map(|load| load / choices).collect(), dropped: dropped / choices }
    }
}

/// The way of each token to its experts and back.
#[derive(Debug)]
pub(super) struct Dispatch {
    /// The expert of each choice, `[k, n]`.
    pub choices: Tensor<2, Int>,
    /// The token at each place, `[e, c]`; any token where the place is empty.
    pub token_of_place: Tensor<2, Int>,
    /// The place of each choice among all `e c`, `[k, n]`; any place where it is dropped.
    pub place_of_choice: Tensor<2, Int>,
    /// Which choices found no place, `[k, n]`.
    pub dropped: Tensor<2, Bool>,
    /// The counts.
    pub routing: Routing,
}

/// Chooses the `k` highest of `scores [n, e]` for each token and gives out places.
pub(super) fn dispatch(scores: Tensor<2>, k: usize, capacity: Capacity) -> Dispatch {
    let [n, e] = scores.dims();
    let device = scores.device();
    let arange = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &device);
    let choices = highest(scores.detach(), k); // [k, n]
    let experts = arange(e).unsqueeze_dim::<2>(0).expand([k * n, e]);
    let chosen = choices.clone().reshape([k * n, 1]).expand([k * n, e]).equal(experts).int(); // [k n, e]
    let load = chosen.clone().sum_dim(0).reshape([e]); // [e]
    let places = capacity.places(n, k, &load);
    let queue = (chosen.clone().cumsum(0) * chosen).sum_dim(1).reshape([k, n]) - 1; // [k, n]
    let dropped = queue.clone().greater_equal_elem(places as i64); // [k, n]
    let place = choices.clone() * places as i64 + queue; // [k, n]

    let nowhere = (e * places) as i64;
    let targets = place.clone().mask_fill(dropped.clone(), nowhere).reshape([k * n]);
    let tokens = arange(n).unsqueeze_dim::<2>(0).expand([k, n]).reshape([k * n]);
    let token_of_place = Tensor::<1, Int>::zeros([e * places + 1], &device)
        .scatter(0, targets, tokens, IndexingUpdateOp::Add) // one token per place, except nowhere
        .narrow(0, 0, e * places)
        .reshape([e, places]); // [e, c]
    let place_of_choice = place.mask_fill(dropped.clone(), 0);
    Dispatch { choices, token_of_place, place_of_choice, dropped, routing: Routing { load, places } }
}

/// The `k` highest columns of each row, best first, `[k, n]`. Not `topk`: on an autodiff tensor it sorts on the host.
fn highest(mut scores: Tensor<2>, k: usize) -> Tensor<2, Int> {
    let [n, e] = scores.dims();
    let columns = Tensor::<1, Int>::arange(0..e as i64, &scores.device()).unsqueeze_dim::<2>(0);
    let rounds = (0..k).map(|_| {
        let best = scores.clone().argmax(1); // [n, 1]
        let taken = best.clone().expand([n, e]).equal(columns.clone().expand([n, e]));
        scores = scores.clone().mask_fill(taken, f32::NEG_INFINITY);
        best.reshape([1, n]) // [1, n]
    });
    Tensor::cat(rounds.collect(), 0) // [k, n]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints<const D: usize>(x: Tensor<D, Int>) -> Vec<i64> {
        x.into_data().iter::<i64>().collect()
    }

    /// Five tokens, three experts; four of the five prefer the first.
    fn scores() -> Tensor<2> {
        let rows = [[3., 2., 1.], [3., 1., 2.], [1., 3., 2.], [3., 2., 1.], [3., 2., 1.]];
        Tensor::from_floats(rows, &crate::device::open("cpu").unwrap())
    }

    #[test]
    fn each_place_holds_the_token_that_was_sent_to_it() {
        for k in 1..=3 {
            let plan = dispatch(scores(), k, Capacity::Unlimited);
            let (tokens, places) = (ints(plan.token_of_place), ints(plan.place_of_choice));
            let (choices, c) = (ints(plan.choices), plan.routing.places);
            for (i, &place) in places.iter().enumerate() {
                assert_eq!(tokens[place as usize], i as i64 % 5, "choice {i} of {k} rounds");
                assert_eq!(place as usize / c, choices[i] as usize);
            }
            let distinct: std::collections::BTreeSet<_> = places.iter().collect();
            assert_eq!(distinct.len(), 5 * k, "no two choices share a place");
        }
    }

    #[test]
    fn choices_are_the_highest_scores_best_first() {
        assert_eq!(ints(highest(scores(), 2)), [0, 0, 1, 0, 0, 1, 2, 2, 1, 1]);
    }

    #[test]
    fn a_full_expert_drops_the_last_tokens_and_they_are_counted() {
        let plan = dispatch(scores(), 1, Capacity::Factor(CapacityConfig { factor: 1.2 })); // ceil(1.2 * 5 / 3) = 2 places
        assert_eq!(ints(plan.dropped.int()), [0, 0, 0, 1, 1]);
        let used = plan.routing.expert_load();
        assert_eq!((used.shares, used.dropped), (vec![0.8, 0.2, 0.0], 0.4));
    }

    #[test]
    fn first_choices_come_before_second_ones() {
        let plan = dispatch(scores(), 2, Capacity::Factor(CapacityConfig { factor: 0.9 })); // 3 places
        let dropped = ints(plan.dropped.int());
        // Expert 0 is the first choice of four and drops one; expert 1 takes its first choice, then two second ones.
        assert_eq!(dropped, [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    }
}
