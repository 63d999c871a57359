//! `zoo run`: runs an ablation (tune, train, measure) and resumes it if it was interrupted.

use std::collections::HashSet;

use ablation_zoo::Result;
use ablation_zoo::error::Error;
use ablation_zoo::laws::mixture::{AtZero, Folds};
use ablation_zoo::plan::{Ablation, OPTIMUM, Train};
use ablation_zoo::report::fit::{self, Measured, MixtureConfig, MixtureData};
use ablation_zoo::run::executor::{Diverged, Summary};
use ablation_zoo::run::{Answers, Site, Store};
use clap::Args;

use super::budget::BudgetArgs;
use super::execute::{DTYPE, ExecuteArgs, report};
use super::report::ReportsArgs;
use super::{Overrides, Sets, complete, output, problems};

/// Arguments of `zoo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo run mlp\n  zoo run mlp --profile smoke\n  zoo run mlp --for 20m\n  zoo run mlp --jobs 4 --store /data/runs"
)]
pub struct RunCommand {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    reports: ReportsArgs,
}

impl RunCommand {
    /// Runs what is not finished yet, then answers.
    pub fn run(&self) -> Result<()> {
        let site = Site::of(&self.execute.device, DTYPE);
        let calibration = || self.execute.store.calibration(&site);
        let (ablation, sets, chosen) = self.budget.load(&self.ablation, &self.overrides, calibration)?;
        chosen.iter().for_each(|chosen| problems::note(chosen));
        ablation.warnings.iter().for_each(|warning| problems::caution(warning));
        let overrides = Overrides { profile: self.overrides.profile.clone(), sets: Sets::of(sets) };
        let answers = Answers::new(&ablation, site.clone());
        let mut summary = self.execute.run_all(Diverged::Keep, |store| match answers.next(store)? {
            wanted if !wanted.is_empty() => Ok(wanted),
            _ => Answers::new(&fit::extended(&ablation, store, &site)?, site.clone()).next(store),
        })?;
        let answered = self.conclude(&ablation, &overrides, site.clone(), &mut summary);
        // What failed is said first, whatever hinders the answer.
        match (summary.check(), answered) {
            (Err(failed), Err(error)) => {
                let problems = failed.problems.into_iter().chain(error.problems).collect();
                Err(Error { kind: failed.kind, problems })
            }
            (checked, answered) => checked.and(answered),
        }
    }

    /// Says how the runs ended and, if none is left, what they say.
    fn conclude(
        &self,
        ablation: &Ablation,
        overrides: &Overrides,
        site: Site,
        summary: &mut Summary,
    ) -> Result<()> {
        // Those that diverged in an earlier call are wanted no more, and still missing.
        let known: HashSet<String> = summary.failures.iter().map(|failure| failure.label.clone()).collect();
        let store = self.execute.store.open()?;
        let ablation = fit::extended(ablation, &store, &site)?;
        let diverged = Answers::new(&ablation, site).diverged(&store)?;
        summary.failures.extend(diverged.into_iter().filter(|failure| !known.contains(&failure.label)));
        output::print(&report(summary))?;
        if summary.stopped == 0 { self.answer(&ablation, overrides) } else { Ok(()) }
    }

    /// What the finished runs say; a report without a single run of the control has nothing to say yet.
    fn answer(&self, ablation: &Ablation, overrides: &Overrides) -> Result<()> {
        let command = super::report::command(&self.ablation, overrides);
        let store = self.execute.store.open()?;
        let site = Site::of(&self.execute.device, DTYPE);
        for size in ablation.sizes() {
            let evidence = ablation_zoo::report::gather(ablation, size, &store, &site, command.clone())?;
            if evidence.arms.iter().any(|arm| arm.name == evidence.control) {
                let folder = self.reports.folder(ablation, overrides, &self.execute.device);
                super::report::answer(ablation, size, &evidence, &folder)?;
            }
        }
        match ablation.then.train {
            Train::Nothing => Ok(()),
            Train::Optimum => self.prediction(ablation, &store, &site),
        }
    }

    /// What the law of mixtures predicted, and what came of it.
    fn prediction(&self, ablation: &Ablation, store: &Store, site: &Site) -> Result<()> {
        let runs = Measured::of_ablation(ablation, store, site)?;
        if runs.iter().all(|run| run.arm() != OPTIMUM) {
            return Ok(());
        }
        let config = MixtureConfig { folds: Folds::LeaveOneMixtureOut, at_zero: AtZero::Offset };
        let found = fit::mixture(&MixtureData::of_runs(&runs)?, &config)?;
        output::print(&format!("\n{}", super::fit::mixture::text(&found)))
    }
}
