//! An ablation as work for an engine that exists: Slurm, GNU parallel, Kubernetes.
//!
//! The engine only gives processes. Each of them is `zoo run` on the same store: leases there make sure that every run
//! is done once, whoever dies, and a run that was cut off goes on from its checkpoint in whichever process finds it free.

mod kubernetes;
mod parallel;
mod slurm;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Kind, Problem, Result};

/// The scheduler that starts the processes.
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
    /// What the job is called by, and what else its name tells apart by a hash: an ablation, by name or path.
    pub subject: String,
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
    /// Bytes of memory of each.
    pub memory: u64,
    /// The number of processes at a time; all of them unless it is given.
    pub at_once: Option<usize>,
    /// Further options of the engine, as its command line has them (Slurm).
    pub options: Vec<String>,
    /// Container image (Kubernetes).
    pub image: String,
    /// Claim of the volume that holds the store (Kubernetes).
    pub volume: String,
}

impl Engine {
    /// What the engine reads: a batch script, a command, a manifest.
    ///
    /// # Errors
    /// Names each value that the engine would take for something else than it is.
    pub fn script(self, submission: &Submission) -> Result<String> {
        let problems = submission.problems(self);
        if !problems.is_empty() {
            return Err(Error { kind: Kind::Config, problems });
        }
        Ok(match self {
            Engine::Slurm => slurm::script(submission),
            Engine::Parallel => parallel::script(submission),
            Engine::Kubernetes => kubernetes::manifest(submission),
        })
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
    /// Name of the job that every engine takes, and Kubernetes for that of a host (RFC 1123): letters, digits and dashes,
    /// at most 53 of them. Another ablation, profile, setting or size of the job has another one.
    pub fn name(&self) -> String {
        let stem =
            Path::new(&self.subject).file_stem().map_or_else(Default::default, |stem| stem.to_string_lossy());
        let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let mut stem = words.map(|word| format!("{word}-")).collect::<String>().to_ascii_lowercase();
        stem.truncate(40);
        let hash = blake3::hash(format!("{self:?}").as_bytes()).to_hex();
        format!("zoo-{}", format!("{}-{}", stem.trim_end_matches('-'), &hash[..8]).trim_start_matches('-'))
    }

    /// What cannot be told to an engine: texts of several lines, paths that are no text, and times that are none.
    fn problems(&self, engine: Engine) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut line = |key: &str, value: Option<&str>| {
            if value.is_none_or(|value| value.contains(char::is_control)) {
                let found = value.map_or("no UTF-8".to_string(), |value| format!("{value:?}"));
                let problem = Problem::new(found).key(key);
                problems.push(problem.expected("text without line ends and other control characters"));
            }
        };
        line("--store", self.store.to_str());
        line("--program", self.program.to_str());
        line("--image", Some(&self.image));
        line("--volume", Some(&self.volume));
        self.arguments
            .iter()
            .for_each(|argument| line("ablation, profile, --set or --device", Some(argument)));
        self.options.iter().for_each(|option| line("options after --", Some(option)));
        let is_option = |option: &&String| option.starts_with('-') && !option.contains(' ');
        for option in self.options.iter().filter(|option| !is_option(option)) {
            let problem = Problem::new(format!("{option:?}")).key("options after --");
            problems.push(problem.expected("options such as --account=NAME, each in one word"));
        }
        if engine != Engine::Slurm && !self.options.is_empty() {
            let problem = Problem::new(self.options.join(" ")).key("options after --");
            problems.push(problem.expected("--to slurm, whose script takes them as #SBATCH lines"));
        }
        if let Some(time) = self.time.as_ref().filter(|time| !slurm::is_time(time)) {
            let forms = "minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or \
                         days-hours:minutes:seconds";
            problems.push(Problem::new(format!("{time:?}")).key("--time").expected(forms));
        }
        if engine == Engine::Slurm && self.store.to_string_lossy().contains('\\') {
            let problem = Problem::new(self.store.display().to_string()).key("--store");
            problems.push(
                problem.expected("a path without backslashes, which Slurm takes out of names of files"),
            );
        }
        problems
    }

    /// `zoo run NAME ... --store=S --jobs=N --quiet`, each word quoted for a shell.
    fn command(&self) -> String {
        let mut words = vec![self.program.display().to_string(), "run".to_string()];
        words.extend(self.arguments.iter().cloned());
        words.extend([format!("--store={}", self.store.display()), format!("--jobs={}", self.cores)]);
        words.push("--quiet".to_string());
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
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission() -> Submission {
        Submission {
            subject: "ablations/My Test.toml".into(),
            program: "/opt/zoo".into(),
            arguments: vec!["mlp".into(), "--set".into(), "about.question=it's".into()],
            store: "/data/runs of all".into(),
            tasks: 4,
            cores: 2,
            gpus: 1,
            time: Some("01:00:00".into()),
            memory: 300 << 20,
            at_once: Some(3),
            options: vec!["--account=lab".into()],
            image: "zoo:0.1".into(),
            volume: "runs".into(),
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("x=1e-3"), "x=1e-3");
        assert_eq!(quote("$(rm)"), "'$(rm)'");
    }

    #[test]
    fn a_name_fits_every_engine_and_tells_one_job_from_another() {
        let (mut names, long) = (std::collections::HashSet::new(), "x--y".repeat(100));
        let mut check = |submission: &Submission, start: &str| {
            let name = submission.name();
            assert!(name.starts_with(start) && name.len() <= 53 && !name.ends_with('-'), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(names.insert(name), "{submission:?}");
        };
        for (subject, start) in [
            ("ablations/My Test.toml", "zoo-my-test-"),
            ("../../ä", "zoo-"),
            ("опыт.toml", "zoo-"),
            ("проба.toml", "zoo-"),
            ("", "zoo-"),
            (long.as_str(), "zoo-x-yx-yx"),
        ] {
            check(&Submission { subject: subject.into(), ..submission() }, start);
        }
        check(
            &Submission { arguments: vec!["mlp".into(), "--profile=smoke".into()], ..submission() },
            "zoo-",
        );
        check(&Submission { tasks: 5, ..submission() }, "zoo-");
        assert_eq!(submission().name(), submission().name());
    }

    #[test]
    fn what_an_engine_would_take_for_something_else_is_refused() {
        let plain = Submission { options: Vec::new(), ..submission() };
        let with = |change: &dyn Fn(&mut Submission)| {
            let mut changed = plain.clone();
            change(&mut changed);
            changed
        };
        let newline = "x\ntouch ran";
        for (key, changed) in [
            ("--store", with(&|s| s.store = newline.into())),
            ("--program", with(&|s| s.program = newline.into())),
            ("--image", with(&|s| s.image = newline.into())),
            ("--volume", with(&|s| s.volume = newline.into())),
            ("--time", with(&|s| s.time = Some(newline.into()))),
            ("--set", with(&|s| s.arguments.push(newline.into()))),
        ] {
            for engine in [Engine::Slurm, Engine::Parallel, Engine::Kubernetes] {
                let error = engine.script(&changed).unwrap_err();
                assert!(error.exit_code() == 2 && error.to_string().contains(key), "{error}");
            }
        }
        let backslash = with(&|s| s.store = "/x\\y".into());
        assert_eq!(Engine::Slurm.script(&backslash).unwrap_err().exit_code(), 2);
        assert!(Engine::Parallel.script(&backslash).unwrap().contains("'/x\\y'"));
        let odd = with(&|s| s.store = "/a\"b%u".into());
        let script = Engine::Slurm.script(&odd).unwrap();
        assert!(script.contains("\n#SBATCH --output=\"/a\\\"b%%u/%x-%A_%a.log\"\n"), "{script}");
    }

    #[test]
    fn times_are_those_that_slurm_reads() {
        for time in ["60", "1:00", "01:00:00", "2-12", "2-12:30", "2-12:30:00", "UNLIMITED"] {
            assert!(slurm::is_time(time), "{time}");
        }
        for time in
            ["", "2 hours", "1h", ":", "1:", "1:2:3:4", "-1", "1-", "1-2-3", "1-2:3:4:5", "１", "1:00\nx"]
        {
            assert!(!slurm::is_time(time), "{time}");
        }
    }

    #[test]
    fn nothing_of_the_command_is_expanded_by_the_engine() {
        let arguments = vec!["/d{= system(\"x\") =}/$(HOME)$$.toml".into()];
        let odd = Submission { arguments, options: Vec::new(), ..submission() };
        let script = Engine::Parallel.script(&odd).unwrap();
        let template = script.lines().find(|line| line.contains("| parallel")).unwrap();
        assert!(!template.contains("system") && template.matches('{').count() == 1, "{template}");
        let manifest: serde_json::Value =
            serde_json::from_str(&Engine::Kubernetes.script(&odd).unwrap()).unwrap();
        let command = manifest["spec"]["template"]["spec"]["containers"][0]["command"][2].as_str().unwrap();
        assert!(
            command.contains("$$(HOME)$$$$.toml") && !command.replace("$$", "").contains('$'),
            "{command}"
        );
    }

    #[test]
    fn every_script_runs_the_same_command_on_the_same_store() {
        let plain = Submission { options: Vec::new(), ..submission() };
        for engine in [Engine::Slurm, Engine::Parallel, Engine::Kubernetes] {
            let script = engine.script(&plain).unwrap();
            assert!(script.contains("/opt/zoo") && script.contains("/data/runs of all"), "{script}");
            assert!(script.contains("about.question=it"), "{script}");
            // A fresh claim is empty, and what makes the store is the first pod.
            assert_eq!(script.contains("store.json"), engine != Engine::Kubernetes, "{script}");
        }
    }

    #[test]
    fn a_slurm_task_is_warned_before_its_time_is_up_and_queued_again() {
        let script = Engine::Slurm.script(&submission()).unwrap();
        for line in [
            "--array=0-3%3",
            "--nodes=1",
            "--ntasks=1",
            "--signal=B:TERM@",
            "--requeue",
            "--cpus-per-task=2",
            "--gpus-per-task=1",
            "--mem=300M",
            "--account=lab",
        ] {
            assert!(script.contains(&format!("\n#SBATCH {line}")), "{line}: {script}");
        }
        assert!(script.contains("scontrol requeue") && script.contains("|| sbatch --array="));
        let odd = Submission { options: vec!["--comment=a b".into()], ..submission() };
        assert_eq!(Engine::Slurm.script(&odd).unwrap_err().exit_code(), 2);
        assert_eq!(
            Engine::Parallel.script(&submission()).unwrap_err().exit_code(),
            2,
            "it has no such options"
        );
    }
}
