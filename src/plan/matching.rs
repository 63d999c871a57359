//! An arm whose feed-forward width is set so that the arm matches the control.
//!
//! Parameters and FLOPs are straight lines over the width of the feed-forward, so that two counts tell where the
//! control's lies.

use super::Plan;
use super::arm::{Held, MatchOn};
use super::resolved::Resolved;
use super::tree::{Value, path_of};
use crate::error::{Error, Problem};
use crate::layers::feed_forward::{ExpertConfig, FeedForwardConfig};

/// Where an expansion is a round number again.
const DIGITS: f64 = 1e4;

/// The arm with the expansion whose count is the nearest to that of the control.
pub(super) fn fit(arm: Resolved, held: &Held, control: &Plan) -> Result<Resolved, Vec<Problem>> {
    let Some((key, unit)) = knob(&arm.plan.model.block.feed_forward) else {
        let problem = Problem::new("there is no feed-forward whose width could be matched").key(&held.key);
        let problem = problem.at_origin(held.said.as_ref());
        return Err(vec![problem.help("say match = \"nothing\" and what the arm is matched on then")]);
    };
    let path = path_of(&format!("model.block.feed_forward.{key}")).unwrap_or_default();
    let d_model = arm.plan.model.d_model as f64;
    let with = |units: u64| {
        let exact = (units * unit as u64) as f64 / d_model;
        let short = (exact * DIGITS).round() / DIGITS;
        let expansion = if (short * d_model).round() == (exact * d_model).round() { short } else { exact };
        arm.with(&path, Value::Float(expansion).into())
    };
    let count = |plan: &Plan| count(plan, held.holds).map_err(|error| error.problems);
    let (one, two) = (count(&with(1)?.plan)?, count(&with(2)?.plan)?);
    let units = 1.0 + (count(control)? - one) / (two - one);
    with(units.round().clamp(1.0, 1e12) as u64)?.checked()
}

/// The setting of a feed-forward that decides its width, relative to the slot, and what the width is a multiple of.
fn knob(feed_forward: &FeedForwardConfig) -> Option<(&'static str, usize)> {
    match feed_forward {
        FeedForwardConfig::Mlp(_) => Some(("expansion", 1)),
        FeedForwardConfig::GatedMlp(config) => Some(("expansion", config.multiple_of.max(1))),
        FeedForwardConfig::Moe(config) => match config.expert {
            ExpertConfig::Mlp(_) => Some(("expert.expansion", 1)),
            ExpertConfig::GatedMlp(config) => Some(("expert.expansion", config.multiple_of.max(1))),
        },
        FeedForwardConfig::None => None,
    }
}

/// The count that is matched.
fn count(plan: &Plan, holds: MatchOn) -> Result<f64, Error> {
    Ok(match holds {
        MatchOn::Parameters | MatchOn::Nothing => plan.num_params()?.total,
        MatchOn::ActiveFlops => plan.flops_per_token()?.exact,
    } as f64)
}
