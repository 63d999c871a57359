//! `zoo submit`: an ablation as work for Slurm, GNU parallel or Kubernetes.

use std::path::PathBuf;
use std::process::Command;

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind, Problem};
use ablation_zoo::plan::{Ablation, Calibration, Presets};
use ablation_zoo::run::submit::{Engine, Submission};
use clap::{Args, ValueEnum};

use super::store::StoreArgs;
use super::{Overrides, complete, output};

/// Bytes that a process needs beside the tensors of its run.
const PROGRAM: u64 = 128 << 20;

/// Arguments of `zoo submit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo submit mlp --to slurm --tasks 8 --cores 4 --time 02:00:00 --store /shared/runs\n  zoo submit mlp --to slurm --gpus 1 --device cuda --at-once 4 -- --account=lab --partition=gpu\n  zoo submit mlp --to kubernetes --image zoo:0.1 --volume runs --print\n\ndocs/clusters.md has the whole way."
)]
pub struct Submit {
    /// An ablation, by name or path
    #[arg(add = complete::ablations())]
    ablation: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    store: StoreArgs,
    /// Scheduler to submit to
    #[arg(long, value_enum)]
    to: To,
    /// Number of tasks (processes)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tasks: u32,
    /// Cores per task; each core does one run at a time; on a GPU this many runs share it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    cores: u32,
    /// GPUs per task
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    gpus: u32,
    /// Device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Time limit per task, as Slurm writes it: minutes, 02:00:00 or 1-12 (days-hours)
    #[arg(long)]
    time: Option<String>,
    /// Tasks that run at a time [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    at_once: Option<u32>,
    /// The program on the nodes [default: this one; zoo in a container]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Container image (Kubernetes)
    #[arg(long, default_value = "zoo:latest")]
    image: String,
    /// Persistent volume claim that holds the store (Kubernetes)
    #[arg(long, default_value = "zoo-runs")]
    volume: String,
    /// Print the job without submitting it
    #[arg(long)]
    print: bool,
    /// Further options for Slurm, such as --account=NAME --partition=NAME
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    Slurm,
    Parallel,
    Kubernetes,
}

impl Submit {
    /// Checks the ablation, makes the store, and hands the work over.
    pub fn run(&self) -> Result<()> {
        let profile = self.overrides.profile.as_deref();
        let ablation = Ablation::load(&Presets::here(), &self.ablation, profile, &self.overrides.sets.all())?;
        let engine = match self.to {
            To::Slurm => Engine::Slurm,
            To::Parallel => Engine::Parallel,
            To::Kubernetes => Engine::Kubernetes,
        };
        let submission = self.submission(&ablation)?;
        let script = engine.script(&submission)?;
        if self.print {
            return output::print_exact(&script);
        }
        check_installed(engine)?;
        if engine == Engine::Slurm {
            self.check_array()?;
        }
        let store = self.store.create()?;
        let path = store.path().join(format!("{}.{}", submission.name(), engine.extension()));
        std::fs::write(&path, script).map_err(|e| Error::io("write", &path, e))?;
        let (program, arguments) = engine.command();
        let status = Command::new(program).args(arguments).arg(&path).status();
        match status.map_err(|e| Error::io("run", program, e))? {
            status if status.success() => Ok(()),
            status => {
                let problem = Problem::new(format!("{program} {}: {status}", path.display()));
                Err(Error::new(Kind::RunsFailed, problem.help("`zoo status` shows what is finished")))
            }
        }
    }

    /// Slurm refuses arrays above a size of its own.
    fn check_array(&self) -> Result<()> {
        let Ok(asked) = Command::new("scontrol").args(["show", "config"]).output() else { return Ok(()) };
        let config = String::from_utf8_lossy(&asked.stdout);
        let line = config.lines().find_map(|line| line.strip_prefix("MaxArraySize"));
        let most = line.and_then(|line| line.trim_start_matches([' ', '=']).trim().parse::<u32>().ok());
        match most.filter(|&most| self.tasks >= most) {
            None => Ok(()),
            Some(most) => {
                let problem = Problem::new(self.tasks.to_string()).key("--tasks");
                let expected = format!("fewer than {most}, this Slurm's MaxArraySize");
                Err(Error::config(problem.expected(expected).help("more --cores do more runs in each task")))
            }
        }
    }

    /// What the largest runs need that a task does beside each other, and a fifth more.
    fn memory(&self, ablation: &Ablation) -> Result<u64> {
        let peaks = ablation
            .arms
            .iter()
            .map(|arm| arm.resolved.plan.cost(&Calibration::default()).map(|cost| cost.peak_bytes));
        let largest = peaks.collect::<Result<Vec<u64>>>()?.into_iter().max().unwrap_or(0);
        Ok((largest + PROGRAM).saturating_mul(u64::from(self.cores)) / 5 * 6)
    }

    fn submission(&self, ablation: &Ablation) -> Result<Submission> {
        let here = std::env::current_dir().map_err(|e| Error::io("find", "the working folder", e))?;
        let program = match (&self.program, self.to) {
            (Some(program), _) => program.clone(),
            (None, To::Kubernetes) => "zoo".into(),
            (None, To::Slurm | To::Parallel) => {
                std::env::current_exe().map_err(|e| Error::io("find", "this program", e))?
            }
        };
        let mut arguments = vec![match Presets::is_path(&self.ablation) {
            true => here.join(&self.ablation).display().to_string(),
            false => self.ablation.clone(),
        }];
        arguments.extend(self.overrides.profile.as_ref().map(|profile| format!("--profile={profile}")));
        arguments.extend(self.overrides.sets.all().iter().map(|set| format!("--set={set}")));
        arguments.push(format!("--device={}", self.device));
        Ok(Submission {
            subject: self.ablation.clone(),
            program,
            arguments,
            store: here.join(&self.store.store),
            tasks: self.tasks as usize,
            cores: self.cores as usize,
            gpus: self.gpus as usize,
            time: self.time.clone(),
            memory: self.memory(ablation)?,
            at_once: self.at_once.map(|at_once| at_once as usize),
            options: self.options.clone(),
            image: self.image.clone(),
            volume: self.volume.clone(),
        })
    }
}

fn check_installed(engine: Engine) -> Result<()> {
    let program = engine.needs();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&paths).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    let problem = Problem::new(format!("{program} is not installed")).key("--to");
    Err(Error::new(
        Kind::Device,
        problem.help("install it, or write the script with --print and take it there"),
    ))
}
