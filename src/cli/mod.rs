//! The command `zoo`: parse, call one function, exit code. One file per subcommand.

mod bench;
mod budget;
mod challenge;
mod child;
mod complete;
mod completions;
mod data;
mod devices;
mod diff;
mod doctor;
mod execute;
mod export;
mod fit;
mod gc;
mod generate;
mod grow;
mod laws;
mod list;
mod man;
mod measure;
mod output;
mod picture;
mod plan;
mod problems;
mod reading;
mod report;
mod rounding;
mod run;
mod runs;
mod schema;
mod show;
mod status;
mod store;
mod subject;
mod submit;
mod timing;
mod train;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use ablation_zoo::error::{Error, Problem, variable};
use ablation_zoo::kernels::{self, Precision};
use ablation_zoo::model::weights::NonFinite;
use ablation_zoo::run::store as stores;
use ablation_zoo::run::worker::checkpoint_interval;
use ablation_zoo::{Result, visible};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;

const EXAMPLES: &str = "\
Examples:
  zoo show                             models, datasets and ablations
  zoo show llama                       a picture, parameters, every setting and its origin
  zoo diff gpt2 llama                  what differs between two models, or two runs
  zoo plan mlp                         what an ablation will run, and what that costs
  zoo plan mlp --profile gpu --set training.batch=24
  zoo run mlp                          run it; the same command resumes it
  zoo report mlp                       the answer again, with figures and a page

Files: models/, datasets/ and ablations/ in the working folder win over those compiled in; a path always works.";

/// What most want, by what they want.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Ask a question", &["show", "plan", "run", "report", "challenge"]),
    ("Use a trained model", &["generate", "measure", "export", "import"]),
    ("Keep order", &["runs", "gc", "doctor"]),
];

/// The other commands, by what they are about.
const MORE: [(&str, &[&str]); 4] = [
    ("ablations", &["status", "submit", "diff", "fit", "laws"]),
    ("models and data", &["train", "grow", "data"]),
    ("this machine", &["bench", "devices"]),
    ("zoo itself", &["schema", "completions", "man", "help"]),
];

/// Composable Burn transformers, ablations from TOML, answers with error bars
#[derive(Debug, Parser)]
#[command(name = "zoo", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List models, datasets and ablations, or show one: every setting and where it comes from
    Show(show::Show),
    /// List models, datasets and ablations: zoo show
    #[command(hide = true)]
    List(list::List),
    /// Show what differs between two models, datasets, arms or finished runs
    Diff(diff::Diff),
    /// Show what an ablation will run and what it costs, without running it
    Plan(plan::PlanCommand),
    /// Run an ablation (tune, train, measure); resumes if interrupted
    Run(run::RunCommand),
    /// Ask again under settings that should not matter, and say whether the answer stands
    Challenge(challenge::ChallengeCommand),
    /// Submit to Slurm, GNU parallel or Kubernetes
    Submit(submit::Submit),
    /// Show the state of all runs of an ablation, whichever process does them
    Status(status::Status),
    /// Re-run only failed or diverged runs: zoo run --failed
    #[command(hide = true)]
    Retry(run::Retry),
    /// Train and measure one model on one dataset
    Train(train::Train),
    /// Compare the arms, with intervals, figures and a page
    Report(report::ReportCommand),
    /// Fit laws to files or finished runs: capacity, crossing loss curves, scaling, data mixtures
    Fit(fit::Fit),
    /// Show the published results on knowledge capacity, and what was found here about each
    Laws(laws::Laws),
    /// Measure the model of a finished run again
    Measure(measure::MeasureCommand),
    /// Generate text with a trained model
    Generate(generate::GenerateCommand),
    /// Grow the model of a finished run: more layers, or wider ones
    Grow(grow::Grow),
    /// Write a model for Hugging Face's transformers, or metrics for TensorBoard, pandas, DuckDB
    Export(export::Export),
    /// Read a model from a folder of Hugging Face's transformers
    Import(export::Import),
    /// Describe a dataset in numbers and samples
    Data(data::Data),
    /// List the devices of this machine
    Devices(devices::Devices),
    /// Check this machine: a self-test of the kernels, memory, disk, runs
    Doctor(doctor::Doctor),
    /// Training speed against this machine's peak matmul throughput
    Bench(bench::Bench),
    /// List runs: state, result, size
    Runs(runs::Runs),
    /// List or delete reclaimable files
    Gc(gc::Gc),
    /// Do one run of the store in this process, reporting in JSON lines
    #[command(hide = true)]
    Worker(worker::Worker),
    /// Print JSON Schemas of files, command output and run files
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Write manual pages
    Man(man::Man),
}

/// The output format of a command that only reads.
#[derive(Debug, Args)]
struct Format {
    /// Answer in JSON (docs/json.md)
    #[arg(long)]
    json: bool,
}

/// Whether weights with NaN or infinity are taken.
#[derive(Debug, Args)]
struct NonFiniteArgs {
    /// Take weights that hold NaN or infinity, with a warning
    #[arg(long)]
    allow_non_finite: bool,
}

impl NonFiniteArgs {
    fn choice(&self) -> NonFinite {
        if self.allow_non_finite { NonFinite::Allow } else { NonFinite::Refuse }
    }
}

/// The profile and the settings that the command line gives an ablation.
#[derive(Debug, Args)]
struct Overrides {
    /// A profile of the ablation: the same question at another cost
    #[arg(long, value_name = "NAME", add = complete::profiles())]
    profile: Option<String>,
    #[command(flatten)]
    sets: Sets,
}

/// Settings that the command line overrides.
#[derive(Debug, Default, Args)]
struct Sets {
    /// Override a setting (KEY=VALUE)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// What matrix products compute in; short for --set training.precision=DTYPE
    #[arg(long)]
    dtype: Option<Dtype>,
}

/// What matrix products can compute in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Dtype {
    F32,
    Bf16,
}

impl Sets {
    /// These overrides and no others.
    fn of(sets: Vec<String>) -> Self {
        Sets { sets, dtype: None }
    }

    /// Every override, as `KEY=VALUE`.
    fn all(&self) -> Vec<String> {
        let precision = self.dtype.map(|_| format!("training.precision={}", self.precision().name()));
        self.sets.iter().cloned().chain(precision).collect()
    }

    /// The precision that `--dtype` asks for.
    fn precision(&self) -> Precision {
        match self.dtype {
            None | Some(Dtype::F32) => Precision::F32,
            Some(Dtype::Bf16) => Precision::Bf16,
        }
    }
}

/// Runs the command; its exit code is that of the error, or 0.
pub fn main() -> ExitCode {
    let parse = || parse(std::env::args_os()).unwrap_or_else(|error| refuse(error));
    match environment().and_then(|()| run(parse().command)) {
        Ok(code) => code,
        Err(error) => {
            problems::print(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Ends with what is wrong with the arguments, none of which commands the terminal.
fn refuse(error: clap::Error) -> ! {
    let shown = std::env::args_os().map(|argument| visible::line(&argument.to_string_lossy()).into_owned());
    parse(shown.map(OsString::from)).err().unwrap_or(error).exit()
}

/// The command line, where the overview of all commands is in [`GROUPS`].
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\nOptions:\n{{options}}{{after-help}}",
        overview(&command)
    );
    Cli::from_arg_matches(&command.help_template(template).try_get_matches_from(arguments)?)
}

/// The commands by what one wants, then the names of all others.
fn overview(command: &clap::Command) -> String {
    let about = |name: &&str| {
        let about = command.find_subcommand(name).and_then(clap::Command::get_about);
        [name.to_string(), about.map_or_else(String::new, |about| about.to_string())]
    };
    let groups = GROUPS.iter().map(|(title, names)| {
        let table = output::table(["", ""], 2, names.iter().map(about));
        format!("{title}:\n{table}\n")
    });
    let more = output::table(["", ""], 2, MORE.map(|(title, names)| [title.to_string(), names.join(", ")]));
    format!("{}More:\n{more}", groups.collect::<String>())
}

/// Completes what a shell asks for, and looks at the variables that are asked for before the command line is.
fn environment() -> Result<()> {
    let complete = CompleteEnv::with_factory(Cli::command).var(complete::VARIABLE);
    let folder = std::env::current_dir().ok();
    match complete.try_complete(std::env::args_os(), folder.as_deref()) {
        Ok(true) => std::process::exit(0),
        Ok(false) => {}
        Err(error) => {
            let found = error.to_string().trim_start_matches("error: ").trim().to_string();
            return Err(Error::config(Problem::new(found).key(complete::VARIABLE)));
        }
    }
    match std::env::var_os(stores::VARIABLE) {
        Some(folder) if folder.is_empty() => {
            let problem = Problem::new("\"\"").key(stores::VARIABLE).expected("a folder");
            Err(Error::config(problem.help("unset it, or name one")))
        }
        _ => Ok(()),
    }
}

fn run(command: Command) -> Result<ExitCode> {
    kernels::parse_level(variable(kernels::VARIABLE)?.as_deref())?;
    checkpoint_interval()?;
    match command {
        Command::Worker(command) => return command.run(),
        Command::List(command) => command.run(),
        Command::Show(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Man(command) => command.run::<Cli>(),
        Command::Run(command) => command.run(),
        Command::Challenge(command) => command.run(),
        Command::Retry(command) => command.run(),
        Command::Submit(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Laws(command) => command.run(),
        Command::Measure(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Grow(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Data(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Runs(command) => command.run(),
        Command::Gc(command) => command.run(),
    }
    .map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_a_help_is_a_command_that_is_understood() {
        fn check(command: &clap::Command, seen: &mut usize) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in help.lines().map(str::trim).filter(|line| line.starts_with("zoo ")) {
                // What follows two spaces explains; what is quoted is one argument.
                let line = example.split("   ").next().unwrap_or_default();
                let line = line.split([';', '|', '>']).next().unwrap_or_default();
                let mut quoted = false;
                let is_between = |c: char| {
                    quoted ^= c == '\'' || c == '"';
                    c == ' ' && !quoted
                };
                let words: Vec<OsString> = line
                    .split(is_between)
                    .filter(|word| !word.is_empty())
                    .map(|word| word.trim_matches(['\'', '"']).into())
                    .collect();
                if let Err(error) = parse(words.into_iter()) {
                    panic!("{example}: {error}");
                }
                *seen += 1;
            }
            command.get_subcommands().for_each(|command| check(command, seen));
        }
        let mut seen = 0;
        check(&Cli::command(), &mut seen);
        assert!(seen > 60, "{seen} examples");
    }

    #[test]
    fn the_overview_names_every_command_once() {
        let command = Cli::command();
        let mut named: Vec<&str> =
            GROUPS.iter().chain(&MORE).flat_map(|(_, names)| *names).copied().collect();
        named.retain(|name| *name != "help");
        named.sort_unstable();
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut known: Vec<&str> = visible.map(clap::Command::get_name).collect();
        known.sort_unstable();
        assert_eq!(named, known);
        assert!(overview(&command).contains("  plan       Show what an ablation will run"));
    }
}
