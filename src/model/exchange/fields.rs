//! A `config.json`, read key by key; what is wrong is said with its key.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::parts;
use crate::error::{Error, Problem, Result};
use crate::input;
use crate::kernels::{Activation, is_said_in_f32};
use crate::layers::Bias;

/// The largest file that is taken for a config, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The keys of a config.
pub(super) struct Fields {
    file: PathBuf,
    keys: Map<String, Json>,
}

impl Fields {
    /// Reads a file.
    pub fn open(file: &Path) -> Result<Self> {
        let damaged = |what: String| Error::data(Problem::new(format!("{}: {what}", file.display())));
        let text = input::read_at_most(file, MAX_BYTES).map_err(|e| Error::io("read", file, e))?;
        let keys = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        Ok(Fields { file: file.to_path_buf(), keys })
    }

    /// What was written a moment ago.
    pub fn of(keys: Map<String, Json>) -> Self {
        Fields { file: PathBuf::from(super::CONFIG), keys }
    }

    /// A problem with the value of a key.
    pub fn problem(&self, key: &str, found: impl std::fmt::Display) -> Problem {
        Problem::new(format!("{}: {key}: {found}", self.file.display()))
    }

    fn refuse(&self, key: &str, found: &Json, expected: &str) -> Error {
        Error::data(self.problem(key, found).expected(expected))
    }

    /// The value of a key that is there and not null.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The keys of a table within, if it is there.
    pub fn table(&self, key: &str) -> Option<Fields> {
        let keys = self.get(key)?.as_object()?.clone();
        Some(Fields { file: self.file.clone(), keys })
    }

    /// A whole number, if it is there.
    pub fn size_if(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let size = value.as_u64().and_then(|value| usize::try_from(value).ok());
        size.map(Some).ok_or_else(|| self.refuse(key, value, "a whole number from 0 up"))
    }

    /// A whole number.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.size_if(key)?.ok_or_else(|| Error::data(self.problem(key, "absent").expected("a whole number")))
    }

    /// A number, or what stands for it if it is absent.
    pub fn number(&self, key: &str, absent: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(absent) };
        let number = value.as_f64().filter(|number| is_said_in_f32(*number));
        number.ok_or_else(|| self.refuse(key, value, "a number of f32"))
    }

    /// True or false, or what stands for it if it is absent.
    pub fn flag(&self, key: &str, absent: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(absent) };
        value.as_bool().ok_or_else(|| self.refuse(key, value, "true or false"))
    }

    /// Whether linear layers have biases.
    pub fn bias(&self, key: &str, absent: bool) -> Result<Bias> {
        Ok(if self.flag(key, absent)? { Bias::With } else { Bias::Without })
    }

    /// A word, or what stands for it if it is absent.
    pub fn word<'a>(&'a self, key: &str, absent: &'a str) -> Result<&'a str> {
        let Some(value) = self.get(key) else { return Ok(absent) };
        value.as_str().ok_or_else(|| self.refuse(key, value, "a word"))
    }

    /// A nonlinearity.
    pub fn function(&self, key: &str, absent: &str) -> Result<Activation> {
        let name = self.word(key, absent)?;
        parts::function(name).ok_or_else(|| {
            let expected = "one of gelu, gelu_new, gelu_pytorch_tanh, silu, relu, relu2";
            self.refuse(key, &Json::from(name), expected)
        })
    }

    /// Refuses a key that is there with another value than the one that models here can have.
    pub fn only(&self, key: &str, value: impl Into<Json>) -> Result<()> {
        let value = value.into();
        match self.get(key) {
            Some(found) if *found != value => {
                Err(self.refuse(key, found, &format!("{value}: nothing else is built here")))
            }
            _ => Ok(()),
        }
    }
}
