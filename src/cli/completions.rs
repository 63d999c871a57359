//! `zoo completions`: what a shell needs to complete commands, options, and names of presets and runs.

use ablation_zoo::Result;
use ablation_zoo::error::Error;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use super::{complete, output};

/// Arguments of `zoo completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zoo completions bash > ~/.local/share/bash-completion/completions/zoo
  zoo completions zsh > ~/.zfunc/_zoo
  zoo completions fish > ~/.config/fish/completions/zoo.fish

The script asks `zoo` itself whenever a name is completed: presets of the working folder, and runs of the store that
ZOO_STORE names (or of runs/).")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) -> Result<()> {
        let name = match self.shell {
            Shell::Bash => "bash",
            Shell::Elvish => "elvish",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
            Shell::Zsh => "zsh",
        };
        let shells = Shells::builtins();
        let shell = shells.completer(name).expect("every shell of the enum is built in");
        let mut script = Vec::new();
        let written = shell.write_registration(complete::VARIABLE, "zoo", "zoo", "zoo", &mut script);
        written.map_err(|e| Error::io("write", "the script", e))?;
        output::print_exact(&String::from_utf8_lossy(&script))
    }
}
