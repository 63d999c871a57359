//! The command `zoo`: parse, call one function, exit code. One file per subcommand.

mod completions;
mod diff;
mod list;
mod output;
mod plan;
mod problems;
mod show;
mod subject;

use std::process::ExitCode;

use ablation_zoo::Result;
use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  zoo list                             what there is
  zoo show llama                       a picture, its parameters at each size, every setting and its origin
  zoo diff gpt2 llama                  what differs between two models
  zoo plan mlp                         what an ablation will run, and what that costs
  zoo plan mlp --profile gpu --set training.batch=24

Files: models/, datasets/ and ablations/ in the working folder win over those compiled in; a path always works.";

/// Composable Burn transformers, ablations from TOML, answers with error bars
#[derive(Debug, Parser)]
#[command(name = "zoo", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List models, datasets and ablations
    List(list::List),
    /// Show a model, dataset or ablation with every setting and where it comes from
    Show(show::Show),
    /// Show what differs between two models, datasets or arms
    Diff(diff::Diff),
    /// Show what an ablation will run and what it costs, without running it
    Plan(plan::PlanCommand),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

/// How a reading command answers.
#[derive(Debug, Args)]
struct Format {
    /// Answer in JSON (docs/json.md)
    #[arg(long)]
    json: bool,
}

/// What is said on the command line about an ablation.
#[derive(Debug, Args)]
struct Overrides {
    /// A profile of the ablation: the same question at another cost
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Set one key, last word over all files; a value that is no TOML is taken for a word
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs the command; its exit code is that of the error, or 0.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            problems::print(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::List(command) => command.run(),
        Command::Show(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Completions(command) => command.run::<Cli>(),
    }
}
