//! `zoo doctor`: whether this machine computes right, and what it has.

use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::measure::speed::{self, Shape};
use ablation_zoo::run::Environment;
use ablation_zoo::run::environment::{cores, free_disk, free_memory};
use ablation_zoo::{Result, device, kernels};
use clap::Args;
use serde_json::{Value as Json, json};

use super::store::StoreArgs;
use super::{Format, child, output};

/// Steps of training that are compared.
const STEPS: usize = 5;
/// How far the losses of two forms of the kernels may be apart, relative: additions in another order.
const TOLERANCE: f64 = 1e-4;

/// Arguments of `zoo doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zoo doctor --device cpu")]
pub struct Doctor {
    #[command(flatten)]
    store: StoreArgs,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Print only the losses of some steps on this device
    #[arg(long, hide = true)]
    losses: bool,
    #[command(flatten)]
    format: Format,
}

/// One finding of the check.
struct Finding {
    what: &'static str,
    found: String,
    health: Health,
}

#[derive(PartialEq)]
enum Health {
    Well,
    Ill(Kind),
}

impl Doctor {
    /// Looks at everything, prints it, and fails if something is wrong.
    pub fn run(&self) -> Result<()> {
        let device = device::open(&self.device)?;
        if self.losses {
            let losses = speed::losses(&Shape::named("Q")?, &device, STEPS);
            return output::print_line(&json!(losses));
        }
        let findings = [self.version(), self.machine(), self.room(), self.runs(), self.self_test()?];
        match self.format.json {
            true => output::print_json(&as_json(&findings))?,
            false => output::print(&as_text(&findings))?,
        }
        let ill = findings.iter().filter_map(|finding| match finding.health {
            Health::Well => None,
            Health::Ill(kind) => Some((kind, Problem::new(&finding.found).key(finding.what))),
        });
        let (kinds, problems): (Vec<Kind>, Vec<Problem>) = ill.unzip();
        // The self-test comes last and weighs most.
        kinds.last().map_or(Ok(()), |&kind| Err(Error { kind, problems }))
    }

    fn version(&self) -> Finding {
        let here = Environment::here(&self.device);
        well("version", format!("zoo {}, {}, kernels {}", here.version, here.platform, here.kernels))
    }

    fn machine(&self) -> Finding {
        let memory = free_memory()
            .map_or("memory unknown".to_string(), |bytes| format!("{} free", output::bytes(bytes)));
        let processor = Environment::here(&self.device).processor;
        well("machine", format!("{processor}, {}, {memory}", output::count(cores(), "core")))
    }

    fn room(&self) -> Finding {
        let folder =
            if self.store.store.exists() { self.store.store.as_path() } else { std::path::Path::new(".") };
        match free_disk(folder) {
            Some(bytes) => well("disk", format!("{} free at {}", output::bytes(bytes), folder.display())),
            None => well("disk", format!("free room at {} is unknown", folder.display())),
        }
    }

    /// Every file of every finished run, read.
    fn runs(&self) -> Finding {
        let path = self.store.store.display();
        if !self.store.store.exists() {
            return well("runs", format!("none yet in {path}"));
        }
        match self.store.open().and_then(|store| Ok((store.runs()?.len(), store.verify()?))) {
            Ok((runs, damaged)) if damaged.is_empty() => well(
                "runs",
                format!("{} in {path}, all files as they were sealed", output::count(runs, "run")),
            ),
            Ok((_, damaged)) => {
                let damaged: Vec<String> = damaged.iter().map(Error::to_string).collect();
                ill("runs", damaged.join("; "), Kind::Data)
            }
            Err(error) => ill("runs", error.to_string(), error.kind),
        }
    }

    /// Trains a few steps here and, in another process, with the reference forms on the CPU.
    fn self_test(&self) -> Result<Finding> {
        let here = speed::losses(&Shape::named("Q")?, &device::open(&self.device)?, STEPS);
        let there = reference_losses()?;
        let apart = here.iter().zip(&there).map(|(a, b)| ((a - b) / b).abs() as f64).fold(0.0, f64::max);
        let found = format!(
            "{STEPS} steps of training on {} and by the reference on the CPU differ by {apart:.1e} at most",
            self.device
        );
        // Not a number is not below the tolerance.
        let agrees =
            here.len() == there.len() && apart < TOLERANCE && here.iter().all(|loss| loss.is_finite());
        Ok(if agrees { well("self-test", found) } else { ill("self-test", found, Kind::Device) })
    }
}

fn reference_losses() -> Result<Vec<f32>> {
    let mut command = child::zoo()?;
    command.args(["doctor", "--losses"]).env(kernels::VARIABLE, "reference");
    child::answer(child::start(&mut command)?)
}

fn well(what: &'static str, found: String) -> Finding {
    Finding { what, found, health: Health::Well }
}

fn ill(what: &'static str, found: String, kind: Kind) -> Finding {
    Finding { what, found, health: Health::Ill(kind) }
}

fn as_json(findings: &[Finding]) -> Json {
    let finding = |finding: &Finding| json!({"what": finding.what, "found": finding.found, "ok": finding.health == Health::Well});
    findings.iter().map(finding).collect()
}

fn as_text(findings: &[Finding]) -> String {
    let word = |health: &Health| if *health == Health::Well { "ok" } else { "WRONG" };
    let line = |f: &Finding| format!("  {:<6}{:<11}{}\n", word(&f.health), f.what, f.found);
    findings.iter().map(line).collect()
}
