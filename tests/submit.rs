//! Ablations handed to engines: each test with an engine of its own, skipped where that is not installed.

#![cfg(unix)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::Folder;

/// Twenty runs of a second or less.
const TWENTY: &str = r#"
[about]
question = "Does it arrive?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common.data]
people = 64
[common.training]
length = { kind = "steps", count = 150 }
schedule = { kind = "cosine", warmup_steps = 5 }
[repeat]
seeds = 20
[tune]
"training.peak_lr" = [2e-3]
"#;

const PATIENCE: Duration = Duration::from_secs(180);

fn is_installed(programs: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| {
        std::env::split_paths(&paths).chain(["/usr/sbin".into()]).any(|path| path.join(program).is_file())
    };
    programs.iter().all(is_there)
}

fn twenty() -> Folder {
    let folder = Folder::new();
    folder.write("twenty.toml", TWENTY);
    folder
}

/// What every run learned and measured, but not where and how fast.
fn results(folder: &Folder, store: &str) -> Vec<(Vec<u8>, Value)> {
    let runs = folder.json(&["runs", "--json", "--store", store]);
    let path = |run: &Value| folder.path().join(store).join(run["run"].as_str().unwrap());
    let mut paths: Vec<PathBuf> = runs.as_array().unwrap().iter().map(path).collect();
    paths.sort();
    let read = |run: &PathBuf| {
        let record = std::fs::read_to_string(run.join("measurements.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        (std::fs::read(run.join("model.safetensors")).unwrap(), record["measurements"].clone())
    };
    paths.iter().map(read).collect()
}

fn locally(folder: &Folder) -> Vec<(Vec<u8>, Value)> {
    folder.ask(&["run", "twenty.toml", "--store", "local"]);
    results(folder, "local")
}

#[test]
fn scripts_are_what_their_engines_read() {
    let folder = twenty();
    for engine in ["slurm", "parallel"] {
        let script =
            folder.ask(&["submit", "twenty.toml", "--to", engine, "--print", "--store", "a 'store'"]);
        folder.write("script.sh", &script);
        let checked = Command::new("bash").arg("-n").arg(folder.path().join("script.sh")).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    let manifest = folder.json(&["submit", "twenty.toml", "--to", "kubernetes", "--tasks", "3", "--print"]);
    assert_eq!((&manifest["kind"], &manifest["spec"]["completions"]), (&"Job".into(), &3.into()));
    let script = manifest["spec"]["template"]["spec"]["containers"][0]["command"][2].as_str().unwrap();
    assert!(script.contains("$(zoo --version)") && script.contains("exec zoo run"), "{script}");
    assert!(!folder.path().join("runs").exists(), "printing makes nothing");
}

#[test]
fn no_value_reaches_an_engine_as_anything_else() {
    let folder = twenty();
    let print = |engine: &str, args: &[&str]| {
        folder.zoo(&[&["submit", "twenty.toml", "--to", engine, "--print"], args].concat())
    };
    let newline = "x\ntouch ran";
    for engine in ["slurm", "parallel", "kubernetes"] {
        for args in [["--time", newline], ["--time", "2 hours"], ["--store", newline], ["--image", newline]] {
            let said = print(engine, &args);
            assert!(
                said.code == 2 && said.out.is_empty() && said.err.contains(args[0]),
                "{args:?}: {}",
                said.err
            );
            assert!(!said.err.contains(newline), "{}", said.err);
        }
    }
    let script = print("slurm", &["--store", "x\"y%u", "--time", "1-12:00"]).out;
    assert!(script.contains("x\\\"y%%u/%x-%A_%a.log\"\n") && script.contains("--time=1-12:00\n"), "{script}");
    // What is run is the path, whatever stands in it.
    for odd in ["d{= system(q(touch ran)) =}", "e{}x", "$(touch ran)", "'\"; touch ran #"] {
        folder.write(&format!("{odd}/a.toml"), TWENTY);
        let script = folder.ask(&["submit", &format!("./{odd}/a.toml"), "--to", "parallel", "--print"]);
        let line = script.lines().find(|line| line.contains("| parallel")).unwrap();
        assert!(!line.contains("a.toml") && line.matches('{').count() == 1, "{line}");
        let command = script.lines().find(|line| line.starts_with("export zoo_command=")).unwrap();
        let shown = format!("{command}\neval \"set -- $zoo_command\"; printf %s \"$3\"");
        let word =
            Command::new("bash").args(["-c", &shown]).current_dir(folder.path()).output().unwrap().stdout;
        assert!(String::from_utf8(word).unwrap().ends_with(&format!("/./{odd}/a.toml")), "{command}");
        assert!(!folder.path().join("ran").exists(), "{odd}");
    }
}

#[test]
fn jobs_of_kubernetes_have_names_that_it_takes_one_for_each_file_profile_and_setting() {
    let folder = Folder::new();
    let mut names = std::collections::HashSet::new();
    let mut name = |args: &[&str]| {
        let manifest = folder.json(&[&["submit"], args, &["--to", "kubernetes", "--print"]].concat());
        let name = manifest["metadata"]["name"].as_str().unwrap().to_string();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.len() <= 53 && name.chars().all(plain) && !name.ends_with('-'), "{name}");
        assert!(names.insert(name), "{args:?}");
    };
    for file in ["опыт.toml", "проба.toml", "ä.toml", "日本/ä.toml", "A_b.C.toml"] {
        folder.write(file, TWENTY);
        name(&[&format!("./{file}")]);
    }
    for args in [
        &["mlp"][..],
        &["mlp", "--profile", "smoke"],
        &["mlp", "--set", "training.batch=24"],
        &["mlp", "--tasks", "3"],
    ] {
        name(args);
    }
}

#[test]
fn what_cannot_be_submitted_is_refused_with_a_way_out() {
    let folder = twenty();
    assert_eq!(folder.zoo(&["submit", "twenty.toml", "--to", "pigeons"]).code, 2);
    assert_eq!(folder.zoo(&["submit", "twnty", "--to", "slurm", "--print"]).code, 2);
    if !is_installed(&["kubectl"]) {
        let said = folder.zoo(&["submit", "twenty.toml", "--to", "kubernetes"]);
        assert!(said.code == 69 && said.err.contains("--print"), "{}", said.err);
    }
}

#[test]
fn parallel_does_every_run_once_and_a_node_without_the_store_says_so() {
    if !is_installed(&["parallel"]) {
        return;
    }
    let folder = twenty();
    folder.ask(&["submit", "twenty.toml", "--to", "parallel"]);
    assert_eq!(results(&folder, "runs"), locally(&folder));
    let status = folder.ask(&["status", "twenty.toml"]);
    assert!(status.ends_with("20 finished\n"), "{status}");
    let files = std::fs::read_dir(folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let script =
        files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "sh")).unwrap();
    let script = std::fs::read_to_string(script).unwrap();
    std::fs::rename(folder.path().join("runs"), folder.path().join("moved")).unwrap();
    let said = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(said.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&said.stderr).contains("does not see the store"));
}

/// A Slurm of one node that ends with the test.
struct Slurm(tempfile::TempDir);

impl Slurm {
    /// None where it is not installed, may not be started, or another one runs, which the test would kill.
    fn start() -> Option<Self> {
        let running = Command::new("pgrep").args(["-x", "slurmd"]).output();
        if running.is_ok_and(|found| found.status.success())
            || !is_installed(&["slurmctld", "slurmd", "sbatch", "munged"])
        {
            return None;
        }
        let slurm = Slurm(tempfile::tempdir().unwrap());
        Slurm::script("start", slurm.0.path()).status.success().then_some(slurm)
    }

    fn script(what: &str, folder: &std::path::Path) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm.sh");
        Command::new(script).arg(what).arg(folder).output().unwrap()
    }

    fn command(&self, program: &str, args: &[&str]) -> String {
        let config = self.0.path().join("slurm.conf");
        let output = Command::new(program).args(args).env("SLURM_CONF", config).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Requeued jobs wait for two minutes unless told otherwise.
    fn hurry(&self) {
        for job in self.command("squeue", &["--noheader", "--array", "--states=PD", "--format=%A"]).lines() {
            self.command("scontrol", &["update", &format!("jobid={job}"), "StartTime=now"]);
        }
    }

    fn node(&self, state: &str) {
        let host = self.command("hostname", &["-s"]);
        let (name, state) = (format!("nodename={}", host.trim()), format!("state={state}"));
        self.command("scontrol", &["update", &name, &state, "reason=lost"]);
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        Slurm::script("stop", self.0.path());
    }
}

fn finished(folder: &Folder) -> usize {
    let status = folder.json(&["status", "twenty.toml", "--json"]);
    status.as_array().unwrap().iter().filter(|run| run["state"]["state"] == "finished").count()
}

#[test]
fn slurm_does_every_run_once_through_a_requeue_and_a_lost_node() {
    let Some(slurm) = Slurm::start() else { return };
    let folder = twenty();
    let zoo = assert_cmd::cargo::cargo_bin("zoo");
    let submitted = Command::new(zoo)
        .args(["submit", "twenty.toml", "--to", "slurm", "--time", "00:10:00"])
        .current_dir(folder.path())
        .env("SLURM_CONF", slurm.0.path().join("slurm.conf"))
        .output()
        .unwrap();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let start = Instant::now();
    let (mut requeued, mut lost) = (false, false);
    while finished(&folder) < 20 {
        assert!(start.elapsed() < PATIENCE, "{}", folder.ask(&["status", "twenty.toml"]));
        std::thread::sleep(Duration::from_millis(200));
        if !requeued && finished(&folder) >= 2 {
            requeued = true;
            slurm.command("scontrol", &["requeue", "1_0"]);
        }
        if !lost && finished(&folder) >= 8 {
            lost = true;
            // Everything of the node dies at once; the controller learns of it and has it back.
            let runs = folder.path().join("runs");
            for of_slurm in ["slurmd", "slurmstepd"] {
                slurm.command("pkill", &["-9", of_slurm]);
            }
            slurm.command("pkill", &["-9", "-f", runs.to_str().unwrap()]);
            slurm.command("slurmd", &[]);
            slurm.node("down");
            slurm.node("resume");
        }
        slurm.hurry();
    }
    assert!(requeued && lost);
    assert_eq!(results(&folder, "runs"), locally(&folder));
}
