//! Tables as people have them: a header, then rows; tabs, commas or semicolons between the cells, quotes as RFC 4180 has
//! them.
//!
//! Columns are found by name, whatever the case, and with a space, `_` or `-` alike. Only the columns that are asked for
//! are read; the first that is missing is the first message, and everything wrong with the rows is told at once.

use std::ops::Range;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};

use crate::error::{Error, Kind, Place, Problem, Result};

/// A table of text with named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The name to print.
    pub file: String,
    text: Arc<str>,
    delimiter: char,
    header: StringRecord,
    names: Vec<String>,
    rows: Vec<StringRecord>,
}

/// The range that a number must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Any finite number.
    Finite,
    /// A finite number above zero.
    Positive,
}

/// What is wrong with a file: the first few, the rest only counted.
#[derive(Debug, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    more: usize,
}

/// Problems and names of columns that are listed before the rest are only counted.
const MAX_LISTED: usize = 6;
const MAX_NAMES: usize = 12;

/// Characters of a cell that are shown.
const MAX_SHOWN: usize = 40;

/// The text of a file.
///
/// # Errors
/// If the file is not UTF-8.
pub fn text(file: &str, bytes: Vec<u8>) -> Result<String> {
    let refuse = |found: String| {
        let problem = Problem::new(found).expected("text in UTF-8, columns with a header");
        Error::data(problem.help("save it as CSV in UTF-8"))
    };
    match (&bytes[..], bytes.contains(&0)) {
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) => return Err(refuse(format!("{file} is in UTF-16"))),
        (_, true) => return Err(refuse(format!("{file} is not text, it has zero bytes"))),
        (_, false) => {}
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        refuse(format!("line {line} of {file} is not in UTF-8"))
    })
}

impl Table {
    /// Reads `text`; `file` is the name to print.
    ///
    /// # Errors
    /// If the text is empty, or a quote is never closed.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let delimiter = delimiter(text);
        let mut reader = ReaderBuilder::new();
        reader.delimiter(delimiter as u8).has_headers(false).flexible(true);
        let mut rows = Vec::new();
        for record in reader.from_reader(text.as_bytes()).into_records() {
            let record =
                record.map_err(|error| Error::data(Problem::new(format!("cannot read {file}: {error}"))))?;
            // Spreadsheets leave rows of nothing but delimiters.
            if record.iter().any(|cell| !cell.trim().is_empty()) {
                rows.push(record);
            }
        }
        if rows.is_empty() {
            return Err(Error::data(Problem::new(format!("{file} is empty")).expected("a header and rows")));
        }
        let header = rows.remove(0);
        let names = header.iter().map(|name| bare(name).to_string()).collect();
        let table = Table { file: file.to_string(), text: text.into(), delimiter, header, names, rows };
        let (cells, is_open) = table.cells(table.rows.last().unwrap_or(&table.header));
        match cells.last() {
            Some(cell) if is_open => {
                let problem = Problem::new("a quote that is never closed").at(table.at(cell.clone()));
                Err(Error::data(problem.help("close it, or double a quote within a quoted cell")))
            }
            _ => Ok(table),
        }
    }

    /// Names of the columns as they stand in the header.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the table has a header only.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The column of any of these names, which mean the same.
    ///
    /// # Errors
    /// If there are two: which is meant is not known.
    pub fn find(&self, names: &[&str]) -> Result<Option<usize>> {
        let wanted: Vec<String> = names.iter().map(|name| key(name)).collect();
        let found: Vec<usize> =
            (0..self.names.len()).filter(|&k| wanted.contains(&key(&self.names[k]))).collect();
        match found[..] {
            [first, second, ..] => Err(self.twice(names[0], first, second)),
            _ => Ok(found.first().copied()),
        }
    }

    /// The column of any of these names, which mean the same.
    ///
    /// # Errors
    /// If there is none, or there are two.
    pub fn need(&self, names: &[&str]) -> Result<usize> {
        self.find(names)?.ok_or_else(|| self.missing(names[0]))
    }

    /// No column of what is `wanted`, and which there are.
    pub fn missing(&self, wanted: &str) -> Error {
        let mut names: Vec<String> = self.names.iter().take(MAX_NAMES).map(|name| shown(name)).collect();
        if let more @ 1.. = self.names.len().saturating_sub(MAX_NAMES) {
            names.push(format!("{more} more"));
        }
        let problem = Problem::new(format!("no column named {wanted}")).at(self.line(&self.header));
        Error::data(problem.help(format!(
            "the first line names the columns, in any case; here it names {}",
            names.join(", ")
        )))
    }

    /// Two columns for one thing.
    pub fn twice(&self, what: &str, first: usize, second: usize) -> Error {
        let names = [first, second].map(|k| shown(&self.names[k]));
        let problem = Problem::new(format!("two columns of {what}: {} and {}", names[0], names[1]));
        Error::data(
            problem.at(self.of(&self.header, second)).help("remove or rename the one that is not meant"),
        )
    }

    /// The text of a cell; none where a row has fewer.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        self.rows[row].get(column).map_or("", bare)
    }

    /// The place of a cell.
    pub fn place(&self, row: usize, column: usize) -> Place {
        self.of(&self.rows[row], column)
    }

    /// A cell that is not what is expected.
    pub fn wrong(&self, row: usize, column: usize, expected: &str) -> Problem {
        let found = format!("{} is {:?}", shown(&self.names[column]), cut(self.cell(row, column)));
        Problem::new(found).at(self.place(row, column)).expected(expected)
    }

    /// The numbers of these columns, row by row.
    ///
    /// # Errors
    /// If there are no rows, or with everything that is wrong with them.
    pub fn numbers(&self, columns: &[(usize, Demand)]) -> Result<Vec<Vec<f64>>> {
        let mut problems = Problems::default();
        let rows = (0..self.len()).filter_map(|row| self.row(row, columns, &mut problems)).collect();
        if self.is_empty() {
            problems.push(|| {
                Problem::new(format!("{} has no rows", self.file)).expected("rows below its header")
            });
        }
        problems.finish(&self.file, rows)
    }

    /// The numbers of these columns in a row; none where something is wrong with one.
    pub fn row(&self, row: usize, columns: &[(usize, Demand)], problems: &mut Problems) -> Option<Vec<f64>> {
        let cells = self.rows[row].len();
        if cells != self.names.len() {
            problems.push(|| {
                let problem = Problem::new(format!("{cells} cells")).at(self.line(&self.rows[row]));
                let problem = problem.expected(format!("{}, one per column", self.names.len()));
                let decimal = self.delimiter == ',' && cells > self.names.len();
                if decimal {
                    problem.help("quote what has a comma, and write decimals with a point")
                } else {
                    problem
                }
            });
            return None;
        }
        columns.iter().map(|&(column, demand)| self.number(row, column, demand, problems)).collect()
    }

    fn number(&self, row: usize, column: usize, demand: Demand, problems: &mut Problems) -> Option<f64> {
        let cell = self.cell(row, column);
        let value = cell.parse::<f64>().ok().filter(|value| value.is_finite());
        let found = value.filter(|value| demand == Demand::Finite || *value > 0.0);
        if found.is_none() {
            problems.push(|| {
                let problem = self.wrong(row, column, demand.words());
                let comma = cell.contains(',') && cell.replace(',', ".").parse::<f64>().is_ok();
                if comma { problem.help("write decimals with a point, not with a comma") } else { problem }
            });
        }
        found
    }

    /// Without the rows that have none of these cells, and how many those are: what is not finished has no numbers.
    pub fn measured(&self, columns: &[usize]) -> (Table, usize) {
        let is_empty = |row: &usize| columns.iter().all(|column| self.cell(*row, *column).is_empty());
        let rows = (0..self.len()).filter(|row| !is_empty(row)).map(|row| self.rows[row].clone());
        let table = self.with(rows.collect());
        let empty = self.len() - table.len();
        (table, empty)
    }

    /// The table with these rows instead.
    fn with(&self, rows: Vec<StringRecord>) -> Table {
        let (file, text, names) = (self.file.clone(), self.text.clone(), self.names.clone());
        Table { file, text, names, header: self.header.clone(), rows, ..*self }
    }

    /// The rows of each value of a column, in the order in which the values come first.
    pub fn split(&self, column: usize) -> Vec<(String, Table)> {
        let mut parts: Vec<(String, Table)> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let value = self.cell(index, column);
            let known = parts.iter().position(|(other, _)| other == value);
            let part = known.unwrap_or_else(|| {
                let (file, text, names) = (self.file.clone(), self.text.clone(), self.names.clone());
                let part =
                    Table { file, text, names, header: self.header.clone(), rows: Vec::new(), ..*self };
                parts.push((value.to_string(), part));
                parts.len() - 1
            });
            parts[part].1.rows.push(row.clone());
        }
        parts
    }

    /// The bytes of each cell of a record, and whether its last quote is left open.
    fn cells(&self, record: &StringRecord) -> (Vec<Range<usize>>, bool) {
        // The reader counts the empty lines before a record to it.
        let byte = record.position().map_or(0, |position| position.byte() as usize);
        let start = self.text.len() - self.text[byte..].trim_start_matches(['\r', '\n']).len();
        let (mut cells, mut from, mut end, mut quoted) = (Vec::new(), start, self.text.len(), false);
        for (at, c) in self.text[start..].char_indices().map(|(at, c)| (start + at, c)) {
            match c {
                '"' if self.text[from..].starts_with('"') => quoted = !quoted,
                '\r' | '\n' if !quoted => {
                    end = at;
                    break;
                }
                _ if c == self.delimiter && !quoted => {
                    cells.push(from..at);
                    from = at + 1;
                }
                _ => {}
            }
        }
        cells.push(from..end);
        (cells, quoted)
    }

    fn line(&self, record: &StringRecord) -> Place {
        let (cells, _) = self.cells(record);
        self.at(cells[0].start..cells[cells.len() - 1].end)
    }

    fn of(&self, record: &StringRecord, column: usize) -> Place {
        let (cells, _) = self.cells(record);
        self.at(cells[column.min(cells.len() - 1)].clone())
    }

    fn at(&self, bytes: Range<usize>) -> Place {
        Place::of(&self.file, &self.text, bytes)
    }
}

impl Demand {
    fn words(self) -> &'static str {
        match self {
            Demand::Finite => "a finite number",
            Demand::Positive => "a finite number above 0",
        }
    }
}

impl Problems {
    /// One more; it is made only if it is listed.
    pub fn push(&mut self, problem: impl FnOnce() -> Problem) {
        match self.listed.len() < MAX_LISTED {
            true => self.listed.push(problem()),
            false => self.more += 1,
        }
    }

    /// What was read, if nothing is wrong with it.
    ///
    /// # Errors
    /// Something is.
    pub fn finish<T>(mut self, file: &str, read: T) -> Result<T> {
        if self.listed.is_empty() {
            return Ok(read);
        }
        if self.more > 0 {
            self.listed.push(Problem::new(format!("and {} more in {file}", self.more)));
        }
        Err(Error { kind: Kind::Data, problems: self.listed })
    }
}

/// What stands between the names of the first line: a tab if there is one, or whichever of semicolon and comma there are
/// more of.
fn delimiter(text: &str) -> char {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let bare: String = header.split('"').step_by(2).collect();
    let count = |delimiter: char| bare.matches(delimiter).count();
    match (count('\t'), count(';') > count(',')) {
        (1.., _) => '\t',
        (0, true) => ';',
        (0, false) => ',',
    }
}

/// A cell without spaces around it, and without the quotes that spaces kept the reader from taking off.
fn bare(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell).trim()
}

/// What names are compared by.
fn key(name: &str) -> String {
    name.to_lowercase().split([' ', '_', '-']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The beginning of a long text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A name as it is shown; one without letters in quotes.
pub(crate) fn shown(name: &str) -> String {
    match name.is_empty() {
        true => "\"\"".to_string(),
        false => cut(name).escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, names: &[&str]) -> Result<Vec<Vec<f64>>> {
        let table = Table::parse("a.csv", text)?;
        let columns = names.iter().map(|name| Ok((table.need(&[name])?, Demand::Finite)));
        table.numbers(&columns.collect::<Result<Vec<_>>>()?)
    }

    fn refusal(text: &str, names: &[&str]) -> String {
        numbers(text, names).unwrap_err().to_string()
    }

    #[test]
    fn files_are_read_as_programs_write_them() {
        for text in [
            "a b,c\n1,-2\n",
            "\u{feff}A_B,c\r\n1,-2\r\n\r\n",
            "\"a b\"\t\"c\"\n\"1\"\t-2\n",
            "A-b;c\n 1 ; -2\n;\n",
            "note,a b,c,\"d,e\"\n\"said \"\"no, twice\"\"\nin two lines\",1,-2,\n",
            " \na  b, \"C\" \n1, \"-2\"",
            "c\tprice; in euros, net\ta b\n-2\tx\t1\n",
            "colour,c,note,note,A b\nred,-2,é,é,1",
            "a b,c\r1,-2\r",
        ] {
            assert_eq!(numbers(text, &["a b", "c"]).unwrap(), [[1.0, -2.0]], "{text:?}");
        }
    }

    #[test]
    fn bad_cells_are_named_with_their_place_and_cut() {
        assert_eq!(
            refusal("A,b\n1,x\n1\n2,3\n", &["a", "b"]),
            "a.csv:2:3: b is \"x\", expected a finite number\na.csv:3:1: 1 cells, expected 2, one per column"
        );
        let quoted = refusal("t,A\n\"x, \"\"y\"\"\",\"z\"\n\n\"\nb\",inf\n", &["a"]);
        assert!(
            quoted.starts_with("a.csv:2:12: A is \"z\"") && quoted.contains("\na.csv:5:4: A is \"inf\""),
            "{quoted}"
        );
        let long = refusal(&format!("a\n{}\n", "x".repeat(10_000)), &["a"]);
        assert!(long.len() < 120 && long.contains("xxx…"), "{long}");
        let many = refusal(&format!("a\n{}", "x\n".repeat(1000)), &["a"]);
        assert!(many.lines().count() == 7 && many.ends_with("and 994 more in a.csv"), "{many}");
    }

    #[test]
    fn decimal_commas_are_said() {
        let said = "write decimals with a point, not with a comma";
        assert!(refusal("a;b\n1;2,5\n", &["a", "b"]).ends_with(said));
        assert!(refusal("a,b\n1,\"2,5\"\n", &["a", "b"]).ends_with(said));
        assert!(refusal("a,b\n1,2,5\n", &["a"]).ends_with("write decimals with a point"));
        assert!(!refusal("a;b\n1;2,5,5\n", &["b"]).contains("point"));
    }

    #[test]
    fn the_first_missing_column_is_the_first_message_and_lists_what_there_is() {
        let message = refusal("colour,Model size\nred,1,7\n", &["params", "loss"]);
        assert_eq!(
            message,
            "a.csv:1:1: no column named params; the first line names the columns, in any case; here it names colour, Model size"
        );
        let wide: String = (0..100).map(|k| format!("c{k},")).collect();
        assert!(refusal(&wide, &["x"]).ends_with("c10, c11, 89 more"));
    }

    #[test]
    fn a_column_twice_is_refused_if_it_is_needed() {
        for header in ["loss,a,loss", "loss,a, LOSS ", "\"Loss\",a,loss"] {
            let message = refusal(&format!("{header}\n1,2,3\n"), &["loss"]);
            assert!(
                message.starts_with("a.csv:1:") && message.contains("two columns of loss: "),
                "{message}"
            );
        }
        let table = Table::parse("a.csv", "hours,seconds\n1,2\n").unwrap();
        assert!(table.find(&["hours", "seconds"]).is_err() && table.find(&["hours"]).unwrap() == Some(0));
    }

    #[test]
    fn empty_and_broken_files_are_refused() {
        assert_eq!(refusal(" \n,,\n", &["a"]), "a.csv is empty, expected a header and rows");
        assert_eq!(refusal("a,b\n", &["a"]), "a.csv has no rows, expected rows below its header");
        for open in ["a,\"b\n1,2\n", "a,b\n1,\"2\n3,4\n"] {
            assert!(refusal(open, &["a"]).contains("a quote that is never closed"), "{open}");
        }
        let of = |bytes: &[u8]| text("a.csv", bytes.to_vec()).unwrap_err().to_string();
        assert!(of(b"\xff\xfea\0").starts_with("a.csv is in UTF-16, expected text in UTF-8"));
        assert!(of(b"a\0,\0").contains("zero bytes"));
        assert!(of(b"a\n\xe9").starts_with("line 2 of a.csv is not in UTF-8"));
    }

    #[test]
    fn rows_are_split_by_what_a_column_says() {
        let table = Table::parse("a.csv", "run,x\nb,1\na,2\nb,3\n").unwrap();
        let parts = table.split(0);
        let seen: Vec<(&str, usize)> = parts.iter().map(|(name, part)| (name.as_str(), part.len())).collect();
        assert_eq!(seen, [("b", 2), ("a", 1)]);
    }
}
