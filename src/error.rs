//! The one error type of the library: where it happened, what was found, what was expected, how to fix it.
//!
//! An [`Error`] is a [`Kind`] (which decides the exit code) and one or more [`Problem`]s, so that a check can
//! report everything that is wrong with a file at once. Messages are lower case and carry no full stop.

use std::fmt;
use std::path::Path;

use crate::visible::line;

/// The result of everything that a file, a flag, a disk or a device can make fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The longest line that is shown, in bytes.
const MAX_LINE: usize = 2000;

/// The value of an environment variable; an empty one counts as absent.
///
/// # Errors
/// If the value is not Unicode.
pub fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => {
            Err(Error::config(Problem::new(format!("{value:?}")).key(name).expected("Unicode")))
        }
    }
}

/// What sort of thing went wrong; each sort has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Some runs of an ablation failed; the others are finished (exit 1).
    RunsFailed,
    /// Two things that were to be equal are not (exit 1).
    Different,
    /// A loss or gradient that is not finite ended a run before a weight changed (exit 1).
    Diverged,
    /// A flag, key or value that cannot be meant (exit 2).
    Config,
    /// Data that is damaged or does not fit what is said about it (exit 65).
    Data,
    /// A device that is absent, not compiled in, or cannot do what is asked (exit 69).
    Device,
    /// A file or folder that cannot be read or written (exit 74).
    Io,
    /// Stopped on request with everything saved; the same command continues (exit 75).
    Stopped,
}

/// One thing that is wrong, in the order in which a reader needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// File, line, column and the text of the line, when the problem has a place.
    pub place: Option<Place>,
    /// The key or flag, for instance `model.block.mixer`.
    pub key: Option<String>,
    /// What was found, in a few words.
    pub found: String,
    /// What was expected, if that is not plain from `found`.
    pub expected: Option<String>,
    /// How to fix it, for instance `did you mean "gelu"?`.
    pub help: Option<String>,
}

/// A place in a text file or in a `--set` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name to print: a path, `models/llama.toml (built in)` or `--set`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters the caret underlines.
    pub width: usize,
    /// The text of that line, without its end; empty if it is too long to be shown.
    pub text: String,
}

/// What the library returns when it cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The sort of error, which decides the exit code.
    pub kind: Kind,
    /// The problems, at least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Place {
    /// The place of a byte range in `text`; `file` is the name to print.
    pub fn of(file: &str, text: &str, span: std::ops::Range<usize>) -> Self {
        let start = span.start.min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = span.end.clamp(start, line_end);
        let line = text[line_start..line_end].trim_end_matches('\r');
        Place {
            file: file.to_string(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: if line.len() > MAX_LINE { String::new() } else { line.to_string() },
        }
    }
}

impl Problem {
    /// A problem that says only what was found.
    pub fn new(found: impl Into<String>) -> Self {
        Problem { found: found.into(), ..Problem::default() }
    }

    /// Adds the place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the key or flag.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds what was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds how to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Error {
    /// An error of one problem.
    pub fn new(kind: Kind, problem: Problem) -> Self {
        Error { kind, problems: vec![problem] }
    }

    /// An error of one bad flag, key or value (exit 2).
    pub fn config(problem: Problem) -> Self {
        Error::new(Kind::Config, problem)
    }

    /// An error of bad data (exit 65).
    pub fn data(problem: Problem) -> Self {
        Error::new(Kind::Data, problem)
    }

    /// An error of a device that is absent or cannot do what is asked (exit 69).
    pub fn device(problem: Problem) -> Self {
        Error::new(Kind::Device, problem)
    }

    /// The error of an operation `doing` (for instance `read`) on `path` that failed (exit 74).
    pub fn io(doing: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let path = path.as_ref().display();
        Error::new(Kind::Io, Problem::new(format!("cannot {doing} {path}: {source}")))
    }

    /// Adds another way to fix every problem, after the help that it already has.
    pub fn remedied(mut self, help: &str) -> Self {
        for problem in &mut self.problems {
            problem.help = Some(problem.help.take().map_or(String::new(), |own| own + "; ") + help);
        }
        self
    }

    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::RunsFailed | Kind::Diverged | Kind::Different => 1,
            Kind::Config => 2,
            Kind::Data => 65,
            Kind::Device => 69,
            Kind::Io => 74,
            Kind::Stopped => 75,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", line(&place.file), place.line, place.column)?;
        }
        if let Some(key) = &self.key {
            write!(f, "{}: ", line(key))?;
        }
        f.write_str(&line(&self.found))?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {}", line(expected))?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {}", line(help))?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_not_bytes() {
        let text = "a = 1\nβ = \"x\"\n";
        let start = text.find("\"x\"").unwrap();
        let place = Place::of("f.toml", text, start..start + 3);
        assert_eq!((place.line, place.column, place.width), (2, 5, 3));
        assert_eq!(place.text, "β = \"x\"");
    }

    #[test]
    fn no_part_of_a_problem_commands_a_terminal() {
        let bad = "\u{1b}[2J\n";
        let problem = Problem::new(bad).at(Place::of(bad, "x", 0..1)).key(bad).expected(bad).help(bad);
        let error = Error::io("read", bad, std::io::Error::other("gone")).to_string();
        assert_eq!(problem.to_string().matches("\\u001b[2J\\n").count(), 5, "{problem}");
        assert_eq!(error, "cannot read \\u001b[2J\\n: gone");
    }

    #[test]
    fn a_problem_reads_where_found_expected_help() {
        let problem = Problem::new("unknown variant \"gelo\"")
            .at(Place::of("m.toml", "act = \"gelo\"", 6..12))
            .key("model.act")
            .expected("one of gelu, silu")
            .help("did you mean \"gelu\"?");
        assert_eq!(
            Error::config(problem).to_string(),
            "m.toml:1:7: model.act: unknown variant \"gelo\", expected one of gelu, silu; did you mean \"gelu\"?"
        );
    }
}
