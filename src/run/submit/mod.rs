//! An ablation as work for an engine that exists: Slurm, GNU parallel, Kubernetes.
//!
//! The engine only gives processes. Each of them is `zoo run` on the same store: leases there make sure that every run
//! is done once, whoever dies, and a run that was cut off goes on from its checkpoint in whichever process finds it free.

mod kubernetes;
mod parallel;
mod slurm;

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Who gives the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// A job array; a task that runs out of time saves and is queued again.
    Slurm,
    /// GNU parallel, on this machine.
    Parallel,
    /// An indexed job.
    Kubernetes,
}

/// What is asked of an engine.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Name of the job: letters, digits and dashes.
    pub name: String,
    /// The program, as the processes will find it.
    pub program: PathBuf,
    /// Arguments after `zoo run`, without the store.
    pub arguments: Vec<String>,
    /// The store, which all processes must see under this path.
    pub store: PathBuf,
    /// Processes.
    pub tasks: usize,
    /// Cores of each, each of which does a run at a time; on a GPU, runs beside each other on it.
    pub cores: usize,
    /// GPUs of each.
    pub gpus: usize,
    /// The longest a process may take, as the engine writes it.
    pub time: Option<String>,
    /// Container image (Kubernetes).
    pub image: String,
    /// Claim of the volume that holds the store (Kubernetes).
    pub volume: String,
}

impl Engine {
    /// What the engine reads: a batch script, a command, a manifest.
    pub fn script(self, submission: &Submission) -> String {
        match self {
            Engine::Slurm => slurm::script(submission),
            Engine::Parallel => parallel::script(submission),
            Engine::Kubernetes => kubernetes::manifest(submission),
        }
    }

    /// The program that takes the script, and its arguments before the script's path.
    pub fn command(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Engine::Slurm => ("sbatch", &[]),
            Engine::Parallel => ("bash", &[]),
            Engine::Kubernetes => ("kubectl", &["apply", "-f"]),
        }
    }

    /// The program that must be installed.
    pub fn needs(self) -> &'static str {
        match self {
            Engine::Slurm => "sbatch",
            Engine::Parallel => "parallel",
            Engine::Kubernetes => "kubectl",
        }
    }

    /// How a file with its script ends.
    pub fn extension(self) -> &'static str {
        match self {
            Engine::Slurm | Engine::Parallel => "sh",
            Engine::Kubernetes => "yaml",
        }
    }
}

impl Submission {
    /// `zoo run NAME ... --store S --jobs N --quiet`, each word quoted for a shell.
    fn command(&self) -> String {
        let store = self.store.display().to_string();
        let jobs = self.cores.to_string();
        let mut words = vec![self.program.display().to_string(), "run".to_string()];
        words.extend(self.arguments.iter().cloned());
        words.extend(["--store", &store, "--jobs", &jobs, "--quiet"].map(str::to_string));
        words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
    }

    /// Lines of a shell script that end it where the store, which was made here, is not seen.
    fn store_guard(&self) -> String {
        let store = quote(&self.store.display().to_string());
        format!(
            "if [ ! -f {store}/store.json ]; then\n    echo \"$(hostname) does not see the store\" {store} >&2\n    \
             exit 74\nfi\n"
        )
    }

    /// Lines of a shell script that end it where the version is another one than here.
    fn version_guard(&self) -> String {
        let program = quote(&self.program.display().to_string());
        let version = format!("zoo {}", env!("CARGO_PKG_VERSION"));
        format!(
            "if [ \"$({program} --version)\" != '{version}' ]; then\n    echo \"$(hostname) has \
             $({program} --version), the job was submitted with {version}\" >&2\n    exit 2\nfi\n"
        )
    }

    /// Both.
    fn guard(&self) -> String {
        self.store_guard() + &self.version_guard()
    }
}

/// One word for a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A name that every engine takes: letters, digits and dashes, at most 50 of them.
pub fn job_name(wish: &str) -> String {
    let stem = Path::new(wish).file_stem().map_or(wish.into(), |stem| stem.to_string_lossy());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = stem.chars().map(plain).take(46).collect();
    format!("zoo-{}", name.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission() -> Submission {
        Submission {
            name: job_name("ablations/My Test.toml"),
            program: "/opt/zoo".into(),
            arguments: vec!["mlp".into(), "--set".into(), "about.question=it's".into()],
            store: "/data/runs of all".into(),
            tasks: 4,
            cores: 2,
            gpus: 1,
            time: Some("01:00:00".into()),
            image: "zoo:0.1".into(),
            volume: "runs".into(),
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell_and_names_fit_every_engine() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("x=1e-3"), "x=1e-3");
        assert_eq!(quote("$(rm)"), "'$(rm)'");
        assert_eq!(submission().name, "zoo-my-test");
        assert_eq!(job_name("../../ä"), "zoo-");
    }

    #[test]
    fn every_script_runs_the_same_command_on_the_same_store() {
        for engine in [Engine::Slurm, Engine::Parallel, Engine::Kubernetes] {
            let script = engine.script(&submission());
            assert!(script.contains("/opt/zoo") && script.contains("/data/runs of all"), "{script}");
            assert!(script.contains("about.question=it"), "{script}");
            // A fresh claim is empty, and what makes the store is the first pod.
            assert_eq!(script.contains("store.json"), engine != Engine::Kubernetes, "{script}");
        }
    }

    #[test]
    fn a_slurm_task_is_warned_before_its_time_is_up_and_queued_again() {
        let script = Engine::Slurm.script(&submission());
        for line in ["--array=0-3", "--signal=B:TERM@", "--requeue", "--cpus-per-task=2", "--gpus-per-task=1"]
        {
            assert!(script.contains(line), "{line}: {script}");
        }
        assert!(script.contains("scontrol requeue"));
    }
}
