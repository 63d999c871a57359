//! `zoo run`: runs an ablation (tune, train, measure) and resumes it if it was interrupted.

use std::collections::HashSet;
use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::error::Error;
use ablation_zoo::plan::Ablation;
use ablation_zoo::report::fit::{self, Measured};
use ablation_zoo::run::executor::{Diverged, Summary};
use ablation_zoo::run::{Answers, Outlook, Site, Store};
use clap::Args;
use serde_json::json;

use super::budget::BudgetArgs;
use super::execute::{DTYPE, ExecuteArgs, How, report};
use super::report::ReportsArgs;
use super::{Overrides, Sets, complete, output, problems};

/// Arguments of `zoo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo run mlp\n  zoo run mlp --profile smoke\n  zoo run mlp --for 20m\n  zoo run mlp --failed\n  zoo run mlp --jobs 4 --store /data/runs"
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
    /// Only do again what failed or diverged, each from its last checkpoint
    #[arg(long)]
    failed: bool,
    /// Print events as JSON lines, the answer last (docs/json.md)
    #[arg(long)]
    json: bool,
}

/// Arguments of `zoo retry`, the older name of `zoo run --failed`.
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    run: RunCommand,
}

impl Retry {
    /// Does again what failed or diverged.
    pub fn run(&self) -> Result<()> {
        self.run.again()
    }
}

impl RunCommand {
    /// Runs what is not finished yet, then answers.
    pub fn run(&self) -> Result<()> {
        if self.failed {
            return self.again();
        }
        let (ablation, overrides, site) = self.load()?;
        let answers = Answers::new(&ablation, site.clone());
        let outlook = |store: &Store| answers.outlook(store);
        let how = How { events: self.json, ..How::default() };
        let mut summary = self.execute.run_all(how, outlook, |store| match answers.next(store)? {
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

    /// Does again what failed or diverged, each from its last checkpoint.
    fn again(&self) -> Result<()> {
        let (ablation, _, site) = self.load()?;
        let store = self.execute.store.open()?;
        // Where nothing can follow from its runs, they can still be done again.
        let ablation = fit::extended(&ablation, &store, &site).unwrap_or(ablation);
        let answers = Answers::new(&ablation, site);
        let how = How { diverged: Diverged::Retry, events: self.json };
        let outlook = |_: &Store| Ok(Outlook::default());
        let summary = self.execute.run_all(how, outlook, |store| answers.failed(store))?;
        self.say_ended(&summary)?;
        summary.check()
    }

    /// The ablation, the overrides that make it, and where it runs.
    fn load(&self) -> Result<(Ablation, Overrides, Site)> {
        let site = Site::of(&self.execute.device, DTYPE);
        let calibration = || self.execute.store.calibration(&site);
        let (ablation, sets, chosen) = self.budget.load(&self.ablation, &self.overrides, calibration)?;
        chosen.iter().for_each(|chosen| problems::note(chosen));
        ablation.warnings.iter().for_each(|warning| problems::caution(warning));
        let overrides = Overrides { profile: self.overrides.profile.clone(), sets: Sets::of(sets) };
        Ok((ablation, overrides, site))
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
        self.say_ended(summary)?;
        if summary.stopped == 0 { self.answer(&ablation, overrides) } else { Ok(()) }
    }

    fn say_ended(&self, summary: &Summary) -> Result<()> {
        if !self.json {
            return output::print(&report(summary));
        }
        let failed: Vec<&str> = summary.failures.iter().map(|failure| failure.label.as_str()).collect();
        let (finished, before, left) = (summary.finished, summary.skipped, summary.stopped);
        output::print_line(&json!({
            "event": "done", "finished": finished, "finished_before": before, "failed": failed, "left": left,
        }))
    }

    /// What the finished runs say; a report without a single run of the control has nothing to say yet.
    fn answer(&self, ablation: &Ablation, overrides: &Overrides) -> Result<()> {
        let command = super::report::command(&self.ablation, overrides);
        let store = self.execute.store.open()?;
        let site = Site::of(&self.execute.device, DTYPE);
        let folder = self.reports.folder(ablation, overrides, &self.execute.device);
        let law = self.law(ablation, &store, &site, &folder)?;
        for size in ablation.sizes() {
            let evidence = ablation_zoo::report::gather(ablation, size, &store, &site, command.clone())?;
            if evidence.arms.iter().any(|arm| arm.name == evidence.control) {
                super::report::answer(ablation, size, &evidence, &folder, self.json)?;
            }
        }
        match (law, self.json) {
            (Some(text), true) => output::print_line(&json!({"event": "law", "text": text})),
            (Some(text), false) => output::print(&format!("\n{text}")),
            (None, _) => Ok(()),
        }
    }

    /// What the ablation's own law says of the finished runs, its figures in a folder of the report.
    fn law(&self, ablation: &Ablation, store: &Store, site: &Site, folder: &Path) -> Result<Option<String>> {
        let Some(law) = ablation.then.law() else { return Ok(None) };
        let runs = Measured::of_ablation(ablation, store, site)?;
        let folder = folder.join("fit");
        match super::fit::law(law, &runs, &folder) {
            Ok(text) => Ok(Some(format!("{}\nfigures: {}", text.trim_end(), output::path(&folder)))),
            // Too few runs for a law are no reason to say nothing of the arms.
            Err(error) => Ok(Some(format!("no law of {}: {error}", law.name()))),
        }
    }
}
