//! Runs and their metrics as tables: one row per run, one row per line of metrics, in JSON Lines or CSV.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::folder::Run;
use crate::error::Result;
use crate::training::manifest;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV (RFC 4180): a header and rows; what is not known is an empty cell.
    Csv,
    /// JSON Lines: an object per line; what is not known is null.
    JsonLines,
}

/// Columns of the metrics; a run that has just begun has no row yet.
const METRICS: [&str; 10] =
    ["run", "step", "tokens", "flops", "seconds", "lr", "loss", "auxiliary", "grad_norm", "bits_per_param"];

type Row = Vec<(&'static str, Json)>;

/// Writes `runs` and `metrics` into a folder that is there, and returns the paths of both.
///
/// # Errors
/// A file of a run is damaged, or a table cannot be written.
pub fn write(runs: &[Run], format: Format, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut of_runs = Vec::new();
    let mut of_metrics = Vec::new();
    for run in runs {
        of_runs.push(row(run)?);
        of_metrics.extend(metrics(run)?);
    }
    let extension = match format {
        Format::Csv => "csv",
        Format::JsonLines => "jsonl",
    };
    let mut written = Vec::new();
    let of_run: Vec<&str> = of_runs.first().into_iter().flatten().map(|(name, _)| *name).collect();
    for (name, columns, rows) in [("runs", &of_run[..], &of_runs), ("metrics", &METRICS[..], &of_metrics)] {
        let path = folder.join(format!("{name}.{extension}"));
        let text = match format {
            Format::Csv => csv(columns, rows),
            Format::JsonLines => json_lines(rows),
        };
        manifest::write_atomically(&path, text.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

/// One run; what only a finished one has is null before.
fn row(run: &Run) -> Result<Row> {
    let (header, plan, state) = (run.header()?, run.plan()?, run.state()?);
    let record = run.is_finished().then(|| run.record()).transpose()?;
    let of = record.as_ref();
    let capacity = of.and_then(|record| record.measurements.capacity.as_ref());
    let measured = of.map(|record| &record.measurements);
    let training = of.map(|record| &record.training);
    let place = of.map(|record| &record.environment);
    Ok(vec![
        ("run", json!(run.folder())),
        ("name", json!(header.name)),
        ("arm", json!(header.arm)),
        ("role", json!(header.role)),
        ("state", json!(state.name())),
        ("fingerprint", json!(header.fingerprint)),
        ("device", json!(run.site().device)),
        ("dtype", json!(run.site().dtype)),
        ("seed", json!(plan.seed)),
        ("params", json!(of.map(|record| record.params.total))),
        ("active_params", json!(of.map(|record| record.params.active))),
        ("exposures", json!(plan.training.length.exposures())),
        ("peak_lr", json!(plan.training.peak_lr)),
        ("steps", json!(training.map(|training| training.steps))),
        ("tokens", json!(training.map(|training| training.tokens))),
        ("flops", json!(training.map(|training| training.flops))),
        ("seconds", json!(training.map(|training| training.seconds))),
        ("peak_bytes", json!(training.map(|training| training.peak_bytes))),
        ("final_loss", json!(training.map(|training| training.final_loss))),
        ("bits", json!(capacity.map(|capacity| capacity.bits))),
        ("max_bits", json!(capacity.map(|capacity| capacity.max_bits))),
        ("bits_per_param", json!(capacity.map(|capacity| capacity.bits_per_param))),
        ("max_bits_per_param", json!(capacity.map(|capacity| capacity.max_bits_per_param))),
        ("fully_known", json!(capacity.map(|capacity| capacity.fully_known))),
        ("measurement_error", json!(capacity.map(|capacity| capacity.measurement_error))),
        (
            "held_out_nats_per_token",
            json!(measured.and_then(|of| of.held_out).map(|loss| loss.nats_per_token)),
        ),
        ("right_answers", json!(measured.and_then(|of| of.answers.as_ref()).map(|answers| answers.accuracy))),
        ("kernels", json!(place.map(|place| &place.kernels))),
        ("processor", json!(place.map(|place| &place.processor))),
        ("threads", json!(place.map(|place| place.threads))),
        ("version", json!(place.map(|place| &place.version))),
        ("finished", json!(place.map(|place| &place.finished))),
    ])
}

fn metrics(run: &Run) -> Result<Vec<Row>> {
    let row = |line: crate::training::Metrics| {
        let values = [
            json!(run.folder()),
            json!(line.step),
            json!(line.tokens),
            json!(line.flops),
            json!(line.seconds),
            json!(line.lr),
            json!(line.loss),
            json!(line.auxiliary),
            json!(line.grad_norm),
            json!(line.probe),
        ];
        METRICS.into_iter().zip(values).collect()
    };
    Ok(run.history()?.lines.into_iter().map(row).collect())
}

fn json_lines(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let pair = |(key, value): &(&str, Json)| format!("{}:{value}", json!(key));
        let pairs: Vec<String> = row.iter().map(pair).collect();
        let _ = writeln!(text, "{{{}}}", pairs.join(","));
    }
    text
}

fn csv(columns: &[&str], rows: &[Row]) -> String {
    let mut text = columns.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|(_, value)| cell(value)).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// A cell that no spreadsheet takes for a formula: texts are quoted, and one that starts like a formula gets a `'`.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => {
            let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let guard = if shown.trim_start().starts_with(['=', '+', '-', '@']) { "'" } else { "" };
            format!("\"{guard}{}\"", shown.replace('"', "\"\""))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_cells_are_no_formulas() {
        let rows: Vec<Row> = vec![
            vec![("z", json!("=1+\"x\"")), ("a", json!(null)), ("m", json!(0.1))],
            vec![("z", json!("plain")), ("a", json!(3)), ("m", json!(1e-9))],
        ];
        assert_eq!(csv(&["z", "a", "m"], &[]), "z,a,m\n");
        assert_eq!(csv(&["z", "a", "m"], &rows), "z,a,m\n\"'=1+\"\"x\"\"\",,0.1\n\"plain\",3,1e-9\n");
        assert_eq!(
            json_lines(&rows),
            "{\"z\":\"=1+\\\"x\\\"\",\"a\":null,\"m\":0.1}\n{\"z\":\"plain\",\"a\":3,\"m\":1e-9}\n"
        );
    }
}
