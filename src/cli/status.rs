//! `zoo status`: the state of all runs of an ablation, whichever process does them.

use std::collections::BTreeMap;

use ablation_zoo::Result;
use ablation_zoo::plan::{Ablation, Presets};
use ablation_zoo::report::fit;
use ablation_zoo::run::{Answers, Site, State};
use clap::Args;
use serde_json::json;

use super::execute::DTYPE;
use super::store::StoreArgs;
use super::{Format, Overrides, complete, output};

/// Arguments of `zoo status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zoo status mlp --store /shared/runs")]
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
    #[command(flatten)]
    format: Format,
}

impl Status {
    /// Prints one line per run that is decided so far, and how many there are in each state.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets.all())?;
        let (store, site) = (self.store.open()?, Site::of(&self.device, DTYPE));
        // Where nothing can follow from its runs, they still stand somewhere.
        let ablation = fit::extended(&ablation, &store, &site).unwrap_or(ablation);
        let runs = Answers::new(&ablation, site).standing(&store)?;
        if self.format.json {
            let run = |(label, state): &(String, State)| json!({"run": label, "state": state});
            return output::print_json(&runs.iter().map(run).collect());
        }
        let row = |(label, state): &(String, State)| {
            [label.clone(), state.name().to_string(), state.cause().unwrap_or_default().to_string()]
        };
        let table = output::table(["run", "state", ""], 3, runs.iter().map(row));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        runs.iter().for_each(|(_, state)| *counts.entry(state.name()).or_default() += 1);
        let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
        output::print(&format!("{table}\n  {}", counts.join(", ")))
    }
}
