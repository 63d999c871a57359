//! Where each parameter lies in files of `transformers`: a list of rows that is made as it is read, because a config
//! from elsewhere may speak of more layers than there is memory for.

use super::layout::Layout;
use crate::layers::Widths;
use crate::layers::embedding::Head;
use crate::layers::mixer::{AttentionConfig, QkNormConfig};
use crate::layers::norm::NormConfig;
use crate::layers::{Bias, position::PositionConfig};
use crate::model::Blueprint;

/// One of our parameters.
#[derive(Debug)]
pub(super) struct NameRow {
    /// Its name.
    pub ours: String,
    /// Its shape.
    pub shape: Vec<usize>,
    names: Vec<String>,
    layout: Layout,
}

/// Where in the model rows are.
#[derive(Debug, Clone, Copy)]
pub(super) enum ParameterPlace {
    /// Before the blocks.
    Start,
    /// A block.
    Block(usize),
    /// Behind the blocks.
    End,
}

/// Rows under way.
pub(super) struct Rows<'a> {
    /// The model.
    pub blueprint: &'a Blueprint,
    /// Its widths.
    pub widths: Widths,
    rows: Vec<NameRow>,
}

/// All rows of a model, part by part.
pub(super) fn table(
    blueprint: &Blueprint,
    rows: fn(&mut Rows, ParameterPlace),
) -> impl Iterator<Item = NameRow> + use<'_> {
    let blocks = (0..blueprint.model.n_layers).map(ParameterPlace::Block);
    [ParameterPlace::Start].into_iter().chain(blocks).chain([ParameterPlace::End]).flat_map(move |place| {
        let widths = blueprint.model.widths(blueprint.seq_len);
        let mut part = Rows { blueprint, widths, rows: Vec::new() };
        rows(&mut part, place);
        part.rows
    })
}

impl NameRow {
    /// Names and shapes of theirs.
    pub fn theirs(&self) -> impl Iterator<Item = (String, Vec<usize>)> + '_ {
        self.names.iter().enumerate().map(|(j, name)| (name.clone(), self.layout.shape(&self.shape, j)))
    }

    /// Puts part `j` of theirs where it belongs in ours.
    pub fn pack(&self, theirs: &[f32], j: usize, ours: &mut [f32]) {
        for (at, value) in theirs.iter().enumerate() {
            ours[self.layout.position(&self.shape, j, at)] = *value;
        }
    }

    /// Part `j` of theirs, out of ours.
    pub fn unpack(&self, ours: &[f32], j: usize) -> Vec<f32> {
        let n = self.layout.shape(&self.shape, j).iter().product();
        (0..n).map(|at| ours[self.layout.position(&self.shape, j, at)]).collect()
    }
}

impl Rows<'_> {
    /// A tensor of one name there, as it is.
    pub fn same(&mut self, ours: String, theirs: String, shape: &[usize]) {
        self.rows.push(NameRow { ours, shape: shape.to_vec(), names: vec![theirs], layout: Layout::Same });
    }

    /// A linear layer of `[d_in, d_out]`, and its bias if it has one.
    pub fn linear(&mut self, ours: &str, theirs: &[String], layout: Layout, shape: [usize; 2], bias: Bias) {
        assert_eq!(theirs.len(), layout.parts(), "a name for each part of {ours}");
        let names = |what: &str| theirs.iter().map(|name| format!("{name}.{what}")).collect();
        let [_, d_out] = shape;
        self.rows.push(NameRow {
            ours: format!("{ours}.weight"),
            shape: shape.to_vec(),
            names: names("weight"),
            layout: layout.clone(),
        });
        if bias == Bias::With {
            let (ours, shape) = (format!("{ours}.bias"), vec![d_out]);
            self.rows.push(NameRow { ours, shape, names: names("bias"), layout });
        }
    }

    /// A norm of the residual stream.
    pub fn norm(&mut self, ours: &str, theirs: &str) {
        let shape = [self.widths.d_model];
        self.same(format!("{ours}.gamma"), format!("{theirs}.weight"), &shape);
        if let NormConfig::Layer(config) = self.blueprint.model.norm
            && config.bias == Bias::With
        {
            self.same(format!("{ours}.beta"), format!("{theirs}.bias"), &shape);
        }
    }

    /// The scales of queries and keys, if they are normalised.
    pub fn qk_norm(&mut self, ours: &str, theirs: &str, attention: &AttentionConfig) {
        let (h, g, k) =
            (self.widths.n_heads, attention.n_kv_heads(&self.widths), attention.d_head(&self.widths));
        let [queries, keys] = match attention.qk_norm {
            QkNormConfig::None => return,
            QkNormConfig::PerHead(_) => [k, k],
            QkNormConfig::Joint(_) => [h * k, g * k],
        };
        self.same(format!("{ours}.queries.gamma"), format!("{theirs}.q_norm.weight"), &[queries]);
        self.same(format!("{ours}.keys.gamma"), format!("{theirs}.k_norm.weight"), &[keys]);
    }

    /// The table of tokens, and that of positions if it is learned.
    pub fn embedding(&mut self, tokens: &str, positions: &str) {
        let (v, t, d) = (self.blueprint.vocab_size, self.blueprint.seq_len, self.widths.d_model);
        self.same("embedding.weight".to_string(), tokens.to_string(), &[v, d]);
        if self.blueprint.model.block.mixer.position() == PositionConfig::Learned {
            self.same("position.weight".to_string(), positions.to_string(), &[t, d]);
        }
    }

    /// The table of the head, if it has one of its own.
    pub fn head(&mut self, theirs: &str) {
        if self.blueprint.model.embedding.head() == Head::Untied {
            let shape = [self.blueprint.vocab_size, self.widths.d_model];
            self.same("head.weight".to_string(), theirs.to_string(), &shape);
        }
    }
}
