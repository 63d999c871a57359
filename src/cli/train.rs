//! `zoo train`: one model on one dataset, trained and measured.

use ablation_zoo::plan::{Calibration, Fingerprint, Presets, Request, resolve_single};
use ablation_zoo::run::executor::Diverged;
use ablation_zoo::run::store::fit_name;
use ablation_zoo::run::{Role, RunRecord, Site, WantedRun};
use ablation_zoo::{Result, visible};
use clap::Args;

use super::execute::{DTYPE, ExecuteArgs};
use super::{Format, Sets, complete, measure, output, subject};

/// Arguments of `zoo train`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo train llama:micro biod --set data.people=64\n  zoo train gpt2:tiny biod --seed 2"
)]
pub struct Train {
    /// A model, by name or path, and one of its sizes: llama:tiny
    #[arg(add = complete::models())]
    model: String,
    /// A dataset, by name or path
    #[arg(add = complete::datasets())]
    dataset: String,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    sets: Sets,
    #[command(flatten)]
    execute: ExecuteArgs,
    /// Run it again if it diverged before
    #[arg(long)]
    retry_diverged: bool,
    #[command(flatten)]
    format: Format,
}

impl Train {
    /// Trains, unless that is done already, and prints what was measured.
    pub fn run(&self) -> Result<()> {
        let wanted = self.wanted()?;
        let diverged = if self.retry_diverged { Diverged::Retry } else { Diverged::Keep };
        self.execute.run_all(diverged, |_| Ok(vec![wanted.clone()]))?.check()?;
        let site = Site::of(&self.execute.device, DTYPE);
        let Some(run) = self.execute.store.open()?.find(&wanted.fingerprint, &site)? else { return Ok(()) };
        let record = run.record()?;
        match self.format.json {
            true => output::print_json(&serde_json::json!({"run": run.folder(), "record": record})),
            false => output::print(&text(&record, &output::path(run.path()))),
        }
    }

    fn wanted(&self) -> Result<WantedRun> {
        let (model, size) = subject::split(&self.model);
        let dataset = Some(self.dataset.as_str());
        let (sets, seed) = (&self.sets.all(), self.seed);
        let request = Request { model: Some(model), size, dataset, sets, seed, ..Request::default() };
        let plan = resolve_single(&Presets::here(), &request)?.plan;
        let label = format!("{} on {} seed {}", self.model, self.dataset, self.seed);
        let cost = plan.cost(&Calibration::default())?;
        Ok(WantedRun {
            name: fit_name(&label.replace(" on ", "-").replace(" seed ", "-s").replace(':', "-")),
            arm: model.to_string(),
            label,
            role: Role::Report,
            fingerprint: Fingerprint::of(&plan)?.full(),
            flops: cost.flops,
            peak_bytes: cost.peak_bytes,
            trunk: None,
            weights: None,
            plan,
        })
    }
}

fn text(record: &RunRecord, folder: &str) -> String {
    let training = &record.training;
    let mut rows = vec![("loss", format!("{:.4} nats per token, last 5 % of steps", training.final_loss))];
    if let Some(capacity) = &record.measurements.capacity {
        let (bits, error) = (capacity.bits_per_param, capacity.measurement_error);
        rows.push(("capacity", format!("{bits:.3} bits per parameter, +- {error:.3} from measuring")));
        let most = capacity.max_bits_per_param;
        rows.push((
            "",
            format!(
                "{most:.3} would be everything; {:.1} % of people are recalled exactly",
                100.0 * capacity.fully_known
            ),
        ));
    }
    if let Some(given) = record.measurements.capacity.as_ref().and_then(|capacity| capacity.given_source) {
        let (bits, cost) = (given.bits_per_param, given.source_bits);
        rows.push((
            "",
            format!("{bits:.3} without the {cost:.2} bits a person that guessing the source costs"),
        ));
    }
    if let Some(loss) = &record.measurements.held_out {
        rows.push(("held out", format!("{:.4} nats per token", loss.nats_per_token)));
    }
    for domain in &record.measurements.domains {
        rows.push(("", format!("{:.4} on {}", domain.nats_per_token, visible::line(&domain.name))));
    }
    rows.extend(measure::answers_and_storage(&record.measurements));
    let (params, flops) = (output::thousands(record.params.total), output::short(training.flops, "FLOPs"));
    rows.push(("model", format!("{params} parameters")));
    let (tokens, time) = (output::short(training.tokens as f64, ""), output::duration(training.seconds));
    rows.push(("cost", format!("{tokens} tokens, {flops}, {time}, {}", output::bytes(training.peak_bytes))));
    rows.push(("folder", folder.to_string()));
    rows.iter().map(|(name, value)| format!("  {name:<10}{value}\n")).collect()
}
