//! `zoo challenge`: asks an ablation again under settings that should not matter, and says whether its answer stands.

use std::path::PathBuf;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Problem};
use ablation_zoo::plan::{Ablation, Presets, nuisance};
use ablation_zoo::report::challenge::{self, Challenge, Variant};
use ablation_zoo::report::{self, Comparison};
use ablation_zoo::run::{Answers, Outlook, Site, Store};
use clap::Args;

use super::execute::{DTYPE, ExecuteArgs, How};
use super::report::ReportsArgs;
use super::{Format, Overrides, complete, output, problems};

/// Arguments of `zoo challenge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo challenge mlp\n  zoo challenge mlp --seeds 6\n  zoo challenge mlp --profile smoke --json"
)]
pub struct ChallengeCommand {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Seeds of each arm under each change
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(3..=64))]
    seeds: u64,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    reports: ReportsArgs,
    #[command(flatten)]
    format: Format,
}

/// The ablation with some overrides more.
struct Changed {
    nuisance: String,
    factor: f64,
    sets: Vec<String>,
    ablation: Ablation,
}

impl ChallengeCommand {
    /// Runs what is not finished yet, then says what stands.
    pub fn run(&self) -> Result<()> {
        let base = self.load(&[])?;
        let size = base.sizes()[0].to_string();
        let seeds = format!("repeat.seeds={}", self.seeds);
        let at_size = (base.sizes().len() > 1).then(|| format!("size={size:?}"));
        let common: Vec<String> = std::iter::once(seeds).chain(at_size).collect();
        let with = |sets: &[String]| -> Result<Changed> {
            let sets = [&common, sets].concat();
            let ablation = self.load(&sets)?;
            Ok(Changed { nuisance: String::new(), factor: 1.0, sets, ablation })
        };
        let reference = with(&nuisance::untuned(&base))?;
        let mut variants = Vec::new();
        for nuisance in nuisance::nuisances(&base, &size) {
            match with(&nuisance.sets(&base)) {
                Ok(changed) => variants.push(Changed {
                    nuisance: nuisance.name.to_string(),
                    factor: nuisance.factor,
                    ..changed
                }),
                Err(error) => problems::left_out(&format!("{} x {}", nuisance.name, nuisance.factor), &error),
            }
        }
        if variants.is_empty() {
            let problem =
                Problem::new(format!("nothing to change in {} but what its arms are about", self.ablation));
            return Err(Error::config(problem.expected("a setting that should not matter")));
        }
        let site = Site::of(&self.execute.device, DTYPE);
        let all: Vec<&Changed> = std::iter::once(&reference).chain(&variants).collect();
        let answers: Vec<Answers> =
            all.iter().map(|changed| Answers::new(&changed.ablation, site.clone())).collect();
        let outlook = |store: &Store| {
            let all = |sum: Outlook, answers: &Answers| Ok(sum.and(answers.outlook(store)?));
            answers.iter().try_fold(Outlook::default(), all)
        };
        let summary = self.execute.run_all(How::default(), outlook, |store| {
            let index = store.index(&site)?;
            answers.iter().try_fold(Vec::new(), |mut wanted, answers| {
                wanted.extend(answers.next_among(&index)?);
                Ok(wanted)
            })
        })?;
        if !self.format.json {
            output::print(&super::execute::report(&summary))?;
        }
        summary.check()?;
        let store = self.execute.store.open()?;
        let compare = |changed: &Changed| self.compare(changed, &size, &store, &site);
        let Some(of_reference) = compare(&reference)? else {
            let problem = Problem::new("no run of the control finished");
            return Err(Error::config(problem.help(format!("`zoo status {}` says why", self.ablation))));
        };
        let mut found = Vec::new();
        for changed in &variants {
            found.push(Variant {
                nuisance: changed.nuisance.clone(),
                factor: changed.factor,
                sets: changed.sets.clone(),
                comparison: compare(changed)?,
            });
        }
        self.answer(&base, &challenge::challenge(&of_reference, self.command(), &found))
    }

    fn load(&self, sets: &[String]) -> Result<Ablation> {
        let sets = [self.overrides.sets.all(), sets.to_vec()].concat();
        Ablation::load(&Presets::here(), &self.ablation, self.overrides.profile.as_deref(), &sets)
    }

    fn command(&self) -> String {
        let run = super::report::command(&self.ablation, &self.overrides);
        format!("{} --seeds {}", run.replacen("zoo run", "zoo challenge", 1), self.seeds)
    }

    fn compare(
        &self,
        changed: &Changed,
        size: &str,
        store: &Store,
        site: &Site,
    ) -> Result<Option<Comparison>> {
        let command = super::report::command(&self.ablation, &self.overrides);
        let evidence = report::gather(&changed.ablation, size, store, site, command)?;
        let has_control = evidence.arms.iter().any(|arm| arm.name == evidence.control);
        has_control.then(|| report::compare(&evidence)).transpose()
    }

    /// Writes the challenge beside the report, and prints it.
    fn answer(&self, ablation: &Ablation, challenge: &Challenge) -> Result<()> {
        let folder = self.reports.folder(ablation, &self.overrides, &self.execute.device);
        let folder = PathBuf::from(format!("{}-challenge", folder.display()));
        let written = report::files::write_challenge(challenge, &folder);
        if self.format.json {
            written?;
            return output::print_json(&serde_json::to_value(challenge).expect("a challenge is plain data"));
        }
        let header = ["arm", "changed", "times", "result", "verdict"];
        output::print(&format!("{}\n", output::table(header, 2, challenge::rows(challenge))))?;
        for arm in &challenge.arms {
            output::print(&arm.in_words())?;
        }
        let path = written?;
        output::print(&format!("\nfigure: {}", output::path(&path)))
    }
}
