//! What `show` and `diff` are about: `NAME` or `NAME:PART`, a size of a model or an arm of an ablation.

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::measure::MeasureConfig;
use ablation_zoo::plan::resolve::resolve_dataset_with;
use ablation_zoo::plan::tree::Node;
use ablation_zoo::plan::writer;
use ablation_zoo::plan::{PresetKind, Presets, Request, Resolved, ablation, resolve_model, resolve_single};

use super::Overrides;

/// A model, a dataset, or an arm.
pub struct Subject {
    /// What it is of.
    pub kind: PresetKind,
    /// Its name without the part.
    pub name: String,
    /// The size or arm.
    pub part: Option<String>,
    /// Its file.
    pub file: String,
    /// The plan; only [`Subject::tables`] of it are meant.
    pub resolved: Resolved,
}

/// `NAME[:PART]`; the colon of a path is none.
pub fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((name, part)) if !part.contains(['/', '\\']) => (name, Some(part)),
        _ => (name, None),
    }
}

impl Subject {
    /// Finds and resolves `NAME[:PART]`.
    pub fn find(presets: &Presets, name: &str, overrides: &Overrides) -> Result<Self> {
        let (name, part) = split(name);
        let (kind, source) = presets.find(name)?;
        refuse_without_effect(kind, name, part, overrides)?;
        let resolved = match kind {
            PresetKind::Models => resolve_model(presets, name, part)?,
            PresetKind::Datasets => resolve_dataset_with(presets, name, &overrides.sets.all())?,
            PresetKind::Ablations => {
                let with = Some((name, part.unwrap_or(ablation::CONTROL)));
                let (profile, sets) = (overrides.profile.as_deref(), overrides.sets.all());
                resolve_single(presets, &Request { with, profile, sets: &sets, ..Request::default() })?
            }
        };
        let part = part.map(str::to_string);
        Ok(Subject { kind, name: name.to_string(), part, file: source.name.clone(), resolved })
    }

    /// The tables of the plan that it is about.
    pub fn tables(&self) -> &'static [&'static str] {
        match self.kind {
            PresetKind::Models => &["model"],
            PresetKind::Datasets if self.resolved.plan.measure != MeasureConfig::default() => {
                &["data", "measure"]
            }
            PresetKind::Datasets => &["data"],
            PresetKind::Ablations => {
                &["model", "data", "training", "prediction", "context", "growth", "adapt", "measure"]
            }
        }
    }

    /// These tables.
    pub fn tree(&self) -> Node {
        writer::write(&self.resolved.plan).only(self.tables())
    }
}

/// Refuses what would have no effect on a subject of this kind.
fn refuse_without_effect(
    kind: PresetKind,
    name: &str,
    part: Option<&str>,
    overrides: &Overrides,
) -> Result<()> {
    let refuse = |key: &str, found: String, expected: &str| {
        Err(Error::config(Problem::new(found).key(key).expected(expected)))
    };
    let is = format!("{name} is a {}", kind.noun());
    match (kind, part) {
        (PresetKind::Ablations, _) => Ok(()),
        _ if overrides.profile.is_some() => refuse("--profile", is, "an ablation"),
        (PresetKind::Models, _) if !overrides.sets.sets.is_empty() => {
            refuse("--set", is, "an ablation or a dataset")
        }
        (PresetKind::Models | PresetKind::Datasets, _) if overrides.sets.dtype.is_some() => {
            refuse("--dtype", is, "an ablation")
        }
        (PresetKind::Datasets, Some(part)) => refuse(part, is, "a model or an ablation before the colon"),
        (PresetKind::Models | PresetKind::Datasets, _) => Ok(()),
    }
}
