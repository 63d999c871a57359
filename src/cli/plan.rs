//! `zoo plan`: what an ablation will run, what each arm holds fixed, and what it costs, before anything runs.

use ablation_zoo::error::Error;
use ablation_zoo::kernels::Precision;
use ablation_zoo::plan::{
    Ablation, Arm, Calibration, Cost, Extent, Forecast, Hardware, MatchOn, Plan, PlannedRun, PlannedStage,
    Tune, TunedKey, forecast, hardware, reader, stages,
};
use ablation_zoo::report::{self, Power, number};
use ablation_zoo::run::Site;
use ablation_zoo::run::environment::usable_memory;
use ablation_zoo::statistics::MIN_SEEDS;
use ablation_zoo::{Result, visible};
use clap::Args;
use serde_json::{Value as Json, json};

use super::budget::BudgetArgs;
use super::execute::DTYPE;
use super::laws::finished_of;
use super::store::StoreArgs;
use super::{Format, Overrides, complete, output};

/// Arguments of `zoo plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo plan mlp\n  zoo plan mlp --profile gpu --on h200\n  zoo plan mlp --set repeat.seeds=5 --json\n  zoo plan mlp --for 20m"
)]
pub struct PlanCommand {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Also what it would cost on a device that is not here, by its data sheet
    #[arg(long, value_name = "DEVICE", add = complete::hardware())]
    on: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    format: Format,
}

impl PlanCommand {
    /// Prints the plan.
    pub fn run(&self) -> Result<()> {
        let speed = self.store.calibration(&Site::of("cpu", DTYPE));
        let (ablation, _, chosen) = self.budget.load(&self.ablation, &self.overrides, || speed.clone())?;
        let forecast = ablation.forecast();
        let stages = stages(&forecast.certain)?;
        let power = self.power(&ablation)?;
        let on = self.on()?.map(|known| Elsewhere::of(known, &forecast, &stages)).transpose()?;
        let mut warnings = ablation.warnings.clone();
        warnings.extend(too_large(&ablation)?);
        match self.format.json {
            true => {
                let mut json = as_json(&ablation, &forecast, &stages, &speed)?;
                json["power"] = json!(power);
                json["warnings"] = json!(warnings);
                json["chosen"] = json!(chosen);
                json["on"] = json!(on.as_ref().map(Elsewhere::json));
                output::print_json(&json)
            }
            false => {
                let note = power_note(&ablation, power.as_ref());
                let chosen = chosen.map_or_else(String::new, |chosen| format!("  --for: {chosen}\n"));
                let elsewhere = on.as_ref().map_or_else(String::new, Elsewhere::text);
                let warnings: String = warnings
                    .iter()
                    .map(|warning| format!("  warning: {}\n", visible::line(warning)))
                    .collect();
                output::print(
                    &(as_text(&ablation, &forecast, &stages, &speed)?
                        + &chosen
                        + &elsewhere
                        + &note
                        + &warnings),
                )
            }
        }
    }
}

impl PlanCommand {
    /// The device that is asked about.
    fn on(&self) -> Result<Option<Hardware>> {
        let Some(name) = &self.on else { return Ok(None) };
        let unknown = || {
            let names: Vec<&str> = hardware::KNOWN.iter().map(|known| known.name).collect();
            Error::config(reader::unknown("device", name, &names).key("--on"))
        };
        Hardware::named(name).ok_or_else(unknown).map(Some)
    }

    /// The power of the design, by the runs of this profile that the store has.
    fn power(&self, ablation: &Ablation) -> Result<Option<Power>> {
        // A folder of that name may be something else; who only plans needs no store.
        let Ok(store) = self.store.open() else { return Ok(None) };
        let finished = finished_of(ablation, &store, &Site::of("cpu", DTYPE), "")?;
        Ok(report::power(&finished, ablation.repeat.most() as usize))
    }
}

/// Whether this machine's memory is too small.
fn too_large(ablation: &Ablation) -> Result<Option<String>> {
    let Some(memory) = usable_memory() else { return Ok(None) };
    let mut largest = Largest::default();
    for arm in &ablation.arms {
        let plan = &arm.resolved.plan;
        largest.meets(plan, plan.cost(&Calibration::default())?.peak_bytes, memory)?;
    }
    Ok((largest.bytes > memory).then(|| {
        let (need, have) = (output::bytes(largest.bytes), output::bytes(memory));
        format!(
            "the largest run needs {need} of memory, runs on this machine may need {have}; `zoo run` refuses it without --force{}",
            largest.help()
        )
    }))
}

/// The run that needs the most memory.
#[derive(Debug, Default)]
struct Largest {
    bytes: u64,
    /// The largest micro-batch with which it would fit.
    rows: Option<usize>,
}

impl Largest {
    /// Takes a run into account that needs `peak_bytes` where `memory` bytes are free.
    fn meets(&mut self, plan: &Plan, peak_bytes: u64, memory: u64) -> Result<()> {
        if peak_bytes > self.bytes {
            *self = Largest { bytes: peak_bytes, rows: plan.rows_that_fit(memory)? };
        }
        Ok(())
    }

    fn help(&self) -> String {
        self.rows.map_or_else(String::new, |rows| format!("; training.micro_batch = {rows} fits"))
    }
}

/// One line: the smallest effect that this many seeds can detect.
fn power_note(ablation: &Ablation, power: Option<&Power>) -> String {
    match power {
        Some(Power { seeds, pairs, detectable, .. }) => format!(
            "  power: with {seeds} seeds only effects above {}x are detectable (80 % power), by the spread of {pairs} pairs of runs so far\n",
            number::three(*detectable)
        ),
        None if ablation.repeat.most() < MIN_SEEDS as u64 => {
            format!("  power: none, as fewer than {MIN_SEEDS} seeds give no interval\n")
        }
        None => "  power: unknown, as no two seeds of an arm and its control have been run yet\n".to_string(),
    }
}

fn as_text(
    ablation: &Ablation,
    forecast: &Forecast,
    stages: &[PlannedStage],
    speed: &Calibration,
) -> Result<String> {
    let mut text = heading(ablation);
    text.push_str(&arms(ablation, forecast, speed)?);
    text.push_str(&tuning(ablation));
    if !stages.is_empty() {
        let cost =
            |stage: &PlannedStage| stage.run.plan.cost_after(stage.first_step, &Calibration::default());
        let flops = stages.iter().map(|stage| Ok(cost(stage)?.flops)).sum::<Result<f64>>()?;
        let (runs, flops) = (output::count(stages.len(), "run"), output::short(flops, "FLOPs"));
        let parts = parts(stages);
        text.push_str(&format!(
            "  first: {runs} that others begin from ({parts}), {flops}, each done once\n"
        ));
    }
    text.push_str(&totals(&ablation.name, forecast, stages, speed)?);
    Ok(text)
}

fn heading(ablation: &Ablation) -> String {
    let profile = ablation.profile.as_ref().map_or(String::new(), |profile| format!(", profile {profile}"));
    let (name, model, dataset) = (&ablation.name, &ablation.model, &ablation.dataset);
    let is = format!("  ablation  {name}{profile}: {model} on {dataset}");
    let source = Some(&ablation.about.source).filter(|source| !source.is_empty());
    let source = source.map(|source| format!("  source    {source}"));
    let expect = ablation.expect.as_ref().map(|expect| format!("  expect    {expect}"));
    let below = [is].into_iter().chain(source).chain(expect);
    let below: String = below.map(|line| visible::line(&line).into_owned() + "\n").collect();
    format!("{}\n\n{below}\n", visible::line(&ablation.about.question))
}

/// One line per arm and size.
fn arms(ablation: &Ablation, forecast: &Forecast, speed: &Calibration) -> Result<String> {
    let header = [
        "arm",
        "size",
        "matched on",
        "params",
        "",
        "FLOPs per token",
        "",
        "tokens",
        "memory",
        "time",
        "runs",
    ];
    let mut rows = Vec::new();
    for arm in &ablation.arms {
        let cost = arm.resolved.plan.cost(speed)?;
        rows.push(arm_row(arm, ablation.control(&arm.size), &cost, runs_of(arm, forecast)));
    }
    Ok(output::table(header, 3, rows) + "\n")
}

fn arm_row(arm: &Arm, control: &Arm, cost: &Cost, runs: String) -> [String; 11] {
    let relative = |ratio: f64| match arm.name == control.name {
        true => String::new(),
        false => format!("{:+.1} %", (ratio - 1.0) * 100.0),
    };
    let holds = match arm.holds {
        MatchOn::Parameters => "params",
        MatchOn::ActiveFlops => "FLOPs",
        MatchOn::Nothing => "-",
    };
    [
        arm.name.clone(),
        if arm.size.is_empty() { "-".to_string() } else { arm.size.clone() },
        holds.to_string(),
        output::thousands(arm.params.total),
        relative(arm.relative_params(control)),
        output::short(arm.flops_per_token as f64, ""),
        relative(arm.relative_flops(control)),
        output::short(cost.tokens as f64, ""),
        output::bytes(cost.peak_bytes),
        output::duration(cost.seconds),
        runs,
    ]
}

fn runs_of(arm: &Arm, forecast: &Forecast) -> String {
    let count = |runs: &[PlannedRun]| runs.iter().filter(|r| r.arm == arm.name && r.size == arm.size).count();
    let (certain, likely) = (count(&forecast.certain), count(&forecast.likely));
    if likely == 0 { certain.to_string() } else { format!("{certain} to {}", certain + likely) }
}

fn tuning(ablation: &Ablation) -> String {
    let reports = match ablation.repeat.looks.as_slice() {
        [1] => "  reported on seed 1\n".to_string(),
        [seeds] => format!("  reported over seeds 1 to {seeds}\n"),
        looks => {
            let looks: Vec<String> = looks.iter().map(u64::to_string).collect();
            let within = number::three(ablation.repeat.within);
            format!(
                "  reported over {} seeds: all arms go on until each is decided, or known within {within}\n",
                looks.join(", ")
            )
        }
    };
    match &ablation.tune {
        Some(tune) if tune.is_choice() => {
            let keys: Vec<String> = tune.keys.iter().map(grid).collect();
            let (keys, seeds) = (keys.join(", and "), tune.seeds);
            let seeds = match seeds {
                1 => "one seed that is".to_string(),
                seeds => {
                    format!("{seeds} seeds (the better half of an arm's values on all of them) that are")
                }
            };
            let grows = "a grid grows where its best value is at an edge, which nothing here counts";
            format!("  tuned per arm: {keys}, on {seeds} not reported;\n    {grows}\n{reports}")
        }
        Some(tune) => {
            let fixed = tune.keys.iter().map(|tuned| format!("{} = {:e}", tuned.key, tuned.grid[0]));
            format!("  {}, not tuned\n{reports}", fixed.collect::<Vec<_>>().join(", "))
        }
        None => reports,
    }
}

/// `training.peak_lr over 1e-3, 2e-3`.
fn grid(tuned: &TunedKey) -> String {
    let values: Vec<String> = tuned.grid.iter().map(|value| format!("{value:e}")).collect();
    format!("{} over {}", tuned.key, values.join(", "))
}

/// Runs, FLOPs and time of everything, and of everything that may be.
fn totals(name: &str, forecast: &Forecast, stages: &[PlannedStage], speed: &Calibration) -> Result<String> {
    let Extent { runs: [certain, all], flops: [certain_flops, all_flops] } = Extent::of(forecast, stages)?;
    let [least, most] = seconds(forecast, stages, speed)?;
    let range = |low: String, high: String| if low == high { low } else { format!("{low} to {high}") };
    let runs = match certain == all {
        true => output::count(all, "run"),
        false => format!("{certain} to {}", output::count(all, "run")),
    };
    let pace = match speed.parallel_runs.min(all) {
        0 | 1 => "one run at a time".to_string(),
        beside => format!("{beside} runs at a time"),
    };
    let pace = match speed.measured.is_empty() {
        true => {
            format!("{pace}, estimated (nothing has run on this machine yet; `zoo bench {name}` times it)")
        }
        false => format!("{pace}, as measured on this machine"),
    };
    Ok(format!(
        "  in all: {runs}, {}, {}, {}\n",
        range(output::short(certain_flops, "FLOPs"), output::short(all_flops, "FLOPs")),
        range(output::duration(least), output::duration(most)),
        pace,
    ))
}

/// Which parts the runs play that others begin from: `trunk`.
fn parts(stages: &[PlannedStage]) -> String {
    let mut parts: Vec<&str> = stages.iter().map(|stage| stage.part.name()).collect();
    parts.sort_unstable();
    parts.dedup();
    parts.join(", ")
}

/// What all of it would cost on another device.
struct Elsewhere {
    hardware: Hardware,
    seconds: f64,
    largest: Largest,
    /// What its matrix products compute in.
    peaks: Vec<Precision>,
}

impl Elsewhere {
    fn of(hardware: Hardware, forecast: &Forecast, stages: &[PlannedStage]) -> Result<Self> {
        let speed = Calibration::default();
        let of_stages = stages.iter().map(|stage| (&stage.run.plan, Some(stage.first_step)));
        let of_runs = forecast.certain.iter().chain(&forecast.likely).map(|run| (&run.plan, None));
        let mut all = Elsewhere { hardware, seconds: 0.0, largest: Largest::default(), peaks: Vec::new() };
        for (plan, first_step) in of_stages.chain(of_runs) {
            let cost = match first_step {
                Some(step) => plan.cost_after(step, &speed)?,
                None => plan.cost(&speed)?,
            };
            let precision = plan.training.precision;
            all.seconds += hardware.seconds(cost.flops, precision);
            all.largest.meets(plan, cost.peak_bytes, hardware.memory_bytes)?;
            if !all.peaks.contains(&precision) {
                all.peaks.push(precision);
            }
        }
        Ok(all)
    }

    /// `67 TFLOP/s in f32`.
    fn peaks(&self) -> String {
        let of = |&precision: &Precision| {
            let name = match precision {
                Precision::Bf16 if self.hardware.peak_bf16.is_some() => "bf16",
                Precision::F32 | Precision::Bf16 => "f32",
            };
            format!("{} TFLOP/s in {name}", self.hardware.peak(precision) / 1e12)
        };
        let mut peaks: Vec<String> = self.peaks.iter().map(of).collect();
        peaks.dedup();
        peaks.join(" and ")
    }

    fn fits(&self) -> bool {
        self.largest.bytes <= self.hardware.memory_bytes
    }

    fn text(&self) -> String {
        let Hardware { name, memory_bytes, source, .. } = self.hardware;
        let mut text = format!(
            "  on {name}: {}, one run at a time, if {:.0} % of {} are reached (assumed; {source}); small models reach less\n",
            output::duration(self.seconds),
            100.0 * hardware::UTILISATION,
            self.peaks(),
        );
        if !self.fits() {
            let (need, have) = (output::bytes(self.largest.bytes), output::bytes(memory_bytes));
            let help = self.largest.help();
            text.push_str(&format!(
                "  on {name}: the largest run needs {need}, the device has {have}{help}\n"
            ));
        }
        text
    }

    fn json(&self) -> Json {
        json!({
            "device": self.hardware.name,
            "peak_flops": self.hardware.peak_flops,
            "peak_bf16": self.hardware.peak_bf16,
            "utilisation": hardware::UTILISATION,
            "memory_bytes": self.hardware.memory_bytes,
            "source": self.hardware.source,
            "seconds": self.seconds,
            "fits": self.fits(),
            "rows_at_once": self.largest.rows,
        })
    }
}

/// Seconds of everything that is certain, and of everything that may be.
fn seconds(forecast: &Forecast, stages: &[PlannedStage], speed: &Calibration) -> Result<[f64; 2]> {
    let all = [&forecast.certain[..], &forecast.likely[..]].concat();
    Ok([forecast::seconds(stages, &forecast.certain, speed)?, forecast::seconds(stages, &all, speed)?])
}

fn as_json(
    ablation: &Ablation,
    forecast: &Forecast,
    stages: &[PlannedStage],
    speed: &Calibration,
) -> Result<Json> {
    let mut runs = Vec::new();
    for stage in stages {
        runs.push(run_json(&stage.run, &stage.run.plan.cost_after(stage.first_step, speed)?, true));
    }
    for (planned, certain) in [(&forecast.certain, true), (&forecast.likely, false)] {
        for run in planned {
            runs.push(run_json(run, &run.plan.cost(speed)?, certain));
        }
    }
    let arms = ablation.arms.iter().map(|arm| {
        let control = ablation.control(&arm.size);
        json!({
            "arm": arm.name,
            "size": arm.size,
            "holds": arm.holds,
            "params": arm.params,
            "flops_per_token": arm.flops_per_token,
            "relative_params": arm.relative_params(control),
            "relative_flops": arm.relative_flops(control),
        })
    });
    Ok(json!({
        "ablation": ablation.name,
        "profile": ablation.profile,
        "question": ablation.about.question,
        "model": ablation.model,
        "dataset": ablation.dataset,
        "expect": ablation.expect,
        "seeds": ablation.repeat.most(),
        "looks": ablation.repeat.looks,
        "tune": ablation.tune.as_ref().map(tune_json),
        "arms": arms.collect::<Vec<_>>(),
        "seconds": seconds(forecast, stages, speed)?,
        "runs": runs,
    }))
}

/// The first key, and the second if there is one.
fn tune_json(tune: &Tune) -> Json {
    let grid = |tuned: &TunedKey| json!({"key": tuned.key, "grid": tuned.grid});
    let mut json = grid(&tune.keys[0]);
    json["seeds"] = json!(tune.seeds);
    if let Some(second) = tune.keys.get(1) {
        json["second"] = grid(second);
    }
    json
}

fn run_json(run: &PlannedRun, cost: &Cost, certain: bool) -> Json {
    let mut value = json!({
        "arm": run.arm,
        "size": run.size,
        "seed": run.seed,
        "role": run.role,
        "rate": run.rate,
        "value": run.values.first(),
        "certain": certain,
        "fingerprint": run.fingerprint.full(),
    });
    if let Some(second) = run.values.get(1) {
        value["second_value"] = json!(second);
    }
    if let (Json::Object(value), Json::Object(cost)) = (&mut value, json!(cost)) {
        value.extend(cost);
    }
    value
}
