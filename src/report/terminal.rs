//! Text that fits a terminal: tables and paragraphs, nothing cut off and no word broken.
//!
//! A table that is too wide says once what all its rows share, lets its last column of words run over several lines, and as
//! a last resort becomes a paragraph for each row.

use std::io::IsTerminal;

use console::{Term, measure_text_width};

/// A last column of words may be as narrow as this.
const NARROW: usize = 24;

/// Lines that go on are indented by so much more.
const HANGING: usize = 2;

/// The variable that says how many columns there are, whatever the terminal says.
const COLUMNS: &str = "COLUMNS";

/// Fewer columns than this are not taken for a width.
const LEAST: usize = 20;

/// How text is written to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; unlimited when the output is piped.
    pub width: Option<usize>,
    /// Whether escape codes may be used.
    pub style: Style,
}

/// Whether escape codes may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters and lines only.
    Plain,
    /// The head and the control in bold.
    Bold,
}

impl Look {
    /// What standard output can show: as wide as `COLUMNS` says or the terminal is, without limit when piped; plain when
    /// piped or `NO_COLOR` is set.
    pub fn of_stdout() -> Look {
        let is_terminal = std::io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let asked = std::env::var(COLUMNS).ok().and_then(|columns| columns.trim().parse().ok());
        let own = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let width = asked.or_else(|| own().filter(|_| is_terminal)).filter(|&width| width >= LEAST);
        Look { width, style: if is_terminal && !no_color { Style::Bold } else { Style::Plain } }
    }
}

/// A table below a header; columns after the first `n_left` are numbers, flush right.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What stands above the columns; a column without a head belongs to the one before.
    pub heads: Vec<String>,
    /// So many columns are words.
    pub n_left: usize,
    /// The cells.
    pub rows: Vec<Vec<String>>,
    /// The row that stands out, if one does.
    pub bold: Option<usize>,
}

/// Whether the heads of columns have a line each or as many as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heads {
    OneLine,
    Stacked,
}

/// What columns need, with the space before each.
fn total(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + 2).sum()
}

impl Table {
    /// The table within the width of a terminal; ends with a line break.
    pub fn fit(&self, look: Look) -> String {
        let Some(width) = look.width.filter(|&width| self.width() > width) else {
            return self.draw(look, Heads::OneLine);
        };
        let (table, shared) = self.without_shared();
        let fits = |heads: Heads| total(&table.widths(heads)) <= width;
        let text = match table.last_words(width) {
            _ if fits(Heads::OneLine) => table.draw(look, Heads::OneLine),
            Some(room) => table.draw_hanging(look, room),
            None if fits(Heads::Stacked) => table.draw(look, Heads::Stacked),
            None => return self.records(look),
        };
        if shared.is_empty() {
            text
        } else {
            text + &wrap(&format!("  all: {}", shared.join(", ")), Some(width))
        }
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &String> {
        self.rows.iter().map(move |row| &row[column])
    }

    /// Columns' widths with heads on one line, or on as many as they have words.
    fn widths(&self, heads: Heads) -> Vec<usize> {
        let head = |column: usize| match heads {
            Heads::OneLine => measure_text_width(&self.heads[column]),
            Heads::Stacked => self.heads[column].split(' ').map(measure_text_width).max().unwrap_or(0),
        };
        let wide = |column: usize| self.cells(column).map(|cell| measure_text_width(cell)).max().unwrap_or(0);
        (0..self.heads.len()).map(|column| wide(column).max(head(column))).collect()
    }

    /// The columns that it needs.
    pub fn width(&self) -> usize {
        total(&self.widths(Heads::OneLine))
    }

    fn draw(&self, look: Look, heads: Heads) -> String {
        let widths = self.widths(heads);
        let cell = |(column, text): (usize, &String)| pad(text, widths[column], column < self.n_left);
        let line =
            |row: &[String]| row.iter().enumerate().map(cell).collect::<String>().trim_end().to_string();
        let row = |(at, row): (usize, &Vec<String>)| emphasised(&line(row), look, self.bold == Some(at));
        let head = self
            .stacked(&widths)
            .iter()
            .map(|heads| emphasised(&line(heads), look, true))
            .collect::<String>();
        head + &self.rows.iter().enumerate().map(row).collect::<String>()
    }

    /// The lines of the head, the last of which is full; none where no column has a head.
    fn stacked(&self, widths: &[usize]) -> Vec<Vec<String>> {
        if self.heads.iter().all(String::is_empty) {
            return Vec::new();
        }
        let broken: Vec<Vec<String>> = std::iter::zip(&self.heads, widths)
            .map(|(head, &width)| fill(&[head], "", "", width).lines().map(str::to_string).collect())
            .collect();
        let most = broken.iter().map(Vec::len).max().unwrap_or(0);
        let line = |at: usize| {
            let of = |head: &Vec<String>| {
                (at + head.len()).checked_sub(most).map_or(String::new(), |at| head[at].clone())
            };
            broken.iter().map(of).collect()
        };
        (0..most).map(line).collect()
    }

    /// The room of the last column, if it is of words and the others leave it enough.
    fn last_words(&self, width: usize) -> Option<usize> {
        let (_, before) =
            self.widths(Heads::OneLine).split_last().map(|(last, before)| (*last, total(before)))?;
        let room = width.checked_sub(before + 2)?;
        (self.n_left == self.heads.len() && room >= NARROW).then_some(room)
    }

    fn draw_hanging(&self, look: Look, room: usize) -> String {
        let widths = self.widths(Heads::OneLine);
        let last = self.heads.len() - 1;
        let lines = |row: &Vec<String>, bold: bool| {
            let before: String = (0..last).map(|column| pad(&row[column], widths[column], true)).collect();
            let indent = " ".repeat(measure_text_width(&before));
            let words = wrap(&row[last], Some(room));
            let line = |(at, words): (usize, &str)| {
                let before = if at == 0 { &before } else { &indent };
                emphasised(format!("{before}  {words}").trim_end(), look, bold)
            };
            words.lines().enumerate().map(line).collect::<String>()
        };
        let row = |(at, row): (usize, &Vec<String>)| lines(row, self.bold == Some(at));
        let head =
            if self.heads.iter().all(String::is_empty) { String::new() } else { lines(&self.heads, true) };
        head + &self.rows.iter().enumerate().map(row).collect::<String>()
    }

    /// Without the columns, but the first, that have the same in all rows, and what these have.
    fn without_shared(&self) -> (Table, Vec<String>) {
        let is_shared = |column: usize| {
            let first = self.rows.first().map(|row| &row[column]);
            column > 0 && self.rows.len() > 1 && self.rows.iter().all(|row| Some(&row[column]) == first)
        };
        let kept: Vec<usize> = (0..self.heads.len()).filter(|&column| !is_shared(column)).collect();
        let of = |row: &Vec<String>| kept.iter().map(|&column| row[column].clone()).collect::<Vec<String>>();
        let said =
            (0..self.heads.len()).filter(|&column| is_shared(column) && !self.rows[0][column].is_empty());
        let shared =
            said.map(|column| format!("{} {}", self.heads[column], self.rows[0][column]).trim().to_string());
        let n_left = kept.iter().filter(|&&column| column < self.n_left).count();
        let table =
            Table { heads: of(&self.heads), n_left, rows: self.rows.iter().map(of).collect(), ..*self };
        (table, shared.collect())
    }

    /// A paragraph for each row: its first cell, then what it has under each head.
    fn records(&self, look: Look) -> String {
        let record = |(at, row): (usize, &Vec<String>)| {
            let mut parts: Vec<String> = Vec::new();
            for (head, cell) in self.heads.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
                match (head.is_empty(), parts.last_mut()) {
                    (true, Some(part)) => part.push_str(&format!(" ({cell})")),
                    _ => parts.push(format!("{head} {cell}").trim().to_string()),
                }
            }
            let name = wrap(&format!("  {}", row[0]), look.width);
            let name: String =
                name.lines().map(|line| emphasised(line, look, self.bold == Some(at))).collect();
            name + &paragraph(&parts, look.width)
        };
        self.rows.iter().enumerate().map(record).collect()
    }
}

fn pad(text: &str, width: usize, is_left: bool) -> String {
    let space = " ".repeat(width.saturating_sub(measure_text_width(text)));
    if is_left { format!("  {text}{space}") } else { format!("  {space}{text}") }
}

/// The line and its end, in bold if that is allowed and asked for.
fn emphasised(line: &str, look: Look, bold: bool) -> String {
    match look.style {
        Style::Bold if bold => format!("\u{1b}[1m{line}\u{1b}[0m\n"),
        Style::Bold | Style::Plain => format!("{line}\n"),
    }
}

/// Breaks a line between words where it would be wider, what follows indented a little more than its beginning; ends with
/// a line break. A word that is too wide by itself stays whole.
pub fn wrap(line: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| measure_text_width(line) > width) else {
        return format!("{line}\n");
    };
    let indent = line.len() - line.trim_start_matches(' ').len();
    let hanging = if indent == 0 { 0 } else { indent + HANGING };
    let (start, rest) = line.split_at(indent);
    fill(&[rest], start, &" ".repeat(hanging.min(width / 2)), width)
}

/// Parts with commas between, each on one line if it fits; ends with a line break unless there are none.
fn paragraph(parts: &[String], width: Option<usize>) -> String {
    let indent = "    ";
    let Some(last) = parts.len().checked_sub(1) else { return String::new() };
    let with_comma =
        |(at, part): (usize, &String)| if at == last { part.clone() } else { format!("{part},") };
    let parts: Vec<String> = parts.iter().enumerate().map(with_comma).collect();
    match width {
        None => format!("{indent}{}\n", parts.join(" ")),
        Some(width) => {
            let fits = |part: &String| indent.len() + measure_text_width(part) <= width;
            let pieces = parts
                .iter()
                .flat_map(|part| if fits(part) { vec![part.as_str()] } else { part.split(' ').collect() });
            fill(&pieces.collect::<Vec<_>>(), indent, indent, width)
        }
    }
}

/// Lines of pieces with a space between, none broken; a text of one piece is broken between its words.
fn fill(pieces: &[&str], first: &str, others: &str, width: usize) -> String {
    let words: Vec<&str> = match pieces {
        [text] => text.split(' ').collect(),
        pieces => pieces.to_vec(),
    };
    let (mut filled, mut line, mut is_bare) = (String::new(), first.to_string(), true);
    for word in words {
        let wider = measure_text_width(&line) + usize::from(!is_bare) + measure_text_width(word) > width;
        if wider && !is_bare {
            filled.push_str(line.trim_end());
            filled.push('\n');
            (line, is_bare) = (others.to_string(), true);
        }
        if !is_bare {
            line.push(' ');
        }
        line.push_str(word);
        is_bare = false;
    }
    filled + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(last: &str) -> Table {
        let row = |cells: [&str; 4]| cells.map(str::to_string).to_vec();
        let rows =
            vec![row(["control", "mini", "34,880", "no change"]), row(["gated", "mini", "34,848", last])];
        Table { heads: row(["arm", "size", "parameters", "what it is"]), n_left: 4, rows, bold: Some(0) }
    }

    fn look(width: usize) -> Look {
        Look { width: Some(width), style: Style::Plain }
    }

    #[test]
    fn a_table_that_fits_is_a_table_and_a_wider_one_says_once_what_rows_share() {
        let wide = "  arm      size  parameters  what it is\n  control  mini  34,880      no change\n  gated    mini  34,848      a gate\n";
        assert_eq!(table("a gate").fit(look(40)), wide);
        let shared = "  arm      parameters  what it is\n  control  34,880      no change\n  gated    34,848      a gate\n  all: size mini\n";
        assert_eq!(table("a gate").fit(look(38)), shared);
    }

    #[test]
    fn words_hang_in_the_last_column_and_where_there_is_no_room_each_row_is_a_paragraph() {
        let text = table("a second product of the input that multiplies the first").fit(look(50));
        let expected = "  gated    34,848      a second product of the\n                       input that multiplies the\n                       first\n";
        assert!(text.contains(expected), "{text}");
        let text = table("a second product of the input that multiplies the first").fit(look(40));
        let record =
            "  gated\n    size mini, parameters 34,848, what\n    it is a second product of the input\n";
        assert!(text.contains(record), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        let mut numbers = table("+2.0 %");
        (numbers.n_left, numbers.heads[3]) = (2, String::new());
        assert!(numbers.fit(look(30)).contains("  gated\n    size mini,\n    parameters 34,848 (+2.0 %)\n"));
        let mut stacked = table("1");
        (stacked.n_left, stacked.heads[3]) = (1, "runs so far".to_string());
        stacked.rows[0][3] = "2".to_string();
        let expected = "                       runs\n                         so\n  arm      parameters   far\n  control      34,880     2\n";
        assert!(stacked.fit(look(30)).starts_with(expected), "{}", stacked.fit(look(30)));
    }

    #[test]
    fn lines_break_between_words_only_and_what_is_too_wide_stays_whole() {
        assert_eq!(wrap("  note: one two three", Some(12)), "  note: one\n    two\n    three\n");
        assert_eq!(wrap("short", None), "short\n");
        assert_eq!(
            wrap("an unbreakable-word-of-length and more", Some(10)),
            "an\nunbreakable-word-of-length\nand more\n"
        );
        let bold = Look { style: Style::Bold, ..look(80) };
        assert!(table("a gate").fit(bold).contains("\u{1b}[1m  control  mini"));
    }
}
