//! Text with a header, tab or comma between columns: `hours` (or `seconds`, `tokens`, `flops`, `6nd`), `loss`,
//! and `stage` if not all raw.
//!
//! Names of columns may be in any case; other columns are passed over. Everything wrong with a file is
//! reported at once.

use super::{Axis, Curve, MIN_POINTS, Stage, is_positive};
use crate::error::{Error, Kind, Place, Problem, Result};

/// What to do with rows out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rows {
    /// Refuse them: a run does not go back.
    #[default]
    InOrder,
    /// Sort them: points read off a figure come in the order of its path.
    AnyOrder,
}

/// The checked rows of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    file: String,
    axes: Vec<Axis>,
    rows: Vec<Record>,
}

#[derive(Debug, Clone, PartialEq)]
struct Record {
    /// One position per axis of the file.
    x: Vec<f64>,
    loss: f64,
    stage: Stage,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Column {
    Position(Axis),
    Seconds,
    Loss,
    Stage,
    Other,
}

/// Problems listed before the rest are only counted.
const MAX_LISTED: usize = 6;

impl Records {
    /// Reads `text`; `file` is the name to print.
    ///
    /// # Errors
    /// No `loss` or no axis among the columns; a row with more or fewer cells; a cell that is no number, not
    /// finite or not above zero; a row that goes back along an axis (unless `rows` allows it); fewer than
    /// [`MIN_POINTS`](super::MIN_POINTS) rows. Each with its line.
    pub fn parse(file: &str, text: &str, rows: Rows) -> Result<Self> {
        let mut reader = Reader { file, text, problems: Vec::new() };
        let mut lines = reader.lines();
        let Some((header_at, header)) = lines.next() else {
            return Err(Error::data(Problem::new(format!("{file} is empty")).expected("a header and rows")));
        };
        let delimiter = if header.contains('\t') { '\t' } else { ',' };
        let columns: Vec<Column> = header.split(delimiter).map(Column::named).collect();
        reader.check_header(&columns, header_at, header)?;
        let axes = columns.iter().filter_map(|column| column.axis()).collect();
        let mut records = Records { file: file.to_string(), axes, rows: Vec::new() };
        for (at, line) in lines {
            if let Some(record) = reader.row(&columns, delimiter, at, line) {
                if rows == Rows::InOrder {
                    reader.check_order(records.last_of(record.stage), &record, &records.axes, at, line);
                }
                records.rows.push(record);
            }
        }
        if records.rows.len() < MIN_POINTS && reader.problems.is_empty() {
            let got = format!("{file} has {} rows", records.rows.len());
            reader.problems.push(Problem::new(got).expected(format!("at least {MIN_POINTS}")));
        }
        reader.finish(records)
    }

    /// The curve of one axis and stage, named `name`, in ascending order.
    ///
    /// # Errors
    /// The file has no such column, or fewer than [`MIN_POINTS`](super::MIN_POINTS) rows of that stage.
    pub fn curve(&self, name: &str, axis: Axis, stage: Stage) -> Result<Curve> {
        let Some(k) = self.axes.iter().position(|&other| other == axis) else {
            let has: Vec<String> = self.axes.iter().map(Axis::to_string).collect();
            let problem =
                Problem::new(format!("{} has no column of {axis}, only {}", self.file, has.join(" and ")));
            return Err(Error::data(problem.remedy("convert one with the run's throughput")));
        };
        let of_stage = self.rows.iter().filter(|row| row.stage == stage);
        let mut points: Vec<(f64, f64)> = of_stage.map(|row| (row.x[k], row.loss)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve::new(name, axis, stage, points)
    }
}

impl Records {
    /// The axes that it has columns of, in their order.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Whether any row is of this stage.
    pub fn has(&self, stage: Stage) -> bool {
        self.rows.iter().any(|row| row.stage == stage)
    }

    /// The last row of a stage: annealed ends of branches may be listed among the trunk's rows, each kind in
    /// its own order.
    fn last_of(&self, stage: Stage) -> Option<&Record> {
        self.rows.iter().rev().find(|row| row.stage == stage)
    }
}

impl Column {
    /// What it is a position along.
    fn axis(self) -> Option<Axis> {
        match self {
            Column::Position(axis) => Some(axis),
            Column::Seconds => Some(Axis::Hours),
            Column::Loss | Column::Stage | Column::Other => None,
        }
    }

    fn named(header: &str) -> Self {
        match header.trim().to_lowercase().replace(['_', ' '], "-").as_str() {
            "hours" | "gpu-hours" => Column::Position(Axis::Hours),
            "seconds" | "gpu-seconds" => Column::Seconds,
            "tokens" => Column::Position(Axis::Tokens),
            "flops" => Column::Position(Axis::Flops),
            "6nd" => Column::Position(Axis::SixNd),
            "loss" => Column::Loss,
            "stage" => Column::Stage,
            _ => Column::Other,
        }
    }
}

/// Collects problems while it reads.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Lines that are not blank, with the byte at which each begins.
    fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let text = self.text;
        let start = move |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
        text.lines().map(move |line| (start(line), line)).filter(|(_, line)| !line.trim().is_empty())
    }

    fn check_header(&self, columns: &[Column], at: usize, header: &str) -> Result<()> {
        let has_axis = columns.iter().any(|column| column.axis().is_some());
        let missing = match (has_axis, columns.contains(&Column::Loss)) {
            (true, true) => return Ok(()),
            (false, _) => "hours, seconds, tokens, flops or 6nd",
            (true, false) => "loss",
        };
        let problem = Problem::new(format!("no column named {missing}")).at(self.place(at, header));
        Err(Error::data(problem.remedy("the first line names the columns, in any case")))
    }

    fn row(&mut self, columns: &[Column], delimiter: char, at: usize, line: &str) -> Option<Record> {
        let before = self.problems.len();
        let mut record = Record { x: Vec::new(), loss: 0.0, stage: Stage::Raw };
        let cells: Vec<&str> = line.split(delimiter).collect();
        if cells.len() != columns.len() {
            let problem = Problem::new(format!("{} cells", cells.len())).at(self.place(at, line));
            self.problems.push(problem.expected(format!("{}, one per column", columns.len())));
            return None;
        }
        let mut cell_at = at;
        for (column, cell) in columns.iter().zip(cells) {
            match column {
                Column::Position(axis) => record.x.push(self.number(&axis.to_string(), cell_at, cell)),
                Column::Seconds => record.x.push(self.number("seconds", cell_at, cell) / 3600.0),
                Column::Loss => record.loss = self.number("loss", cell_at, cell),
                Column::Stage => record.stage = self.stage(cell_at, cell),
                Column::Other => {}
            }
            cell_at += cell.len() + delimiter.len_utf8();
        }
        (self.problems.len() == before).then_some(record)
    }

    fn number(&mut self, what: &str, at: usize, cell: &str) -> f64 {
        let value = cell.trim().parse::<f64>().unwrap_or(f64::NAN);
        if !is_positive(value) {
            let problem = Problem::new(format!("{what} is {:?}", cell.trim())).at(self.place(at, cell));
            self.problems.push(problem.expected("a finite number above 0"));
        }
        value
    }

    fn stage(&mut self, at: usize, cell: &str) -> Stage {
        match cell.trim().to_lowercase().as_str() {
            "raw" => Stage::Raw,
            "annealed" => Stage::Annealed,
            other => {
                let problem = Problem::new(format!("stage is {other:?}")).at(self.place(at, cell));
                self.problems.push(problem.expected("raw or annealed"));
                Stage::Raw
            }
        }
    }

    fn check_order(
        &mut self,
        before: Option<&Record>,
        record: &Record,
        axes: &[Axis],
        at: usize,
        line: &str,
    ) {
        let Some(before) = before else { return };
        if let Some(k) = (0..axes.len()).find(|&k| record.x[k] < before.x[k]) {
            let got = format!("goes back from {} to {} {}", before.x[k], record.x[k], axes[k]);
            let problem = Problem::new(got).at(self.place(at, line)).expected("rows in ascending order");
            self.problems.push(problem.remedy("sort the file, or allow rows in any order"));
        }
    }

    fn place(&self, at: usize, part: &str) -> Place {
        Place::of(self.file, self.text, at..at + part.len())
    }

    fn finish(mut self, records: Records) -> Result<Records> {
        if self.problems.is_empty() {
            return Ok(records);
        }
        if let more @ 1.. = self.problems.len().saturating_sub(MAX_LISTED) {
            self.problems.truncate(MAX_LISTED);
            self.problems.push(Problem::new(format!("and {more} more in {}", self.file)));
        }
        Err(Error { kind: Kind::Data, problems: self.problems })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Tokens,GPU_Hours,LOSS,lr,Stage\n1,10,3.5,x,raw\n2,20,3.0,x,RAW\n3,30,2.7,x,raw\n\
                        4,40,2.5,x,raw\n2,24,2.9,x,annealed\n4,48,2.3,x,annealed\n5,60,2.2,x,annealed\n\
                        6,72,2.1,x,annealed\n";

    fn refusal(text: &str) -> String {
        Records::parse("a.tsv", text, Rows::InOrder).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_found_in_any_case_and_stages_are_kept_apart() {
        let records = Records::parse("a.csv", GOOD, Rows::InOrder).unwrap();
        let raw = records.curve("a", Axis::Hours, Stage::Raw).unwrap();
        let annealed = records.curve("a", Axis::Tokens, Stage::Annealed).unwrap();
        assert_eq!((raw.x(), raw.loss()), (&[10.0, 20.0, 30.0, 40.0][..], &[3.5, 3.0, 2.7, 2.5][..]));
        assert_eq!(annealed.x(), [2.0, 4.0, 5.0, 6.0]);
        let error = records.curve("a", Axis::Flops, Stage::Raw).unwrap_err().to_string();
        assert!(error.contains("no column of FLOPs, only tokens and GPU-hours"), "{error}");
    }

    #[test]
    fn every_bad_cell_is_named_with_its_line_and_column() {
        let text = "Hours\tLoss\n1\t-2.5\n2\tNaN\n3\t2.1\n4\tx\n5\t2.0\t7\n";
        let lines: Vec<String> = refusal(text).lines().map(String::from).collect();
        assert_eq!(lines[0], "a.tsv:2:3: loss is \"-2.5\", expected a finite number above 0");
        assert_eq!(lines[1], "a.tsv:3:3: loss is \"NaN\", expected a finite number above 0");
        assert_eq!(lines[2], "a.tsv:5:3: loss is \"x\", expected a finite number above 0");
        assert_eq!(lines[3], "a.tsv:6:1: 3 cells, expected 2, one per column");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn rows_that_go_back_are_refused_or_sorted() {
        let text = "hours\tloss\n1\t3\n3\t2\n2\t2.5\n4\t1.9\n";
        let message = refusal(text);
        assert!(message.starts_with("a.tsv:4:1: goes back from 3 to 2 GPU-hours"), "{message}");
        let branches = "hours,stage,loss\n1,raw,3\n9,annealed,2\n2,raw,2.5\n5,annealed,2.2\n";
        let message = refusal(branches);
        assert_eq!(message.lines().count(), 1);
        assert!(message.starts_with("a.tsv:5:1: goes back from 9 to 5 GPU-hours"), "{message}");
        let curve = Records::parse("a.tsv", text, Rows::AnyOrder)
            .unwrap()
            .curve("a", Axis::Hours, Stage::Raw)
            .unwrap();
        assert_eq!(curve.loss(), [3.0, 2.5, 2.0, 1.9]);
    }

    #[test]
    fn empty_short_and_nameless_files_are_refused() {
        assert_eq!(refusal("\n"), "a.tsv is empty, expected a header and rows");
        assert_eq!(refusal("hours\tloss\n1\t2\n"), "a.tsv has 1 rows, expected at least 4");
        assert!(
            refusal("1\t2\n").starts_with("a.tsv:1:1: no column named hours, seconds, tokens, flops or 6nd")
        );
        assert!(refusal("hours,lr\n1,2\n").starts_with("a.tsv:1:1: no column named loss"));
    }

    #[test]
    fn a_thousand_problems_are_counted_and_not_listed() {
        let text = format!("hours\tloss\n{}", "1\t0\n".repeat(1000));
        let message = refusal(&text);
        assert!(message.ends_with("and 994 more in a.tsv"), "{message}");
    }
}
