//! `metrics.jsonl`: the format in the first line, then one line per stretch of steps.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::input;
use crate::training::{Metrics, manifest};

/// The version of the format.
const FORMAT: u32 = 1;

/// The metrics of a run, by growing step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// One entry per stretch of steps.
    pub lines: Vec<Metrics>,
    /// The problem of the last line, if the writer was cut off in it.
    pub torn: Option<Problem>,
}

#[derive(Serialize, Deserialize)]
struct First {
    format: u32,
}

/// Adds lines to `metrics.jsonl`.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

/// Reads the metrics of a run; a run without any has none.
///
/// A last line that is cut off is left out and told; when a resumed run has told a step twice, the later word counts.
///
/// # Errors
/// The file cannot be read, a newer version wrote it, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<History> {
    let text = match input::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(History::default()),
        text => text.map_err(|e| Error::io("read", path, e))?,
    };
    let mut history = History::default();
    let (whole, tail) = text.split_at(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
    let lines = whole.split_inclusive(|&byte| byte == b'\n').count();
    for (i, line) in whole.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match parse(path, i, line) {
            Ok(None) => {}
            Ok(Some(line)) => history.push(line),
            // After a power cut the last block may be of zeros, line end and all.
            Err(error) if i + 1 == lines && i > 0 && tail.is_empty() => {
                history.torn = error.problems.into_iter().next()
            }
            Err(error) => return Err(error),
        }
    }
    if !tail.is_empty() {
        history.torn =
            Some(Problem::new(format!("{}:{}: the last line is cut off", path.display(), lines + 1)));
    }
    Ok(history)
}

/// The lines that can be read, and what is wrong with the others before the last.
fn readable(path: &Path) -> Result<(Vec<Metrics>, Vec<Error>)> {
    let text = match input::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        text => text.map_err(|e| Error::io("read", path, e))?,
    };
    let (mut history, mut damaged) = (History::default(), Vec::new());
    let whole = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    for (i, line) in whole.enumerate() {
        match parse(path, i, line) {
            Ok(line) => line.into_iter().for_each(|line| history.push(line)),
            Err(error) if serde_json::from_slice::<First>(line).is_ok() => return Err(error),
            Err(mut error) => {
                error.problems.iter_mut().for_each(|it| it.help = Some("the line is left out".to_string()));
                damaged.push(error);
            }
        }
    }
    Ok((history.lines, damaged))
}

/// What is missing of the curve of a run of so many `steps` that goes on after `step`.
///
/// # Errors
/// As [`read`].
pub fn gap(path: &Path, step: u64, steps: u64) -> Result<Option<Error>> {
    let lines = read(path)?.lines;
    let told = lines.iter().map(|line| line.step).filter(|&told| told < step);
    let ends: Vec<u64> = std::iter::once(0).chain(told).chain([step]).collect();
    // A line tells at most a hundredth of the steps.
    let is_gap = |pair: &&[u64]| pair[1] - pair[0] > (steps / 100).max(2);
    Ok(ends.windows(2).find(is_gap).map(|pair| {
        let (from, to) = (pair[0] + 1, pair[1]);
        let found = format!("{} tells nothing of the steps {from} to {to}", path.display());
        Error::data(Problem::new(found).help("weights and results are whole; the curve has a gap"))
    }))
}

fn parse(path: &Path, index: usize, line: &[u8]) -> Result<Option<Metrics>> {
    let bad = |what: String| Error::data(Problem::new(format!("{}:{}: {what}", path.display(), index + 1)));
    if index > 0 {
        return serde_json::from_slice(line).map(Some).map_err(|e| bad(e.to_string()));
    }
    let First { format } = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
    if format > FORMAT {
        return Err(bad(format!("format {format} of a newer version of zoo, this one reads up to {FORMAT}")));
    }
    Ok(None)
}

/// Puts the lines of the run that another one begins from in front of its own, unless it has some already.
///
/// # Errors
/// If a file cannot be read or written.
pub fn inherit(from: &Path, to: &Path) -> Result<()> {
    if !read(to)?.lines.is_empty() || !from.exists() {
        return Ok(());
    }
    let text = input::read(from).map_err(|e| Error::io("read", from, e))?;
    manifest::write_atomically(to, &text)
}

impl History {
    fn push(&mut self, line: Metrics) {
        self.lines.truncate(self.lines.partition_point(|kept| kept.step < line.step));
        self.lines.push(line);
    }
}

impl Writer {
    /// Goes on after `step`: what was written of later steps, or half written, is dropped, and so is what cannot be read,
    /// with a word on each.
    ///
    /// # Errors
    /// The file cannot be read or written, or a newer version wrote it.
    pub fn resume(path: &Path, step: u64) -> Result<(Self, Vec<Error>)> {
        let (lines, damaged) = readable(path)?;
        let kept = lines.iter().filter(|line| line.step <= step);
        let mut text = line(path, &First { format: FORMAT })?;
        for metrics in kept {
            text.extend(line(path, metrics)?);
        }
        manifest::write_atomically(path, &text)?;
        let file = OpenOptions::new().append(true).open(path).map_err(|e| Error::io("open", path, e))?;
        Ok((Writer { path: path.to_path_buf(), file }, damaged))
    }

    /// Adds a line, in one write.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, metrics: &Metrics) -> Result<()> {
        let line = line(&self.path, metrics)?;
        self.file.write_all(&line).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Makes all lines so far outlive a power cut.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("write", &self.path, e))
    }
}

fn line(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(|e| Error::io("write", path, e.into()))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(step: u64) -> Metrics {
        Metrics {
            step,
            tokens: step * 7,
            flops: 1.5,
            seconds: 0.25,
            lr: 1e-3,
            loss: 2.5,
            auxiliary: None,
            grad_norm: 1.0,
            probe: None,
        }
    }

    fn steps(history: &History) -> Vec<u64> {
        history.lines.iter().map(|line| line.step).collect()
    }

    fn written(name: &str) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let (mut writer, _) = Writer::resume(&path, 0).unwrap();
        (1..=3).for_each(|step| writer.add(&at(step * 10)).unwrap());
        writer.sync().unwrap();
        let text = fs::read(&path).unwrap();
        (folder, path, text)
    }

    #[test]
    fn a_last_line_cut_at_any_byte_is_dropped_and_told() {
        let (_folder, path, text) = written("metrics.jsonl");
        assert_eq!(read(&path).unwrap(), History { lines: vec![at(10), at(20), at(30)], torn: None });
        let last = text[..text.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        for end in last + 1..text.len() {
            fs::write(&path, &text[..end]).unwrap();
            let history = read(&path).unwrap();
            assert_eq!(steps(&history), [10, 20]);
            assert!(history.torn.unwrap().found.ends_with("metrics.jsonl:4: the last line is cut off"));
        }
        fs::write(&path, [&text[..last], &[0; 9], b"\n"].concat()).unwrap();
        assert_eq!(steps(&read(&path).unwrap()), [10, 20]);
        assert!(read(&path).unwrap().torn.is_some());
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_with_its_number() {
        let (_folder, path, mut text) = written("metrics.jsonl");
        let second = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        text[second] = b'#';
        fs::write(&path, text).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("metrics.jsonl:2: "));
    }

    #[test]
    fn a_resumed_run_drops_what_came_after_its_checkpoint() {
        let (_folder, path, text) = written("metrics.jsonl");
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let (mut writer, _) = Writer::resume(&path, 10).unwrap();
        writer.add(&at(15)).unwrap();
        assert_eq!(steps(&read(&path).unwrap()), [10, 15]);
        assert_eq!(read(&path).unwrap().torn, None);
    }

    #[test]
    fn a_resumed_run_leaves_damaged_lines_out_and_says_so() {
        let (_folder, path, text) = written("metrics.jsonl");
        fs::write(&path, [&text[..], b"garbage\n{\"x\":1}\n"].concat()).unwrap();
        let (mut writer, damaged) = Writer::resume(&path, 30).unwrap();
        let told: Vec<String> = damaged.iter().map(Error::to_string).collect();
        assert!(told.len() == 2 && told[0].contains("metrics.jsonl:5: "), "{told:?}");
        writer.add(&at(40)).unwrap();
        assert_eq!(steps(&read(&path).unwrap()), [10, 20, 30, 40]);
    }

    #[test]
    fn a_curve_that_lost_steps_is_told() {
        let (_folder, path, text) = written("metrics.jsonl");
        assert!(gap(&path, 30, 1000).unwrap().is_none());
        assert!(gap(&path, 45, 1000).unwrap().unwrap().to_string().contains("steps 31 to 45"));
        fs::write(&path, &text[..text.iter().position(|&byte| byte == b'\n').unwrap() + 1]).unwrap();
        assert!(gap(&path, 30, 1000).unwrap().unwrap().to_string().contains("steps 1 to 30"));
        fs::remove_file(&path).unwrap();
        assert!(gap(&path, 30, 1000).unwrap().is_some());
    }

    #[test]
    fn of_a_step_told_twice_the_later_word_counts() {
        let (_folder, path, _) = written("metrics.jsonl");
        let (mut writer, _) = Writer::resume(&path, 30).unwrap();
        writer.add(&Metrics { loss: 1.0, ..at(20) }).unwrap();
        let history = read(&path).unwrap();
        assert_eq!(steps(&history), [10, 20]);
        assert_eq!(history.lines[1].loss, 1.0);
    }

    #[test]
    fn a_newer_format_is_refused_and_no_file_is_no_history() {
        let (folder, path, _) = written("metrics.jsonl");
        fs::write(&path, "{\"format\": 9}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("format 9 of a newer version"));
        assert_eq!(read(&folder.path().join("none")).unwrap(), History::default());
    }
}
