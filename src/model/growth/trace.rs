//! Where each entry of a grown parameter comes from: which parameter of the small model, which row, which column, and
//! whether layer and unit are the old ones or copies.

use super::recipe::Recipe;
use crate::error::Result;
use crate::layers::Widths;
use crate::layers::feed_forward::FeedForwardConfig;
use crate::layers::mixer::MixerConfig;
use crate::layers::norm::NormConfig;
use crate::model::norm_placement::NormPlacement;
use crate::model::{BlockConfig, ModelConfig};

/// What a parameter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A linear layer `[in, out]` inside a block.
    Map,
    /// A table `[rows, d]` that is looked up.
    Table,
    /// The table `[v, d]` of an untied head.
    Head,
    /// The scale of a norm.
    Gain,
    /// A bias of a linear layer or of a norm.
    Offset,
    /// A short convolution `[width, channels]`.
    Kernel,
}

/// Whether a layer of the big model is the first that comes from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Not in a layer.
    Outside,
    /// The first of its source: it goes on where the small model's was.
    Old,
    /// A further one.
    New,
}

/// What an axis of a parameter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What is read.
    In,
    /// What is written.
    Out,
    /// Rows that no growth touches.
    Rows,
}

/// Where a unit of the big model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// The unit of the small model.
    pub from: usize,
    /// 0 is the old unit, 1 its first copy.
    pub copy: usize,
    /// How often the unit is there, the old one counted.
    pub copies: usize,
}

impl Unit {
    /// Whether it is a copy.
    pub fn is_new(&self) -> bool {
        self.copy > 0
    }
}

/// The units along one axis of a parameter.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub role: Role,
    pub units: Vec<Unit>,
    pub n_small: usize,
}

impl Axis {
    /// Stretches of an axis that grow each by itself: `(small, big)`.
    fn new(role: Role, stretches: &[(usize, usize)]) -> Self {
        let (mut units, mut n_small) = (Vec::new(), 0);
        for &(small, big) in stretches {
            units.extend((0..big).map(|unit| Unit {
                from: n_small + unit % small,
                copy: unit / small,
                copies: big / small + usize::from(unit % small < big % small),
            }));
            n_small += small;
        }
        Axis { role, units, n_small }
    }
}

/// Where a parameter of the big model comes from.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub part: Part,
    pub layer: Layer,
    /// Whether it decides how much its layer adds to the residual stream.
    pub is_gate: bool,
    /// Whether it belongs to the norm before the head.
    pub is_last_norm: bool,
    /// Rows and columns; a bias has one row.
    pub axes: [Axis; 2],
}

/// Traces parameters by their names.
#[derive(Debug, Clone)]
pub(super) struct Tracer {
    small: ModelConfig,
    big: ModelConfig,
    pub sources: Vec<usize>,
}

impl Tracer {
    pub fn new(recipe: &Recipe, small: &ModelConfig, big: &ModelConfig) -> Result<Self> {
        Ok(Tracer { small: small.clone(), big: big.clone(), sources: recipe.sources(small)? })
    }

    /// The layer of a name and the rest of it.
    pub fn layer_of(name: &str) -> Option<(usize, &str)> {
        let (layer, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
        Some((layer.parse().ok()?, rest))
    }

    /// The name in the small model of the parameter `name` of the big one.
    pub fn source(&self, name: &str) -> String {
        match Tracer::layer_of(name) {
            Some((layer, rest)) => format!("blocks.{}.{rest}", self.sources[layer]),
            None => name.to_string(),
        }
    }

    /// Traces `name`, whose shapes in the two models are given.
    pub fn trace(&self, name: &str, small: &[usize], big: &[usize]) -> Trace {
        let part = part(name);
        let (layer, blocks) = match Tracer::layer_of(name) {
            Some((layer, _)) => {
                let first = self.sources.iter().position(|source| *source == self.sources[layer]);
                let kind = if first == Some(layer) { Layer::Old } else { Layer::New };
                (kind, Some((self.small.blocks()[self.sources[layer]], self.big.blocks()[layer])))
            }
            None => (Layer::Outside, None),
        };
        let rows = |shape: &[usize]| if shape.len() == 2 { shape[0] } else { 1 };
        let columns = |shape: &[usize]| shape[shape.len() - 1];
        let (row_role, column_role) = match part {
            Part::Map => (Role::In, Role::Out),
            Part::Head => (Role::Rows, Role::In),
            Part::Table | Part::Gain | Part::Offset | Part::Kernel => (Role::Rows, Role::Out),
        };
        let copies = blocks.map_or(1, |(block, _)| expert_copies(name, &block));
        let each = |(small, big): (usize, usize), copies: usize| vec![(small / copies, big / copies); copies];
        let (row_copies, column_copies) = if part == Part::Offset { (1, copies) } else { (copies, 1) };
        let row_stretches = each((rows(small), rows(big)), row_copies);
        let column_stretches = match blocks {
            Some(blocks) if is_packed(name) => self.packed(&blocks),
            _ => each((columns(small), columns(big)), column_copies),
        };
        Trace {
            part,
            layer,
            is_gate: blocks
                .is_some_and(|(_, block)| is_gate(name, &block, self.big.norm != NormConfig::None)),
            is_last_norm: name.starts_with("norm."),
            axes: [Axis::new(row_role, &row_stretches), Axis::new(column_role, &column_stretches)],
        }
    }

    /// Queries, keys and values beside each other.
    fn packed(&self, (small, big): &(BlockConfig, BlockConfig)) -> Vec<(usize, usize)> {
        let (small, big) = (packed(small, &self.small), packed(big, &self.big));
        small.into_iter().zip(big).collect()
    }
}

/// Widths of queries, keys and values.
pub(super) fn packed(block: &BlockConfig, model: &ModelConfig) -> [usize; 3] {
    let widths = Widths::new(model.d_model, model.n_heads, 1);
    match &block.mixer {
        MixerConfig::Attention(attention) => {
            let width = attention.d_head(&widths);
            let keys = attention.n_kv_heads(&widths) * width;
            [widths.n_heads * width, keys, keys]
        }
        MixerConfig::Average(_) => [0, 0, widths.d_model],
    }
}

/// Whether the last axis of a parameter is queries, keys and values.
pub(super) fn is_packed(name: &str) -> bool {
    name.contains(".mixer.qkv.") || name.contains(".mixer.convolution.")
}

fn part(name: &str) -> Part {
    match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "gamma" => Part::Gain,
        "beta" | "bias" => Part::Offset,
        "kernel" => Part::Kernel,
        _ if name.starts_with("blocks.") => Part::Map,
        _ if name.starts_with("head.") => Part::Head,
        _ => Part::Table,
    }
}

/// How many experts stand below each other in the parameter.
fn expert_copies(name: &str, block: &BlockConfig) -> usize {
    match &block.feed_forward {
        FeedForwardConfig::Moe(moe) if name.contains(".experts.") => moe.n_experts,
        FeedForwardConfig::Moe(moe) if name.contains(".shared.") => moe.n_shared,
        FeedForwardConfig::Moe(_)
        | FeedForwardConfig::Mlp(_)
        | FeedForwardConfig::GatedMlp(_)
        | FeedForwardConfig::None => 1,
    }
}

/// A half of a block ends in a linear layer called `out` or `down`, or in the norm behind it.
fn is_gate(name: &str, block: &BlockConfig, has_norms: bool) -> bool {
    let ends_in_norm = match block.norm_placement {
        NormPlacement::Output | NormPlacement::Sandwich => has_norms,
        NormPlacement::Pre | NormPlacement::Post | NormPlacement::Parallel(_) => false,
    };
    let ends = [".out.weight", ".out.bias", ".down.weight", ".down.bias"];
    match ends_in_norm {
        true => name.contains("_out_norm."),
        false => ends.iter().any(|end| name.ends_with(end)),
    }
}
