//! `zoo fit`: laws of files and of finished runs.

mod capacity;
mod mixture;
mod race;
mod scaling;
mod subject;

use std::path::Path;

use ablation_zoo::Result;
use ablation_zoo::plan::Law;
use ablation_zoo::report::fit::Measured;
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

/// What a law of finished runs says, as `zoo fit` does without options, its figures in `folder`.
///
/// # Errors
/// There is too little to fit, or a figure cannot be written.
pub fn law(law: Law, runs: &[Measured], folder: &Path) -> Result<String> {
    match law {
        Law::Capacity => capacity::law(runs, folder),
        Law::Race => race::law(runs, folder),
        Law::Scaling => scaling::law(runs, folder),
        Law::Mixture => mixture::law(runs, folder),
    }
}
