//! `L(N, D) = E + A / N^alpha + B / D^beta`: loss by parameters and tokens, and how to split a budget of
//! `6 N D` FLOPs.
//!
//! Hoffmann et al. 2022 (arXiv 2203.15556, "Chinchilla") estimate the best split three ways:
//! [`frontier_of_envelope`] (approach 1), [`frontier_of_profiles`] (2) and [`fit`] (3). Besiroglu et al. 2024
//! (arXiv 2404.10102) found the published constants of approach 3 to be those of a search that had stopped
//! too early, with intervals far too narrow.

mod doubt;
mod envelope;
mod isoflop;
mod parametric;
mod search;

use serde::{Deserialize, Serialize};

pub use doubt::Doubt;
pub use envelope::frontier_of_envelope;
pub use isoflop::{Profile, frontier_of_profiles};
pub use parametric::{
    Annealing, DRAWN, FitConfig, FitMethod, HeldOut, LossPrediction, ParametricFit, fit, predict_held_out,
};

/// FLOPs per parameter and token: 2 forward, 4 backward. See [`Throughput`](super::curves::Throughput) for
/// its limits.
pub const FLOPS_PER_PARAM_TOKEN: f64 = 6.0;

/// A measured loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Parameters `N`; say which are counted.
    pub params: f64,
    /// Tokens trained on, `D`.
    pub tokens: f64,
    /// Loss in nats per token.
    pub loss: f64,
    /// How far the learning rate has decayed, `1 - rate / peak`: 0 mid-trunk, 0.9 at the end of a cosine to a
    /// tenth.
    #[serde(default)]
    pub decay: f64,
}

impl Point {
    /// `6 N D`.
    pub fn flops(&self) -> f64 {
        FLOPS_PER_PARAM_TOKEN * self.params * self.tokens
    }
}

/// `L(N, D) = E + A / N^alpha + B / D^beta - c (1 - rate / peak)`, in nats per token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParametricLaw {
    /// `E`: what no model and no data removes.
    pub floor: f64,
    /// `A`, with `N` in parameters.
    pub a: f64,
    /// `B`, with `D` in tokens.
    pub b: f64,
    /// `alpha`.
    pub alpha: f64,
    /// `beta`.
    pub beta: f64,
    /// `c`: what a full decay of the learning rate takes off; 0 where the law is of annealed losses alone.
    pub annealing: f64,
}

/// Chinchilla's approach 3 as published, with the digits of the paper's source.
pub const HOFFMANN: ParametricLaw = ParametricLaw {
    floor: 1.693374,
    a: 406.401,
    b: 410.7228,
    alpha: 0.33917084,
    beta: 0.2849083,
    annealing: 0.0,
};

/// The refit of Chinchilla's points by Besiroglu et al. 2024; standard errors 0.03, 124.58, 1293.23, 0.02,
/// 0.02.
pub const BESIROGLU: ParametricLaw =
    ParametricLaw { floor: 1.8172, a: 482.01, b: 2085.43, alpha: 0.3478, beta: 0.3658, annealing: 0.0 };

/// The best split of a budget into parameters and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// FLOPs, `6 N D`.
    pub flops: f64,
    /// Parameters.
    pub params: f64,
    /// Tokens.
    pub tokens: f64,
}

/// The compute-optimal size `N = k C^a` (so `D = C / (6 N)` grows with `C^(1 - a)`).
#[derive(Debug, Clone, PartialEq)]
pub struct Frontier {
    /// `ln k`, in parameters.
    pub ln_coefficient: f64,
    /// `a`.
    pub exponent: f64,
    /// The best sizes that it was drawn through.
    pub optima: Vec<Allocation>,
}

impl Allocation {
    /// Of `flops`, with a model of `params` parameters.
    pub fn new(flops: f64, params: f64) -> Self {
        Allocation { flops, params, tokens: flops / (FLOPS_PER_PARAM_TOKEN * params) }
    }
}

impl ParametricLaw {
    /// Loss in nats after `tokens` on a model of `params`, the learning rate undecayed (or no such term in
    /// the law).
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.floor + self.a * params.powf(-self.alpha) + self.b * tokens.powf(-self.beta)
    }

    /// Loss in nats at a point, its decay included.
    pub fn loss_at(&self, point: &Point) -> f64 {
        self.loss(point.params, point.tokens) - self.annealing * point.decay
    }

    /// `a = beta / (alpha + beta)`, the exponent of the compute-optimal size.
    pub fn size_exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }

    /// The split of `flops` with the lowest loss: `N = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^a`.
    pub fn optimum(&self, flops: f64) -> Allocation {
        let ratio = self.alpha * self.a / (self.beta * self.b);
        let budget = flops / FLOPS_PER_PARAM_TOKEN;
        let params = ratio.powf(1.0 / (self.alpha + self.beta)) * budget.powf(self.size_exponent());
        Allocation::new(flops, params)
    }
}

impl Frontier {
    /// The split of `flops`.
    pub fn optimum(&self, flops: f64) -> Allocation {
        Allocation::new(flops, (self.ln_coefficient + self.exponent * flops.ln()).exp())
    }

    /// Through best sizes; `None` for fewer than two budgets.
    fn through(optima: Vec<Allocation>) -> Option<Self> {
        let columns = [vec![1.0; optima.len()], optima.iter().map(|o| o.flops.ln()).collect()];
        let sizes: Vec<f64> = optima.iter().map(|o| o.params.ln()).collect();
        let found = super::linear::regress(&columns, &sizes)?;
        Some(Frontier { ln_coefficient: found[0], exponent: found[1], optima })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_optimum_is_lower_than_its_neighbours() {
        for law in [HOFFMANN, BESIROGLU] {
            let flops = 5.76e23;
            let best = law.optimum(flops);
            let loss = |params: f64| law.loss(params, flops / 6.0 / params);
            assert!((6.0 * best.params * best.tokens / flops - 1.0).abs() < 1e-12);
            for factor in [0.5, 0.99, 1.01, 2.0] {
                assert!(loss(best.params) < loss(best.params * factor));
            }
        }
    }

    #[test]
    fn the_constants_give_the_published_numbers() {
        assert!((BESIROGLU.size_exponent() - 0.5126).abs() < 5e-5);
        assert!((HOFFMANN.size_exponent() - 0.4565).abs() < 5e-5);
        // 7B at the hours of LLaMA-2 70B (18.8 T tokens) against the 70B on its 2 T.
        for (law, small, large) in [(HOFFMANN, 1.950, 1.908), (BESIROGLU, 2.031, 1.965)] {
            assert!((law.loss(6.7e9, 18.8e12) - small).abs() < 1e-3, "{}", law.loss(6.7e9, 18.8e12));
            assert!((law.loss(69e9, 2e12) - large).abs() < 1e-3, "{}", law.loss(69e9, 2e12));
        }
    }
}
