//! `zoo retry`: re-runs only the failed or diverged runs of an ablation.

use ablation_zoo::Result;
use ablation_zoo::plan::{Ablation, Presets};
use ablation_zoo::report::fit;
use ablation_zoo::run::executor::Diverged;
use ablation_zoo::run::{Answers, Site};
use clap::Args;

use super::execute::{DTYPE, ExecuteArgs, report};
use super::{Overrides, complete, output};

/// Arguments of `zoo retry`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo retry mlp\n  zoo retry mlp --profile cpu --store /data/runs")]
pub struct Retry {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    execute: ExecuteArgs,
}

impl Retry {
    /// Does them again, each from its last checkpoint.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets.all())?;
        let site = Site::of(&self.execute.device, DTYPE);
        let store = self.execute.store.open()?;
        // Where nothing can follow from its runs, they can still be done again.
        let ablation = fit::extended(&ablation, &store, &site).unwrap_or(ablation);
        let answers = Answers::new(&ablation, site);
        let summary = self.execute.run_all(Diverged::Retry, |store| answers.failed(store))?;
        output::print(&report(&summary))?;
        summary.check()
    }
}
