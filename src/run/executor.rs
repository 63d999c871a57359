//! Does wanted runs on this machine: in worker processes, so many at a time, asking for more when one ends.
//!
//! The executor keeps no state of its own: what is finished is finished in the store, what somebody else works on is
//! waited for, and after any interruption the same call goes on. It restarts nothing by itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::children::{Children, describe};
use super::environment::{cores, free_disk, usable_memory};
use super::folder::{LOG, Run, Site, State};
use super::lease::{LeaseState, LeaseWatcher};
use super::progress::{Display, Show, duration};
use super::stages::{self, TrainedRuns, Trunks};
use super::stop::Stop;
use super::store::{Store, WantedRun, check_name};
use super::worker::Event;
use crate::device;
use crate::error::{Error, Kind, Problem, Result};
use crate::plan::{Extent, Role};

/// Time between two looks at signals and at runs that others work on.
const TICK: Duration = Duration::from_millis(200);
/// Time between two looks at runs that others work on.
const LOOK: Duration = Duration::from_secs(1);
/// With less room on the disk a word is due.
const LITTLE_ROOM: u64 = 1 << 30;
/// The exit code of a worker that found bad data.
const BAD_DATA: i32 = 65;
/// A run that is asked to stop because it takes too long has at most so long for its checkpoint.
const GRACE: Duration = Duration::from_secs(30);

/// Runs plans in worker processes of this machine.
#[derive(Debug, Clone)]
pub struct Executor {
    /// The device that workers compute on: `cpu`, `cuda:0`, ...
    pub device: String,
    /// The site of the runs: kind of device and dtype.
    pub site: Site,
    /// The number of runs at a time, and of threads of each.
    pub share: Share,
    /// The runs that share a process.
    pub processes: Processes,
    /// What the failure of one run means for the others.
    pub on_failure: OnFailure,
    /// Whether runs that diverged before are done again.
    pub diverged: Diverged,
    /// The time limit of a run in this call; a run that exceeds it stops with a checkpoint.
    pub timeout: Option<Duration>,
    /// The memory in bytes that all runs at a time may need together, by their plans; a run that needs more is refused.
    pub memory: Option<u64>,
    /// The program and first arguments of a worker; those of the run follow.
    pub worker: Vec<OsString>,
    /// The progress display.
    pub show: Show,
    /// How much is left to do in all, where `next` plans only a part of it at a time; what it plans counts if that is more.
    pub left: Extent,
}

/// The allocation of the cores of this machine to runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The number of runs at a time; by default as many as there are cores for, on a GPU one.
    pub jobs: Option<usize>,
    /// The threads of each run; by default one, or all cores for a run that is alone.
    pub threads: Option<usize>,
}

/// The runs that share a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// Every run has a process of its own, so that its memory can be told.
    PerRun,
    /// A worker does one run after the other while all goes well: it compiles and tunes its kernels once. A run
    /// that does not finish ends its worker, and the next has a new one.
    Shared,
}

/// What the failure of one run means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The others go on.
    #[default]
    GoOn,
    /// The others stop, with checkpoints.
    Stop,
}

/// What happens to runs that diverged in an earlier call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Diverged {
    /// Diverged runs are left: the same plan would diverge again.
    #[default]
    Keep,
    /// Diverged runs are done again.
    Retry,
}

/// The outcome of the wanted runs.
#[derive(Debug, Default)]
pub struct Summary {
    /// The number of runs that finished in this call, here or in another process.
    pub finished: usize,
    /// The number of runs that had finished before.
    pub skipped: usize,
    /// The runs that failed, in the order in which they ended.
    pub failures: Vec<Failure>,
    /// The number of runs that were stopped on request, or not begun because of it.
    pub stopped: usize,
}

/// A run that is not finished and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The label that progress shows.
    pub label: String,
    /// The folder of the run, if it has one.
    pub folder: Option<String>,
    /// The role of the run.
    pub role: Role,
    /// The state of the run.
    pub state: State,
    /// Whether it was bad data that ended it in this call: a changed plan or file, something foreign in its folder.
    pub is_bad_data: bool,
}

impl Share {
    /// Runs at a time and threads of each, on a machine with so many cores.
    pub fn resolve(self, site: &Site, cores: usize) -> (usize, usize) {
        let threads = self.threads.map(|threads| threads.max(1));
        let jobs = self.jobs.map(|jobs| jobs.max(1)).unwrap_or_else(|| match site.device.as_str() {
            "cpu" => (cores / threads.unwrap_or(1)).max(1),
            _ => 1,
        });
        (jobs, threads.unwrap_or_else(|| (cores / jobs).max(1)))
    }
}

impl Processes {
    /// The default for a device: only on the CPU are there no kernels to compile.
    pub fn on(device: &str) -> Self {
        // Elsewhere than on Unix a process cannot turn its error stream to the log of its next run.
        if cfg!(unix) && device::kind(device) != "cpu" { Processes::Shared } else { Processes::PerRun }
    }
}

impl Summary {
    /// The error that this summary amounts to, if any: a tuning run that diverged is an answer, not a failure.
    ///
    /// # Errors
    /// [`Kind::Stopped`] when something was stopped, [`Kind::RunsFailed`] when something failed, [`Kind::Data`] when bad
    /// data is why nothing at all is finished.
    pub fn check(&self) -> Result<()> {
        let answer = |failure: &&Failure| {
            failure.role != Role::Report && matches!(failure.state, State::Diverged { .. })
        };
        let problems: Vec<_> =
            self.failures.iter().filter(|failure| !answer(failure)).map(Failure::problem).collect();
        if self.stopped > 0 {
            let noun = if self.stopped == 1 { "run" } else { "runs" };
            let left = format!("{} {noun} left", self.stopped);
            let stopped = Problem::new(left).help("the same command continues");
            let problems = std::iter::once(stopped).chain(problems).collect();
            return Err(Error { kind: Kind::Stopped, problems });
        }
        // Nothing came of it: then the reason is the answer, as for one run.
        let is_bad_data = self.finished + self.skipped == 0
            && self.failures.iter().filter(|failure| !answer(failure)).all(|failure| failure.is_bad_data);
        let kind = if is_bad_data { Kind::Data } else { Kind::RunsFailed };
        if problems.is_empty() { Ok(()) } else { Err(Error { kind, problems }) }
    }
}

impl Failure {
    fn problem(&self) -> Problem {
        let cause =
            self.state.cause().map_or_else(String::new, |cause| format!(": {}", cause.replace('\n', "; ")));
        let problem = Problem::new(format!("{} {}{cause}", self.label, self.state.name()));
        match &self.folder {
            Some(folder) => problem.help(format!("its log is {folder}/{LOG}")),
            None => problem,
        }
    }
}

impl Executor {
    /// One run per core of this machine, in processes of this program.
    ///
    /// # Errors
    /// If the path of this program is unknown.
    pub fn new(device: &str, dtype: &str) -> Result<Self> {
        let program = std::env::current_exe().map_err(|e| Error::io("find", "this program", e))?;
        Ok(Executor {
            device: device.to_string(),
            site: Site::of(device, dtype),
            share: Share::default(),
            processes: Processes::on(device),
            on_failure: OnFailure::default(),
            diverged: Diverged::default(),
            timeout: None,
            memory: if device == "cpu" { usable_memory() } else { None },
            worker: vec![program.into(), "worker".into()],
            show: Show::for_stderr(),
            left: Extent::default(),
        })
    }

    /// Does what `next` plans, until it plans nothing new and everything is done.
    ///
    /// `next` is asked at the start and whenever a run has ended; it may name runs that it has named before.
    ///
    /// # Errors
    /// `next` fails, a name is not allowed, or the store cannot be read. Runs that fail are told in the summary.
    pub fn run_all(
        &self,
        store: &Store,
        stop: &Stop,
        next: impl FnMut(&Store) -> Result<Vec<WantedRun>>,
    ) -> Result<Summary> {
        let mut schedule = Schedule::new(self, store, stop)?;
        schedule.warn_of_little_room();
        let done = schedule.run(next);
        if done.is_err() {
            schedule.halt();
        }
        schedule.drain();
        schedule.display.end();
        done.map(|()| schedule.summary)
    }
}

/// The runs of one call.
struct Schedule<'a> {
    executor: &'a Executor,
    store: &'a Store,
    stop: &'a Stop,
    jobs: usize,
    threads: usize,
    /// What was in the store at the start.
    index: HashMap<String, Run>,
    known: HashSet<String>,
    /// Runs that others may wait for and that will not be finished, with their state.
    lost: HashMap<String, State>,
    /// Known runs that are finished.
    finished: HashSet<String>,
    trunks: Trunks,
    /// What was trained before, once somebody has asked.
    trained: Option<TrainedRuns>,
    queue: VecDeque<Queued>,
    children: Children<'a>,
    /// What runs, by the number of its worker.
    active: HashMap<usize, Active>,
    elsewhere: Vec<Elsewhere>,
    looked: Instant,
    halted: bool,
    /// A run has ended since `next` was asked.
    ask: bool,
    display: Display,
    summary: Summary,
}

/// A run that waits for its turn.
struct Queued {
    wanted: WantedRun,
    /// What it begins from, by fingerprint.
    after: Vec<String>,
    /// What was seen of those who work on it.
    watcher: LeaseWatcher,
}

/// A run in a child of this process.
struct Active {
    wanted: WantedRun,
    run: Run,
    last: Option<Event>,
    since: Instant,
    /// When it was asked to stop because it takes too long.
    overdue: Option<Instant>,
}

/// A run that somebody else works on.
struct Elsewhere {
    wanted: WantedRun,
    run: Run,
    watcher: LeaseWatcher,
}

impl<'a> Schedule<'a> {
    fn new(executor: &'a Executor, store: &'a Store, stop: &'a Stop) -> Result<Self> {
        let (jobs, threads) = executor.share.resolve(&executor.site, cores());
        Ok(Schedule {
            executor,
            store,
            stop,
            jobs,
            threads,
            index: store.index(&executor.site)?,
            known: HashSet::new(),
            lost: HashMap::new(),
            finished: HashSet::new(),
            trunks: Trunks::default(),
            trained: None,
            queue: VecDeque::new(),
            children: Children::new(executor, store.path()),
            active: HashMap::new(),
            elsewhere: Vec::new(),
            looked: Instant::now(),
            halted: false,
            ask: true,
            display: Display::new(executor.show, executor.left),
            summary: Summary::default(),
        })
    }

    fn warn_of_little_room(&mut self) {
        if let Some(free) = free_disk(self.store.path()).filter(|&free| free < LITTLE_ROOM) {
            let path = self.store.path().display();
            self.display.says(&format!("{} left on the disk of {path}", indicatif::HumanBytes(free)));
        }
    }

    fn run(&mut self, mut next: impl FnMut(&Store) -> Result<Vec<WantedRun>>) -> Result<()> {
        loop {
            if self.stop.is_requested() {
                self.halt();
            }
            while self.ask && !self.halted {
                self.take_in(next(self.store)?)?;
            }
            while !self.halted && self.active.len() < self.jobs && self.start_next() {}
            // What is still queued with nothing under way begins from a run that was stopped.
            let waiting = !self.elsewhere.is_empty() || self.ask;
            if self.halted || self.active.is_empty() {
                self.children.dismiss_idle();
            }
            if self.active.is_empty() && (self.halted || !waiting) {
                // What would have followed from the last runs is left too.
                let asks = self.ask && self.stop.is_requested();
                let following = if asks { self.unknown(next(self.store)?) } else { 0 };
                self.summary.stopped += self.queue.len() + self.elsewhere.len() + following;
                return Ok(());
            }
            self.listen();
            self.end_overdue();
            self.look_elsewhere()?;
            self.display.tick();
        }
    }

    /// How many of these runs were never heard of.
    fn unknown(&self, wanted: Vec<WantedRun>) -> usize {
        wanted.iter().filter(|wanted| !self.known.contains(&wanted.fingerprint)).count()
    }

    /// Queues what is new and not done; asks again at once if nothing of what is new is left to do.
    fn take_in(&mut self, wanted: Vec<WantedRun>) -> Result<()> {
        let known = self.known.len();
        wanted.into_iter().try_for_each(|wanted| self.enqueue(wanted))?;
        for queued in &mut self.queue {
            queued.wanted.trunk = self.trunks.before(&queued.wanted.fingerprint).map(str::to_string);
        }
        self.ask = self.known.len() > known && self.queue.is_empty();
        Ok(())
    }

    /// Queues a run that is new and not done, behind those that it begins from.
    fn enqueue(&mut self, mut wanted: WantedRun) -> Result<()> {
        check_name(&wanted.name)?;
        if !self.known.insert(wanted.fingerprint.clone()) {
            return Ok(());
        }
        self.trunks.note(&wanted)?;
        let before = wanted.fingerprint.get(..16).and_then(|short| self.index.get(short));
        match before.map(Run::state).transpose() {
            Ok(Some(State::Finished)) => {
                self.summary.skipped += 1;
                self.finished.insert(wanted.fingerprint);
            }
            Ok(Some(state @ State::Diverged { .. })) if self.executor.diverged == Diverged::Keep => {
                let folder = before.map(|run| run.path().display().to_string());
                self.fail(&wanted, folder, state, false);
            }
            // What is sealed and not this run is no reason to do it again.
            Err(error) if before.is_some_and(Run::is_finished) => return Err(error),
            // A status that cannot be read is made anew when the run starts.
            Ok(_) | Err(_) => {
                before.map_or(Ok(()), |run| run.refuse_other_plan(&wanted))?;
                self.find_weights(&mut wanted)?;
                let parents = match wanted.weights {
                    None => stages::parents(&wanted)?,
                    Some(_) => Vec::new(),
                };
                let after = parents.iter().map(|parent| parent.fingerprint.clone()).collect();
                parents.into_iter().try_for_each(|parent| self.enqueue(parent))?;
                self.refuse_too_large(&wanted)?;
                self.display.plans(wanted.flops);
                self.queue.push_back(Queued { wanted, after, watcher: LeaseWatcher::default() });
            }
        }
        Ok(())
    }

    /// Notes the run that differs from a wanted one only in what is measured: its weights are read again, and nothing is
    /// trained.
    fn find_weights(&mut self, wanted: &mut WantedRun) -> Result<()> {
        let trained = match &mut self.trained {
            Some(trained) => trained,
            none => none.insert(TrainedRuns::of(self.store, &self.executor.site)?),
        };
        if let Some(run) = trained.find(wanted)? {
            self.display.says(&format!("{}: measured anew on the weights of {}", wanted.label, run.folder()));
            wanted.weights = Some(run.header()?.fingerprint);
            wanted.flops = 0.0;
        }
        Ok(())
    }

    /// A run that would not fit this machine alone is refused before anything starts.
    fn refuse_too_large(&self, wanted: &WantedRun) -> Result<()> {
        match self.executor.memory {
            Some(memory) if wanted.peak_bytes > memory => {
                let bytes = indicatif::HumanBytes;
                let found = format!("{} needs about {} of memory", wanted.label, bytes(wanted.peak_bytes));
                let expected = format!("at most {}, nine tenths of this machine's", bytes(memory));
                let smaller = match wanted.plan.rows_that_fit(memory)? {
                    Some(rows) => format!("training.micro_batch = {rows}"),
                    None => "a smaller model".to_string(),
                };
                let problem = Problem::new(found).expected(expected);
                Err(Error::config(problem.help(format!("{smaller}; --force begins it anyway"))))
            }
            _ => Ok(()),
        }
    }

    /// Whether a run fits beside those that run now.
    fn fits(&self, wanted: &WantedRun) -> bool {
        let now: u64 = self.active.values().map(|active| active.wanted.peak_bytes).sum();
        let is_room = |memory: u64| now.saturating_add(wanted.peak_bytes) <= memory;
        self.active.is_empty() || self.executor.memory.is_none_or(is_room)
    }

    /// Whether all that a run begins from is there, or will never be.
    fn is_ready(&self, queued: &Queued) -> bool {
        let settled = |parent: &String| {
            self.finished.contains(parent) || self.lost.contains_key(parent) || !self.known.contains(parent)
        };
        queued.after.iter().chain(&queued.wanted.trunk).all(settled)
    }

    /// Starts a run; false when there is none to start.
    fn start_next(&mut self) -> bool {
        let Some(place) =
            self.queue.iter().position(|queued| self.is_ready(queued) && self.fits(&queued.wanted))
        else {
            return false;
        };
        let Some(Queued { wanted, after, watcher }) = self.queue.remove(place) else { return false };
        if let Some(state) = after.iter().find_map(|parent| self.lost.get(parent)).cloned() {
            self.lose(&wanted, &state);
            return true;
        }
        let alone = self.active.is_empty() && !self.queue.iter().any(|queued| self.is_ready(queued));
        if let Err(error) = self.start(&wanted, watcher, alone) {
            self.display.ends(&wanted, "failed", Some(&error.to_string()));
            let is_bad_data = error.kind == Kind::Data;
            self.fail(&wanted, None, State::Failed { cause: error.to_string() }, is_bad_data);
        }
        true
    }

    /// A run that cannot begin, because what it begins from ended like this.
    fn lose(&mut self, wanted: &WantedRun, parent: &State) {
        let cause = format!("what it begins from {}: {}", parent.name(), parent.cause().unwrap_or_default());
        let state = match parent {
            State::Diverged { .. } => State::Diverged { cause },
            _ => State::Failed { cause },
        };
        let noted = self.store.prepare(wanted, &self.executor.site);
        let noted = noted.and_then(|run| run.set_state(&state).map(|()| run));
        self.display.ends(wanted, state.name(), state.cause());
        self.fail(wanted, noted.ok().map(|run| run.path().display().to_string()), state, false);
    }

    fn start(&mut self, wanted: &WantedRun, mut watcher: LeaseWatcher, alone: bool) -> Result<()> {
        let run = self.store.prepare(wanted, &self.executor.site)?;
        wanted.weights.iter().try_for_each(|weights| run.note_weights(weights))?;
        if let LeaseState::Held(holder) = watcher.look(run.path())? {
            self.display.says(&format!("{}: {} works on it", wanted.label, holder.name()));
            self.elsewhere.push(Elsewhere { wanted: wanted.clone(), run, watcher });
            return Ok(());
        }
        let own_threads =
            if alone && self.executor.share == Share::default() { cores() } else { self.threads };
        let id = self.children.begin(&run, watcher.silence(), own_threads)?;
        self.display.starts(id, wanted);
        let (wanted, since) = (wanted.clone(), Instant::now());
        self.active.insert(id, Active { wanted, run, last: None, since, overdue: None });
        Ok(())
    }

    /// Waits a little for words of children.
    fn listen(&mut self) {
        let mut word = self.children.receive(TICK);
        while let Some((id, event)) = word {
            match event {
                Some(event) => self.receive(id, event),
                None => self.conclude(id),
            }
            word = self.children.receive(Duration::ZERO);
        }
    }

    fn receive(&mut self, id: usize, event: Event) {
        let Some(active) = self.active.get_mut(&id) else { return };
        self.display.hears(id, &event);
        if event == Event::Finished {
            let asked_to_stop = self.halted || active.overdue.is_some();
            let is_shared = self.executor.processes == Processes::Shared;
            if is_shared && !asked_to_stop && active.run.is_finished() {
                self.children.rest(id);
                return self.finish(id);
            }
            self.children.dismiss(id);
        }
        active.last = Some(event);
    }

    fn finish(&mut self, id: usize) {
        if let Some(Active { wanted, .. }) = self.active.remove(&id) {
            self.display.leaves(id);
            self.ask = true;
            self.summary.finished += 1;
            self.display.ends(&wanted, "finished", None);
            self.finished.insert(wanted.fingerprint);
        }
    }

    /// A child has closed its output: what has become of its run?
    fn conclude(&mut self, id: usize) {
        let (process, status) = self.children.reap(id);
        if self.active.get(&id).is_some_and(|active| active.run.is_finished()) {
            return self.finish(id);
        }
        let Some(Active { wanted, run, last, overdue, .. }) = self.active.remove(&id) else { return };
        self.display.leaves(id);
        self.ask = true;
        match last {
            Some(Event::Held { by }) => {
                self.display.says(&format!("{}: {by} works on it", wanted.label));
                self.elsewhere.push(Elsewhere { wanted, run, watcher: LeaseWatcher::default() });
            }
            Some(Event::Stopped) if overdue.is_none() => {
                self.summary.stopped += 1;
                self.display.ends(&wanted, "stopped", None);
            }
            Some(Event::Diverged { cause }) => {
                self.ended_badly(&wanted, &run, State::Diverged { cause }, false);
            }
            Some(Event::Failed { cause }) => {
                let is_bad_data = status.and_then(|status| status.code()) == Some(BAD_DATA);
                self.ended_badly(&wanted, &run, State::Failed { cause }, is_bad_data);
            }
            _ if overdue.is_some() => {
                let limit = duration(self.executor.timeout.unwrap_or_default().as_secs_f64());
                let cause =
                    format!("took longer than {limit} in one call; it goes on from its last checkpoint");
                self.ended_silently(&wanted, &run, process, cause);
            }
            // The terminal's interrupt ends a worker that does not listen yet.
            None if self.halted || self.stop.is_requested() => {
                self.summary.stopped += 1;
                self.display.ends(&wanted, "stopped", None);
            }
            _ => {
                let cause = describe(status.as_ref(), &run.file(LOG));
                self.ended_silently(&wanted, &run, process, cause);
            }
        }
    }

    /// A run whose worker could not note its end itself; somebody else may have taken it up by now.
    fn ended_silently(&mut self, wanted: &WantedRun, run: &Run, worker: u32, cause: String) {
        let state = State::Failed { cause };
        let noted = LeaseWatcher::default().look(run.path()).and_then(|standing| match standing {
            LeaseState::Held(holder) if !holder.is_here(worker) => Ok(()),
            LeaseState::Held(_) | LeaseState::Free(_) => run.set_state(&state),
        });
        if let Err(error) = noted {
            self.display.says(&error.to_string());
        }
        self.ended_badly(wanted, run, state, false);
    }

    fn ended_badly(&mut self, wanted: &WantedRun, run: &Run, state: State, is_bad_data: bool) {
        self.display.ends(wanted, state.name(), state.cause());
        self.fail(wanted, Some(run.path().display().to_string()), state, is_bad_data);
    }

    fn fail(&mut self, wanted: &WantedRun, folder: Option<String>, state: State, is_bad_data: bool) {
        self.lost.insert(wanted.fingerprint.clone(), state.clone());
        let (label, role) = (wanted.label.clone(), wanted.role);
        let failure = Failure { label, folder, role, state, is_bad_data };
        self.summary.failures.push(failure);
        self.ask = true;
        if self.executor.on_failure == OnFailure::Stop {
            self.halt();
        }
    }

    /// Looks after runs that others work on.
    fn look_elsewhere(&mut self) -> Result<()> {
        if self.elsewhere.is_empty() || self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        for mut other in std::mem::take(&mut self.elsewhere) {
            if other.run.is_finished() {
                self.summary.finished += 1;
                self.ask = true;
                self.display.ends(&other.wanted, "finished elsewhere", None);
                self.finished.insert(other.wanted.fingerprint);
            } else if matches!(other.watcher.look(other.run.path())?, LeaseState::Held(_)) {
                self.elsewhere.push(other);
            } else {
                match other.run.state() {
                    Ok(state @ (State::Failed { .. } | State::Diverged { .. })) => {
                        self.ended_badly(&other.wanted, &other.run, state, false);
                    }
                    Ok(State::Waiting | State::Running | State::Stopped | State::Finished) | Err(_) => {
                        // The one that saw its owner fall silent: another would have to wait as long again.
                        let Elsewhere { wanted, watcher, .. } = other;
                        self.queue.push_back(Queued { wanted, after: Vec::new(), watcher });
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks runs that take too long for a checkpoint and their end, and ends those that do not answer.
    fn end_overdue(&mut self) {
        let Some(limit) = self.executor.timeout else { return };
        for (&id, active) in &mut self.active {
            match active.overdue {
                None if active.since.elapsed() >= limit => {
                    active.overdue = Some(Instant::now());
                    self.children.stop(id);
                }
                Some(asked) if asked.elapsed() >= limit.min(GRACE) => self.children.kill(id),
                _ => {}
            }
        }
    }

    /// Starts nothing more, and asks the children to stop.
    fn halt(&mut self) {
        if std::mem::replace(&mut self.halted, true) {
            return;
        }
        if !self.active.is_empty() {
            self.display.says("stopping: waiting for checkpoints (once more to end at once)");
        }
        self.active.keys().for_each(|&id| self.children.stop(id));
    }

    /// Waits for the end of all children.
    fn drain(&mut self) {
        self.children.dismiss_idle();
        while !self.children.is_empty() {
            self.listen();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_out() {
        let (cpu, gpu) = (Site::of("cpu", "f32"), Site::of("cuda:0", "f32"));
        let share = |jobs, threads| Share { jobs, threads };
        assert_eq!(share(None, None).resolve(&cpu, 8), (8, 1));
        assert_eq!(share(None, Some(3)).resolve(&cpu, 8), (2, 3));
        assert_eq!(share(Some(2), None).resolve(&cpu, 8), (2, 4));
        assert_eq!(share(Some(16), None).resolve(&cpu, 8), (16, 1));
        assert_eq!(share(None, Some(9)).resolve(&cpu, 8), (1, 9));
        assert_eq!(share(None, None).resolve(&gpu, 8), (1, 8));
    }

    #[test]
    fn a_summary_is_an_error_only_if_a_report_is_missing_something() {
        let failure = |role, state| Failure {
            label: "gated seed 1".to_string(),
            folder: None,
            role,
            state,
            is_bad_data: false,
        };
        let diverged = || State::Diverged { cause: "step 3: the loss is inf".to_string() };
        let mut summary = Summary { failures: vec![failure(Role::Tune, diverged())], ..Summary::default() };
        summary.check().unwrap();
        summary.failures.push(failure(Role::Report, diverged()));
        let error = summary.check().unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert_eq!(error.to_string(), "gated seed 1 diverged: step 3: the loss is inf");
        summary.stopped = 2;
        assert_eq!(summary.check().unwrap_err().exit_code(), 75);
    }
}
