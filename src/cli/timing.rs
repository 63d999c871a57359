//! `zoo bench SUBJECT`: tokens per second of the arms of an ablation, or of a model on a dataset, as many runs beside each
//! other as `zoo run` does; kept in the store, so that `zoo plan` knows how fast this machine is.

use std::time::Duration;

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::measure::speed::Speed;
use ablation_zoo::plan::{self, Ablation, Calibration, Plan, Presets, Request, resolve_single};
use ablation_zoo::run::calibration::{self, Timing};
use ablation_zoo::run::environment::cores;
use ablation_zoo::run::executor::Share;
use ablation_zoo::run::{Environment, Site};
use ablation_zoo::{Result, device};
use serde_json::{Value as Json, json};

use super::bench::{Baseline, Timed, check_memory, children, number, single, tokens};
use super::execute::DTYPE;
use super::store::StoreArgs;
use super::{Overrides, output, subject};

/// What is timed.
pub struct ArmsBench<'a> {
    /// An ablation, or a model and a dataset.
    pub subject: &'a [String],
    /// What is set over its files.
    pub overrides: &'a Overrides,
    /// Where timings are kept.
    pub store: &'a StoreArgs,
    /// Seconds of each arm.
    pub seconds: f64,
    /// Where it runs.
    pub device: &'a str,
}

struct Arm {
    name: String,
    size: String,
    plan: Plan,
}

impl ArmsBench<'_> {
    /// Times all arms and what they begin from, steps of one kind once, and keeps that; a row for each.
    pub fn rows(&self) -> Result<Vec<Json>> {
        let (runs, threads) = Share::default().resolve(&Site::of(self.device, DTYPE), cores());
        let mut rows = Vec::new();
        let mut known: Vec<(Plan, Vec<Timed>)> = Vec::new();
        let arms = self.arms()?;
        arms.iter().try_for_each(|arm| self.check_memory(arm, runs))?;
        for Arm { name, size, plan } in arms {
            let mut row = json!({ "arm": name, "size": size, "device": self.device, "runs": runs });
            if plan.steps()? > plan.first_step()? {
                let kind = plan.kind();
                if known.iter().all(|(other, _)| *other != kind) {
                    let mut command = single(self.device, self.seconds, threads)?;
                    known.push((kind.clone(), children(&mut command, runs, &plan.to_toml())?));
                }
                let timed = known.iter().find(|(other, _)| *other == kind);
                describe(&mut row, timed.map_or(&[], |(_, timed)| timed));
            }
            rows.push(row);
        }
        let timings = known.into_iter().map(|(kind, timed)| self.timing(kind, &timed));
        calibration::keep(&self.store.create()?, timings.collect::<Result<_>>()?)?;
        Ok(rows)
    }

    /// Refuses what would not fit here so many times at once.
    fn check_memory(&self, arm: &Arm, runs: usize) -> Result<()> {
        let needed = arm.plan.cost(&Calibration::default())?.peak_bytes.saturating_mul(runs as u64);
        check_memory(self.device, needed, |bytes| {
            let found = format!("{runs} runs of {} need about {bytes} of memory", arm.name);
            Problem::new(found).help("time it on the machine that is to run it")
        })
    }

    fn arms(&self) -> Result<Vec<Arm>> {
        let (presets, sets) = (Presets::here(), self.overrides.sets.all());
        let profile = self.overrides.profile.as_deref();
        let Some((first, [dataset])) = self.subject.split_first() else {
            let ablation = Ablation::load(&presets, &self.subject[0], profile, &sets)?;
            let arm = |arm: &plan::Arm| Arm {
                name: arm.name.clone(),
                size: arm.size.clone(),
                plan: arm.resolved.plan.clone(),
            };
            let stages = plan::stages(&ablation.forecast().certain)?.into_iter().map(|stage| Arm {
                name: format!("{} of {}", stage.part.name(), stage.run.arm),
                size: stage.run.size,
                plan: stage.run.plan,
            });
            let mut arms: Vec<Arm> = ablation.arms.iter().map(arm).collect();
            let mut kinds: Vec<Plan> = arms.iter().map(|arm| arm.plan.kind()).collect();
            for stage in stages {
                let kind = stage.plan.kind();
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                    arms.push(stage);
                }
            }
            return Ok(arms);
        };
        if profile.is_some() {
            let problem = Problem::new(format!("{first} is a model")).key("--profile");
            return Err(Error::config(problem.expected("an ablation")));
        }
        let (model, size) = subject::split(first);
        let request =
            Request { model: Some(model), size, dataset: Some(dataset), sets: &sets, ..Request::default() };
        let plan = resolve_single(&presets, &request)?.plan;
        Ok(vec![Arm { name: model.to_string(), size: size.unwrap_or_default().to_string(), plan }])
    }

    fn timing(&self, kind: Plan, timed: &[Timed]) -> Result<Timing> {
        Ok(Timing {
            environment: Environment { threads: timed[0].speed.threads, ..Environment::here(self.device) },
            flops_per_step: kind.flops_per_step()?,
            flops_per_second: mean(timed, |speed| speed.gflops) * 1e9,
            kind,
        })
    }
}

/// One measurement in this process, of the plan on standard input.
pub fn here(device: &str, seconds: Duration) -> Result<Speed> {
    let text = std::io::read_to_string(std::io::stdin()).map_err(|e| Error::io("read", "a plan", e))?;
    let plan = Plan::from_toml("standard input", &text)?;
    device::find(device)?;
    calibration::time(&plan, device, seconds)
}

fn mean(timed: &[Timed], of: impl Fn(&Speed) -> f64) -> f64 {
    timed.iter().map(|timed| of(&timed.speed)).sum::<f64>() / timed.len() as f64
}

fn describe(row: &mut Json, timed: &[Timed]) {
    let (gflops, peak_gflops) = (mean(timed, |speed| speed.gflops), mean(timed, |speed| speed.peak_gflops));
    row["threads"] = json!(timed[0].speed.threads);
    row["tokens_per_second"] = json!(tokens(timed) / timed.len() as f64);
    row["tokens_per_second_all_cores"] = json!(tokens(timed));
    row["gflops"] = json!(gflops);
    row["peak_gflops"] = json!(peak_gflops);
    row["share_of_peak"] = json!(gflops / peak_gflops);
    row["peak_bytes"] = json!(timed.iter().filter_map(|timed| timed.peak_bytes).max());
}

/// A line per arm.
pub fn as_text(rows: &[Json]) -> String {
    let header = [
        "arm",
        "size",
        "tokens/s, 1 run",
        "GFLOP/s",
        "of peak",
        "all runs at a time",
        "memory",
        Baseline::header(rows),
    ];
    let cells = |row: &Json| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_string();
        let known = |cell: String| if row["gflops"].is_number() { cell } else { "—".to_string() };
        [
            text("arm"),
            text("size"),
            known(output::short(number(row, "tokens_per_second"), "")),
            known(format!("{:.0}", number(row, "gflops"))),
            known(format!("{:.0} %", 100.0 * number(row, "share_of_peak"))),
            known(output::short(number(row, "tokens_per_second_all_cores"), "")),
            known(output::bytes(number(row, "peak_bytes") as u64)),
            Baseline::cell(row),
        ]
    };
    let note = match rows.iter().all(|row| row["gflops"].is_number()) {
        true => "",
        false => "\n  —: takes no steps of its own\n",
    };
    output::table(header, 2, rows.iter().map(cells)) + note
}
