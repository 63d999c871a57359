//! A text file of one entry a line, with the place of each entry kept for messages.

use std::path::Path;

use crate::error::{Error, Place, Problem, Result};
use crate::input::read_text;

/// The entries of one file, trimmed, none of them empty or repeated; entry `i` stands in line `i + 1`.
#[derive(Debug, Clone)]
pub(super) struct List {
    file: String,
    pub entries: Vec<String>,
}

impl List {
    /// Reads a file; line ends may be CRLF.
    pub fn read(path: &Path) -> Result<Self> {
        List::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// The entries of `text`, an error for each empty or repeated line; `file` is the name to print.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let entries = text
            .trim_start_matches('\u{feff}')
            .trim_end()
            .lines()
            .map(|line| line.trim().to_string())
            .collect();
        let list = List { file: file.to_string(), entries };
        let mut first_line = std::collections::HashMap::new();
        let mut problems = Vec::new();
        for (i, entry) in list.entries.iter().enumerate() {
            if entry.is_empty() {
                problems.push(list.problem(i, "empty line").help("delete the line"));
            } else if entry.contains("  ") || entry.contains(char::is_control) {
                problems
                    .push(list.problem(i, "a double space or a control character").expected("single spaces"));
            }
            if let Some(line) = first_line.insert(entry, i + 1).filter(|_| !entry.is_empty()) {
                problems.push(
                    list.problem(i, format!("{entry:?} stands in line {line} already"))
                        .help("delete one of the two"),
                );
            }
        }
        if list.entries.is_empty() {
            problems.push(Problem::new(format!("{file} is empty")).expected("one entry a line"));
        }
        list.or_problems(problems)
    }

    /// A problem at entry `i`.
    pub fn problem(&self, i: usize, found: impl Into<String>) -> Problem {
        let text = self.entries[i].clone();
        Problem::new(found).at(Place {
            file: self.file.clone(),
            line: i + 1,
            column: 1,
            width: text.chars().count().max(1),
            text,
        })
    }

    /// This list, or all problems found in it.
    pub fn or_problems(self, problems: Vec<Problem>) -> Result<Self> {
        or_problems(self, problems)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// `value`, unless there are problems with the files that it came from.
pub(super) fn or_problems<T>(value: T, problems: Vec<Problem>) -> Result<T> {
    if problems.is_empty() {
        return Ok(value);
    }
    Err(Error { problems, ..Error::data(Problem::default()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriage_returns_and_a_last_empty_line_are_tolerated() {
        assert_eq!(List::parse("f", "\u{feff}Ada\r\nGrace \r\n\r\n").unwrap().entries, ["Ada", "Grace"]);
    }

    #[test]
    fn every_bad_line_is_named_at_once() {
        let error = List::parse("names.txt", "Ada\n\nGrace\nAda\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "names.txt:2:1: empty line; delete the line\n\
             names.txt:4:1: \"Ada\" stands in line 1 already; delete one of the two"
        );
        assert_eq!(error.exit_code(), 65);
        assert_eq!(List::parse("f", "\n").unwrap_err().to_string(), "f is empty, expected one entry a line");
    }
}
