//! `zoo bench --context`: tokens per second and memory of reading, each length and way in a process of its own.

use std::time::Duration;

use ablation_zoo::measure::reading_speed::{self, ReadingSpeed, WAYS, Way};
use ablation_zoo::run::environment::peak_bytes;
use ablation_zoo::{Result, device};
use serde_json::json;

use super::{child, output};

/// What is measured.
pub struct ReadingBench<'a> {
    /// Tokens of context; the most of them where there is no way.
    pub context: usize,
    /// The only way of reading, in this process.
    pub way: Option<&'a str>,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Where.
    pub device: &'a str,
}

impl ReadingBench<'_> {
    /// Measures and prints.
    pub fn run(&self, json: bool) -> Result<()> {
        let lengths = reading_speed::lengths(self.context)?;
        if let Some(way) = self.way {
            return output::print_json(&json!(self.here(Way::named(way)?)?));
        }
        device::find(self.device)?;
        let mut rows = Vec::new();
        for context in lengths {
            for way in WAYS {
                rows.push(self.child(way, context)?);
            }
        }
        match json {
            true => output::print_json(&json!({ "device": self.device, "reading": rows })),
            false => output::print(&as_text(&rows)),
        }
    }

    fn here(&self, way: Way) -> Result<ReadingSpeed> {
        let budget = Duration::from_secs_f64(self.seconds);
        reading_speed::measure(way, self.context, &device::open(self.device)?, budget, peak_bytes)
    }

    fn child(&self, way: Way, context: usize) -> Result<ReadingSpeed> {
        let mut command = child::zoo()?;
        command.args(["bench", "--way", way.name(), "--context", &context.to_string()]);
        command.args(["--seconds", &self.seconds.to_string(), "--device", self.device]);
        child::answer(child::start(&mut command)?)
    }
}

fn as_text(rows: &[ReadingSpeed]) -> String {
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "—".to_string(), output::bytes);
    let cells = |row: &ReadingSpeed| {
        [
            row.context.to_string(),
            row.way.name().to_string(),
            output::short(row.tokens_per_second, ""),
            bytes(row.reading_bytes),
            bytes(row.peak_bytes),
        ]
    };
    let header = ["context", "way", "tokens/s", "memory of reading", "memory"];
    output::table(header, 2, rows.iter().map(cells))
}
