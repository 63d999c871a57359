//! Where a run runs, and what it takes of the machine.

use std::path::Path;
use std::process::Command;

use sysinfo::{CpuRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

use super::record::Environment;
use crate::device;
use crate::input;
use crate::kernels::{self, Level, Precision};

/// Variable that says how many threads the kernels of a process use.
const THREADS: &str = "RAYON_NUM_THREADS";
/// Settings of the allocator, which make the peak of a run on a CPU the same each time: with pages of 2 MiB it is up to
/// twice as large, and a matter of chance; with pages of 4 KiB it costs time to give back what was freed and to ask for
/// it again.
const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "-1")];

/// Gives a process that trains on `device` its threads and, on a CPU, those settings of its allocator that the environment
/// does not have.
pub fn settle(command: &mut Command, device: &str, threads: usize) {
    let is_missing = |name: &str| device::kind(device) == "cpu" && std::env::var_os(name).is_none();
    command.env(THREADS, threads.to_string());
    command.envs(ALLOCATOR.into_iter().filter(|(name, _)| is_missing(name)));
}

impl Environment {
    /// This process on `device` (`cpu`, `cuda:0`, ...) where it computes in a precision, now.
    pub fn computing(device: &str, precision: Precision) -> Self {
        let here = Environment::here(device);
        let opened = device::open(device).ok();
        let kernels = opened.map_or(here.kernels.clone(), |device| kernels::name_on(&device, precision));
        Environment { kernels, ..here }
    }

    /// The environment of this process on `device` (`cpu`, `cuda:0`, ...), now.
    pub fn here(device: &str) -> Self {
        let kind = device::kind(device);
        let (kernels, processor) = match kind {
            "cpu" => (kernels::level(), processor()),
            _ => (Level::Reference, device::title(device).unwrap_or_else(|| "unknown".to_string())),
        };
        Environment {
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: option_env!("ZOO_COMMIT").map(str::to_string),
            device: kind.to_string(),
            kernels: kernels.name().to_string(),
            processor,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: threads(),
            finished: now(),
            weights_of: None,
        }
    }
}

/// The time in UTC, to the second, RFC 3339.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number of threads of the kernels of this process.
pub fn threads() -> usize {
    let set = std::env::var(THREADS).ok().and_then(|threads| threads.parse().ok());
    set.filter(|&threads| threads > 0).unwrap_or_else(cores)
}

/// Forgets the largest resident memory so far, where the system can (Linux): what a process did before is not the run's.
pub fn forget_peak() {
    // Where it cannot be forgotten, the peak is that of the process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Largest resident memory of this process in bytes, since [`forget_peak`], where the system tells (Linux).
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The memory that is available on this machine in bytes, if that is known.
pub fn free_memory() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let free = System::new_with_specifics(memory).ok()?.available_memory();
    (free > 0).then_some(free)
}

/// What runs may need of the memory in bytes, if that is known: nine tenths of the machine's, or of what the control
/// group of this process allows.
pub fn usable_memory() -> Option<u64> {
    input::memory().map(|all| all / 10 * 9)
}

/// Bytes that can still be written to the disk of `path`, if that is known.
pub fn free_disk(path: &Path) -> Option<u64> {
    let path = path.canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let below = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
    below.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(sysinfo::Disk::available_space)
}

fn processor() -> String {
    let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    let brand = system.ok().and_then(|system| Some(system.cpus().first()?.brand().trim().to_string()));
    brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| "unknown".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_it_can() {
        let here = Environment::here("cuda:1");
        assert_eq!((here.device.as_str(), here.version.as_str()), ("cuda", env!("CARGO_PKG_VERSION")));
        assert!(here.finished.ends_with('Z') && here.finished.len() == 20, "{}", here.finished);
        assert!(here.threads >= 1);
    }

    #[test]
    fn only_a_process_on_a_cpu_gets_settings_of_the_allocator() {
        let set = |device| {
            let mut command = Command::new("zoo");
            settle(&mut command, device, 3);
            command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let missing = ALLOCATOR.iter().filter(|(name, _)| std::env::var_os(name).is_none()).count();
        assert_eq!((set("cpu").len(), set("cuda:0")), (1 + missing, vec![THREADS.to_string()]));
    }

    #[test]
    fn peak_memory_grows_with_what_is_touched() {
        let Some(before) = peak_bytes() else { return };
        let touched = vec![1u8; before as usize + (64 << 20)];
        assert!(peak_bytes().unwrap() > before + (32 << 20), "{}", touched.len());
    }

    #[test]
    fn some_memory_can_be_used() {
        if let (Some(usable), Some(free)) = (usable_memory(), free_memory()) {
            assert!(usable >= 1 << 20 && usable < free * 1000, "{usable} {free}");
        }
    }

    #[test]
    fn the_disk_of_a_folder_has_some_room() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_disk(folder.path()).is_some_and(|bytes| bytes > 0));
    }
}
