//! How much knowledge survives when weights are rounded to a few bits.
//!
//! Two ways to round a matrix: each weight to the nearest point of its grid ([`grid`]), or, as GPTQ does (`gptq`), one
//! input after the other, each error mended by the inputs that are still to be rounded. Rounded weights are put back as
//! `f32`, so that whatever measures the model measures the rounded one; how they would be stored is counted in
//! [`Storage`]. "Knowledge Capacity Scaling Laws" (arXiv 2404.05405, Result 8) finds that 8 bits cost nothing and that
//! 4 bits leave 0.7 of 2 bits per parameter.

mod calibrate;
pub mod config;
mod gptq;
pub mod grid;
mod inverse;
mod matrix;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor};

use crate::data::Dataset;
use crate::error::{Error, Problem, Result};
use crate::model::Decoder;
use crate::model::parameter::{self, Visit};
use crate::model::weights::{self, Weights};
use calibrate::Reader;
pub use config::{ColumnOrder, GptqConfig, GroupConfig, QuantizeConfig, Rounding, RtnConfig, Scale, Scope};
use grid::Grid;
use matrix::Layout;
pub use storage::Storage;

/// A model whose weights lie on their grids.
#[derive(Debug)]
pub struct Quantized {
    /// The model.
    pub model: Decoder,
    /// How its weights would be stored.
    pub storage: Storage,
}

/// A parameter of the model.
struct Tensors(Vec<(ParamId, String, Vec<usize>)>);

impl Visit for Tensors {
    fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
        self.0.push((param.id, name.to_string(), param.val().dims().to_vec()));
    }
}

impl QuantizeConfig {
    /// Rounds the weights of `model`, which was trained on rows of `data`; `None` where nothing is to be rounded.
    ///
    /// # Errors
    /// The model has no weight of the kind that is to be rounded.
    pub fn apply(
        &self,
        model: &Decoder,
        data: &Dataset,
        seq_len: usize,
        device: &Device,
    ) -> Result<Option<Quantized>> {
        let Some(rounding) = self.rounding() else { return Ok(None) };
        let mut work = Work::start(model, Reader::new(data, seq_len, device), rounding)?;
        match self {
            QuantizeConfig::None => {}
            QuantizeConfig::Rtn(_) => work.round_linears_to_nearest(),
            QuantizeConfig::Gptq(config) => work.round_linears_by_gptq(config)?,
        }
        match rounding.scope {
            Scope::Linear => {}
            Scope::All => work.round_tables(),
        }
        work.finish().map(Some)
    }
}

/// A model on its way to the grids.
struct Work<'a> {
    model: Decoder,
    weights: Weights,
    reader: Reader<'a>,
    rounding: Rounding,
    /// The linear layers in the order of the computation, by name.
    linears: Vec<(ParamId, String, Layout)>,
    /// All other matrices.
    tables: Vec<(String, Layout)>,
    storage: Storage,
}

impl<'a> Work<'a> {
    fn start(model: &Decoder, reader: Reader<'a>, rounding: Rounding) -> Result<Self> {
        let mut tensors = Tensors(Vec::new());
        parameter::visit(model, &mut tensors);
        let named: HashMap<ParamId, (&String, &Vec<usize>)> =
            tensors.0.iter().map(|(id, name, dims)| (*id, (name, dims))).collect();
        let linears = reader.linears(model, named.keys().copied().collect()).into_iter();
        let linears = linears.map(|(id, n_experts)| {
            let (name, dims) = named[&id];
            (id, name.clone(), Layout::linear(n_experts, dims))
        });
        let linears: Vec<_> = linears.collect();
        if linears.is_empty() && rounding.scope == Scope::Linear {
            let problem = Problem::new("a model without linear maps").key("quantize");
            return Err(Error::config(problem.expected("weights to round").help("say weights = \"all\"")));
        }
        let is_linear = |name: &str| linears.iter().any(|(_, linear, _)| linear == name);
        let tables = tensors.0.iter().filter(|(_, name, dims)| dims.len() == 2 && !is_linear(name));
        let tables = tables.map(|(_, name, dims)| (name.clone(), Layout::table(dims))).collect();
        let weights = weights::of(model);
        let storage = Storage::float(rounding.bits, &weights);
        Ok(Work { model: model.clone(), weights, reader, rounding, linears, tables, storage })
    }

    fn round_linears_to_nearest(&mut self) {
        for (_, name, layout) in self.linears.clone() {
            self.round(&name, layout, |_, grid, matrix| grid.round_all(matrix));
        }
    }

    /// Block by block: the inputs of a block are those that the rounded blocks before it give.
    fn round_linears_by_gptq(&mut self, config: &GptqConfig) -> Result<()> {
        for block in self.blocks() {
            let ids = block.iter().map(|(id, _, _)| *id).collect();
            let grams = self.reader.grams(&self.model, ids, config.tokens);
            for (id, name, layout) in &block {
                self.round(name, *layout, |copy, grid, matrix| {
                    gptq::round(matrix, grid, &grams[id][copy], config);
                });
            }
            self.model = weights::put(self.model.clone(), self.weights.clone(), "the rounded model")?;
        }
        Ok(())
    }

    /// The linear layers of each block.
    fn blocks(&self) -> Vec<Vec<(ParamId, String, Layout)>> {
        let block = |name: &str| name.split('.').take(2).collect::<Vec<_>>().join(".");
        self.linears.chunk_by(|a, b| block(&a.1) == block(&b.1)).map(<[_]>::to_vec).collect()
    }

    fn round_tables(&mut self) {
        for (name, layout) in self.tables.clone() {
            self.round(&name, layout, |_, grid, matrix| grid.round_all(matrix));
        }
    }

    /// Rounds each matrix of a tensor on a grid of its own and notes what that takes.
    fn round(&mut self, name: &str, layout: Layout, round: impl Fn(usize, &Grid, &mut matrix::Matrix)) {
        let data = self.weights.get_mut(name).expect("named by the same visitor");
        let mut matrices = layout.read(data);
        let mut scales = 0;
        for (copy, matrix) in matrices.iter_mut().enumerate() {
            let grid = Grid::of(matrix, self.rounding.bits, self.rounding.scale);
            round(copy, &grid, matrix);
            scales += grid.scales().len() as u64;
        }
        self.storage.note(name, data.num_elements() as u64, scales);
        *data = layout.write(&matrices);
    }

    fn finish(self) -> Result<Quantized> {
        let model = weights::put(self.model, self.weights, "the rounded model")?;
        Ok(Quantized { model, storage: self.storage })
    }
}
