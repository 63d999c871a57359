//! `zoo run`: does what an ablation asks for, and goes on where it was stopped.

use ablation_zoo::Result;
use ablation_zoo::plan::{Ablation, Presets};
use ablation_zoo::run::{Answers, Site};
use clap::Args;

use super::execute::{DTYPE, ExecuteArgs, report};
use super::{Overrides, output};

/// Arguments of `zoo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo run mlp\n  zoo run mlp --profile smoke\n  zoo run mlp --jobs 4 --store /data/runs"
)]
pub struct RunCommand {
    /// An ablation, by name or path
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    execute: ExecuteArgs,
}

impl RunCommand {
    /// Runs what is not finished yet, then answers.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets)?;
        let answers = Answers::new(&ablation, Site::of(&self.execute.device, DTYPE));
        let summary = self.execute.run_all(|store| answers.next(store))?;
        output::print(&report(&summary))?;
        if summary.stopped == 0 {
            self.answer(&ablation)?;
        }
        summary.check()
    }

    /// What the finished runs say; a report without a single run of the control has nothing to say yet.
    fn answer(&self, ablation: &Ablation) -> Result<()> {
        let command = super::report::command(&self.ablation, &self.overrides);
        let store = self.execute.store.open()?;
        let site = Site::of(&self.execute.device, DTYPE);
        for size in ablation.sizes() {
            let evidence = ablation_zoo::report::gather(ablation, size, &store, &site, command.clone())?;
            if !evidence.arms.is_empty() {
                super::report::answer(ablation, size, &evidence, None)?;
            }
        }
        Ok(())
    }
}
