//! Runs in processes of their own: resume after kills, signals, failures, two executors on one store, damage.
//!
//! The processes are this very test binary, started again at [`worker_entry`] or [`executor_entry`]: everything around
//! training is the real thing, and training itself is a sum that is quick, and wrong if a step is lost or done twice.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ablation_zoo::Result;
use ablation_zoo::measure::Measurements;
use ablation_zoo::model::ParamCount;
use ablation_zoo::plan::{Fingerprint, Plan, Presets, Request, resolve_single};
use ablation_zoo::run::executor::{Diverged, OnFailure, Processes, Share, Summary};
use ablation_zoo::run::folder::{CHECKPOINTS, LOG, MEASUREMENTS, MODEL};
use ablation_zoo::run::gc;
use ablation_zoo::run::progress::Show;
use ablation_zoo::run::worker::{Outcome, Results, Supervision, Task, Watch, WorkerArgs};
use ablation_zoo::run::{
    Environment, Executor, Role, RunRecord, Site, State, Stop, Store, TrainingSummary, WantedRun,
};
use ablation_zoo::training::config::WsdConfig;
use ablation_zoo::training::{Control, Count, Length, Metrics, Observer, Progress, ScheduleConfig, manifest};

/// Steps of a run that is cut; enough for several checkpoints.
const STEPS: u64 = 60;
/// Longer than any process here needs, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

// ---- the job ------------------------------------------------------------------------------------------------------

/// What a run does beside counting; its arm says so.
const KINDS: [&str; 9] =
    ["plain", "slow", "panics", "diverges", "aborts", "fails", "hangs", "stops", "lingers"];
/// How long a run that lingers does nothing before it measures, and after.
const LINGER: Duration = Duration::from_secs(2);
/// What a run leaves that lingers while it is measured.
const MEASURING: &str = "measuring";
/// What a run says on its error stream, with the number of its process.
const PROCESS: &str = "worked in process ";

/// Sums up `steps` hashed numbers, with a checkpoint every seven steps and whenever it is asked for.
fn job(task: &Task, watch: &mut Watch) -> Result<Outcome> {
    let kind = task.run.header()?.arm;
    eprintln!("{PROCESS}{}", std::process::id());
    let checkpoints = task.run.file(CHECKPOINTS);
    fs::create_dir_all(&checkpoints).unwrap();
    let (mut step, mut sum) = newest(&checkpoints).unwrap_or((0, task.plan.seed));
    watch.starts(step, STEPS)?;
    while step < STEPS {
        match kind.as_str() {
            "slow" => std::thread::sleep(Duration::from_millis(40)),
            "panics" if step == 20 => panic!("the sum is tired"),
            "aborts" if step == 20 => std::process::abort(),
            "stops" if step == 20 => return Ok(Outcome::Stopped),
            "diverges" if step == 20 => {
                return Ok(Outcome::Diverged { cause: "step 21: the loss is inf".into() });
            }
            "fails" if step == 20 => fs::read(task.run.file("absent"))
                .map(drop)
                .map_err(|e| ablation_zoo::Error::io("read", task.run.file("absent"), e))?,
            "hangs" if step == 20 => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
        step += 1;
        sum = sum.wrapping_mul(6364136223846793005).wrapping_add(step);
        let loss = 1.0 / step as f64;
        watch.metrics(&Metrics {
            step,
            tokens: step,
            flops: 1.0,
            seconds: 0.1,
            lr: 0.1,
            loss,
            auxiliary: None,
            grad_norm: 1.0,
            probe: None,
        })?;
        let progress = Progress { step, steps: STEPS, tokens: step, seconds: step as f64, loss };
        let control = watch.stepped(&progress)?;
        if control != Control::Continue || step.is_multiple_of(7) {
            save(&checkpoints, step, sum, watch)?;
        }
        if control == Control::Stop {
            return Ok(Outcome::Stopped);
        }
    }
    if kind == "lingers" {
        std::thread::sleep(LINGER);
    }
    watch.measures()?;
    if kind == "lingers" {
        fs::write(task.run.file(MEASURING), "").unwrap();
        std::thread::sleep(LINGER);
    }
    watch.owns()?;
    fs::write(task.run.file(MODEL), sum.to_string()).unwrap();
    let training = TrainingSummary {
        steps: STEPS,
        tokens: STEPS,
        flops: 1.0,
        seconds: 1.0,
        final_loss: 0.1,
        elapsed: None,
        peak_bytes: 0,
    };
    Ok(Outcome::Finished(Box::new(Results {
        params: params(),
        training,
        measurements: Measurements::default(),
    })))
}

fn save(checkpoints: &Path, step: u64, sum: u64, watch: &mut Watch) -> Result<()> {
    let (hidden, visible) =
        (checkpoints.join(format!(".step-{step:012}.partial")), checkpoints.join(format!("step-{step:012}")));
    let _ = fs::remove_dir_all(&hidden);
    fs::create_dir_all(&hidden).unwrap();
    fs::write(hidden.join("state"), format!("{step} {sum}")).unwrap();
    manifest::seal(&hidden)?;
    watch.commits(step)?;
    let _ = fs::remove_dir_all(&visible);
    fs::rename(hidden, visible).unwrap();
    Ok(())
}

fn newest(checkpoints: &Path) -> Option<(u64, u64)> {
    let folders = fs::read_dir(checkpoints).ok()?.map(|entry| entry.unwrap().path());
    let mut whole: Vec<_> = folders.filter(|path| manifest::verify(path).is_ok()).collect();
    whole.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    whole.sort();
    let text = fs::read_to_string(whole.pop()?.join("state")).unwrap();
    let (step, sum) = text.split_once(' ').unwrap();
    Some((step.parse().unwrap(), sum.parse().unwrap()))
}

/// The sum that a run of this seed ends with if each step is done once.
fn expected(seed: u64) -> String {
    (1..=STEPS).fold(seed, |sum, step| sum.wrapping_mul(6364136223846793005).wrapping_add(step)).to_string()
}

fn params() -> ParamCount {
    ParamCount { total: 11, embedding: 3, active: 7 }
}

// ---- the processes ------------------------------------------------------------------------------------------------

/// Not a test of its own: the process that [`worker`] starts. Without an order it has nothing to do.
#[test]
fn worker_entry() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).map(|at| args[at + 1].clone());
    let (Some(store), Some(run)) = (value("--store"), value("--run")) else { return };
    let supervision =
        if args.iter().any(|arg| arg == "--supervised") { Supervision::Pipe } else { Supervision::Alone };
    let silence = value("--silent-lease").map(|silence| silence.parse().unwrap());
    let order = WorkerArgs { store: store.into(), run, silence, device: "cpu".to_string(), supervision };
    let code = ablation_zoo::run::work(&order, &Stop::on_signals().unwrap(), job);
    std::process::exit(code.into());
}

/// Not a test of its own: an executor in a process, which does ten slow runs of the store in `--executor`.
#[test]
fn executor_entry() {
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "--executor") else { return };
    let store = Store::create(&args[at + 1]).unwrap();
    let processes =
        if args.iter().any(|arg| arg == "--shared") { Processes::Shared } else { Processes::PerRun };
    let summary = Executor { processes, ..executor() }.run_all(
        &store,
        &Stop::on_signals().unwrap(),
        all((0..10).map(|seed| planned("slow", seed)).collect()),
    );
    let code = summary.and_then(|summary| summary.check()).map_or_else(|error| error.exit_code(), |()| 0);
    std::process::exit(code.into());
}

/// This binary, up to where arguments begin that the test harness does not understand.
fn entry(name: &str) -> Vec<OsString> {
    let program = std::env::current_exe().unwrap();
    let args = ["--exact", name, "--nocapture", "--test-threads=2", "--"].map(OsString::from);
    std::iter::once(program.into()).chain(args).collect()
}

fn executor() -> Executor {
    let share = Share { jobs: Some(4), threads: Some(1) };
    Executor {
        worker: entry("run::worker_entry"),
        show: Show::Nothing,
        share,
        ..Executor::new("cpu", "f32").unwrap()
    }
}

/// A worker that nobody supervises.
fn worker(store: &Store, run: &str) -> Child {
    let entry = entry("run::worker_entry");
    let mut command = Command::new(&entry[0]);
    command.args(&entry[1..]).arg("--store").arg(store.path()).args(["--run", run]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    until(|| child.try_wait().unwrap().is_some() || start.elapsed() > PATIENCE);
    child.try_wait().unwrap().unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("process {} does not end", child.id())
    })
}

fn until(mut true_now: impl FnMut() -> bool) {
    let start = Instant::now();
    while !true_now() {
        assert!(start.elapsed() < PATIENCE, "waited for too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

// ---- the store ----------------------------------------------------------------------------------------------------

fn planned(kind: &str, seed: u64) -> WantedRun {
    let mut plan = Plan { seed, ..Plan::default() };
    plan.training.batch += KINDS.iter().position(|known| *known == kind).unwrap();
    let fingerprint = Fingerprint::of(&plan).unwrap().full();
    let (name, label) = (format!("{kind}-{seed}"), format!("{kind} seed {seed}"));
    WantedRun {
        name,
        arm: kind.to_string(),
        label,
        role: Role::Report,
        plan,
        fingerprint,
        flops: 1e6,
        peak_bytes: 0,
        trunk: None,
        weights: None,
    }
}

/// Plans all at once, and nothing later.
fn all(runs: Vec<WantedRun>) -> impl FnMut(&Store) -> Result<Vec<WantedRun>> {
    move |_| Ok(runs.clone())
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("runs")).unwrap();
    (folder, store)
}

fn cpu() -> Site {
    Site::of("cpu", "f32")
}

fn do_all(store: &Store, runs: Vec<WantedRun>) -> Summary {
    executor().run_all(store, &Stop::default(), all(runs)).unwrap()
}

fn assert_done_once(store: &Store, planned: &WantedRun) {
    let run = store.find(&planned.fingerprint, &cpu()).unwrap().unwrap();
    run.verify().unwrap();
    assert_eq!(fs::read_to_string(run.file(MODEL)).unwrap(), expected(planned.plan.seed));
    let history = run.history().unwrap();
    assert_eq!(
        history.lines.iter().map(|line| line.step).collect::<Vec<_>>(),
        (1..=STEPS).collect::<Vec<_>>()
    );
    let record = run.record().unwrap();
    assert_eq!((record.fingerprint, record.plan), (planned.fingerprint.clone(), planned.plan.clone()));
}

// ---- doing runs ---------------------------------------------------------------------------------------------------

#[test]
fn planned_runs_are_done_once_and_not_again() {
    let (_folder, store) = store();
    let runs: Vec<_> = (0..6).map(|seed| planned("plain", seed)).collect();
    let summary = do_all(&store, runs.clone());
    summary.check().unwrap();
    assert_eq!((summary.finished, summary.skipped), (6, 0));
    runs.iter().for_each(|planned| assert_done_once(&store, planned));
    let again = do_all(&store, runs);
    assert_eq!((again.finished, again.skipped), (0, 6));
    assert_eq!(store.finished().unwrap().records.len(), 6);
}

#[test]
fn what_is_planned_may_depend_on_what_is_finished() {
    let (_folder, store) = store();
    let next = |store: &Store| {
        let done = store.finished()?.records.len() as u64;
        Ok((0..(done + 2).min(5)).map(|seed| planned("plain", seed)).collect())
    };
    let summary = executor().run_all(&store, &Stop::default(), next).unwrap();
    assert_eq!(summary.finished, 5);
    // A plan whose first answers are all done goes on to the next.
    let mut batches = vec![vec![planned("plain", 7)], vec![planned("plain", 1)], vec![planned("plain", 0)]];
    let next = |_: &Store| Ok(batches.pop().unwrap_or_default());
    let summary = executor().run_all(&store, &Stop::default(), next).unwrap();
    assert_eq!((summary.finished, summary.skipped), (1, 2));
}

#[test]
fn failures_are_told_apart_and_do_not_stop_the_others() {
    let (_folder, store) = store();
    let runs: Vec<_> = ["panics", "diverges", "aborts", "fails", "plain"].map(|kind| planned(kind, 3)).into();
    let summary = do_all(&store, runs.clone());
    assert_eq!((summary.finished, summary.stopped), (1, 0));
    let error = summary.check().unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    assert!(text.contains("panics seed 3 failed: panic: the sum is tired"), "{text}");
    assert!(text.contains("diverges seed 3 diverged: step 21: the loss is inf"), "{text}");
    assert!(text.contains("aborts seed 3 failed: killed (signal 6)"), "{text}");
    assert!(text.contains("fails seed 3 failed: cannot read"), "{text}");
    let states: Vec<_> = runs
        .iter()
        .map(|planned| store.find(&planned.fingerprint, &cpu()).unwrap().unwrap().state().unwrap())
        .collect();
    assert_eq!(
        states.iter().map(State::name).collect::<Vec<_>>(),
        ["failed", "diverged", "failed", "failed", "finished"]
    );

    // Once more: what diverged is not repeated unless asked for.
    let again = do_all(&store, vec![planned("diverges", 3)]);
    assert_eq!(again.failures[0].state.name(), "diverged");
    let before = store.find(&planned("diverges", 3).fingerprint, &cpu()).unwrap().unwrap();
    fs::remove_file(before.file("status.json")).unwrap();
    before.set_state(&State::Diverged { cause: "long ago".to_string() }).unwrap();
    let retry = Executor { diverged: Diverged::Retry, ..executor() };
    let retried = retry.run_all(&store, &Stop::default(), all(vec![planned("diverges", 3)])).unwrap();
    assert_eq!(retried.failures[0].state.cause(), Some("step 21: the loss is inf"));
}

#[test]
fn a_run_whose_beginning_was_stopped_is_left_and_not_waited_for() {
    let (_folder, store) = store();
    let request =
        Request { model: Some("gpt2"), size: Some("micro"), dataset: Some("biod"), ..Request::default() };
    let mut plan = resolve_single(&Presets::here(), &request).unwrap().plan;
    plan.training.length = Length::Steps(Count { count: STEPS });
    plan.training.order = ablation_zoo::training::DocumentOrder::Epochs;
    plan.training.schedule =
        ScheduleConfig::Wsd(WsdConfig { warmup_steps: 5, cooldown: 0.5, ..WsdConfig::default() });
    let fingerprint = Fingerprint::of(&plan).unwrap().full();
    let summary = do_all(&store, vec![WantedRun { plan, fingerprint, ..planned("stops", 1) }]);
    assert_eq!((summary.finished, summary.failures.len(), summary.stopped), (0, 0, 2));
    assert_eq!(summary.check().unwrap_err().exit_code(), 75);
    assert_eq!(store.runs().unwrap().len(), 1, "only its trunk was begun");
}

#[cfg(unix)]
#[test]
fn a_worker_that_an_interrupt_ends_before_it_listens_has_not_failed() {
    let (_folder, store) = store();
    let stop = Stop::default();
    let deaf =
        Executor { worker: ["sh", "-c", "sleep 1; kill -INT $$"].map(OsString::from).into(), ..executor() };
    let next = |_: &Store| {
        stop.request();
        Ok(vec![planned("plain", 1)])
    };
    let summary = deaf.run_all(&store, &stop, next).unwrap();
    assert_eq!((summary.failures.len(), summary.stopped), (0, 1));
}

#[test]
fn a_run_that_takes_too_long_is_given_up_and_goes_on_later() {
    let (_folder, store) = store();
    let impatient = Executor { timeout: Some(Duration::from_millis(1200)), ..executor() };
    let runs = ["slow", "hangs"].map(|kind| planned(kind, 5)).to_vec();
    let summary = impatient.run_all(&store, &Stop::default(), all(runs.clone())).unwrap();
    assert_eq!((summary.finished, summary.stopped, summary.failures.len()), (0, 0, 2));
    assert_eq!(summary.check().unwrap_err().exit_code(), 1);
    for kind in ["slow", "hangs"] {
        let run = store.find(&planned(kind, 5).fingerprint, &cpu()).unwrap().unwrap();
        let state = run.state().unwrap();
        assert!(
            state.cause().is_some_and(|cause| cause.starts_with("took longer than 1s")),
            "{kind}: {state:?}"
        );
    }
    assert_eq!(do_all(&store, vec![runs[0].clone()]).finished, 1);
    assert_done_once(&store, &runs[0]);
}

#[test]
fn runs_take_turns_for_memory_and_none_may_need_all_of_it() {
    let (_folder, store) = store();
    let small = Executor { memory: Some(100), ..executor() };
    let needs = |bytes: u64| WantedRun { peak_bytes: bytes, ..planned("plain", bytes) };
    let error = small.run_all(&store, &Stop::default(), all(vec![needs(7), needs(101)])).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("plain seed 101 needs about 101 B"), "{error}");
    let summary =
        small.run_all(&store, &Stop::default(), all(vec![needs(60), needs(61), needs(62)])).unwrap();
    assert_eq!(summary.finished, 3);
    // Two that do not fit beside each other were never running at once.
    let span = |bytes: u64| {
        let run = store.find(&needs(bytes).fingerprint, &cpu()).unwrap().unwrap();
        let time = |file: &str| fs::metadata(run.file(file)).unwrap().modified().unwrap();
        (time("plan.toml"), time("manifest.json"))
    };
    let mut spans = [60, 61, 62].map(span);
    spans.sort();
    assert!(spans[0].1 <= spans[1].1 && spans[1].1 <= spans[2].1);
    assert!(spans[1].0 >= spans[0].1 && spans[2].0 >= spans[1].1, "{spans:?}");
}

#[test]
fn a_failure_stops_the_others_if_that_is_asked_for() {
    let (_folder, store) = store();
    let fast = Executor { on_failure: OnFailure::Stop, ..executor() };
    let mut runs: Vec<_> = (0..8).map(|seed| planned("slow", seed)).collect();
    runs.insert(0, planned("panics", 0));
    let summary = fast.run_all(&store, &Stop::default(), all(runs)).unwrap();
    assert_eq!((summary.failures.len(), summary.finished, summary.stopped), (1, 0, 8));
}

#[test]
fn one_run_and_two_workers_make_one_result() {
    let (_folder, store) = store();
    let planned = planned("slow", 5);
    let run = store.prepare(&planned, &cpu()).unwrap();
    let mut workers = [worker(&store, run.folder()), worker(&store, run.folder())];
    let codes: HashSet<_> = workers.each_mut().map(|worker| wait(worker).code().unwrap()).into();
    // The slower one is told that the run is held, or that it is finished.
    assert!(codes.contains(&0) && codes.is_subset(&HashSet::from([0, 75])), "{codes:?}");
    assert_done_once(&store, &planned);
}

#[test]
fn two_executors_share_a_store_and_both_wait_for_everything() {
    let (_folder, store) = store();
    let runs: Vec<_> = (0..12).map(|seed| planned("plain", seed)).collect();
    let work = || do_all(&store, runs.clone());
    let [one, two] = std::thread::scope(|scope| {
        [scope.spawn(work), scope.spawn(work)].map(|thread| thread.join().unwrap())
    });
    for summary in [&one, &two] {
        summary.check().unwrap();
        assert_eq!(summary.finished + summary.skipped, 12);
    }
    runs.iter().for_each(|planned| assert_done_once(&store, planned));
}

// ---- many runs in one process -------------------------------------------------------------------------------------

/// One run at a time, in a worker that stays.
fn sharing() -> Executor {
    let share = Share { jobs: Some(1), threads: Some(1) };
    Executor { processes: Processes::Shared, share, ..executor() }
}

/// The one process that worked on a run, as its log tells.
fn process(store: &Store, planned: &WantedRun) -> String {
    let run = store.find(&planned.fingerprint, &cpu()).unwrap().unwrap();
    let log = fs::read_to_string(run.file(LOG)).unwrap();
    let mut said = log.lines().filter_map(|line| line.strip_prefix(PROCESS));
    let process = said.next().unwrap().to_string();
    assert_eq!(said.next(), None, "{log}");
    process
}

#[test]
fn a_worker_that_stays_does_all_runs_and_writes_to_the_log_of_each() {
    for (executor, processes) in [(sharing(), 1), (Executor { processes: Processes::PerRun, ..sharing() }, 4)]
    {
        let (_folder, store) = store();
        let runs: Vec<_> = (0..4).map(|seed| planned("plain", seed)).collect();
        let summary = executor.run_all(&store, &Stop::default(), all(runs.clone())).unwrap();
        assert_eq!((summary.finished, summary.failures.len()), (4, 0));
        runs.iter().for_each(|planned| assert_done_once(&store, planned));
        let found: HashSet<_> = runs.iter().map(|planned| process(&store, planned)).collect();
        assert_eq!(found.len(), processes);
    }
}

#[test]
fn a_run_that_does_not_finish_ends_its_worker_and_no_other_run() {
    let (_folder, store) = store();
    let bad = ["panics", "diverges", "aborts", "fails"];
    let runs: Vec<_> = (0..4)
        .flat_map(|i| [planned("plain", i), planned(bad[i as usize], i)])
        .chain([planned("plain", 4)])
        .collect();
    let summary = sharing().run_all(&store, &Stop::default(), all(runs.clone())).unwrap();
    assert_eq!((summary.finished, summary.failures.len()), (5, 4));
    let text = summary.check().unwrap_err().to_string();
    assert!(text.contains("aborts seed 2 failed: killed (signal 6)"), "{text}");
    runs.iter().step_by(2).for_each(|planned| assert_done_once(&store, planned));
    let processes: Vec<_> = runs.iter().map(|planned| process(&store, planned)).collect();
    for (i, pair) in processes.windows(2).enumerate() {
        assert_eq!(pair[0] == pair[1], i % 2 == 0, "{i}: {processes:?}");
    }
}

#[test]
fn a_run_that_takes_too_long_takes_no_run_of_its_worker_with_it() {
    let (_folder, store) = store();
    let impatient = Executor { timeout: Some(Duration::from_secs(3)), ..sharing() };
    let runs = [planned("plain", 0), planned("hangs", 0), planned("plain", 1)];
    let summary = impatient.run_all(&store, &Stop::default(), all(runs.to_vec())).unwrap();
    assert_eq!((summary.finished, summary.failures.len()), (2, 1));
    let cause = summary.failures[0].state.cause().unwrap();
    assert!(cause.starts_with("took longer than 3s"), "{cause}");
    let [before, late, after] = runs.map(|planned| process(&store, &planned));
    assert!(before == late && late != after);
}

#[test]
fn a_request_to_stop_between_two_runs_of_a_worker_stops_the_second_with_a_checkpoint() {
    let (_folder, store) = store();
    let runs: Vec<_> = (0..4).map(|seed| planned("slow", seed)).collect();
    let stop = Stop::default();
    // Asked whenever a run has ended, just before the worker is told of the next.
    let next = |store: &Store| {
        if !store.finished()?.records.is_empty() {
            stop.request();
        }
        Ok(runs.clone())
    };
    let summary = sharing().run_all(&store, &stop, next).unwrap();
    assert_eq!((summary.finished, summary.failures.len(), summary.stopped), (1, 0, 3));
    let second = store.find(&runs[1].fingerprint, &cpu()).unwrap().unwrap();
    assert_eq!(second.state().unwrap(), State::Stopped);
    assert!(newest(&second.file(CHECKPOINTS)).is_some_and(|(step, _)| step < STEPS));
    let summary = sharing().run_all(&store, &Stop::default(), all(runs.clone())).unwrap();
    assert_eq!((summary.finished, summary.skipped), (3, 1));
    runs.iter().for_each(|planned| assert_done_once(&store, planned));
}

// ---- kills and signals --------------------------------------------------------------------------------------------

#[test]
fn a_run_that_is_killed_at_any_moment_ends_as_if_it_had_not_been() {
    let (_folder, store) = store();
    let planned = planned("slow", 11);
    let run = store.prepare(&planned, &cpu()).unwrap();
    let mut kills = 0;
    for round in 0..40 {
        let mut child = worker(&store, run.folder());
        // Moments spread over start, steps and checkpoints; later rounds live longer, so that the run ends.
        std::thread::sleep(Duration::from_millis(40 + round * 37 % 400 + round * 10));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        signal(&child, "KILL");
        wait(&mut child);
        kills += 1;
        assert!(matches!(run.state().unwrap(), State::Waiting | State::Stopped | State::Finished));
    }
    assert!(kills > 3, "{kills}");
    assert_eq!(wait(&mut worker(&store, run.folder())).code(), Some(0));
    assert_done_once(&store, &planned);
}

#[test]
fn the_first_signal_saves_and_the_second_ends_at_once() {
    let (_folder, store) = store();
    let cases = [("slow", "INT"), ("slow", "TERM"), ("slow", "USR1"), ("hangs", "INT")];
    for (seed, (kind, name)) in (0..).zip(cases) {
        let planned = planned(kind, seed);
        let run = store.prepare(&planned, &cpu()).unwrap();
        let mut child = worker(&store, run.folder());
        let wanted = if kind == "hangs" { 20 } else { 1 };
        until(|| run.history().is_ok_and(|history| history.lines.len() >= wanted));
        signal(&child, name);
        if kind == "hangs" {
            std::thread::sleep(Duration::from_millis(300));
            assert!(child.try_wait().unwrap().is_none());
            signal(&child, name);
            assert_eq!(wait(&mut child).code(), Some(130));
        } else {
            assert_eq!(wait(&mut child).code(), Some(75));
            let (step, _) = newest(&run.file(CHECKPOINTS)).unwrap();
            assert_eq!(step, run.history().unwrap().lines.last().unwrap().step);
            assert!(step < STEPS);
        }
        assert_eq!(run.state().unwrap(), State::Stopped);
    }
}

#[test]
fn an_executor_hands_a_signal_on_and_the_next_call_continues() {
    stopped_and_killed_and_continued(&[]);
}

#[test]
fn an_executor_of_shared_workers_hands_a_signal_on_and_the_next_call_continues() {
    stopped_and_killed_and_continued(&["--shared"]);
}

fn stopped_and_killed_and_continued(options: &[&str]) {
    let (_folder, store) = store();
    let entry = entry("run::executor_entry");
    let start = || {
        let mut command = Command::new(&entry[0]);
        command.args(&entry[1..]).arg("--executor").arg(store.path()).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let stepping = || {
        store.runs().unwrap().iter().filter(|run| run.history().is_ok_and(|h| h.lines.len() > 2)).count() >= 2
    };
    let mut child = start();
    until(stepping);
    signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(75));
    let states: HashSet<_> = store.runs().unwrap().iter().map(|run| run.state().unwrap().name()).collect();
    assert!(states.contains("stopped") && !states.contains("running"), "{states:?}");

    // The children of an executor that is killed save and end.
    let mut child = start();
    until(|| store.runs().unwrap().iter().any(|run| run.state().is_ok_and(|state| state == State::Running)));
    child.kill().unwrap();
    wait(&mut child);
    until(|| store.runs().unwrap().iter().all(|run| run.state().is_ok_and(|state| state != State::Running)));

    assert_eq!(wait(&mut start()).code(), Some(0));
    (0..10).for_each(|seed| assert_done_once(&store, &planned("slow", seed)));
}

#[test]
fn a_worker_that_was_frozen_past_its_lease_writes_no_more() {
    let (_folder, store) = store();
    let planned = planned("slow", 2);
    let run = store.prepare(&planned, &cpu()).unwrap();
    let mut frozen = worker(&store, run.folder());
    until(|| run.history().is_ok_and(|history| history.lines.len() > 2));
    signal(&frozen, "STOP");
    assert_eq!(wait(&mut worker(&store, run.folder())).code(), Some(0));
    assert_done_once(&store, &planned);
    signal(&frozen, "CONT");
    assert_eq!(wait(&mut frozen).code(), Some(75));
    assert_done_once(&store, &planned);
    assert_eq!(run.state().unwrap(), State::Finished);
}

#[test]
fn an_executor_takes_over_from_a_machine_that_fell_silent_and_from_a_lease_that_was_never_written() {
    let (_folder, store) = store();
    let gone = r#"{"format":1,"host":"gone","boot":"another","pid":7,"beat":3,"beat_ms":100,"grip":"beats"}"#;
    let wanted = [gone, ""].map(|lease| {
        let planned = planned("plain", lease.len() as u64);
        let run = store.prepare(&planned, &cpu()).unwrap();
        fs::write(run.path().join("lease.4"), lease).unwrap();
        planned
    });
    let summary = executor().run_all(&store, &Stop::default(), all(wanted.to_vec())).unwrap();
    assert_eq!(summary.finished, 2, "{summary:?}");
    wanted.iter().for_each(|planned| assert_done_once(&store, planned));
}

#[test]
fn a_worker_that_was_frozen_while_it_measured_keeps_nothing() {
    let (_folder, store) = store();
    let planned = planned("lingers", 2);
    let run = store.prepare(&planned, &cpu()).unwrap();
    let mut frozen = worker(&store, run.folder());
    until(|| run.file(MEASURING).exists());
    signal(&frozen, "STOP");
    assert_eq!(wait(&mut worker(&store, run.folder())).code(), Some(0));
    assert_done_once(&store, &planned);
    let written = || fs::metadata(run.file(MODEL)).unwrap().modified().unwrap();
    let before = written();
    signal(&frozen, "CONT");
    assert_eq!(wait(&mut frozen).code(), Some(75));
    assert_eq!(written(), before);
}

#[test]
fn a_signal_while_the_last_run_of_a_phase_is_measured_leaves_the_next_phase() {
    let (_folder, store) = store();
    let (tuning, reporting) = (planned("lingers", 5), planned("plain", 6));
    let folder = || store.find(&tuning.fingerprint, &cpu()).unwrap();
    let stop = Stop::default();
    let next = |_: &Store| {
        let is_tuned = folder().is_some_and(|run| run.is_finished());
        Ok(vec![if is_tuned { reporting.clone() } else { tuning.clone() }])
    };
    let summary = std::thread::scope(|scope| {
        scope.spawn(|| {
            until(|| folder().is_some_and(|run| run.file(MEASURING).exists()));
            stop.request();
        });
        executor().run_all(&store, &stop, next).unwrap()
    });
    assert_eq!((summary.finished, summary.stopped), (1, 1), "{summary:?}");
    assert_eq!(summary.check().unwrap_err().exit_code(), 75);
}

#[test]
fn a_request_to_stop_is_heeded_before_the_measurements() {
    let (_folder, store) = store();
    let planned = planned("lingers", 3);
    let run = store.prepare(&planned, &cpu()).unwrap();
    let mut child = worker(&store, run.folder());
    until(|| run.history().is_ok_and(|history| history.lines.len() as u64 == STEPS));
    signal(&child, "TERM");
    assert_eq!(wait(&mut child).code(), Some(75));
    assert_eq!(run.state().unwrap(), State::Stopped);
    assert!(!run.file(MEASURING).exists());
    assert_eq!(wait(&mut worker(&store, run.folder())).code(), Some(0));
    assert_done_once(&store, &planned);
}

/// `zoo train` of a small model in `store`, seconds of work on one thread.
#[allow(clippy::zombie_processes)]
fn train(store: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.args(["train", "gpt2:micro", "biod", "--quiet", "--threads-per-run", "1", "--store"]).arg(store);
    command.args(["--set", "data.people=64", "--set", "training.length.count=400"]);
    command.args(["--set", "training.schedule.warmup_steps=10", "--set", "measure.paraphrases=1"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_training_that_was_stopped_and_killed_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    assert!(wait(&mut train(&whole)).success());
    let steps = |store: &Path| {
        let runs = Store::open(store).and_then(|store| store.runs()).unwrap_or_default();
        runs.first()
            .and_then(|run| run.history().ok())
            .and_then(|history| Some(history.lines.last()?.step))
            .unwrap_or(0)
    };
    let mut codes = Vec::new();
    for name in ["INT", "KILL", "TERM"] {
        let before = steps(&cut);
        let mut child = train(&cut);
        until(|| steps(&cut) > before + 30);
        signal(&child, name);
        codes.push(wait(&mut child).code());
        let run = || Store::open(&cut).unwrap().runs().unwrap().remove(0);
        until(|| run().state().unwrap() != State::Running);
        assert_eq!(run().state().unwrap(), State::Stopped);
    }
    assert_eq!(codes, [Some(75), None, Some(75)]);
    assert!(wait(&mut train(&cut)).success());
    let [whole, cut] = [whole, cut].map(|store| Store::open(store).unwrap().runs().unwrap().remove(0));
    assert_eq!(fs::read(whole.file(MODEL)).unwrap(), fs::read(cut.file(MODEL)).unwrap());
    assert_eq!(whole.record().unwrap().measurements, cut.record().unwrap().measurements);
    let losses = |run: &ablation_zoo::run::Run| {
        run.history().unwrap().lines.iter().map(|line| (line.step, line.loss.to_bits())).collect::<Vec<_>>()
    };
    assert_eq!(losses(&whole), losses(&cut));
}

// ---- damage -------------------------------------------------------------------------------------------------------

#[test]
fn damage_is_named_and_does_not_hide_the_other_runs() {
    let (_folder, store) = store();
    let runs: Vec<_> = (0..3).map(|seed| planned("plain", seed)).collect();
    do_all(&store, runs.clone()).check().unwrap();
    assert!(store.verify().unwrap().is_empty());
    let run = |i: usize| store.find(&runs[i].fingerprint, &cpu()).unwrap().unwrap();
    fs::write(run(0).file(MODEL), "another sum").unwrap();
    fs::write(run(1).file(manifest::MANIFEST), "{\"format\": 1, \"fi").unwrap();
    let damaged: Vec<_> = store.verify().unwrap().iter().map(ToString::to_string).collect();
    assert!(damaged[0].contains(&run(0).file(MODEL).display().to_string()), "{damaged:?}");
    assert!(damaged[1].contains("manifest.json is damaged"), "{damaged:?}");
    let finished = store.finished().unwrap();
    assert_eq!((finished.records.len(), finished.damaged.len()), (2, 1));
    fs::remove_file(run(2).file(MEASUREMENTS)).unwrap();
    assert!(run(2).record().unwrap_err().to_string().ends_with("measurements.json is missing"));
}

#[test]
fn what_is_not_a_store_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(Store::create(&file).unwrap_err().exit_code(), 74);
    assert_eq!(Store::open(&file).unwrap_err().exit_code(), 74);
    assert!(
        Store::open(folder.path().join("absent")).unwrap_err().to_string().contains("--store or ZOO_STORE")
    );
    let error = Store::create(folder.path()).unwrap_err();
    assert!(error.to_string().contains("holds file and is not a store"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let store = Store::create(folder.path().join("runs")).unwrap();
    fs::write(store.path().join("store.json"), "{\"format\": 2}").unwrap();
    assert!(Store::open(store.path()).unwrap_err().to_string().contains("a newer version of zoo wrote it"));
}

#[test]
fn many_may_make_a_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let root = folder.path().join(format!("runs-{round}"));
        std::thread::scope(|scope| {
            let made = [(); 8].map(|()| scope.spawn(|| Store::create(&root)));
            made.into_iter().for_each(|thread| drop(thread.join().unwrap().unwrap()));
        });
    }
}

#[test]
fn names_cannot_leave_the_store() {
    let (folder, store) = store();
    let long = "x".repeat(101);
    for name in
        ["", "..", "../x", "/x", "a/b", "a\\b", "a\0b", "a b", ".x", "-x", "ä", "..%252f", long.as_str()]
    {
        let planned = WantedRun { name: name.to_string(), ..planned("plain", 0) };
        let error = store.prepare(&planned, &cpu()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{name}");
        assert!(store.run(name).is_err(), "{name}");
    }
    let odd = WantedRun { fingerprint: "../../../../../x".to_string(), ..planned("plain", 0) };
    assert_eq!(store.prepare(&odd, &cpu()).unwrap_err().exit_code(), 2);
    assert!(store.prepare(&planned("plain", 0), &Site::of("../cpu", "f32")).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(store.runs().unwrap().is_empty());
}

#[test]
fn a_plan_that_is_wanted_under_many_names_at_once_gets_one_folder() {
    let (_folder, store) = store();
    let prepare = &|i: usize| {
        let wanted = WantedRun { name: format!("name-{i}"), ..planned("plain", 0) };
        store.prepare(&wanted, &cpu()).unwrap()
    };
    let runs: HashSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|i| scope.spawn(move || prepare(i).folder().to_string())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((runs.len(), store.runs().unwrap().len()), (1, 1));
}

#[cfg(unix)]
#[test]
fn a_run_folder_that_is_a_link_is_refused() {
    let (folder, store) = store();
    let target = folder.path().join("elsewhere");
    fs::create_dir(&target).unwrap();
    let planned = planned("plain", 0);
    let run = store.prepare(&planned, &cpu()).unwrap();
    fs::remove_dir_all(run.path()).unwrap();
    std::os::unix::fs::symlink(&target, run.path()).unwrap();
    assert!(store.prepare(&planned, &cpu()).unwrap_err().to_string().contains("is not a plain folder"));
    assert!(store.run(run.folder()).unwrap_err().to_string().contains("links are not followed"));
    assert_eq!(fs::read_dir(target).unwrap().count(), 0);
}

#[test]
fn a_plan_is_stored_apart_for_each_kind_of_device() {
    let (_folder, store) = store();
    let wanted = planned("plain", 0);
    let cpu_run = store.prepare(&wanted, &cpu()).unwrap();
    let gpu_run = store.prepare(&wanted, &Site::of("cuda:1", "f32")).unwrap();
    assert_ne!(cpu_run.path(), gpu_run.path());
    assert_eq!(
        store.prepare(&WantedRun { name: "other-name".to_string(), ..wanted.clone() }, &cpu()).unwrap(),
        cpu_run
    );
    assert_eq!(store.find(&wanted.fingerprint, gpu_run.site()).unwrap(), Some(gpu_run));
    assert_eq!(store.find(&wanted.fingerprint, &Site::of("cpu", "bf16")).unwrap(), None);
    let other = WantedRun { fingerprint: format!("{}f", wanted.fingerprint), ..wanted.clone() };
    assert!(store.prepare(&other, &cpu()).unwrap_err().to_string().contains("is of the plan"));
    assert_eq!(cpu_run.plan().unwrap(), wanted.plan);
}

#[test]
fn garbage_is_what_finished_runs_and_kills_left_and_nothing_else() {
    let (_folder, store) = store();
    let (done, waiting) = (planned("plain", 0), planned("plain", 1));
    do_all(&store, vec![done.clone()]);
    let done_run = store.find(&done.fingerprint, &cpu()).unwrap().unwrap();
    let waiting_run = store.prepare(&waiting, &cpu()).unwrap();
    for path in ["step-000000000007", "step-my-own", ".step-000000000009.partial"] {
        fs::create_dir_all(waiting_run.file(CHECKPOINTS).join(path)).unwrap();
        fs::create_dir_all(done_run.file(CHECKPOINTS).join(path)).unwrap();
    }
    fs::write(done_run.file(CHECKPOINTS).join("notes.txt"), "mine").unwrap();
    let before = fs::read(done_run.file(MODEL)).unwrap();
    let garbage = gc::find(&store, gc::Stages::Keep).unwrap();
    assert!(garbage.iter().any(|piece| piece.bytes > 0));
    gc::delete(&store, &garbage).unwrap();
    let left = |run: &ablation_zoo::run::Run| {
        let names = fs::read_dir(run.file(CHECKPOINTS))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<HashSet<_>>()
    };
    assert_eq!(left(&done_run), ["step-my-own", "notes.txt"].map(String::from).into());
    assert_eq!(left(&waiting_run), ["step-my-own", "step-000000000007"].map(String::from).into());
    assert!(gc::find(&store, gc::Stages::Keep).unwrap().is_empty());
    assert_eq!(fs::read(done_run.file(MODEL)).unwrap(), before);
    done_run.verify().unwrap();
}

#[test]
fn a_store_of_ten_thousand_finished_runs_is_listed_completely() {
    let (folder, store) = store();
    let record = |fingerprint: String| RunRecord {
        format: 1,
        fingerprint,
        plan: Plan::default(),
        environment: Environment::here("cpu"),
        params: params(),
        training: TrainingSummary {
            steps: 1,
            tokens: 1,
            flops: 1.0,
            seconds: 1.0,
            final_loss: 1.0,
            elapsed: None,
            peak_bytes: 1,
        },
        measurements: Measurements::default(),
    };
    let first = store.prepare(&planned("plain", 0), &cpu()).unwrap();
    first.finish(&record(planned("plain", 0).fingerprint)).unwrap();
    for i in 1..10_000 {
        let path: PathBuf = store.path().join(format!("run-{i:016x}-cpu-f32"));
        fs::create_dir(&path).unwrap();
        let text = serde_json::to_vec(&record(format!("{i:064x}")[48..].to_string())).unwrap();
        let (bytes, blake3) = (text.len() as u64, blake3::hash(&text).to_string());
        let files = vec![manifest::ManifestEntry { name: MEASUREMENTS.to_string(), bytes, blake3 }];
        fs::write(path.join(MEASUREMENTS), text).unwrap();
        let sealed = serde_json::to_vec(&manifest::Manifest { format: 1, files }).unwrap();
        fs::write(path.join(manifest::MANIFEST), sealed).unwrap();
    }
    let start = Instant::now();
    let finished = store.finished().unwrap();
    println!("10,000 finished runs listed in {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!((finished.records.len(), finished.damaged.len()), (10_000, 0));
    drop(folder);
}
