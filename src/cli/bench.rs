//! `zoo bench`: tokens per second of a training step, of fixed shapes on one core, on all, and as one run per core, or of
//! the arms of an ablation; or of reading.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::measure::speed::{self, SHAPES, Shape, Speed};
use ablation_zoo::run::environment::{cores, peak_bytes, settle, usable_memory};
use ablation_zoo::{Result, device, kernels};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::reading::ReadingBench;
use super::store::StoreArgs;
use super::timing::{self, ArmsBench};
use super::{Format, Overrides, child, complete, output};

/// Arguments of `zoo bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo bench\n  zoo bench --shape P --json\n  zoo bench mlp --json > before.json\n  zoo bench mlp --baseline before.json\n  zoo bench gpt2:micro biod\n  zoo bench --context 16384\n\nWithout a subject: five fixed shapes, which benches/README.md compares with PyTorch. Of an ablation the arms are timed, as many runs beside each other as `zoo run` would do, and kept in the store, where `zoo plan` finds them."
)]
pub struct Bench {
    /// An ablation, or a model and a dataset, by name or path
    #[arg(value_name = "SUBJECT", num_args = 0..=2, add = complete::ablations())]
    subject: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// Only this shape: Q, S, P, M or L, and for a GPU G or H
    #[arg(long, conflicts_with = "subject")]
    shape: Option<String>,
    /// Sequences in a step of a shape (batch size)
    #[arg(long, value_name = "N", conflicts_with = "subject")]
    rows: Option<NonZeroUsize>,
    /// What an earlier call printed with --json, to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Device to run on
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Measure reading instead of training: contexts of up to this many tokens, in a decoder's window, through an
    /// encoder, and chunk by chunk
    #[arg(long, value_name = "TOKENS", conflicts_with_all = ["shape", "subject", "baseline"])]
    context: Option<usize>,
    /// Measure this way of reading alone, in this process
    #[arg(long, hide = true, requires = "context")]
    way: Option<String>,
    /// Measure in this process alone, without a shape the plan on standard input
    #[arg(long, hide = true)]
    single: bool,
    #[command(flatten)]
    format: Format,
}

impl Bench {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        if !(self.seconds > 0.0 && self.seconds <= 3600.0) {
            let problem =
                Problem::new(self.seconds.to_string()).key("--seconds").expected("above 0, at most 3600");
            return Err(Error::config(problem));
        }
        if let Some(context) = self.context {
            let (way, device) = (self.way.as_deref(), &self.device);
            return ReadingBench { context, way, seconds: self.seconds, device }.run(self.format.json);
        }
        if self.single {
            return output::print_json(&json!(self.here()?));
        }
        device::find(&self.device)?;
        let baseline = self.baseline.as_deref().map(Baseline::read).transpose()?;
        let mut rows = match self.subject.is_empty() {
            true => self.shapes()?,
            false => self.arms()?,
        };
        if let Some(baseline) = &baseline {
            rows.iter_mut().for_each(|row| baseline.compare(row));
        }
        match (self.format.json, self.subject.is_empty(), &self.shape) {
            (true, true, Some(_)) => output::print_json(&rows[0]),
            (true, true, None) => output::print_json(&json!({ "shapes": rows })),
            (true, false, _) => output::print_json(&json!({ "arms": rows })),
            (false, true, _) => output::print(&shapes_as_text(&rows)),
            (false, false, _) => output::print(&timing::as_text(&rows)),
        }
    }

    /// One measurement in this process.
    fn here(&self) -> Result<Timed> {
        let seconds = Duration::from_secs_f64(self.seconds);
        let speed = match &self.shape {
            Some(name) => {
                let precision = self.overrides.sets.precision();
                speed::measure(&self.shape(name)?, precision, &device::open(&self.device)?, seconds)?
            }
            None => timing::here(&self.device, seconds)?,
        };
        Ok(Timed { speed, peak_bytes: peak_bytes() })
    }

    fn shapes(&self) -> Result<Vec<Json>> {
        if self.overrides.profile.is_some() || !self.overrides.sets.sets.is_empty() {
            let problem = Problem::new("shapes are fixed").key("--profile, --set");
            return Err(Error::config(problem.expected("an ablation, or a model and a dataset, to time")));
        }
        let shapes = match &self.shape {
            Some(name) => vec![self.shape(name)?],
            None => SHAPES.iter().map(|shape| self.shape(shape.name)).collect::<Result<_>>()?,
        };
        shapes.iter().try_for_each(|shape| self.check_memory(shape))?;
        shapes.iter().map(|shape| self.of_shape(shape)).collect()
    }

    /// The shape of that name, with the batch size that is asked for.
    fn shape(&self, name: &str) -> Result<Shape> {
        let shape = Shape::named(name)?;
        Ok(Shape { batch: self.rows.map_or(shape.batch, NonZeroUsize::get), ..shape })
    }

    fn arms(&self) -> Result<Vec<Json>> {
        let Bench { subject, overrides, store, seconds, device, .. } = self;
        ArmsBench { subject, overrides, store, seconds: *seconds, device }.rows()
    }

    /// Refuses what cannot fit, as one run per core, which is what needs most.
    fn check_memory(&self, shape: &Shape) -> Result<()> {
        let needed = shape.least_bytes().saturating_mul(cores() as u64);
        check_memory(&self.device, needed, |bytes| {
            let found = format!(
                "{} sequences of {} need at least {bytes}, a run on each core",
                shape.batch, shape.name
            );
            Problem::new(found).key("--rows")
        })
    }

    /// One core alone, then all cores as one run and as one run per core. Other devices do a run at a time.
    fn of_shape(&self, shape: &Shape) -> Result<Json> {
        let cores = match device::kind(&self.device) {
            "cpu" => cores(),
            _ => 1,
        };
        let children = |threads, processes| {
            let mut command = single(&self.device, self.seconds, threads)?;
            let precision = self.overrides.sets.precision();
            command.args(["--shape", shape.name, "--rows", &shape.batch.to_string()]);
            command.args(["--dtype", precision.name()]);
            children(&mut command, processes, "")
        };
        let one = children(1, 1)?;
        let (all, each) = match cores {
            1 => (one.clone(), one.clone()),
            _ => (children(cores, 1)?, children(1, cores)?),
        };
        let Timed { speed, peak_bytes } = &one[0];
        Ok(json!({
            "shape": shape,
            "device": self.device,
            "dtype": self.overrides.sets.precision().name(),
            "kernels": kernels::level().name(),
            "threads": 1,
            "tokens_per_second": speed.tokens_per_second,
            "gflops": speed.gflops,
            "peak_gflops": speed.peak_gflops,
            "share_of_peak": speed.gflops / speed.peak_gflops,
            "peak_bytes": peak_bytes,
            "cores": cores,
            "tokens_per_second_one_run_on_all_cores": tokens(&all),
            "tokens_per_second_one_run_per_core": tokens(&each),
            "tokens_per_second_all_cores": tokens(&all).max(tokens(&each)),
        }))
    }
}

/// The measurements of one process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timed {
    /// The speed that was measured.
    #[serde(flatten)]
    pub speed: Speed,
    /// Its largest resident memory, where the system tells.
    pub peak_bytes: Option<u64>,
}

/// The sum over several processes.
pub fn tokens(timed: &[Timed]) -> f64 {
    timed.iter().map(|timed| timed.speed.tokens_per_second).sum()
}

/// Refuses what needs more memory than the machine has; `what` says it of so many bytes. The memory of a GPU is not known here.
pub fn check_memory(device: &str, needed: u64, what: impl FnOnce(String) -> Problem) -> Result<()> {
    match usable_memory().filter(|_| device::kind(device) == "cpu") {
        Some(memory) if needed > memory => {
            let problem = what(output::bytes(needed)).expected(format!("at most {}", output::bytes(memory)));
            Err(Error::config(problem))
        }
        Some(_) | None => Ok(()),
    }
}

/// A process that measures once.
pub fn single(device: &str, seconds: f64, threads: usize) -> Result<Command> {
    let mut command = child::zoo()?;
    command.args(["bench", "--single", "--device", device, "--seconds", &seconds.to_string()]);
    settle(&mut command, device, threads);
    Ok(command)
}

/// Starts this many of them at once, each of which reads `input`.
pub fn children(command: &mut Command, processes: usize, input: &str) -> Result<Vec<Timed>> {
    let start = |_| {
        let mut child = child::start(command.stdin(Stdio::piped()))?;
        let mut pipe = child.stdin.take().expect("its input is a pipe");
        // One that ends without reading says why itself.
        let _ = pipe.write_all(input.as_bytes());
        Ok(child)
    };
    let children: Vec<_> = (0..processes).map(start).collect::<Result<_>>()?;
    children.into_iter().map(child::answer).collect()
}

fn shapes_as_text(rows: &[Json]) -> String {
    let cells = |row: &Json| {
        [
            row["shape"]["name"].as_str().unwrap_or("").to_string(),
            output::short(number(row, "tokens_per_second"), ""),
            format!("{:.0}", number(row, "gflops")),
            format!("{:.0} %", 100.0 * number(row, "share_of_peak")),
            output::short(number(row, "tokens_per_second_one_run_on_all_cores"), ""),
            output::short(number(row, "tokens_per_second_one_run_per_core"), ""),
            output::bytes(number(row, "peak_bytes") as u64),
            Baseline::cell(row),
        ]
    };
    let header = [
        "shape",
        "tokens/s, 1 core",
        "GFLOP/s",
        "of peak",
        "1 run, all cores",
        "1 run per core",
        "memory",
        Baseline::header(rows),
    ];
    output::table(header, 1, rows.iter().map(cells))
}

/// A number of a row, or nothing.
pub fn number(row: &Json, key: &str) -> f64 {
    row[key].as_f64().unwrap_or(0.0)
}

/// What an earlier call found.
pub struct Baseline {
    rows: Vec<Json>,
}

impl Baseline {
    const SPEED: &str = "tokens_per_second_all_cores";
    const RATIO: &str = "ratio_to_baseline";

    fn read(path: &Path) -> Result<Self> {
        let text = ablation_zoo::input::read(path).map_err(|e| Error::io("read", path, e))?;
        let found: Json = serde_json::from_slice(&text).unwrap_or_default();
        let rows = [&found["shapes"], &found["arms"]].into_iter().find_map(Json::as_array);
        let rows = rows.cloned().unwrap_or_else(|| vec![found]);
        match rows.iter().any(|row| row[Self::SPEED].is_number()) {
            true => Ok(Baseline { rows }),
            false => {
                let problem = Problem::new(path.display().to_string()).key("--baseline");
                Err(Error::data(problem.expected("what `zoo bench --json` printed")))
            }
        }
    }

    /// Adds how many times as fast a row is now.
    fn compare(&self, row: &mut Json) {
        let is_older = |old: &Json, key: &str| key == "dtype" && old[key].is_null();
        let same = |key: &str, old: &Json, new: &Json| old[key] == new[key] || is_older(old, key);
        let alike =
            |old: &&Json| ["shape", "arm", "size", "device", "dtype"].iter().all(|key| same(key, old, row));
        let before = self.rows.iter().find(alike).map(|old| number(old, Self::SPEED));
        let ratio = before.filter(|before| *before > 0.0).map(|before| number(row, Self::SPEED) / before);
        row[Self::RATIO] = json!(ratio);
    }

    /// The heading of a column that is empty without a baseline.
    pub fn header(rows: &[Json]) -> &'static str {
        if rows.iter().any(|row| row.get(Self::RATIO).is_some()) { "to baseline" } else { "" }
    }

    /// Its cell.
    pub fn cell(row: &Json) -> String {
        match row.get(Self::RATIO) {
            None => String::new(),
            Some(ratio) => ratio.as_f64().map_or_else(|| "—".to_string(), |ratio| format!("{ratio:.2}")),
        }
    }
}
