//! Stretched RoPE: a model reads sequences `factor` times as long as those it was trained on.
//!
//! - `linear`: positions are divided by the factor (Chen et al. 2023, arXiv 2306.15595).
//! - `ntk`: the base grows so that the longest wave is stretched by the factor and the shortest not at all
//!   (`theta factor^(r/(r-2))`; called NTK-aware in section 3.1 of the YaRN paper).
//! - `yarn`: waves that turn often within the trained length stay, waves that turn less than once are stretched, those
//!   between are blended by index; and scores are sharpened by `0.1 ln(factor) + 1` on queries and keys alike
//!   (Peng et al. 2023, arXiv 2309.00071; blended as in its published code).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// How the waves of RoPE are stretched.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All alike.
    Linear(StretchConfig),
    /// Long waves more than short ones, by a larger base.
    Ntk(StretchConfig),
    /// Only long waves.
    Yarn(YarnConfig),
}

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StretchConfig {
    /// Length of sequences over the length that the waves were made for.
    pub factor: f64,
}

/// Settings of YaRN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct YarnConfig {
    /// Length of sequences over the length that the waves were made for.
    pub factor: f64,
    /// The length that the waves were made for, in tokens.
    pub original_max_position: usize,
    /// Waves with more turns than this within the trained length stay as they are.
    pub beta_fast: f64,
    /// Waves with fewer turns than this are stretched by the whole factor.
    pub beta_slow: f64,
}

impl Default for StretchConfig {
    fn default() -> Self {
        StretchConfig { factor: 1.0 }
    }
}

impl Default for YarnConfig {
    fn default() -> Self {
        YarnConfig { factor: 1.0, original_max_position: 2048, beta_fast: 32.0, beta_slow: 1.0 }
    }
}

impl RopeScaling {
    /// What is impossible about it; keys are relative to `scaling`.
    pub fn check(&self) -> Vec<Problem> {
        let (factor, yarn) = match self {
            RopeScaling::None => return Vec::new(),
            RopeScaling::Linear(config) | RopeScaling::Ntk(config) => (config.factor, None),
            RopeScaling::Yarn(config) => (config.factor, Some(config)),
        };
        let mut problems = Vec::new();
        if !(factor.is_finite() && factor >= 1.0) {
            problems.push(Problem::new(factor.to_string()).key("factor").expected("a number from 1 up"));
        }
        let Some(yarn) = yarn else { return problems };
        if yarn.original_max_position == 0 {
            problems.push(Problem::new("0").key("original_max_position").expected("at least one token"));
        }
        if !(yarn.beta_slow > 0.0 && yarn.beta_slow < yarn.beta_fast && yarn.beta_fast.is_finite()) {
            let found = format!("{} to {} turns", yarn.beta_slow, yarn.beta_fast);
            problems.push(Problem::new(found).key("beta_slow").expected("0 < beta_slow < beta_fast"));
        }
        problems
    }

    /// Angle per position of each of `half` pairs, at base `theta`.
    pub fn frequencies(&self, theta: f64, half: usize) -> Vec<f64> {
        let waves = |theta: f64| (0..half).map(move |i| theta.powf(-(i as f64) / half as f64));
        match self {
            RopeScaling::None => waves(theta).collect(),
            RopeScaling::Linear(config) => waves(theta).map(|w| w / config.factor).collect(),
            RopeScaling::Ntk(config) if half > 1 => {
                waves(theta * config.factor.powf(half as f64 / (half as f64 - 1.0))).collect()
            }
            RopeScaling::Ntk(_) => waves(theta).collect(),
            RopeScaling::Yarn(config) => {
                waves(theta).enumerate().map(|(i, w)| w * config.kept(i, theta, half)).collect()
            }
        }
    }

    /// What turned queries and keys are multiplied by.
    pub fn amplitude(&self) -> f64 {
        match self {
            RopeScaling::None | RopeScaling::Linear(_) | RopeScaling::Ntk(_) => 1.0,
            RopeScaling::Yarn(config) => 0.1 * config.factor.ln() + 1.0,
        }
    }
}

impl YarnConfig {
    /// Between one over the factor (stretched) and one (kept).
    fn kept(&self, i: usize, theta: f64, half: usize) -> f64 {
        let pair_of = |turns: f64| {
            half as f64 * (self.original_max_position as f64 / (turns * 2.0 * PI)).ln() / theta.ln() // turns within original_max_position
        };
        let first = pair_of(self.beta_fast).floor().max(0.0);
        let last = pair_of(self.beta_slow).ceil().min(2.0 * half as f64 - 1.0);
        let stretched = ((i as f64 - first) / (last - first).max(1e-3)).clamp(0.0, 1.0);
        stretched / self.factor + (1.0 - stretched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THETA: f64 = 10_000.0;
    /// Rounding of a few products in f64.
    const ROUNDING: f64 = 1e-12;

    fn all(factor: f64) -> [RopeScaling; 3] {
        let stretch = StretchConfig { factor };
        let yarn = YarnConfig { factor, ..YarnConfig::default() };
        [RopeScaling::Linear(stretch), RopeScaling::Ntk(stretch), RopeScaling::Yarn(yarn)]
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let plain = RopeScaling::None.frequencies(THETA, 16);
        for scaling in all(1.0) {
            assert_eq!(scaling.frequencies(THETA, 16), plain, "{scaling:?}");
            assert_eq!(scaling.amplitude(), 1.0, "{scaling:?}");
        }
    }

    #[test]
    fn the_longest_wave_is_stretched_by_the_factor() {
        let plain = RopeScaling::None.frequencies(THETA, 64);
        for scaling in all(4.0) {
            let stretched = scaling.frequencies(THETA, 64);
            assert!((plain[63] / stretched[63] - 4.0).abs() < ROUNDING, "{scaling:?}");
        }
    }

    #[test]
    fn the_shortest_wave_stays_except_under_linear() {
        let first = all(4.0).map(|scaling| scaling.frequencies(THETA, 64)[0]);
        assert_eq!(first, [0.25, 1.0, 1.0]);
    }

    #[test]
    fn yarn_blends_between_its_two_borders() {
        let plain = RopeScaling::None.frequencies(THETA, 64);
        let kept: Vec<f64> =
            all(4.0)[2].frequencies(THETA, 64).iter().zip(&plain).map(|(yarn, plain)| yarn / plain).collect();
        // 2048 tokens hold 32 turns of pair 16.1 and one turn of pair 40.2.
        assert!(kept[16] == 1.0 && kept[17] < 1.0 && kept[40] > 0.25 && kept[41] == 0.25, "{kept:?}");
        assert!(kept.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn impossible_numbers_are_refused_with_their_keys() {
        let keys: Vec<_> = all(0.5).iter().flat_map(RopeScaling::check).filter_map(|p| p.key).collect();
        assert_eq!(keys, ["factor"; 3]);
        let yarn = YarnConfig { original_max_position: 0, beta_slow: 40.0, ..YarnConfig::default() };
        let keys: Vec<_> = RopeScaling::Yarn(yarn).check().into_iter().filter_map(|p| p.key).collect();
        assert_eq!(keys, ["original_max_position", "beta_slow"]);
    }
}
