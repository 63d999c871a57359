//! People and facts to text to tokens to batches; the order is a pure function of seed and step.

use serde::{Deserialize, Serialize};
/// What is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataConfig {
    /// Synthetic biographies.
    BioS(BioSConfig),
    /// Random facts.
    BioD(BioDConfig),
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct BioSConfig {
    pub people: u64,
    pub seq_len: usize,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct BioDConfig {
    pub people: u64,
    pub attributes: usize,
    pub chunks: usize,
    pub diversity: u64,
}
impl Default for BioSConfig {
    fn default() -> Self {
        BioSConfig { people: 50_000, seq_len: 512 }
    }
}
impl Default for BioDConfig {
    fn default() -> Self {
        BioDConfig { people: 3072, attributes: 4, chunks: 2, diversity: 64 }
    }
}
impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::BioD(BioDConfig::default())
    }
}
#[allow(missing_docs)]
impl DataConfig {
    pub fn vocab_size(&self) -> crate::Result<usize> {
        unreachable!()
    }
    pub fn seq_len(&self) -> usize {
        16
    }
    pub fn tokens_per_exposure(&self) -> crate::Result<Option<f64>> {
        unreachable!()
    }
    pub fn check(&self) -> Vec<crate::error::Problem> {
        Vec::new()
    }
}
#[allow(missing_docs)]
#[derive(Debug)]
pub struct Dataset;
#[allow(missing_docs)]
pub struct Batch {
    pub tokens: Vec<i32>,
    pub targets: Vec<i32>,
    pub weights: Vec<f32>,
    pub rows: usize,
    pub seq_len: usize,
}
#[allow(missing_docs)]
impl Dataset {
    pub fn batch(&self, _step: u64, _rows: usize) -> Batch {
        unreachable!()
    }
}
#[allow(missing_docs)]
impl DataConfig {
    pub fn open(&self, _seed: u64) -> crate::Result<Dataset> {
        unreachable!()
    }
}
