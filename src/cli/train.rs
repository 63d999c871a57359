//! `zoo train`: one model on one dataset, trained and measured.

use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::{Calibration, Fingerprint, Presets, Request, resolve, resolve_single};
use ablation_zoo::run::executor::Diverged;
use ablation_zoo::run::store::fit_name;
use ablation_zoo::run::{Outlook, Role, RunRecord, Site, Store, WantedRun};
use ablation_zoo::{Result, visible};
use clap::Args;

use super::execute::{DTYPE, ExecuteArgs, How};
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
        let how = How { diverged, ..How::default() };
        let outlook = |_: &Store| Ok(Outlook::default());
        self.execute.run_all(how, outlook, |_| Ok(vec![wanted.clone()]))?.check()?;
        let site = Site::of(&self.execute.device, DTYPE);
        let Some(run) = self.execute.store.open()?.find(&wanted.fingerprint, &site)? else { return Ok(()) };
        let record = run.record()?;
        match self.format.json {
            true => output::print_json(&serde_json::json!({"run": run.folder(), "record": record})),
            false => output::print(&text(&record, &output::path(run.path()))),
        }
    }

    /// A model without a size lacks all that its sizes say: one problem, not one for each key.
    fn name_sizes(&self, presets: &Presets, error: Error) -> Error {
        let of_size = |problem: &Problem| {
            problem.key.as_ref().is_some_and(|key| key.starts_with("model."))
                && problem.found.contains("is the default")
        };
        let sizes = resolve::sizes(presets, &self.model).unwrap_or_default();
        if sizes.is_empty() || !error.problems.iter().all(of_size) {
            return error;
        }
        let names: Vec<String> = sizes.iter().map(|size| format!("{}:{size}", self.model)).collect();
        let problem = Problem::new(format!("{} without a size", self.model)).key("MODEL");
        Error::config(problem.expected(format!("one of {}", names.join(", "))))
    }

    fn wanted(&self) -> Result<WantedRun> {
        let (model, size) = subject::split(&self.model);
        let dataset = Some(self.dataset.as_str());
        let (sets, seed) = (&self.sets.all(), self.seed);
        let request = Request { model: Some(model), size, dataset, sets, seed, ..Request::default() };
        let presets = Presets::here();
        let plan = resolve_single(&presets, &request).map_err(|error| self.name_sizes(&presets, error))?.plan;
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
