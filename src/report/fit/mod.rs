//! Laws fitted to files and to finished runs: races of sizes, scaling laws, laws of mixtures and of capacity.
//!
//! The caller names files and runs; an [`RaceCurve`] is what both become for a race. Each fit is a value to print, to
//! write as JSON, or to draw into a folder.

mod answer;
mod capacity;
mod race_curve;
mod known;
mod measured;
mod mixture;
mod race;
mod scaling;
mod then;
mod unit;

pub use answer::{Answer, RaceOutcome};
pub use capacity::{Capacities, CapacityData, CapacityGroup, Judgement, Load, capacity};
pub use known::Size;
pub use measured::{Measured, families};
pub use mixture::{Best, Judged, Later, MixtureConfig, MixtureData, MixtureFit, Tested, mixture};
pub use race::{Apart, Drawn, Owner, Race, RaceConfig, Round, race};
pub use race_curve::{RaceCurve, labels};
pub use scaling::{Approach, Measurement, Recrossing, Scaling, ScalingConfig, ScalingData, Unseen, scaling};
pub use then::extended;
pub use unit::Unit;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::figure::{Figure, png};
use super::files::put;
use crate::error::{Error, Result};

/// Writes a fit as `NAME.json` and its figures as SVG and PNG into `folder`, which is made if it is not there; gives
/// the paths.
///
/// # Errors
/// A file cannot be written.
pub fn write(fit: &impl Serialize, name: &str, figures: &[Figure], folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
    let mut files = vec![put(folder.join(format!("{name}.json")), json(fit).as_bytes())?];
    for figure in figures {
        files.push(put(folder.join(format!("{}.svg", figure.name)), figure.wide.as_bytes())?);
        files.push(put(folder.join(format!("{}.png", figure.name)), &png::draw(&figure.wide))?);
    }
    Ok(files)
}

/// A fit as indented JSON; ends that the data do not set are null.
pub fn json(fit: &impl Serialize) -> String {
    serde_json::to_string_pretty(fit).expect("a fit has no map with keys that are not text") + "\n"
}
