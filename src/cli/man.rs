//! `zoo man`: manual pages, one for the program and one for each subcommand.

use std::path::{Path, PathBuf};

use ablation_zoo::Result;
use ablation_zoo::error::Error;
use clap::{Args, Command, CommandFactory};

use super::output;

/// Arguments of `zoo man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zoo man ~/.local/share/man/man1")]
pub struct Man {
    /// Folder to write them to, made if there is none
    folder: PathBuf,
}

impl Man {
    /// Writes the pages of the command line of `C`.
    pub fn run<C: CommandFactory>(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io("create", &self.folder, e))?;
        let mut command = C::command();
        command.build();
        let n = write(&self.folder, &command, "zoo")?;
        output::print(&format!("{} in {}", output::count(n, "page"), self.folder.display()))
    }
}

/// Writes the page of a command and of each command below it; how many.
fn write(folder: &Path, command: &Command, name: &str) -> Result<usize> {
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone().display_name(name.to_string())).render(&mut page);
    rendered.and_then(|()| std::fs::write(&path, page)).map_err(|e| Error::io("write", &path, e))?;
    let below = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    below
        .map(|sub| write(folder, sub, &format!("{name}-{}", sub.get_name())))
        .sum::<Result<usize>>()
        .map(|n| n + 1)
}
