//! `zoo status`: the state of all runs of an ablation, whichever process does them, and what they say so far.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use ablation_zoo::Result;
use ablation_zoo::plan::{Ablation, Presets};
use ablation_zoo::report::{self, Look, fit};
use ablation_zoo::run::progress::{count, duration};
use ablation_zoo::run::{Answers, Pace, Site, Standing, State, Store};
use clap::Args;
use console::Term;
use serde_json::{Value as Json, json};

use super::execute::DTYPE;
use super::store::StoreArgs;
use super::{Format, Overrides, complete, output};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// The same where every look adds to what is printed.
const LOOK_PIPED: Duration = Duration::from_secs(30);

/// Arguments of `zoo status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo status mlp\n  zoo status mlp --watch\n  zoo status mlp --store /shared/runs"
)]
pub struct Status {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// Whose runs
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Look again and again until nothing is left to run: what runs, and the answer so far
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    format: Format,
}

impl Status {
    /// Prints one line per run that is decided so far, and how many there are in each state.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets.all())?;
        let (store, site) = (self.store.open()?, Site::of(&self.device, DTYPE));
        if self.watch {
            return self.watch(&ablation, &store, &site);
        }
        // Where nothing can follow from its runs, they still stand somewhere.
        let ablation = fit::extended(&ablation, &store, &site).unwrap_or(ablation);
        let runs = Answers::new(&ablation, site).standing(&store)?;
        if self.format.json {
            return output::print_json(&runs.iter().map(as_json).collect::<Result<Vec<Json>>>()?.into());
        }
        output::print(&format!("{}\n  {}", table(&runs)?, counts(&runs)))
    }

    /// The same again and again, of what runs only, with the answer so far.
    fn watch(&self, ablation: &Ablation, store: &Store, site: &Site) -> Result<()> {
        let is_terminal = std::io::stdout().is_terminal();
        loop {
            let extended = fit::extended(ablation, store, site);
            let ablation = extended.as_ref().unwrap_or(ablation);
            let answers = Answers::new(ablation, site.clone());
            let runs = answers.standing(store)?;
            let under_way: Vec<Standing> =
                runs.iter().filter(|run| run.state == State::Running).cloned().collect();
            let mut text = format!("{}: {}\n", self.ablation, counts(&runs));
            if !under_way.is_empty() {
                text.push_str(&format!("\n{}", table(&under_way)?));
            }
            text.push_str(&self.so_far(ablation, store, site)?);
            if is_terminal {
                // A terminal that cannot be cleared scrolls instead.
                let _ = Term::stdout().clear_screen();
            }
            output::print(&text)?;
            let left = answers.outlook(store)?.left;
            if under_way.is_empty() && (left.runs[0] == 0 || answers.next(store)?.is_empty()) {
                return Ok(());
            }
            std::thread::sleep(if is_terminal { LOOK } else { LOOK_PIPED });
        }
    }

    /// The arms with their intervals, where runs of the control are finished.
    fn so_far(&self, ablation: &Ablation, store: &Store, site: &Site) -> Result<String> {
        let (mut text, command) = (String::new(), super::report::command(&self.ablation, &self.overrides));
        let look = Look { style: report::Style::Plain, ..Look::of_stdout() };
        for size in ablation.sizes() {
            let evidence = report::gather(ablation, size, store, site, command.clone())?;
            if evidence.arms.iter().any(|arm| arm.name == evidence.control) {
                let comparison = report::compare(&evidence)?;
                text.push_str(&format!("\n{}", report::table::terminal(&comparison, look)));
            }
        }
        Ok(text)
    }
}

/// Has a run more to say than its state?
fn pace(run: &Standing) -> Result<Option<Pace>> {
    match run.state {
        State::Running | State::Stopped => run.pace(),
        State::Waiting | State::Failed { .. } | State::Diverged { .. } | State::Finished => Ok(None),
    }
}

fn as_json(run: &Standing) -> Result<Json> {
    Ok(json!({"run": run.label, "state": run.state, "training": pace(run)?}))
}

fn table(runs: &[Standing]) -> Result<String> {
    let row = |run: &Standing| -> Result<[String; 8]> {
        let mut row: [String; 8] = Default::default();
        [row[0], row[1]] = [run.label.clone(), run.state.name().to_string()];
        if let Some(pace) = pace(run)? {
            row[2] = format!("{:.0} %", 100.0 * pace.step as f64 / pace.steps.max(1) as f64);
            row[3] = format!("{:.3}", pace.loss);
            row[4] = pace.bits_per_param.map_or(String::new(), |bits| format!("{bits:.2}"));
            row[5] = count(pace.tokens_per_second);
            row[6] = duration(pace.seconds_left);
        }
        row[7] = run.state.cause().unwrap_or_default().to_string();
        Ok(row)
    };
    let rows = runs.iter().map(row).collect::<Result<Vec<_>>>()?;
    let is_bare = |row: &[String; 8]| row[2..].iter().all(String::is_empty);
    if rows.iter().all(is_bare) {
        let short = rows.into_iter().map(|[run, state, ..]| [run, state]);
        return Ok(output::table(["run", "state"], 2, short));
    }
    let header = ["run", "state", "done", "loss", "bits/param", "tokens/s", "left", ""];
    Ok(output::table(header, 2, rows))
}

/// `3 finished, 2 running`.
fn counts(runs: &[Standing]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    runs.iter().for_each(|run| *counts.entry(run.state.name()).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    counts.join(", ")
}
