//! `zoo bench`: tokens per second of a training step, on one core, on all, and as one run per core; or of reading.

use std::time::Duration;

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::measure::speed::{self, SHAPES, Shape, Speed};
use ablation_zoo::run::environment::{peak_bytes, settle};
use ablation_zoo::{Result, device, kernels};
use clap::Args;
use serde_json::{Value as Json, json};

use super::reading::ReadingBench;
use super::{Format, child, output};

/// Arguments of `zoo bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo bench\n  zoo bench --shape P --json\n  zoo bench --context 16384\n\nbenches/README.md compares with PyTorch."
)]
pub struct Bench {
    /// Only this shape: Q, S, P, M or L
    #[arg(long)]
    shape: Option<String>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where to run
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Read instead of training: contexts of up to so many tokens, in a decoder's window, through an encoder, and chunk
    /// by chunk
    #[arg(long, value_name = "TOKENS", conflicts_with = "shape")]
    context: Option<usize>,
    /// Read in this way alone, in this process
    #[arg(long, hide = true, requires = "context")]
    way: Option<String>,
    /// Measure in this process alone
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
        let shapes = match &self.shape {
            Some(name) => vec![Shape::named(name)?],
            None => SHAPES.to_vec(),
        };
        if self.single {
            return output::print_json(&self.here(&shapes[0])?);
        }
        device::find(&self.device)?;
        let mut rows = Vec::new();
        for shape in &shapes {
            rows.push(self.shape(shape)?);
        }
        match (self.format.json, &self.shape) {
            (true, Some(_)) => output::print_json(&rows[0]),
            (true, None) => output::print_json(&json!({ "shapes": rows })),
            (false, _) => output::print(&as_text(&rows)),
        }
    }

    /// One measurement in this process.
    fn here(&self, shape: &Shape) -> Result<Json> {
        let device = device::open(&self.device)?;
        let speed = speed::measure(shape, &device, Duration::from_secs_f64(self.seconds));
        let mut json = serde_json::to_value(speed).expect("a measurement is numbers and a name");
        json["peak_bytes"] = peak_bytes().into();
        Ok(json)
    }

    /// One core alone, then all cores as one run and as one run per core. Other devices do a run at a time.
    fn shape(&self, shape: &Shape) -> Result<Json> {
        let cores = match device::kind(&self.device) {
            "cpu" => std::thread::available_parallelism().map_or(1, |n| n.get()),
            _ => 1,
        };
        let one = self.children(shape, 1, 1)?;
        let (all, each) = match cores {
            1 => (one.clone(), one.clone()),
            _ => (self.children(shape, cores, 1)?, self.children(shape, 1, cores)?),
        };
        let tokens =
            |speeds: &[(Speed, Json)]| speeds.iter().map(|(speed, _)| speed.tokens_per_second).sum::<f64>();
        let (speed, json) = &one[0];
        Ok(json!({
            "shape": shape,
            "device": self.device,
            "kernels": kernels::level().name(),
            "threads": 1,
            "tokens_per_second": speed.tokens_per_second,
            "gflops": speed.gflops,
            "peak_gflops": speed.peak_gflops,
            "share_of_peak": speed.gflops / speed.peak_gflops,
            "peak_bytes": json["peak_bytes"],
            "cores": cores,
            "tokens_per_second_one_run_on_all_cores": tokens(&all),
            "tokens_per_second_one_run_per_core": tokens(&each),
            "tokens_per_second_all_cores": tokens(&all).max(tokens(&each)),
        }))
    }

    /// So many processes at once, of so many threads each.
    fn children(&self, shape: &Shape, threads: usize, processes: usize) -> Result<Vec<(Speed, Json)>> {
        let mut command = child::zoo()?;
        command
            .args(["bench", "--single", "--shape", shape.name, "--device", &self.device])
            .args(["--seconds", &self.seconds.to_string()]);
        settle(&mut command, &self.device, threads);
        let children: Vec<_> = (0..processes).map(|_| child::start(&mut command)).collect::<Result<_>>()?;
        let mut speeds = Vec::new();
        for child in children {
            let json: Json = child::answer(child)?;
            let speed = serde_json::from_value(json.clone());
            speeds.push((speed.map_err(|e| Error::io("read", "a child's answer", e.into()))?, json));
        }
        Ok(speeds)
    }
}

fn as_text(rows: &[Json]) -> String {
    let number = |row: &Json, key: &str| row[key].as_f64().unwrap_or(0.0);
    let cells = |row: &Json| {
        [
            row["shape"]["name"].as_str().unwrap_or("").to_string(),
            output::short(number(row, "tokens_per_second"), ""),
            format!("{:.0}", number(row, "gflops")),
            format!("{:.0} %", 100.0 * number(row, "share_of_peak")),
            output::short(number(row, "tokens_per_second_one_run_on_all_cores"), ""),
            output::short(number(row, "tokens_per_second_one_run_per_core"), ""),
            output::bytes(number(row, "peak_bytes") as u64),
        ]
    };
    let header =
        ["shape", "tokens/s, 1 core", "GFLOP/s", "of peak", "1 run, all cores", "1 run per core", "memory"];
    output::table(header, 1, rows.iter().map(cells))
}
