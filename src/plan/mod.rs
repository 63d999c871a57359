//! TOML to a merged, checked, typed [`Plan`]: one run, with everything that can change its numbers.

pub mod ablation;
mod adapt;
mod arm;
mod check;
mod context;
pub mod cost;
mod data_size;
pub mod difference;
mod factors;
pub mod fingerprint;
pub mod forecast;
pub mod growth;
pub mod hardware;
mod keys;
mod matching;
mod memory;
pub mod nuisance;
pub mod preset;
mod ablation_file;
pub mod reader;
pub(crate) mod renamed;
pub mod resolve;
mod resolved;
pub mod runs;
mod sets;
pub mod then;
pub mod stages;
mod synonyms;
pub mod tree;
pub mod walk;
pub mod writer;

pub use ablation::{Ablation, About, Bound, Claim, Published, Tune, TunedKey};
pub use arm::{Arm, Match, MatchOn};
pub use check::check;
pub use cost::{Calibration, Cost, Known, Pace};
pub use factors::{Factor, Factorial};
pub use fingerprint::{Fingerprint, NUMERICS};
pub use forecast::Extent;
pub use growth::{GrowthConfig, GrowthTime};
pub use hardware::Hardware;
pub use preset::{PresetKind, Presets};
pub use resolve::{Request, resolve_dataset, resolve_model, resolve_single};
pub use resolved::Resolved;
pub use runs::{Edge, Forecast, Next, PlannedRun, Rate, Role, Score, Tuned};
pub use stages::{Parent, Part, PlannedStage, stages};
pub use then::{Law, OPTIMUM, Then, Train};
pub use walk::{OneAtATimePath, PathStep};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::DataConfig;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::measure::MeasureConfig;
use crate::model::{BlockConfig, ModelConfig};
use crate::training::{AdaptConfig, ContextConfig, Prediction, TrainingConfig};

/// One run: a model, its data, its training and its seed. The fingerprint of the plan names the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// The model that is built.
    pub model: ModelConfig,
    /// The data that it learns.
    pub data: DataConfig,
    /// The training: optimizer, schedule, batch and length.
    pub training: TrainingConfig,
    /// The training objective: next tokens, or masked ones.
    #[serde(skip_serializing_if = "is_default")]
    pub prediction: Prediction,
    /// How the model reads more than one sequence holds.
    #[serde(skip_serializing_if = "is_default")]
    pub context: ContextConfig,
    /// How the model is grown from a smaller one, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<GrowthConfig>,
    /// The QA tuning of a trained model, if there is any.
    #[serde(skip_serializing_if = "is_default")]
    pub adapt: AdaptConfig,
    /// The measurements after training.
    pub measure: MeasureConfig,
    /// The random seed of the people, their order and the initial weights.
    pub seed: u64,
}

impl Plan {
    /// The plan as TOML, every field written; [`Plan::from_toml`] reads it back.
    pub fn to_toml(&self) -> String {
        writer::document(&writer::write(self))
    }

    /// One table of the plan as TOML.
    pub fn to_toml_of(&self, table: &str) -> String {
        writer::document(&writer::write(self).only(&[table]))
    }

    /// One table of the plan in one line, as `--set` takes it: `training={ batch = 8 }`.
    pub fn to_set_of(&self, table: &str) -> String {
        let tree = writer::write(self);
        format!("{table}={}", tree.get(&[table]).map(writer::inline).unwrap_or_default())
    }

    /// Whether there is a loss beside the cross-entropy: load balancing of experts, distillation from a teacher.
    fn has_auxiliary_loss(&self) -> bool {
        let is_taught = match &self.context {
            ContextConfig::Encoder(encoder) => !encoder.distill.is_none(),
            ContextConfig::None
            | ContextConfig::Window
            | ContextConfig::Stretched(_)
            | ContextConfig::Replug => false,
        };
        let is_mixture = |block: &BlockConfig| matches!(block.feed_forward, FeedForwardConfig::Moe(_));
        is_taught || self.model.blocks().iter().any(is_mixture)
    }

    /// Reads a plan from TOML, as strictly as every other file; `name` is what messages call it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_toml(name: &str, text: &str) -> Result<Self> {
        let node = resolve::parse(&tree::Source::new(name, text))?;
        reader::read(&node, &[]).map_err(resolve::config)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
