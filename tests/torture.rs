//! What befalls a training in earnest: kills and signals at random moments, full and read-only disks, long runs.
//!
//! `ZOO_TORTURE=200 cargo test --release --test zoo torture` makes so many of each; docs/reliability.md has its last result.

#![cfg(unix)]

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ablation_zoo::training::manifest;
use serde_json::Value;

use crate::program::Folder;

/// Long enough to be hit many times: two runs, 600 steps each.
const LONG: &str = r#"
[about]
question = "What does it survive?"
[control]
model = "gpt2"
dataset = "biod"
size = "micro"
[common.data]
people = 64
[common.training]
length = { kind = "steps", count = 600 }
schedule = { kind = "cosine", warmup_steps = 5 }
[repeat]
seeds = 2
[tune]
"training.peak_lr" = [2e-3]
"#;

/// How often something is done to the program in each test.
fn times() -> u64 {
    std::env::var("ZOO_TORTURE").ok().and_then(|times| times.parse().ok()).unwrap_or(4)
}

/// A moment that differs at every call and is the same in every test run.
struct Moments(u64);

impl Moments {
    fn next(&mut self, most: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_millis((self.0 >> 33) % most)
    }
}

/// `zoo run long.toml` with checkpoints at almost every step, in a process group of its own.
fn start(folder: &Folder) -> Child {
    let program = assert_cmd::cargo::cargo_bin("zoo");
    Command::new(program)
        .current_dir(folder.path())
        .args(["run", "long.toml"])
        .env("ZOO_CHECKPOINT_SECONDS", "0.01")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn kill(child: &Child, signal: i32, group: bool) {
    let id = child.id() as i32;
    // SAFETY: plain system call on a process of ours that was not waited for yet.
    unsafe { libc::kill(if group { -id } else { id }, signal) };
}

fn end(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

/// The weights of all runs, whose every file must be as it was sealed.
fn weights(folder: &Folder) -> Vec<Vec<u8>> {
    folder.ask(&["doctor"]);
    let runs = folder.json(&["runs", "--json"]);
    let path = |run: &Value| folder.path().join("runs").join(run["run"].as_str().unwrap());
    let mut paths: Vec<PathBuf> = runs.as_array().unwrap().iter().map(path).collect();
    paths.sort();
    paths.iter().map(|run| std::fs::read(run.join("model.safetensors")).unwrap()).collect()
}

fn undisturbed() -> Vec<Vec<u8>> {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    folder.ask(&["run", "long.toml"]);
    weights(&folder)
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    let mut moments = Moments(1);
    for _ in 0..times() {
        let child = start(&folder);
        std::thread::sleep(moments.next(700));
        kill(&child, libc::SIGKILL, true);
        end(child);
        if folder.path().join("runs/store.json").exists() {
            folder.ask(&["runs", "--json"]);
        }
    }
    folder.ask(&["run", "long.toml"]);
    assert_eq!(weights(&folder), undisturbed());
}

#[test]
fn signals_at_random_moments_save_and_the_same_command_goes_on() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    let mut moments = Moments(2);
    for i in 0..times() {
        let child = start(&folder);
        std::thread::sleep(Duration::from_millis(60) + moments.next(600));
        kill(&child, if i % 2 == 0 { libc::SIGTERM } else { libc::SIGINT }, false);
        let (status, said) = end(child);
        let ended = status.code().or(status.signal().map(|signal| 128 + signal));
        assert!(matches!(ended, Some(75 | 0)), "{status}: {said}");
    }
    folder.ask(&["run", "long.toml"]);
    assert_eq!(weights(&folder), undisturbed());
}

/// Runs a script with `$ZOO` in a mount namespace of its own; none where mounting is not allowed (exit 111).
fn in_namespace(folder: &Folder, script: &str) -> Option<(ExitStatus, String)> {
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .current_dir(folder.path())
        .env("ZOO", assert_cmd::cargo::cargo_bin("zoo"))
        .env("ZOO_CHECKPOINT_SECONDS", "0.01")
        .output()
        .ok()?;
    let allowed = output.status.code() != Some(111) && !output.stderr.starts_with(b"unshare");
    allowed.then(|| (output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_full_disk_ends_the_runs_cleanly_and_room_lets_them_go_on() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    std::fs::create_dir(folder.path().join("kept")).unwrap();
    // What is left on the small disk is copied away before the disk ends with the namespace.
    let script = "mount -t tmpfs -o size=600k tmpfs runs || exit 111; $ZOO run long.toml; code=$?; \
                  cp -a runs/. kept/; exit $code";
    let Some((status, said)) = in_namespace(&folder, script) else { return };
    assert!(matches!(status.code(), Some(1 | 74)), "{status}: {said}");
    assert!(said.contains("No space left on device"), "{said}");
    std::fs::remove_dir(folder.path().join("runs")).unwrap();
    std::fs::rename(folder.path().join("kept"), folder.path().join("runs")).unwrap();
    folder.ask(&["run", "long.toml"]);
    assert_eq!(weights(&folder), undisturbed());
}

#[test]
fn a_read_only_store_is_refused_and_left_as_it_was() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    folder.ask(&["run", "long.toml", "--set", "repeat.seeds=1"]);
    let before = files(&folder.path().join("runs"));
    let script =
        "mount --bind runs runs && mount -o remount,ro,bind runs || exit 111; exec $ZOO run long.toml";
    let Some((status, said)) = in_namespace(&folder, script) else { return };
    assert!(matches!(status.code(), Some(1 | 74)), "{status}: {said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(files(&folder.path().join("runs")), before);
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn memory_does_not_grow_with_steps() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    let peak = |steps: u64| {
        let (length, store) = (format!("training.length.count={steps}"), format!("runs-{steps}"));
        let args = ["run", "long.toml", "--jobs", "1", "--threads-per-run", "1", "--set", "repeat.seeds=1"];
        folder.ask(&[&args[..], &["--set", &length, "--store", &store]].concat());
        let runs = folder.json(&["runs", "--json", "--store", &store]);
        let run = folder.path().join(&store).join(runs[0]["run"].as_str().unwrap());
        let record = std::fs::read_to_string(run.join("measurements.json")).unwrap();
        serde_json::from_str::<Value>(&record).unwrap()["training"]["peak_bytes"].as_f64().unwrap()
    };
    let (short, long) = (peak(200), peak(if times() > 4 { 10_000 } else { 2_000 }));
    assert!(long < 1.1 * short + 4e6, "{short} bytes after 200 steps, {long} after many");
}

/// Bytes that are flipped in all files of a run together.
const FLIPS: usize = 1000;

#[test]
fn every_torn_or_rotten_file_of_a_finished_run_is_named() {
    let folder = Folder::new();
    folder.write("long.toml", LONG);
    let few = ["--set", "repeat.seeds=1", "--set", "training.length.count=10"];
    folder.ask(&[&["run", "long.toml"], &few[..]].concat());
    let runs = folder.json(&["runs", "--json"]);
    let run = folder.path().join("runs").join(runs[0]["run"].as_str().unwrap());
    let sealed = manifest::read(&run).unwrap().files;
    let whole: Vec<_> =
        sealed.iter().map(|file| (&file.name, std::fs::read(run.join(&file.name)).unwrap())).collect();
    let is_named = |name: &str, bytes: &[u8]| {
        std::fs::write(run.join(name), bytes).unwrap();
        manifest::verify(&run).is_err_and(|error| error.to_string().contains(name))
    };
    let mut moments = Moments(3);
    for (name, bytes) in &whole {
        for length in (0..bytes.len()).step_by(1024) {
            assert!(is_named(name, &bytes[..length]), "{name} of {length} bytes");
        }
        for _ in 0..FLIPS.div_ceil(whole.len()) {
            let place = moments.next(bytes.len() as u64).as_millis() as usize;
            let mut rotten = bytes.clone();
            rotten[place] ^= 1 << (place % 8);
            assert!(is_named(name, &rotten), "byte {place} of {name}");
        }
        std::fs::write(run.join(name), bytes).unwrap();
    }
    manifest::verify(&run).unwrap();
}

/// Calls by which a run is kept.
const KEEPING: [&str; 11] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
];
/// Few steps of one run.
const SHORT: [&str; 4] = ["--set", "repeat.seeds=1", "--set", "training.length.count=12"];

/// A worker with a checkpoint after every step, which meets `fault` at its `nth` call of this name; its exit code, 137 for a
/// kill, or nothing where processes cannot be traced.
fn worker_with(fault: &str, call: &str, nth: u64, folder: &Folder, run: &str) -> Option<i32> {
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "calls", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:{fault}:when={nth}")])
        .arg(assert_cmd::cargo::cargo_bin("zoo"))
        .args(["worker", "--store", "runs", "--run", run])
        .current_dir(folder.path())
        .env("ZOO_CHECKPOINT_SECONDS", "0.000001")
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .ok()?;
    let traced = !String::from_utf8_lossy(&output.stderr).contains("strace:");
    traced.then(|| output.status.code().unwrap_or(137))
}

/// Every call of a run that keeps something meets `fault`, one call a run (a few of them, unless it is to be long); after each
/// the store is read, and the same command ends with the bits of a run that nothing befell.
fn every_call_meets(fault: &str, is_possible: impl Fn(i32) -> bool) {
    let whole = Folder::new();
    whole.write("long.toml", LONG);
    whole.ask(&[&["run", "long.toml"], &SHORT[..]].concat());
    let expected = weights(&whole);
    let run = whole.json(&["runs", "--json"])[0]["run"].as_str().unwrap().to_string();
    let prepared = ["store.json".to_string(), format!("{run}/plan.toml"), format!("{run}/run.toml")];
    let mut hit = 0;
    for call in KEEPING {
        for nth in (1..).step_by(if times() > 4 { 1 } else { 61 }) {
            let folder = Folder::new();
            folder.write("long.toml", LONG);
            for file in &prepared {
                let file = format!("runs/{file}");
                folder.write(&file, &std::fs::read_to_string(whole.path().join(&file)).unwrap());
            }
            let Some(code) = worker_with(fault, call, nth, &folder, &run) else { return };
            let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
            if !calls.contains("INJECTED") && code != 137 {
                break;
            }
            hit += 1;
            assert!(is_possible(code), "{call} {nth}: exit {code}");
            folder.json(&["runs", "--json"]);
            folder.ask(&[&["run", "long.toml"], &SHORT[..]].concat());
            assert_eq!(weights(&folder), expected, "{call} {nth}");
        }
    }
    assert!(hit >= 4, "{hit} calls only");
    println!("{fault}: {hit} calls");
}

#[test]
fn a_kill_at_any_call_that_keeps_something_loses_nothing() {
    every_call_meets("signal=KILL", |code| code == 137);
}

#[test]
fn an_io_error_at_any_call_that_keeps_something_loses_nothing() {
    every_call_meets("error=EIO", |code| matches!(code, 0 | 1 | 74 | 75));
}
