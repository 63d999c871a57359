//! `zoo fit`: laws of files and of finished runs.

mod race;
mod subject;

use ablation_zoo::Result;
use clap::{Args, Subcommand};

/// Arguments of `zoo fit`.
#[derive(Debug, Args)]
pub struct Fit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Do small models overtake again? Crossings of loss curves on every axis, with intervals
    Race(race::RaceCommand),
}

impl Fit {
    /// Fits and prints.
    pub fn run(&self) -> Result<()> {
        match &self.what {
            What::Race(command) => command.run(),
        }
    }
}
