//! The files of a report: each is whole or not there.

use std::io::Write;
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;

use super::challenge::{self, Challenge};
use super::comparison::Comparison;
use super::evidence::{ArmEvidence, Evidence, RunEvidence};
use super::figure::{self, Figure, png};
use super::page::index::Linked;
use super::{page, table};
use crate::error::{Error, Problem, Result};
use crate::input;

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The page to open.
    pub page: PathBuf,
    /// Every file, the page among them.
    pub files: Vec<PathBuf>,
}

/// Writes `report.html`, `report.json`, `report.csv`, `table.md` and `figures/*.svg|png` of a comparison and what it was
/// made from into `folder`, which is made if it is not there. Older files of the same names are replaced.
///
/// # Errors
/// If a file cannot be written.
pub fn write(evidence: &Evidence, comparison: &Comparison, folder: &Path) -> Result<Written> {
    let figures = figure::all(evidence, comparison);
    let drawn = folder.join("figures");
    std::fs::create_dir_all(&drawn).map_err(|error| Error::io("make the folder", &drawn, error))?;
    let mut files = Vec::new();
    for Figure { name, wide, .. } in &figures {
        files.push(put(drawn.join(format!("{name}.svg")), wide.as_bytes())?);
        files.push(put(drawn.join(format!("{name}.png")), &png::draw(wide))?);
    }
    files.push(put(folder.join("table.md"), table::markdown(comparison).as_bytes())?);
    files.push(put(folder.join("report.csv"), csv(evidence).as_bytes())?);
    files.push(put(folder.join("report.json"), json(comparison).as_bytes())?);
    let page = put(folder.join("report.html"), page::html(comparison, &figures).as_bytes())?;
    files.push(page.clone());
    Ok(Written { page, files })
}

/// Writes `challenge.json`, `table.md` and `challenge.svg|png` into `folder`, which is made if it is not there; the picture's
/// path.
///
/// # Errors
/// If a file cannot be written.
pub fn write_challenge(challenge: &Challenge, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
    let json = serde_json::to_string_pretty(challenge).expect("a challenge is plain data");
    put(folder.join("challenge.json"), json.as_bytes())?;
    let table = put(folder.join("table.md"), challenge::markdown(challenge).as_bytes())?;
    let Some(Figure { wide, .. }) = figure::challenge::figure(challenge) else { return Ok(table) };
    put(folder.join("challenge.png"), &png::draw(&wide))?;
    put(folder.join("challenge.svg"), wide.as_bytes())
}

/// Writes the page that leads to these reports into `folder`, which must be there.
///
/// # Errors
/// If the file cannot be written, or another page is in its place.
pub fn write_index(reports: &[Linked], folder: &Path) -> Result<PathBuf> {
    put(index_of(folder)?, page::index::html(reports).as_bytes())
}

/// Where [`write_index`] writes: `index.html`.
///
/// # Errors
/// If there is one that was not written here.
pub fn index_of(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("index.html");
    let title = format!("<title>{}</title>", page::index::TITLE);
    if path.exists() && !input::read_text(&path)?.contains(&title) {
        let problem = Problem::new(format!("{} is not ours to replace", path.display()));
        return Err(Error::config(problem.help("name another folder with --reports")));
    }
    Ok(path)
}

pub(super) fn put(path: PathBuf, bytes: &[u8]) -> Result<PathBuf> {
    let written = AtomicWriteFile::open(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.commit()
    });
    written.map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
}

/// The comparison as `report.json` has it; ends with a line break.
pub fn json(comparison: &Comparison) -> String {
    let text = serde_json::to_string_pretty(comparison)
        .expect("a comparison has no map with keys that are not text");
    text + "\n"
}

const COLUMNS: [&str; 16] = [
    "arm",
    "basis",
    "seed",
    "fingerprint",
    "device",
    "peak_lr",
    "params",
    "bits_per_param",
    "max_bits_per_param",
    "measurement_error",
    "fully_known",
    "held_out_nats_per_token",
    "final_loss",
    "tokens",
    "flops",
    "seconds",
];

/// One line per finished run, with all digits.
pub fn csv(evidence: &Evidence) -> String {
    let rows = evidence.arms.iter().flat_map(|arm| arm.runs.iter().map(move |run| row(arm, run)));
    std::iter::once(COLUMNS.join(",")).chain(rows).map(|line| line + "\n").collect()
}

fn row(arm: &ArmEvidence, run: &RunEvidence) -> String {
    let (record, capacity) = (&run.record, run.record.measurements.capacity.as_ref());
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let basis = match arm.basis.label() {
        "" => "primary",
        label => label,
    };
    [
        text(&arm.name),
        text(basis),
        run.seed.to_string(),
        text(&record.fingerprint),
        text(&record.environment.device),
        arm.rate.to_string(),
        record.params.total.to_string(),
        number(capacity.map(|capacity| capacity.bits_per_param)),
        number(capacity.map(|capacity| capacity.max_bits_per_param)),
        number(capacity.map(|capacity| capacity.measurement_error)),
        number(capacity.map(|capacity| capacity.fully_known)),
        number(record.measurements.held_out.map(|loss| loss.nats_per_token)),
        record.training.final_loss.to_string(),
        record.training.tokens.to_string(),
        record.training.flops.to_string(),
        record.training.seconds.to_string(),
    ]
    .join(",")
}

/// A text cell, quoted (RFC 4180), and no formula to a spreadsheet, which would run one that starts a cell.
fn text(cell: &str) -> String {
    let safe = table::printable(cell).replace('"', "\"\"");
    let formula = safe.trim_start().starts_with(['=', '+', '-', '@']);
    if formula { format!("\"'{safe}\"") } else { format!("\"{safe}\"") }
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::fake;
    use super::*;

    #[test]
    fn a_report_is_written_whole_and_twice_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let read = |written: &Written| -> Vec<Vec<u8>> {
            written.files.iter().map(|path| std::fs::read(path).unwrap()).collect()
        };
        let evidence = fake::evidence();
        let write = || write(&evidence, &compare(&evidence).unwrap(), folder.path()).unwrap();
        let written = write();
        let first = read(&written);
        let names: Vec<&str> =
            written.files.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names.len(), 6 * 2 + 4, "{names:?}");
        assert!(names.ends_with(&["table.md", "report.csv", "report.json", "report.html"]));
        assert!(first == read(&write()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "nothing half-written is left");
        let json: serde_json::Value = serde_json::from_slice(&first[names.len() - 2]).unwrap();
        assert_eq!(json["arms"][3]["arm"], "none");
        assert_eq!(json["arms"][3]["n_runs"], 3);
        assert!(json["arms"][3]["ratio_to_control"]["low"].as_f64().unwrap() > 0.46);
        assert!(json["arms"][3]["bits_per_param"]["high"].as_f64().unwrap() < 0.61);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let evidence = fake::evidence();
        let error = write(&evidence, &compare(&evidence).unwrap(), file.path()).unwrap_err();
        assert_eq!(error.exit_code(), 74);
        assert!(error.to_string().contains(file.path().to_str().unwrap()));
    }

    #[test]
    fn an_index_replaces_only_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let index = write_index(&[], folder.path()).unwrap();
        assert_eq!(write_index(&[], folder.path()).unwrap(), index);
        std::fs::write(&index, "<title>My garden</title>").unwrap();
        assert_eq!(write_index(&[], folder.path()).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read_to_string(&index).unwrap(), "<title>My garden</title>");
    }

    #[test]
    fn no_cell_of_the_csv_is_a_formula() {
        let mut evidence = fake::evidence();
        evidence.arms[3].name = "=HYPERLINK(\"x\")".to_string();
        let csv = csv(&evidence);
        assert_eq!(csv.lines().count(), 13);
        assert!(csv.contains("\n\"'=HYPERLINK(\"\"x\"\")\",\"primary\",1,"), "{csv}");
        assert_eq!(text(" @x\n"), "\"' @x\\n\"");
        assert_eq!(text("gpt2"), "\"gpt2\"");
    }
}
