//! The options that say how runs are done, and doing them: for `zoo run` and `zoo train`.

use std::time::Duration;

use ablation_zoo::run::executor::{Diverged, Executor, OnFailure, Share, Summary};
use ablation_zoo::run::progress::Show;
use ablation_zoo::run::{Outlook, Stop, Store, WantedRun};
use ablation_zoo::{Result, device};
use clap::Args;

use super::output;
use super::store::StoreArgs;

/// The dtype of weights; matrix products may compute in another (`training.precision`).
pub const DTYPE: &str = "f32";

/// How runs are done.
#[derive(Debug, Clone, Args)]
pub struct ExecuteArgs {
    #[command(flatten)]
    pub store: StoreArgs,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Runs at a time [default: one per core, on a GPU one]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Threads of each run [default: one; all cores for a run that is alone]
    #[arg(long, value_name = "N")]
    threads_per_run: Option<usize>,
    /// Stop all runs, with checkpoints, when one fails
    #[arg(long)]
    fail_fast: bool,
    /// Time limit of each run in this call: 90s, 10m, 2h; a run that exceeds it stops with a checkpoint
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Start runs even if they are estimated to need more memory than this machine has
    #[arg(long)]
    force: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

impl ExecuteArgs {
    /// Does what `next` wants until it wants nothing new, here and in as many processes as there is room for.
    ///
    /// INT and TERM stop with checkpoints; the second one at once.
    pub fn run_all(
        &self,
        how: How,
        outlook: impl FnOnce(&Store) -> Result<Outlook>,
        next: impl FnMut(&Store) -> Result<Vec<WantedRun>>,
    ) -> Result<Summary> {
        device::find(&self.device)?;
        let store = self.store.create()?;
        let Outlook { finished, left } = outlook(&store)?;
        let new = Executor::new(&self.device, DTYPE)?;
        let executor = Executor {
            share: Share { jobs: self.jobs, threads: self.threads_per_run },
            on_failure: if self.fail_fast { OnFailure::Stop } else { OnFailure::GoOn },
            diverged: how.diverged,
            timeout: self.timeout,
            memory: new.memory.filter(|_| !self.force),
            show: match how.events {
                true => Show::Json,
                false if self.quiet => Show::Nothing,
                false => new.show,
            },
            left,
            ..new
        };
        let mut summary = executor.run_all(&store, &Stop::on_signals()?, next)?;
        summary.skipped = summary.skipped.max(finished);
        Ok(summary)
    }
}

/// What a command asks beside the options.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// What happens to runs that diverged before.
    pub diverged: Diverged,
    /// Whether events go to standard output as JSON lines.
    pub events: bool,
}

/// `90`, `90s`, `10m`, `2h`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time above 0 such as 90s, 10m or 2h");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok().filter(|seconds| *seconds > 0.0).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(seconds * unit).map_err(|_| wrong())
}

/// What came of the runs, in one line.
pub fn report(summary: &Summary) -> String {
    let is_new = summary.finished + summary.failures.len() + summary.stopped > 0;
    match summary.skipped {
        0 => {}
        1 if !is_new => return "the run was finished before".to_string(),
        all if !is_new => return format!("all {} were finished before", output::count(all, "run")),
        _ => {}
    }
    let mut parts = vec![format!("{} finished", output::count(summary.finished, "run"))];
    for (n, how) in
        [(summary.skipped, "finished before"), (summary.failures.len(), "failed"), (summary.stopped, "left")]
    {
        if n > 0 {
            parts.push(format!("{} {how}", output::thousands(n as u64)));
        }
    }
    parts.join(", ")
}
