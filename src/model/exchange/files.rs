//! The tensors of a folder: one safetensors file, or several with an index.
//!
//! Never pickled files: those are programs. Headers are checked before a value is read, and every length in them
//! against the length of the file.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::WEIGHTS;
use crate::error::{Error, Problem, Result};
use crate::input;

/// The file that says which tensor is in which file.
const INDEX: &str = "model.safetensors.index.json";
/// Endings of pickled weights.
const PICKLED: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];

/// The tensors of a folder.
pub(super) struct Files {
    /// What messages call it.
    pub source: String,
    /// Tensors that the index names and no file has, with the file that should; a tied table may be among them.
    pub absent: Vec<(String, String)>,
    files: Vec<Vec<u8>>,
    tensors: BTreeMap<String, Found>,
}

/// A tensor in a file.
#[derive(Debug)]
pub(super) struct Found {
    /// Its name there.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    dtype: Dtype,
    file: usize,
    range: std::ops::Range<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// Reads the headers of all files of a folder.
    pub fn open(folder: &Path) -> Result<Self> {
        let source = folder.display().to_string();
        let mut files = Files { source, absent: Vec::new(), files: Vec::new(), tensors: BTreeMap::new() };
        let (one, index) = (folder.join(WEIGHTS), folder.join(INDEX));
        if one.exists() {
            files.source = one.display().to_string();
            files.add(&one)?;
        } else if index.exists() {
            files.add_indexed(folder, &index)?;
        } else {
            return Err(no_weights(folder));
        }
        Ok(files)
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its name, or by its name without `prefix`, as files of a model without head have it.
    pub fn find(&self, name: &str, prefix: &str) -> Option<&Found> {
        self.tensors.get(name).or_else(|| self.tensors.get(name.strip_prefix(prefix)?))
    }

    /// The values of a tensor.
    pub fn floats(&self, found: &Found) -> Result<Vec<f32>> {
        let bytes = &self.files[found.file][found.range.clone()];
        let pair = |b: &[u8]| [b[0], b[1]];
        match found.dtype {
            Dtype::F32 => {
                Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            Dtype::F16 => Ok(bytes.chunks_exact(2).map(|b| f16::from_le_bytes(pair(b)).to_f32()).collect()),
            Dtype::BF16 => Ok(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes(pair(b)).to_f32()).collect()),
            other => {
                let problem = Problem::new(format!("{}: {} is {other:?}", self.source, found.name));
                Err(Error::data(problem.expected("F32, F16 or BF16")))
            }
        }
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let damaged = |what: String| Error::data(Problem::new(format!("{}: {what}", path.display())));
        let bytes = input::read(path).map_err(|e| Error::io("read", path, e))?;
        check_names(&bytes).map_err(damaged)?;
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let range = 8 + header + start..8 + header + end;
            let shape = info.shape.clone();
            let found = Found { name: name.clone(), shape, dtype: info.dtype, file: self.files.len(), range };
            if self.tensors.insert(name.clone(), found).is_some() {
                return Err(damaged(format!("{name} is in two files")));
            }
        }
        self.files.push(bytes);
        Ok(())
    }

    fn add_indexed(&mut self, folder: &Path, index: &Path) -> Result<()> {
        let damaged = |what: String| Error::data(Problem::new(format!("{}: {what}", index.display())));
        let text = input::read(index).map_err(|e| Error::io("read", index, e))?;
        let index: Index = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        let mut names: Vec<&String> = index.weight_map.values().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(damaged(format!("names {name:?}, which is not a plain file name")));
            }
            self.add(&folder.join(name))?;
        }
        self.absent =
            index.weight_map.into_iter().filter(|(name, _)| !self.tensors.contains_key(name)).collect();
        Ok(())
    }
}

fn no_weights(folder: &Path) -> Error {
    let pickled = std::fs::read_dir(folder).ok().into_iter().flatten().flatten().find_map(|entry| {
        let path: PathBuf = entry.path();
        let ending = path.extension()?.to_str()?;
        PICKLED.contains(&ending).then(|| entry.file_name().to_string_lossy().into_owned())
    });
    Error::data(match pickled {
        Some(name) => Problem::new(format!("{name} is pickled: to read it is to run whatever program it holds"))
            .expected(WEIGHTS)
            .help(
                "where you trust it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW, safe_serialization=True)",
            ),
        None => Problem::new(format!("no weights in {}", folder.display())).expected(format!("{WEIGHTS} or {INDEX}")),
    })
}

/// Whether the header names each tensor once; of two entries of one name the parser would silently keep the last.
fn check_names(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.first_chunk::<8>().map(|n| u64::from_le_bytes(*n)).ok_or("too short for a header")?;
    let header = usize::try_from(length).ok().and_then(|n| bytes[8..].get(..n));
    let header = header.ok_or_else(|| format!("a header of {length} bytes in a file of {}", bytes.len()))?;
    serde_json::from_slice::<Names>(header).map(drop).map_err(|e| format!("damaged header: {e}"))
}

/// Keys of a table, each of which may be there once.
struct Names;

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if seen.contains(&name) {
                return Err(serde::de::Error::custom(format!("two tensors of the name {name}")));
            }
            seen.insert(name);
        }
        Ok(Names)
    }
}
