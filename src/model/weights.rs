//! Named tensors to safetensors and back, for models and optimizer states.
//!
//! A file is checked against what is expected before anything is built from it: every name, every shape, f32 only.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Problem, Result};
use crate::model::parameter::{self, Map, Visit};

pub use crate::model::parameter::Weights;

/// The weights of a module, on the host.
pub fn of<M: Module>(module: &M) -> Weights {
    struct Collect(Weights);
    impl Visit for Collect {
        fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            self.0.insert(name.to_string(), param.val().into_data());
        }
    }
    let mut collect = Collect(Weights::new());
    parameter::visit(module, &mut collect);
    collect.0
}

/// The values of a tensor.
///
/// # Panics
/// If they are not f32, as all weights are.
pub fn floats(data: &TensorData) -> Vec<f32> {
    data.try_to_vec().expect("weights are f32")
}

/// Puts `weights` into a module of the same names and shapes.
///
/// # Errors
/// Every name that is missing, left over, or of another shape; `source` says where the weights come from.
pub fn put<M: Module>(module: M, mut weights: Weights, source: &str) -> Result<M> {
    let mut problems = Vec::new();
    let expected = parameter::shapes(&module);
    for (name, shape) in &expected {
        match weights.get(name) {
            None => problems.push(Problem::new(format!("{source} has no tensor {name}"))),
            Some(data) if data.shape().as_slice() != shape.as_slice() => problems.push(
                Problem::new(format!("{source}: {name} is {:?}", data.shape().as_slice()))
                    .expected(format!("{shape:?}")),
            ),
            Some(_) => {}
        }
    }
    for name in weights.keys().filter(|name| !expected.iter().any(|(known, _)| known == *name)) {
        problems.push(Problem::new(format!("{source} has a tensor {name} that the model does not")));
    }
    if !problems.is_empty() {
        return Err(Error { kind: crate::error::Kind::Data, problems });
    }
    struct Put<'a>(&'a mut Weights);
    impl Map for Put<'_> {
        fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
            let data = self.0.remove(name).expect("names were compared above");
            Tensor::from_data(data, &value.device())
        }
    }
    Ok(parameter::map(module, &mut Put(&mut weights)))
}

/// What becomes of weights that hold NaN or infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// An error, by the names of the tensors.
    Refuse,
    /// Values that are not finite are taken, and named.
    Allow,
}

impl NonFinite {
    /// The problems, if they are allowed.
    ///
    /// # Errors
    /// There are problems, and they are not allowed.
    pub fn judge(self, problems: Vec<Problem>) -> Result<Vec<Problem>> {
        match self {
            NonFinite::Refuse if !problems.is_empty() => {
                let error = Error { kind: crate::error::Kind::Data, problems };
                Err(error.remedied("`zoo import`, `generate` and `export` take them with --allow-non-finite"))
            }
            NonFinite::Refuse | NonFinite::Allow => Ok(problems),
        }
    }
}

/// What is wrong with the numbers of a tensor, if some are NaN or infinite; `source` says where they come from.
pub fn non_finite(source: &str, name: &str, values: &[f32]) -> Option<Problem> {
    let first = values.iter().position(|value| !value.is_finite())?;
    let (n, all) = (values.iter().filter(|value| !value.is_finite()).count(), values.len());
    let found = format!(
        "{source}: {name}: {n} of {all} numbers are NaN or infinite, number {first} is {}",
        values[first]
    );
    Some(Problem::new(found))
}

/// Reads a safetensors file of f32 tensors with finite numbers.
///
/// # Errors
/// As [`read`], and the tensors that hold NaN or infinity.
pub fn read_finite(path: &Path) -> Result<Weights> {
    read_judged(path, NonFinite::Refuse).map(|(weights, _)| weights)
}

/// Reads a safetensors file of f32 tensors, and what is wrong with those that hold NaN or infinity.
///
/// # Errors
/// As [`read`], and if they are refused the tensors that hold NaN or infinity.
pub fn read_judged(path: &Path, choice: NonFinite) -> Result<(Weights, Vec<Problem>)> {
    let (weights, _) = read(path)?;
    let source = path.display().to_string();
    let wrong = weights.iter().filter_map(|(name, data)| non_finite(&source, name, &floats(data)));
    let wrong = choice.judge(wrong.collect())?;
    Ok((weights, wrong))
}

/// Writes a safetensors file with `format = "pt"` in its metadata.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) when the file cannot be written.
pub fn write(path: &Path, weights: &Weights, metadata: &[(&str, String)]) -> Result<()> {
    let views = weights.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        (name.as_str(), view.expect("f32 data has four bytes per element"))
    });
    let mut header = std::collections::HashMap::from([("format".to_string(), "pt".to_string())]);
    header.extend(metadata.iter().map(|(key, value)| (key.to_string(), value.clone())));
    let bytes = safetensors::serialize(views, Some(header))
        .map_err(|e| Error::io("write", path, std::io::Error::other(e.to_string())))?;
    std::fs::write(path, bytes).map_err(|e| Error::io("write", path, e))
}

/// Reads a safetensors file of f32 tensors, with its metadata.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) when it cannot be read, [`Kind::Data`](crate::error::Kind::Data) when it is
/// not such a file.
pub fn read(path: &Path) -> Result<(Weights, BTreeMap<String, String>)> {
    let bytes = crate::input::read(path).map_err(|e| Error::io("read", path, e))?;
    let damaged = |what: String| Error::data(Problem::new(format!("{}: {what}", path.display())));
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut weights = Weights::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("{name} is {:?}, expected F32", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        weights.insert(name.to_string(), TensorData::new(values, view.shape().to_vec()));
    }
    Ok((weights, metadata))
}
