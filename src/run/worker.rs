//! A run in this process: claim it, do it, say how it goes on standard output, leave it in a state that is true.
//!
//! What is said is one JSON object per line, an [`Event`]. What is heard, when somebody supervises, comes on standard
//! input: `stop` asks for a checkpoint and an end; the end of the input means that the supervisor is gone, which asks
//! for the same, or, after `stop`, for an end at once. After a run that is finished, and after no other, another name is
//! waited for and that run done, so that kernels are compiled and tuned once for many runs.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::environment::{forget_peak, peak_bytes};
#[cfg(unix)]
use super::folder::LOG;
use super::folder::{METRICS, Run, State};
use super::lease::{BEAT, Lease, LeaseClaim, LeaseWatcher, Silence};
use super::metrics::{self, Writer};
use super::record::{Environment, RunRecord, TrainingSummary};
use super::stages::{self, Stage};
use super::stop::{INTERRUPTED, Stop};
use super::store::Store;
use crate::error::{Error, Kind, Problem, Result, variable};
use crate::measure::Measurements;
use crate::model::ParamCount;
use crate::plan::Plan;
use crate::training::{Control, Metrics, Observer, Progress};
use crate::visible;

/// The word on standard input that asks for a checkpoint and an end.
pub const STOP: &str = "stop";
/// Time between two words about progress.
const TELL: Duration = Duration::from_millis(500);
/// Checkpoints are at least so far apart, unless [`CHECKPOINT_VARIABLE`] says otherwise.
const CHECKPOINT: Duration = Duration::from_secs(60);
/// Environment variable: seconds between two checkpoints, whatever saving costs; it changes no result.
pub const CHECKPOINT_VARIABLE: &str = "ZOO_CHECKPOINT_SECONDS";
/// The longest time that the variable may say, in seconds.
const MAX_INTERVAL: f64 = 1e9;
/// And so far apart that saving takes at most one part in so many.
const SAVING_SHARE: u32 = 50;
/// Version of the format of a [`RunRecord`].
const FORMAT: u32 = 2;

/// What a worker is told to do.
#[derive(Debug, Clone)]
pub struct WorkerArgs {
    /// The store.
    pub store: PathBuf,
    /// Name of the folder in it of the run that is done first.
    pub run: String,
    /// A lease of it that was seen silent for so long that it counts no more.
    pub silence: Option<Silence>,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// The supervision of the worker.
    pub supervision: Supervision,
}

/// The supervision of a worker, by another process or by none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// Nobody: standard input says nothing.
    Alone,
    /// Whoever holds the other end of standard input.
    Pipe,
}

/// What the job of a worker gets.
#[derive(Debug)]
pub struct Task {
    /// The folder to work in.
    pub run: Run,
    /// What to do.
    pub plan: Plan,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// The runs that it begins from.
    pub stages: Vec<Stage>,
    /// The run whose weights are read again: nothing is trained.
    pub weights: Option<Run>,
}

impl Task {
    fn environment(&self) -> Environment {
        let weights_of = self.weights.as_ref().map(|run| run.folder().to_string());
        Environment { weights_of, ..Environment::computing(&self.device, self.plan.training.precision) }
    }
}

/// How a job ended, if not in an error.
#[derive(Debug)]
pub enum Outcome {
    /// Trained and measured; the weights are in the folder.
    Finished(Box<Results>),
    /// Stopped on request, with a checkpoint.
    Stopped,
    /// Loss or gradients were not finite.
    Diverged {
        /// Where and what.
        cause: String,
    },
}

/// What a finished job knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Counts of the model.
    pub params: ParamCount,
    /// What training cost; the worker knows `elapsed` and `peak_bytes` better.
    pub training: TrainingSummary,
    /// What was measured.
    pub measurements: Measurements,
}

/// One line of what a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Training starts, or goes on after a checkpoint.
    Started {
        /// Steps done before.
        step: u64,
        /// Steps in all.
        steps: u64,
    },
    /// Training goes on.
    Progress {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Tokens read.
        tokens: u64,
        /// Seconds of training so far, of all sessions.
        seconds: f64,
        /// Loss of the last step in nats per token; absent if it is not finite.
        loss: Option<f64>,
        /// Bits per parameter at the last look at the model, on a few people; absent before, and without facts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bits_per_param: Option<f64>,
    },
    /// A checkpoint was made.
    Checkpoint {
        /// Steps done.
        step: u64,
    },
    /// Training is over, the measurements begin.
    Measuring,
    /// Something is wrong that does not end the run.
    Warning {
        /// What.
        message: String,
    },
    /// The run is done, measured and sealed.
    Finished,
    /// The run was stopped on request.
    Stopped,
    /// Another process works on the run.
    Held {
        /// The process that holds the run.
        by: String,
    },
    /// Loss or gradients were not finite.
    Diverged {
        /// Where and what.
        cause: String,
    },
    /// The run cannot be done.
    Failed {
        /// Why.
        cause: String,
    },
}

impl Event {
    /// Whether it is the last word on a run.
    pub fn is_end(&self) -> bool {
        match self {
            Event::Started { .. } | Event::Progress { .. } | Event::Checkpoint { .. } => false,
            Event::Measuring | Event::Warning { .. } => false,
            Event::Finished | Event::Stopped | Event::Held { .. } => true,
            Event::Diverged { .. } | Event::Failed { .. } => true,
        }
    }
}

/// Does the run that `order` names with `job`, and those that the supervisor names then; returns the exit code of the
/// process.
///
/// The code is 0 for runs that are finished, 75 for one that can be resumed, and else the code of what went wrong.
pub fn work(order: &WorkerArgs, stop: &Stop, job: impl Fn(&Task, &mut Watch) -> Result<Outcome>) -> u8 {
    let events = EventWriter { stop: stop.clone() };
    let names = match order.supervision {
        Supervision::Alone => None,
        Supervision::Pipe => Some(listen(stop.clone())),
    };
    let mut order = order.clone();
    loop {
        let code = work_once(&order, &events, &job);
        let next = names.as_ref().filter(|_| code == 0).and_then(|names| names.recv().ok());
        let Some(line) = next else { return code };
        (order.run, order.silence) = named(&line);
    }
}

/// What names a run and, behind a space, its lease that was seen silent.
pub(super) fn line(run: &str, silence: Option<&Silence>) -> String {
    silence.map_or_else(|| run.to_string(), |silence| format!("{run} {silence}"))
}

fn named(line: &str) -> (String, Option<Silence>) {
    let (run, silence) = line.split_once(' ').unwrap_or((line, ""));
    (run.to_string(), silence.parse().ok())
}

fn work_once(
    order: &WorkerArgs,
    events: &EventWriter,
    job: impl Fn(&Task, &mut Watch) -> Result<Outcome>,
) -> u8 {
    match claimed(order, events, job) {
        Ok((event, code)) => {
            events.say(&event);
            code
        }
        Err(error) => {
            log(&error);
            match error.kind {
                Kind::Stopped => events.say(&Event::Stopped),
                _ => events.say(&Event::Failed { cause: error.to_string() }),
            }
            error.exit_code()
        }
    }
}

/// Claims the run, does it, and notes in the folder how it ended.
fn claimed(
    order: &WorkerArgs,
    events: &EventWriter,
    job: impl Fn(&Task, &mut Watch) -> Result<Outcome>,
) -> Result<(Event, u8)> {
    let since = Instant::now();
    let store = Store::open(&order.store)?;
    let run = store.run(&order.run)?;
    if order.supervision == Supervision::Pipe {
        log_to(&run)?;
        forget_peak();
    }
    if run.is_finished() {
        return Ok((Event::Finished, 0));
    }
    let lease = match Lease::claim(run.path(), BEAT, LeaseWatcher::told(order.silence.clone()))? {
        LeaseClaim::Mine(lease) => lease,
        LeaseClaim::Held(holder) => return Ok((Event::Held { by: holder.name() }, RESUMABLE)),
    };
    if run.is_finished() {
        return Ok((Event::Finished, 0));
    }
    let plan = run.plan_and_data()?;
    let weights = stages::weights(&store, &run, &plan)?;
    let stages = match weights {
        None => stages::find(&store, &run, &plan)?,
        Some(_) => Vec::new(),
    };
    let task = Task { plan, run, device: order.device.clone(), stages, weights };
    task.run.set_state(&State::Running)?;
    task.run.set_environment(&task.environment())?;
    let mut watch = Watch::new(&task.run, lease, events.clone());
    let outcome = catch_unwind(AssertUnwindSafe(|| job(&task, &mut watch)));
    // Whoever lost the run says nothing about it any more.
    watch.lease.check()?;
    let elapsed = watch.is_whole().then(|| since.elapsed());
    let (state, event, code) = conclude(&task, outcome, elapsed);
    // On a full disk the state cannot be noted, but what went wrong can still be said.
    if state != State::Finished
        && let Err(error) = task.run.set_state(&state)
    {
        log(&error);
    }
    Ok((event, code))
}

const RESUMABLE: u8 = 75;

/// What is said and noted of a job that ended in this way.
fn conclude(
    task: &Task,
    outcome: std::thread::Result<Result<Outcome>>,
    elapsed: Option<Duration>,
) -> (State, Event, u8) {
    let failed =
        |cause: String, code| (State::Failed { cause: cause.clone() }, Event::Failed { cause }, code);
    match outcome {
        Ok(Ok(Outcome::Finished(results))) => match finish(task, *results, elapsed) {
            Ok(()) => (State::Finished, Event::Finished, 0),
            Err(error) => failed(error.to_string(), error.exit_code()),
        },
        Ok(Ok(Outcome::Stopped)) => (State::Stopped, Event::Stopped, RESUMABLE),
        Ok(Ok(Outcome::Diverged { cause })) => {
            (State::Diverged { cause: cause.clone() }, Event::Diverged { cause }, 1)
        }
        Ok(Err(error)) if error.kind == Kind::Stopped => (State::Stopped, Event::Stopped, RESUMABLE),
        Ok(Err(error)) => failed(error.to_string(), error.exit_code()),
        Err(panic) => failed(format!("panic: {}", message_of(panic.as_ref())), 1),
    }
}

fn finish(task: &Task, results: Results, elapsed: Option<Duration>) -> Result<()> {
    let mut training = results.training;
    training.elapsed = elapsed.map(|elapsed| elapsed.as_secs_f64());
    training.peak_bytes = training.peak_bytes.max(peak_bytes().unwrap_or(0));
    // What was trained is what is sealed, and what it was trained on is still what it was.
    task.run.plan_and_data()?;
    task.run.finish(&RunRecord {
        format: FORMAT,
        fingerprint: task.run.header()?.fingerprint,
        plan: task.plan.clone(),
        environment: task.environment(),
        params: results.params,
        training,
        measurements: results.measurements,
    })
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Writes to the error stream, which is the run's log under an executor; a log that cannot be written ends nothing.
fn log(error: &Error) {
    let _ = writeln!(io::stderr(), "{error}");
}

/// Turns the error stream to the log of `run`.
#[cfg(unix)]
fn log_to(run: &Run) -> Result<()> {
    let failed = |e: rustix::io::Errno| Error::io("write to", run.file(LOG), e.into());
    rustix::stdio::dup2_stderr(run.open_log()?).map_err(failed)
}

/// The error stream is what it was at the start: the log of the one run of this process.
#[cfg(not(unix))]
fn log_to(_run: &Run) -> Result<()> {
    Ok(())
}

/// Heeds the supervisor. What it names comes out here, and no more after a request to stop.
fn listen(stop: Stop) -> Receiver<String> {
    let (names, named) = channel();
    std::thread::spawn(move || {
        let mut names = Some(names);
        for line in io::stdin().lines().map_while(|line| line.ok()) {
            if line == STOP {
                names = None;
                stop.request();
            } else if let Some(names) = &names {
                // Nobody waits for a name in a process that ends.
                let _ = names.send(line);
            }
        }
        if names.is_none() {
            std::process::exit(INTERRUPTED.into());
        }
        stop.request();
    });
    named
}

/// Says events.
#[derive(Debug, Clone)]
struct EventWriter {
    stop: Stop,
}

impl EventWriter {
    /// A worker that nobody hears stops.
    fn say(&self, event: &Event) {
        let line = serde_json::to_string(event).expect("an event is strings and finite numbers");
        let mut out = io::stdout().lock();
        if writeln!(out, "{}", visible::text(&line)).and_then(|()| out.flush()).is_err() {
            self.stop.request();
        }
    }
}

/// Watches training for the worker: metrics, events, checkpoints in good time, and the lease before anything is kept.
#[derive(Debug)]
pub struct Watch {
    metrics: PathBuf,
    lease: Lease,
    events: EventWriter,
    writer: Option<Writer>,
    told: Option<Instant>,
    /// Bits per parameter at the last look.
    probed: Option<f64>,
    /// Steps that others had done before.
    inherited: u64,
    pace: Pace,
}

impl Watch {
    fn new(run: &Run, lease: Lease, events: EventWriter) -> Self {
        let metrics = run.file(METRICS);
        Watch {
            metrics,
            lease,
            events,
            writer: None,
            told: None,
            probed: None,
            inherited: 0,
            pace: Pace::new(Instant::now()),
        }
    }

    /// Says that training is over. Measuring hears no request to stop, so that one is heeded before it.
    ///
    /// # Errors
    /// [`Kind::Stopped`] when somebody asked to stop or has taken the run over.
    pub fn measures(&mut self) -> Result<()> {
        self.owns()?;
        if self.events.stop.is_requested() {
            return Err(Error::new(Kind::Stopped, Problem::new("asked to stop before measuring")));
        }
        self.events.say(&Event::Measuring);
        Ok(())
    }

    /// Whether all steps were done here.
    fn is_whole(&self) -> bool {
        self.inherited == 0
    }

    fn warn(&self, error: &Error) {
        log(error);
        self.events.say(&Event::Warning { message: error.to_string() });
    }

    /// The run must still be ours: asked before results are kept.
    ///
    /// # Errors
    /// [`Kind::Stopped`] when somebody has taken the run over.
    pub fn owns(&self) -> Result<()> {
        self.lease.check()
    }
}

impl Observer for Watch {
    fn starts(&mut self, step: u64, steps: u64) -> Result<()> {
        self.lease.check()?;
        let (writer, mut notes) = Writer::resume(&self.metrics, step)?;
        notes.extend(metrics::gap(&self.metrics, step, steps)?);
        notes.iter().for_each(|note| self.warn(note));
        self.writer = Some(writer);
        self.pace = Pace::new(Instant::now());
        self.inherited = step;
        self.events.say(&Event::Started { step, steps });
        Ok(())
    }

    fn stepped(&mut self, progress: &Progress) -> Result<Control> {
        self.lease.check_when_doubtful()?;
        let now = Instant::now();
        if self.told.is_none_or(|told| now - told >= TELL) || progress.step == progress.steps {
            self.told = Some(now);
            self.events.say(&told(progress, self.probed));
        }
        Ok(if self.events.stop.is_requested() {
            Control::Stop
        } else if progress.step < progress.steps && self.pace.is_due(now) {
            Control::Checkpoint
        } else {
            Control::Continue
        })
    }

    fn metrics(&mut self, metrics: &Metrics) -> Result<()> {
        self.lease.check_when_doubtful()?;
        self.probed = metrics.probe.or(self.probed).filter(|bits| bits.is_finite());
        self.writer.as_mut().map_or(Ok(()), |writer| writer.add(metrics))
    }

    fn commits(&mut self, step: u64) -> Result<()> {
        self.writer.as_ref().map_or(Ok(()), Writer::sync)?;
        self.lease.check()?;
        self.pace.saved(Instant::now());
        self.events.say(&Event::Checkpoint { step });
        Ok(())
    }

    fn warns(&mut self, error: &Error) {
        self.warn(error);
    }
}

/// The word about progress.
fn told(progress: &Progress, bits_per_param: Option<f64>) -> Event {
    let &Progress { step, steps, tokens, seconds, loss } = progress;
    let loss = Some(loss).filter(|loss| loss.is_finite());
    Event::Progress { step, steps, tokens, seconds, loss, bits_per_param }
}

/// The time between two checkpoints that [`CHECKPOINT_VARIABLE`] says.
///
/// # Errors
/// It says something else.
pub fn checkpoint_interval() -> Result<Option<Duration>> {
    let Some(said) = variable(CHECKPOINT_VARIABLE)? else { return Ok(None) };
    let seconds = said.parse().ok().filter(|seconds| (0.0..=MAX_INTERVAL).contains(seconds));
    seconds.map(Duration::from_secs_f64).map(Some).ok_or_else(|| {
        let problem = Problem::new(format!("{said:?}")).key(CHECKPOINT_VARIABLE);
        Error::config(problem.expected(format!("seconds from 0 to {MAX_INTERVAL:e}")))
    })
}

/// When the next checkpoint is due: never so often that saving takes more than its share.
#[derive(Debug)]
struct Pace {
    due: Instant,
    asked: Option<Instant>,
    interval: Option<Duration>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        let interval = checkpoint_interval().unwrap_or_default();
        Pace { due: now + interval.unwrap_or(CHECKPOINT), asked: None, interval }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.due;
        if due {
            self.asked = Some(now);
        }
        due
    }

    fn saved(&mut self, now: Instant) {
        let cost = self.asked.take().map_or(Duration::ZERO, |asked| now - asked);
        self.due = now + self.interval.unwrap_or(CHECKPOINT.max(cost * SAVING_SHARE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_take_at_most_a_fiftieth_of_the_time() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(!pace.is_due(start + CHECKPOINT / 2));
        assert!(pace.is_due(start + CHECKPOINT));
        let saved = start + CHECKPOINT + Duration::from_secs(3);
        pace.saved(saved);
        assert!(!pace.is_due(saved + Duration::from_secs(149)));
        assert!(pace.is_due(saved + Duration::from_secs(150)));
    }

    #[test]
    fn an_event_is_one_line_that_reads_back() {
        let progress = Progress { step: 3, steps: 7, tokens: 11, seconds: 0.5, loss: f64::NAN };
        let event = told(&progress, None);
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with("{\"event\":\"progress\",\"step\":3") && !line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        let cause = "two\nlines".to_string();
        assert!(!serde_json::to_string(&Event::Failed { cause }).unwrap().contains('\n'));
    }
}
