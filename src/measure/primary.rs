//! The one number of a run that arms are compared by.

use serde::{Deserialize, Serialize};

use super::record::Measurements;
use crate::data::DataConfig;
use crate::statistics::Contrast;

/// What arms are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Share of questions answered right; more is better.
    Answers,
    /// Bits of knowledge per parameter, of all parameters; more is better.
    BitsPerParam,
    /// Loss on held-out text in nats per token; less is better.
    HeldOutLoss,
}

impl Measure {
    /// Questions measure reading, facts measure knowledge; text without either has a loss only. A mixture of which no
    /// domain is named as the one that is studied asks for the loss over all of them.
    pub fn of_run(data: &DataConfig, measurements: &Measurements) -> Measure {
        let over_domains = matches!(data, DataConfig::Mixture(mixture) if mixture.studied.is_none());
        if measurements.right_answers().is_some() {
            Measure::Answers
        } else if measurements.capacity.is_some() && !over_domains {
            Measure::BitsPerParam
        } else {
            Measure::HeldOutLoss
        }
    }

    /// The number of one run.
    pub fn of(self, measurements: &Measurements) -> Option<f64> {
        let value = match self {
            Measure::BitsPerParam => measurements.capacity.as_ref()?.bits_per_param,
            Measure::HeldOutLoss => measurements.held_out?.nats_per_token,
            Measure::Answers => measurements.right_answers()?,
        };
        value.is_finite().then_some(value)
    }

    /// How arms are set against their control: capacities as a ratio, losses and shares as a difference.
    pub fn contrast(self) -> Contrast {
        match self {
            Measure::BitsPerParam => Contrast::Ratio,
            Measure::HeldOutLoss | Measure::Answers => Contrast::Difference,
        }
    }

    /// What stands on an axis or over a column.
    pub fn label(self) -> &'static str {
        match self {
            Measure::BitsPerParam => "bits per parameter",
            Measure::HeldOutLoss => "held-out loss (nats per token)",
            Measure::Answers => "right answers (share)",
        }
    }
}
