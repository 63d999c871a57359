//! `zoo completions`: a completion script for a shell.

use ablation_zoo::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output;

/// Arguments of `zoo completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zoo completions bash > ~/.local/share/bash-completion/completions/zoo")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script for the command line of `C`.
    pub fn run<C: CommandFactory>(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "zoo", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
