//! Tables with `hours` (or `seconds`, `tokens`, `flops`, `6nd`), `loss`, and `stage` if not all raw.

use super::{Axis, Curve, MIN_POINTS, Stage};
use crate::error::{Error, Problem, Result};
use crate::laws::table::{Demand, Problems, Table};

/// How rows out of order are treated.
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

/// What positions are along, and names of their columns.
const POSITIONS: [(Axis, &[&str]); 4] = [
    (Axis::Hours, &["hours", "gpu-hours", "seconds", "gpu-seconds"]),
    (Axis::Tokens, &["tokens"]),
    (Axis::Flops, &["flops"]),
    (Axis::SixNd, &["6nd"]),
];

impl Records {
    /// Reads `text`; `file` is the name to print.
    ///
    /// # Errors
    /// Those of [`Records::of`], or `text` is no table.
    pub fn parse(file: &str, text: &str, rows: Rows) -> Result<Self> {
        Records::of(&Table::parse(file, text)?, rows)
    }

    /// Of a table.
    ///
    /// # Errors
    /// No `loss` or no axis among the columns, or two of one; a row with more or fewer cells; a cell that is no number,
    /// not finite or not above zero; a row that goes back along an axis (unless `rows` allows it); fewer than
    /// [`MIN_POINTS`](super::MIN_POINTS) rows. Each with its line.
    pub fn of(table: &Table, rows: Rows) -> Result<Self> {
        let (mut axes, mut columns) = (Vec::new(), Vec::new());
        for (axis, names) in POSITIONS {
            if let Some(column) = table.find(names)? {
                axes.push(axis);
                columns.push((column, Demand::Positive));
            }
        }
        if axes.is_empty() {
            return Err(table.missing("hours, seconds, tokens, flops or 6nd"));
        }
        columns.push((table.need(&["loss"])?, Demand::Positive));
        let stage = table.find(&["stage"])?;
        let seconds = table.find(&["seconds", "gpu-seconds"])?.is_some();
        let (mut problems, mut records) =
            (Problems::default(), Records { file: table.file.clone(), axes, rows: Vec::new() });
        for row in 0..table.len() {
            let Some(mut x) = table.row(row, &columns, &mut problems) else { continue };
            let stage = stage.map_or(Some(Stage::Raw), |column| named(table, row, column, &mut problems));
            let Some(stage) = stage else { continue };
            let loss = x.pop().unwrap_or(f64::NAN);
            if seconds {
                x[0] /= 3600.0;
            }
            let record = Record { x, loss, stage };
            if rows == Rows::InOrder {
                records.check_order(&record, table, row, &mut problems);
            }
            records.rows.push(record);
        }
        let records = problems.finish(&table.file, records)?;
        if records.rows.len() < MIN_POINTS {
            let found = format!("{} has {} rows", records.file, records.rows.len());
            return Err(Error::data(Problem::new(found).expected(format!("at least {MIN_POINTS}"))));
        }
        Ok(records)
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
            return Err(Error::data(problem.help("convert one with the run's throughput")));
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

    fn check_order(&self, record: &Record, table: &Table, row: usize, problems: &mut Problems) {
        let Some(before) = self.last_of(record.stage) else { return };
        if let Some(k) = (0..self.axes.len()).find(|&k| record.x[k] < before.x[k]) {
            problems.push(|| {
                let found = format!("goes back from {} to {} {}", before.x[k], record.x[k], self.axes[k]);
                let problem = Problem::new(found).at(table.place(row, 0)).expected("rows in ascending order");
                problem.help("sort the file, or allow rows in any order")
            });
        }
    }
}

/// The stage that a cell names.
fn named(table: &Table, row: usize, column: usize, problems: &mut Problems) -> Option<Stage> {
    let cell = table.cell(row, column);
    let stage = match cell.to_lowercase().as_str() {
        "raw" => Some(Stage::Raw),
        "annealed" => Some(Stage::Annealed),
        _ => None,
    };
    if stage.is_none() {
        problems.push(|| table.wrong(row, column, "raw or annealed"));
    }
    stage
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
        assert!(error.contains("no column of FLOPs, only GPU-hours and tokens"), "{error}");
    }

    #[test]
    fn every_bad_cell_is_named_with_its_line_and_column() {
        let text = "Hours\tLoss\n1\t-2.5\n2\tNaN\n3\t2.1\n4\tx\n5\t2.0\t7\n";
        let lines: Vec<String> = refusal(text).lines().map(String::from).collect();
        assert_eq!(lines[0], "a.tsv:2:3: Loss is \"-2.5\", expected a finite number above 0");
        assert_eq!(lines[1], "a.tsv:3:3: Loss is \"NaN\", expected a finite number above 0");
        assert_eq!(lines[2], "a.tsv:5:3: Loss is \"x\", expected a finite number above 0");
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
