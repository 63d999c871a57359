//! One owner per run: numbered lease files, a heartbeat in the newest, and a check before anything is committed.
//!
//! The owner of a run is whoever made its newest `lease.N`: a file is made with `create_new`, which one process alone
//! can win, so neither hard links nor locks are needed. The number is the fencing token: as soon as `lease.N+1`
//! exists, the owner of `N` may write nothing more, and [`Lease::check`] says so.
//!
//! A lease is free when its owner gave it back, or is dead (same boot of the same machine, and the lock that it held
//! on its file is gone), or is silent: its file did not change for three beats *by the clock of the watcher*, so that
//! clocks of different machines are never compared. Locks are only a short cut; where there are none, beats decide.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Problem, Result};
use crate::input;

/// The time between two heartbeats of an owner.
pub const BEAT: Duration = Duration::from_secs(5);
/// What owners may write as the time between their beats.
const BEATS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// The number of heartbeats without a change after which an owner is taken for gone.
const SILENT_BEATS: u32 = 3;
/// After so many beats without a beat of its own, an owner asks whether it still is one.
const DOUBTFUL_BEATS: u32 = 2;
/// The largest number of a lease: nobody takes a run over so often.
const LAST: u64 = u32::MAX as u64;
/// Version of the lease's format.
const FORMAT: u32 = 1;
/// Every record fills so many bytes, so that it is replaced in place by one write.
const RECORD_BYTES: usize = 512;
/// So much of a file is read.
const MOST_BYTES: u64 = 64 * 1024;

/// The right to work on a run, until it is dropped or taken over.
#[derive(Debug)]
pub struct Lease {
    owned: Arc<Owned>,
    heartbeat: Option<JoinHandle<()>>,
}

/// The result of claiming a run.
#[derive(Debug)]
pub enum LeaseClaim {
    /// The run is claimed by this process.
    Mine(Lease),
    /// Another process works on the run.
    Held(Holder),
}

/// The holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The version of this file's format.
    pub format: u32,
    /// The name of the machine.
    pub host: String,
    /// The identity of the boot: it tells two boots, and two machines of one name, apart.
    pub boot: String,
    /// The process on that machine.
    pub pid: u32,
    /// The number of heartbeats so far.
    pub beat: u64,
    /// The milliseconds between heartbeats.
    pub beat_ms: u64,
    /// How the end of the owner can be seen.
    #[serde(rename = "grip")] // as format 1 writes it
    pub liveness: Liveness,
}

/// How the end of an owner can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Liveness {
    /// The owner holds a lock on the lease file; on the same machine, no lock means that it has ended.
    Lock,
    /// The file system has no locks; only heartbeats show that the owner lives.
    Beats,
    /// The owner gave the lease back.
    Released,
}

/// Watches a lease over time and decides by its own clock whether the owner is gone.
#[derive(Debug, Default)]
pub struct LeaseWatcher {
    seen: Option<Sighting>,
}

/// A lease that did not change for three beats, as one process tells it another: its number, and a hash of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    number: u64,
    content: String,
}

#[derive(Debug)]
struct Sighting {
    lease: Silence,
    /// When it was first seen like this; absent when somebody else has watched it long enough.
    since: Option<Instant>,
    alive: bool,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.content)
    }
}

impl FromStr for Silence {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('.').and_then(|(number, content)| Some((number.parse().ok()?, content)));
        let (number, content) = parts.ok_or_else(|| format!("{text:?}, expected NUMBER.HASH"))?;
        Ok(Silence { number, content: content.to_string() })
    }
}

/// The state of a lease, as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// No process works on the run; the next lease has this number.
    Free(u64),
    /// A process works on the run, or may.
    Held(Holder),
}

impl LeaseWatcher {
    /// One that has been told of a lease which was silent for long enough.
    pub fn told(silence: Option<Silence>) -> Self {
        LeaseWatcher { seen: silence.map(|lease| Sighting { lease, since: None, alive: true }) }
    }

    /// The lease that the watcher has seen silent for long enough.
    pub fn silence(&self) -> Option<&Silence> {
        self.seen.as_ref().map(|seen| &seen.lease)
    }

    /// The state of the lease of the run in `folder`, as far as it can be told by now.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn look(&mut self, folder: &Path) -> Result<LeaseState> {
        loop {
            let Some(number) = newest(folder)? else { return Ok(LeaseState::Free(1)) };
            let path = file_of(folder, number);
            match input::read_at_most(&path, MOST_BYTES) {
                Ok(content) => return Ok(self.judge(&path, number, content)),
                // Replaced by a newer one between the two calls.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("read", &path, e)),
            }
        }
    }

    /// Takes the lease if it is free by now.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn claim(&mut self, folder: &Path, beat: Duration) -> Result<LeaseClaim> {
        loop {
            match self.look(folder)? {
                LeaseState::Held(holder) => return Ok(LeaseClaim::Held(holder)),
                LeaseState::Free(next) => {
                    if let Some(lease) = Lease::create(folder, next, beat)? {
                        return Ok(LeaseClaim::Mine(lease));
                    }
                }
            }
        }
    }

    fn judge(&mut self, path: &Path, number: u64, content: Vec<u8>) -> LeaseState {
        // Empty while its owner is about to write it: held by a stranger, until it stays so for three beats.
        let holder = serde_json::from_slice(&content).unwrap_or_else(|_| Holder::stranger());
        let dead = holder.liveness == Liveness::Lock && holder.boot == boot() && lock_is_free(path);
        if dead || holder.liveness == Liveness::Released || self.silent(number, &content, holder.beat()) {
            return LeaseState::Free(number + 1);
        }
        LeaseState::Held(holder)
    }

    fn silent(&mut self, number: u64, content: &[u8], beat: Duration) -> bool {
        let lease = Silence { number, content: blake3::hash(content).to_hex().to_string() };
        match &mut self.seen {
            Some(seen) if seen.lease == lease => {
                seen.since.is_none_or(|since| since.elapsed() >= beat * SILENT_BEATS)
            }
            seen => {
                let alive = seen.is_some();
                *seen = Some(Sighting { lease, since: Some(Instant::now()), alive });
                false
            }
        }
    }
}

impl Lease {
    /// Takes the lease of the run in `folder`, if it is given back or its owner is known to be dead.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn try_claim(folder: &Path, beat: Duration) -> Result<LeaseClaim> {
        LeaseWatcher::default().claim(folder, beat)
    }

    /// As [`Lease::try_claim`], but waits for a beat of the owner, and takes over when three are missed; at once where
    /// `watcher` has seen them missed.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn claim(folder: &Path, beat: Duration, mut watcher: LeaseWatcher) -> Result<LeaseClaim> {
        loop {
            match watcher.claim(folder, beat)? {
                LeaseClaim::Held(holder) if !watcher.seen.as_ref().is_some_and(|seen| seen.alive) => {
                    std::thread::sleep(holder.beat() / 5);
                }
                claim => return Ok(claim),
            }
        }
    }

    /// Whether the run is still ours; asked before anything is committed.
    ///
    /// # Errors
    /// [`Kind::Stopped`] when somebody has taken it over; or the folder cannot be read.
    pub fn check(&self) -> Result<()> {
        self.owned.check()
    }

    /// As [`Lease::check`], at no cost while the own heartbeat beats: for every step.
    ///
    /// # Errors
    /// As [`Lease::check`].
    pub fn check_when_doubtful(&self) -> Result<()> {
        let beats = self.owned.lock();
        let doubtful = beats.lost || beats.last.elapsed() >= self.owned.beat * DOUBTFUL_BEATS;
        drop(beats);
        if doubtful { self.check() } else { Ok(()) }
    }

    /// The fencing token: grows with every owner of the run.
    pub fn token(&self) -> u64 {
        self.owned.number
    }

    /// `None` when somebody else was quicker.
    fn create(folder: &Path, number: u64, beat: Duration) -> Result<Option<Self>> {
        let path = file_of(folder, number);
        let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(e) => return Err(Error::io("create", &path, e)),
        };
        if newest(folder)? != Some(number) {
            // We were so slow that this number has been used, and removed, before.
            fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
            return Ok(None);
        }
        // On Windows a lock would keep others from reading the beats.
        let liveness = if cfg!(unix) && file.try_lock().is_ok() { Liveness::Lock } else { Liveness::Beats };
        let beats =
            Mutex::new(Beats { file, count: 0, liveness, last: Instant::now(), lost: false, over: false });
        let owned =
            Arc::new(Owned { folder: folder.to_path_buf(), number, beat, beats, wake: Condvar::new() });
        if let Err(error) = owned.write(&mut owned.lock()) {
            // An empty lease keeps others away for three beats.
            let _ = fs::remove_file(&path);
            return Err(Error::io("write", &path, error));
        }
        (1..number).rev().map_while(|old| fs::remove_file(file_of(folder, old)).ok()).for_each(drop);
        let heartbeat = std::thread::spawn({
            let owned = owned.clone();
            move || owned.beat_on()
        });
        Ok(Some(Lease { owned, heartbeat: Some(heartbeat) }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut beats = self.owned.lock();
        beats.over = true;
        beats.liveness = Liveness::Released;
        // If it cannot be written, beats stop and the lease becomes free all the same.
        let _ = self.owned.write(&mut beats);
        drop(beats);
        self.owned.wake.notify_all();
        if let Some(heartbeat) = self.heartbeat.take() {
            let _ = heartbeat.join();
        }
    }
}

impl Holder {
    /// Whether the holder is this process of this machine.
    pub fn is_here(&self, pid: u32) -> bool {
        self.pid == pid && self.host == host() && self.boot == boot()
    }

    /// `pid 7 on host`.
    pub fn name(&self) -> String {
        format!("process {} on {}", self.pid, self.host)
    }

    /// What no owner writes is taken for the usual beat.
    fn beat(&self) -> Duration {
        let beat = Duration::from_millis(self.beat_ms);
        if BEATS.contains(&beat) { beat } else { BEAT }
    }

    fn stranger() -> Self {
        let (host, boot) = ("an unknown machine".to_string(), String::new());
        Holder {
            format: FORMAT,
            host,
            boot,
            pid: 0,
            beat: 0,
            beat_ms: BEAT.as_millis() as u64,
            liveness: Liveness::Beats,
        }
    }
}

/// What the owner's threads share.
#[derive(Debug)]
struct Owned {
    folder: PathBuf,
    number: u64,
    beat: Duration,
    beats: Mutex<Beats>,
    wake: Condvar,
}

#[derive(Debug)]
struct Beats {
    file: File,
    count: u64,
    liveness: Liveness,
    last: Instant,
    lost: bool,
    over: bool,
}

impl Owned {
    fn lock(&self) -> MutexGuard<'_, Beats> {
        self.beats.lock().expect("no thread panics while it holds the beats")
    }

    fn beat_on(&self) {
        let mut beats = self.lock();
        loop {
            let on = |beats: &mut Beats| !beats.over && !beats.lost;
            let waited = self.wake.wait_timeout_while(beats, self.beat, on);
            beats = waited.expect("no thread panics while it holds the beats").0;
            if !on(&mut beats) {
                return;
            }
            match newest(&self.folder) {
                Ok(newest) if newest != Some(self.number) => beats.lost = true,
                Ok(_) => {
                    beats.count += 1;
                    // Flushed, so that other machines see it on a network file system.
                    if self.write(&mut beats).and_then(|()| beats.file.sync_data()).is_ok() {
                        beats.last = Instant::now();
                    }
                }
                // A disk that does not answer for a while: `last` grows old, and the next step asks again.
                Err(_) => {}
            }
        }
    }

    fn check(&self) -> Result<()> {
        if newest(&self.folder)? == Some(self.number) {
            return Ok(());
        }
        self.lock().lost = true;
        let found = format!("{} was taken over by another process", self.folder.display());
        Err(Error::new(
            Kind::Stopped,
            Problem::new(found).help("this one was silent for too long and writes no more"),
        ))
    }

    fn write(&self, beats: &mut Beats) -> io::Result<()> {
        let holder = Holder {
            format: FORMAT,
            host: host().to_string(),
            boot: boot().to_string(),
            pid: std::process::id(),
            beat: beats.count,
            beat_ms: self.beat.as_millis() as u64,
            liveness: beats.liveness,
        };
        let mut record = serde_json::to_vec(&holder)?;
        record.resize(RECORD_BYTES.max(record.len() + 1), b' ');
        beats.file.rewind()?;
        beats.file.write_all(&record)
    }
}

/// The number of the newest lease.
fn newest(folder: &Path) -> Result<Option<u64>> {
    let cannot_list = |e| Error::io("list", folder, e);
    let mut newest = None;
    for entry in fs::read_dir(folder).map_err(cannot_list)? {
        let entry = entry.map_err(cannot_list)?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("lease."));
        let Some(digits) = digits.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        match digits.parse::<u64>().ok().filter(|&number| number <= LAST && is_file) {
            Some(number) => newest = newest.max(Some(number)),
            None => {
                let found = format!("{} is no lease that zoo makes", entry.path().display());
                let problem = Problem::new(found).expected(format!("a file with a number up to {LAST}"));
                return Err(Error::data(problem.help("delete it; the same command goes on")));
            }
        }
    }
    Ok(newest)
}

fn file_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("lease.{number}"))
}

fn lock_is_free(path: &Path) -> bool {
    let Ok(file) = input::open(path) else { return false };
    match file.try_lock_shared() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| sysinfo::System::host_name().unwrap_or_else(|_| "this machine".to_string()))
}

fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map_or_else(|_| host().to_string(), |id| id.trim().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Short for a test, long for a machine that is busy with other tests.
    const QUICK: Duration = Duration::from_millis(200);

    fn mine(claim: LeaseClaim) -> Lease {
        match claim {
            LeaseClaim::Mine(lease) => lease,
            LeaseClaim::Held(holder) => panic!("held by {}", holder.name()),
        }
    }

    /// An owner that neither beats nor lets go, like a stopped process.
    fn freeze(lease: Lease) -> Lease {
        lease.owned.lock().over = true;
        lease.owned.wake.notify_all();
        lease
    }

    #[test]
    fn a_run_has_one_owner_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let first = mine(Lease::try_claim(folder.path(), BEAT).unwrap());
        let LeaseClaim::Held(holder) = Lease::try_claim(folder.path(), BEAT).unwrap() else {
            panic!("two owners")
        };
        assert_eq!((holder.pid, holder.host.as_str()), (std::process::id(), host()));
        first.check().unwrap();
        drop(first);
        assert_eq!(mine(Lease::try_claim(folder.path(), BEAT).unwrap()).token(), 2);
    }

    #[test]
    fn an_owner_that_beats_keeps_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let lease = mine(Lease::try_claim(folder.path(), QUICK).unwrap());
        assert!(matches!(
            Lease::claim(folder.path(), QUICK, LeaseWatcher::default()).unwrap(),
            LeaseClaim::Held(_)
        ));
        lease.check().unwrap();
    }

    #[test]
    fn a_silent_owner_is_taken_over_and_may_write_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let stopped = freeze(mine(Lease::try_claim(folder.path(), QUICK).unwrap()));
        let start = Instant::now();
        let second = mine(Lease::claim(folder.path(), QUICK, LeaseWatcher::default()).unwrap());
        assert!(start.elapsed() >= QUICK * SILENT_BEATS);
        assert_eq!(second.token(), 2);
        assert_eq!(stopped.check_when_doubtful().unwrap_err().kind, Kind::Stopped);
        assert!(stopped.check().unwrap_err().to_string().contains("was taken over"));
        drop(stopped);
        second.check().unwrap();
        assert!(matches!(Lease::try_claim(folder.path(), QUICK).unwrap(), LeaseClaim::Held(_)));
    }

    #[test]
    fn who_was_told_of_a_silent_owner_waits_no_longer_unless_it_beats_again() {
        let folder = tempfile::tempdir().unwrap();
        let stopped = freeze(mine(Lease::try_claim(folder.path(), BEAT).unwrap()));
        let mut watcher = LeaseWatcher::default();
        assert!(matches!(watcher.look(folder.path()).unwrap(), LeaseState::Held(_)));
        let told: Silence = watcher.silence().unwrap().to_string().parse().unwrap();
        stopped.owned.lock().count += 1;
        stopped.owned.write(&mut stopped.owned.lock()).unwrap();
        let claim = Lease::claim(folder.path(), BEAT, LeaseWatcher::told(Some(told))).unwrap();
        assert!(matches!(claim, LeaseClaim::Held(_)), "it has beaten since");
        watcher.look(folder.path()).unwrap();
        let told = watcher.silence().cloned();
        assert_eq!(mine(Lease::claim(folder.path(), BEAT, LeaseWatcher::told(told)).unwrap()).token(), 2);
    }

    #[test]
    fn numbers_and_beats_that_no_owner_writes_neither_loop_nor_overflow() {
        let folder = tempfile::tempdir().unwrap();
        for beat_ms in [0, u64::MAX] {
            let holder = Holder { beat_ms, ..Holder::stranger() };
            assert_eq!(holder.beat(), BEAT);
        }
        for name in ["lease.18446744073709551615", "lease.99999999999999999999999", "lease.4294967296"] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            let error = Lease::try_claim(folder.path(), BEAT).map(drop).unwrap_err();
            assert_eq!(error.exit_code(), 65);
            assert!(error.to_string().contains(name), "{error}");
            fs::remove_file(path).unwrap();
        }
        fs::write(folder.path().join("lease.+3"), "").unwrap();
        assert_eq!(mine(Lease::try_claim(folder.path(), BEAT).unwrap()).token(), 1);
    }

    #[test]
    fn a_dead_owner_is_seen_at_once_where_locks_work() {
        let folder = tempfile::tempdir().unwrap();
        let lease = freeze(mine(Lease::try_claim(folder.path(), BEAT).unwrap()));
        assert_eq!(lease.owned.lock().liveness, Liveness::Lock);
        lease.owned.lock().file.unlock().unwrap();
        assert_eq!(mine(Lease::try_claim(folder.path(), BEAT).unwrap()).token(), 2);
    }

    #[test]
    fn a_lock_that_is_not_seen_from_another_machine_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere =
            Holder { liveness: Liveness::Lock, boot: "another".to_string(), ..Holder::stranger() };
        fs::write(folder.path().join("lease.1"), serde_json::to_vec(&elsewhere).unwrap()).unwrap();
        assert!(matches!(Lease::try_claim(folder.path(), BEAT).unwrap(), LeaseClaim::Held(_)));
    }

    #[test]
    fn a_number_that_was_used_before_is_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lease.7"), b"").unwrap();
        assert!(Lease::create(folder.path(), 6, BEAT).unwrap().is_none());
        assert_eq!(newest(folder.path()).unwrap(), Some(7));
        assert!(!file_of(folder.path(), 6).exists());
    }

    #[test]
    fn sixteen_workers_do_five_hundred_runs_once_each() {
        let store = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..500).map(|i| store.path().join(format!("run-{i}"))).collect();
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let (working, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |folder: &PathBuf| {
            let LeaseClaim::Mine(lease) = Lease::try_claim(folder, BEAT).unwrap() else { return };
            if folder.join("done").exists() {
                return;
            }
            // `create_new` fails if another owner is in here, or was.
            OpenOptions::new().write(true).create_new(true).open(folder.join("working")).unwrap();
            working.fetch_add(1, Ordering::Relaxed);
            lease.check().unwrap();
            fs::write(folder.join("done"), b"").unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        };
        std::thread::scope(|scope| {
            for start in 0..16 {
                let (folders, work) = (&folders, &work);
                scope.spawn(move || (0..500).for_each(|i| work(&folders[(start * 31 + i) % 500])));
            }
        });
        assert_eq!((working.into_inner(), done.into_inner()), (500, 500));
    }
}
