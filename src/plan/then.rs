//! What an ablation does once every arm is finished: fit its law, and train what that predicts.
//!
//! A law that was fitted to the arms says which mixture of data is best. That is a prediction; the arm `optimum` tests
//! it. Its shares are not in the file, they follow from the finished runs, so that asking again gives the same arm.

use serde::{Deserialize, Serialize};

use super::Ablation;
use super::arm::{Arm, MatchOn};
use super::resolve::config;
use super::resolved::Resolved;
use super::tree::Value;
use crate::Result;
use crate::error::{Error, Problem};

/// The arm that is trained in the shares that the law of mixtures holds for the best.
pub const OPTIMUM: &str = "optimum";

/// The table `[then]`: what follows when every arm is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Then {
    /// What is trained when every arm is finished.
    pub train: Train,
    /// The law that the report ends with.
    pub fit: Option<Law>,
}

impl Then {
    /// The law that is fitted: that of mixtures where its optimum is trained.
    pub fn law(&self) -> Option<Law> {
        match self.train {
            Train::Optimum => Some(Law::Mixture),
            Train::Nothing => self.fit,
        }
    }
}

/// A law that is fitted to the finished runs of an ablation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// Bits of knowledge by size and load: how many bits a parameter can hold.
    Capacity,
    /// Crossings of the loss curves on every axis.
    Race,
    /// Loss by parameters and tokens: the best size for a budget.
    Scaling,
    /// Loss by shares of the data: the best mixture.
    Mixture,
}

impl Law {
    /// Its name, as in `zoo fit NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Law::Capacity => "capacity",
            Law::Race => "race",
            Law::Scaling => "scaling",
            Law::Mixture => "mixture",
        }
    }
}

/// What is trained when every arm is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Train {
    /// Nothing more is trained.
    #[default]
    Nothing,
    /// The control, in the shares of data that the law of mixtures holds for the best.
    Optimum,
}

/// Shares have four decimals: more would be noise, and name another run after the slightest change.
const PARTS: f64 = 1e4;

impl Ablation {
    /// The ablation with the arm [`OPTIMUM`]: the control in these shares of its sources, by name.
    ///
    /// # Errors
    /// The control's data is no mixture of these sources, or the shares are impossible.
    pub fn with_optimum(&self, shares: &[(String, f64)]) -> Result<Self> {
        let [size] = self.sizes()[..] else {
            let found = format!("{} sizes", self.sizes().len());
            let problem = Problem::new(found).key("then.train").expected("one size, whose law is fitted");
            return Err(Error::config(problem));
        };
        let control = self.control(size);
        let mut resolved: Resolved = control.resolved.clone();
        for (name, share) in rounded(shares) {
            let path = ["data", "sources", &name, "share"].map(str::to_string);
            resolved = resolved.with(&path, Value::Float(share).into()).map_err(config)?;
        }
        let named = (!size.is_empty()).then_some(size);
        let mut arm = Arm::new(OPTIMUM, named, MatchOn::Parameters, resolved.checked()).map_err(config)?;
        arm.files = control.files.clone();
        let mut more = self.clone();
        more.arms.push(arm);
        Ok(more)
    }
}

/// Four decimals that add up to one; what rounding leaves goes to the largest.
fn rounded(shares: &[(String, f64)]) -> Vec<(String, f64)> {
    let mut parts: Vec<i64> = shares.iter().map(|(_, share)| (share * PARTS).round() as i64).collect();
    let missing = PARTS as i64 - parts.iter().sum::<i64>();
    if let Some(largest) = parts.iter_mut().max() {
        *largest += missing;
    }
    shares.iter().zip(parts).map(|((name, _), part)| (name.clone(), part as f64 / PARTS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Presets;

    #[test]
    fn rounded_shares_still_add_up_to_one() {
        let third = |name: &str| (name.to_string(), 1.0 / 3.0);
        let found: Vec<f64> =
            rounded(&[third("a"), third("b"), third("c")]).into_iter().map(|s| s.1).collect();
        assert_eq!(found.iter().sum::<f64>(), 1.0);
        assert_eq!(found.iter().filter(|share| **share == 0.3333).count(), 2);
    }

    #[test]
    fn data_without_sources_have_no_optimum() {
        let ablation = Ablation::load(&Presets::at("/nowhere"), "mlp", Some("smoke"), &[]).unwrap();
        assert_eq!(ablation.then.train, Train::Nothing);
        assert_eq!(ablation.with_optimum(&[("a".into(), 1.0)]).unwrap_err().exit_code(), 2);
    }
}
