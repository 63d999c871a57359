//! The worker processes of an executor: each does a run, and may stay for the next.
//!
//! A worker says one [`Event`] per line. It hears `stop`, which asks for a checkpoint and its end, and after a run that it
//! has finished the name of another; the end of its input ends it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::environment::settle;
use super::executor::Executor;
use super::folder::Run;
use super::lease::Silence;
use super::worker::{Event, STOP, line};
use crate::error::{Error, Result};

/// So much of the end of a log is searched for its last line.
const LOG_TAIL: i64 = 4096;

/// The worker processes of one call, by number.
pub(super) struct Children<'a> {
    executor: &'a Executor,
    store: &'a Path,
    alive: HashMap<usize, Worker>,
    started: usize,
    words: (Sender<Word>, Receiver<Word>),
}

/// What a worker says; nothing more when its output has ended.
pub(super) type Word = (usize, Option<Event>);

struct Worker {
    process: Child,
    /// Closed when nothing more is wanted of it.
    input: Option<ChildStdin>,
    /// Has finished its run, and waits for another.
    is_idle: bool,
}

impl<'a> Children<'a> {
    pub(super) fn new(executor: &'a Executor, store: &'a Path) -> Self {
        Children { executor, store, alive: HashMap::new(), started: 0, words: channel() }
    }

    /// Whether all have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    /// Has a worker that is idle do `run`, else a new one with so many threads; its number.
    ///
    /// `silence` is a lease of the run that was silent for long enough.
    pub(super) fn begin(&mut self, run: &Run, silence: Option<&Silence>, threads: usize) -> Result<usize> {
        while let Some((&id, worker)) = self.alive.iter_mut().find(|(_, worker)| worker.is_idle) {
            worker.is_idle = false;
            match worker.tell(&line(run.folder(), silence)) {
                Ok(()) => return Ok(id),
                // It has died meanwhile.
                Err(_) => worker.input = None,
            }
        }
        self.start(run, silence, threads)
    }

    fn start(&mut self, run: &Run, silence: Option<&Silence>, threads: usize) -> Result<usize> {
        let mut process =
            self.command(run, silence, threads)?.spawn().map_err(|e| Error::io("start", "a worker", e))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (id, words) = (self.started, self.words.0.clone());
        self.started += 1;
        std::thread::spawn(move || {
            for line in
                output.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(|line| line.ok())
            {
                // What is not an event was printed by something below us.
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = words.send((id, Some(event)));
                }
            }
            let _ = words.send((id, None));
        });
        self.alive.insert(id, Worker { process, input, is_idle: false });
        Ok(id)
    }

    fn command(&self, run: &Run, silence: Option<&Silence>, threads: usize) -> Result<Command> {
        let mut command = Command::new(&self.executor.worker[0]);
        command.args(&self.executor.worker[1..]);
        command.arg("--store").arg(self.store).args(["--run", run.folder(), "--supervised"]);
        command.args(["--device", &self.executor.device]);
        if let Some(silence) = silence {
            command.arg("--silent-lease").arg(silence.to_string());
        }
        settle(&mut command, &self.executor.device, threads);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(run.open_log()?);
        Ok(command)
    }

    /// The next word, waited for so long.
    pub(super) fn receive(&self, wait: Duration) -> Option<Word> {
        self.words.1.recv_timeout(wait).ok()
    }

    /// Keeps a worker that has finished its run for another.
    pub(super) fn rest(&mut self, id: usize) {
        if let Some(worker) = self.alive.get_mut(&id) {
            worker.is_idle = true;
        }
    }

    /// Asks a worker for a checkpoint and its end.
    pub(super) fn stop(&mut self, id: usize) {
        if let Some(worker) = self.alive.get_mut(&id) {
            // A worker that hears no more has ended.
            let _ = worker.tell(STOP);
        }
    }

    /// Ends a worker at once.
    pub(super) fn kill(&mut self, id: usize) {
        if let Some(worker) = self.alive.get_mut(&id) {
            let _ = worker.process.kill();
        }
    }

    /// Has no more runs for a worker that has finished its own.
    pub(super) fn dismiss(&mut self, id: usize) {
        if let Some(worker) = self.alive.get_mut(&id) {
            worker.input = None;
        }
    }

    /// Has no more runs for those that are idle.
    pub(super) fn dismiss_idle(&mut self) {
        for worker in self.alive.values_mut().filter(|worker| worker.is_idle) {
            (worker.input, worker.is_idle) = (None, false);
        }
    }

    /// What a worker was that has closed its output: its process, and how that ended if this is known.
    pub(super) fn reap(&mut self, id: usize) -> (u32, Option<ExitStatus>) {
        let Some(Worker { mut process, input, .. }) = self.alive.remove(&id) else { return (0, None) };
        drop(input);
        (process.id(), process.wait().ok())
    }
}

impl Worker {
    fn tell(&mut self, line: &str) -> io::Result<()> {
        match &mut self.input {
            Some(input) => writeln!(input, "{line}").and_then(|()| input.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Why a child ended without a word.
pub(super) fn describe(status: Option<&ExitStatus>, log: &Path) -> String {
    let how = status.map_or_else(|| "its end is unknown".to_string(), ended);
    match last_line(log) {
        Some(line) => format!("{how}; its log ends with: {line}"),
        None => how,
    }
}

#[cfg(unix)]
fn ended(status: &ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(9) => "killed (signal 9; out of memory?)".to_string(),
        Some(signal) => format!("killed (signal {signal})"),
        None => status.to_string(),
    }
}

#[cfg(not(unix))]
fn ended(status: &ExitStatus) -> String {
    status.to_string()
}

fn last_line(log: &Path) -> Option<String> {
    let mut file = crate::input::open(log).ok()?;
    let length = i64::try_from(file.metadata().ok()?.len()).ok()?;
    file.seek(SeekFrom::End(-length.min(LOG_TAIL))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    tail.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_string())
}
