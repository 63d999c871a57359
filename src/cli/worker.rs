//! `zoo worker`: a run in this process; what `zoo run` starts, and what a cluster's job starts.

use std::path::PathBuf;
use std::process::ExitCode;

use ablation_zoo::Result;
use ablation_zoo::run::lease::Silence;
use ablation_zoo::run::worker::{Supervision, WorkerArgs, work};
use ablation_zoo::run::{Stop, job, store};
use clap::Args;

/// Arguments of `zoo worker`.
#[derive(Debug, Args)]
pub struct Worker {
    /// Folder of runs
    #[arg(long, value_name = "DIR", env = store::VARIABLE, default_value = store::DEFAULT)]
    store: PathBuf,
    /// Name of the run's folder, as `zoo runs` prints it
    #[arg(long, value_name = "NAME")]
    run: String,
    /// A lease of the run that was silent for three beats: it is taken over at once
    #[arg(long, value_name = "NUMBER.HASH", hide = true)]
    silent_lease: Option<Silence>,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Heed "stop" on standard input, and stop when it ends; after a finished run, do the one that is named there
    #[arg(long)]
    supervised: bool,
}

impl Worker {
    /// Does the run and says on standard output, in JSON lines, how it goes.
    pub fn run(self) -> Result<ExitCode> {
        let supervision = if self.supervised { Supervision::Pipe } else { Supervision::Alone };
        let (store, run, silence, device) = (self.store, self.run, self.silent_lease, self.device);
        let order = WorkerArgs { store, run, silence, device, supervision };
        Ok(ExitCode::from(work(&order, &Stop::on_signals()?, job::run)))
    }
}
