//! Tables of numbers: a header, then rows, tabs or commas between the cells. Everything wrong with one is told at once.

use crate::error::{Error, Kind, Place, Problem, Result};

/// A table of numbers with named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The name to print.
    pub file: String,
    names: Vec<String>,
    rows: Vec<Vec<f64>>,
}

/// Problems listed before the rest are only counted.
const MAX_LISTED: usize = 6;

impl Columns {
    /// Reads `text`; names of columns are made lower case.
    ///
    /// # Errors
    /// An empty file, a row with more or fewer cells than columns, or a cell that is no finite number.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let start = |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let Some(header) = lines.next() else {
            return Err(Error::data(Problem::new(format!("{file} is empty")).expected("a header and rows")));
        };
        let delimiter = if header.contains('\t') { '\t' } else { ',' };
        let names: Vec<String> = header.split(delimiter).map(|name| name.trim().to_lowercase()).collect();
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        for line in lines {
            let cells: Vec<&str> = line.split(delimiter).collect();
            if cells.len() != names.len() {
                let place = Place::of(file, text, start(line)..start(line) + line.len());
                let problem = Problem::new(format!("{} cells", cells.len())).at(place);
                problems.push(problem.expected(format!("{}, one per column", names.len())));
                continue;
            }
            let mut row = Vec::new();
            for (cell, name) in cells.iter().zip(&names) {
                let value = cell.trim().parse::<f64>().unwrap_or(f64::NAN);
                if !value.is_finite() {
                    let place = Place::of(file, text, start(cell)..start(cell) + cell.len());
                    let problem = Problem::new(format!("{name} is {:?}", cell.trim())).at(place);
                    problems.push(problem.expected("a finite number"));
                }
                row.push(value);
            }
            rows.push(row);
        }
        if problems.is_empty() {
            return Ok(Columns { file: file.to_string(), names, rows });
        }
        if let more @ 1.. = problems.len().saturating_sub(MAX_LISTED) {
            problems.truncate(MAX_LISTED);
            problems.push(Problem::new(format!("and {more} more in {file}")));
        }
        Err(Error { kind: Kind::Data, problems })
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows, in order, one number per column.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// The place of a column in every row.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The place of a column in every row.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn need(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            let problem = Problem::new(format!("{} has no column {name}", self.file));
            Error::data(problem.expected(format!("{name} among {}", self.names.join(", "))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_cells_and_columns_are_named_with_their_place() {
        let error = Columns::parse("a.csv", "A,b\n1,x\n1\n2,3\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv:2:3: b is \"x\", expected a finite number\na.csv:3:1: 1 cells, expected 2, one per column"
        );
        let table = Columns::parse("a.csv", "A\tb\n1\t-2\n").unwrap();
        assert_eq!((table.find("a"), table.rows()[0][1]), (Some(0), -2.0));
        assert!(
            table.need("c").unwrap_err().to_string().contains("a.csv has no column c, expected c among a, b")
        );
        assert!(Columns::parse("a.csv", " \n").is_err());
    }
}
