//! `zoo fit`: laws of files and of finished runs.

mod capacity;
pub mod mixture;
mod race;
mod scaling;
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
    /// Bits of knowledge by size and by how much there is to know: how many bits a parameter can hold
    Capacity(capacity::CapacityCommand),
    /// Crossings of loss curves on every axis, with intervals: do small models overtake again?
    Race(race::RaceCommand),
    /// Loss by parameters and tokens: Chinchilla's three approaches, and what they advise for a budget
    Scaling(scaling::ScalingCommand),
    /// Loss by shares of the data: laws on mixtures that they have not seen, and the best shares
    Mixture(mixture::MixtureCommand),
}

impl Fit {
    /// Fits and prints.
    pub fn run(&self) -> Result<()> {
        match &self.what {
            What::Capacity(command) => command.run(),
            What::Race(command) => command.run(),
            What::Scaling(command) => command.run(),
            What::Mixture(command) => command.run(),
        }
    }
}
