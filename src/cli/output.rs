//! Numbers with units, tables, JSON, and standard output that may be closed at any time.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use ablation_zoo::error::Error;
use ablation_zoo::plan::tree::{Node, Table, Value};
use ablation_zoo::report::terminal::{self, Look, Style};
use ablation_zoo::{Result, visible};
use serde_json::Value as Json;

/// Prints sentences and tables and a line end, nothing in it a command to the terminal, lines broken between words where
/// the terminal is narrower; a reader that has gone away (`zoo show | head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let width = Look::of_stdout().width;
    print_exact(&text.trim_end().lines().map(|line| terminal::wrap(line, width)).collect::<String>())
}

/// Prints what is no prose as it is: TOML, JSON, code, text of a dataset.
pub fn print_exact(text: &str) -> Result<()> {
    print_styled(&visible::text(text))
}

/// The same of a text with escape codes of our own, whose other parts are [`visible`] already.
pub fn print_styled(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", "standard output", error))
        }
        _ => Ok(()),
    }
}

/// Prints a piece of a text at once; a reader that has gone away wants no more of it.
pub fn print_part(text: &str) -> Result<ControlFlow<()>> {
    let mut out = std::io::stdout();
    match out.write_all(visible::text(text).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Error::io("write", "standard output", error)),
    }
}

/// Prints indented JSON.
pub fn print_json(value: &Json) -> Result<()> {
    print_exact(&format!("{value:#}"))
}

/// Prints JSON on one line.
pub fn print_line(value: &Json) -> Result<()> {
    print_exact(&value.to_string())
}

/// Columns below a header, within the width of the terminal; those after the first `n_left` are numbers, flush right.
pub fn table<const N: usize>(
    header: [&str; N],
    n_left: usize,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    table_beside(0, header, n_left, rows)
}

/// The same where every line has so many columns before it.
pub fn table_beside<const N: usize>(
    columns: usize,
    header: [&str; N],
    n_left: usize,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let printable = |row: [String; N]| row.map(|cell| visible::line(&cell).into_owned()).to_vec();
    let heads = header.map(str::to_string).to_vec();
    let table =
        terminal::Table { heads, n_left, rows: rows.into_iter().map(printable).collect(), bold: None };
    let width = Look::of_stdout().width.map(|width| width.saturating_sub(columns));
    table.fit(Look { width, style: Style::Plain })
}

/// A path on one line.
pub fn path(path: &Path) -> String {
    visible::line(&path.to_string_lossy()).into_owned()
}

/// 1,234,567.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// Three digits and a letter: 4.92 M, 5.70 T; the unit follows the letter.
pub fn short(value: f64, unit: &str) -> String {
    let letters = ["", "K", "M", "G", "T", "P", "E", "Z"];
    let exponent = if value >= 1000.0 { (value.log10() / 3.0) as usize } else { 0 }.min(letters.len() - 1);
    let scaled = value / 1000f64.powi(exponent as i32);
    let digits = match scaled {
        _ if exponent == 0 => 0,
        s if s < 10.0 => 2,
        s if s < 100.0 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {}{unit}", letters[exponent]).trim_end().to_string()
}

/// 1 run, 2 runs.
pub fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n as u64))
}

/// 43 MiB.
pub fn bytes(value: u64) -> String {
    let mib = value as f64 / (1024.0 * 1024.0);
    if mib < 1024.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

/// 2 min 5 s, 3 h 10 min, 4 days 2 h.
pub fn duration(seconds: f64) -> String {
    let (minute, hour, day) = (60.0, 3600.0, 86400.0);
    let two = |big: f64, big_name: &str, small: f64, small_name: &str| {
        let (whole, rest) = ((seconds / big).floor(), (seconds % big / small).floor());
        let plural = if big_name == "day" && whole != 1.0 { "s" } else { "" };
        format!("{whole} {big_name}{plural} {rest} {small_name}")
    };
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < minute => format!("{s:.0} s"),
        s if s < hour => two(minute, "min", 1.0, "s"),
        s if s < day => two(hour, "h", minute, "min"),
        s if s < 1e4 * day => two(day, "day", hour, "h"),
        s => format!("{:.0} years", s / (365.25 * day)),
    }
}

/// A tree as JSON; choices keep their `kind`.
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::String(text) | Value::Datetime(text) => Json::from(text.as_str()),
        Value::Integer(value) => u64::try_from(*value).map_or_else(|_| Json::from(*value as f64), Json::from),
        Value::Float(value) => Json::from(*value),
        Value::Boolean(value) => Json::from(*value),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => table_json(table),
    }
}

fn table_json(table: &Table) -> Json {
    Json::Object(table.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_carry_their_unit() {
        assert_eq!(
            [thousands(0), thousands(999), thousands(1000), thousands(1_234_567)].join(" "),
            "0 999 1,000 1,234,567"
        );
        assert_eq!(
            [short(0.0, ""), short(999.0, "FLOPs"), short(4_915_200.0, ""), short(5.7e12, "FLOPs")]
                .join(", "),
            "0, 999 FLOPs, 4.92 M, 5.70 TFLOPs"
        );
        assert_eq!([bytes(45_000_000), bytes(3 << 30)].join(", "), "43 MiB, 3.0 GiB");
        let times = [
            duration(2.5),
            duration(59.0),
            duration(125.0),
            duration(11_400.0),
            duration(1e6),
            duration(1e12),
        ];
        assert_eq!(times.join(", "), "2.5 s, 59 s, 2 min 5 s, 3 h 10 min, 11 days 13 h, 31688 years");
    }
}
