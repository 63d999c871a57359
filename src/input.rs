//! Files that are given: only ordinary ones are opened, and none is read that this machine could not hold.
//!
//! A pipe would be waited for, and a device never ends; both are refused before they are opened.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Problem, Result};

/// What is read of a file that claims to be empty, as those of `/proc` do, some of which never end.
const UNSIZED: u64 = 1 << 20;
/// Files up to this size are read without asking how much memory there is.
const SMALL: u64 = 1 << 26;

/// Opens an ordinary file for reading.
///
/// # Errors
/// There is none, it may not be read, or it is a pipe, a socket, a device or a folder.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    refuse_special(path.as_ref())?;
    let mut options = OpenOptions::new();
    // Whatever takes the place of the file in between is not waited for.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    options.read(true).open(path)
}

/// Refuses what is there and is no ordinary file; links are followed.
///
/// # Errors
/// It is a pipe, a socket, a device or a folder, or it cannot be looked at.
pub fn refuse_special(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    match kind.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(format!("it is {}, expected an ordinary file", name(kind)))),
    }
}

/// Opens an ordinary file for adding to it, and makes it if there is none.
///
/// # Errors
/// It may not be written, or is a pipe, a socket, a device or a folder.
pub fn append(path: &Path) -> io::Result<File> {
    if path.exists() {
        refuse_special(path)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The whole content of an ordinary file.
///
/// # Errors
/// It cannot be opened or read, or is larger than the memory of this machine.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    let most = if size <= SMALL { SMALL } else { memory().unwrap_or(u64::MAX - 1) };
    read_file(file, size, most)
}

/// The whole content of an ordinary file of so many bytes at most.
///
/// # Errors
/// It cannot be opened or read, or is larger.
pub fn read_at_most(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    read_file(file, size, most)
}

/// The text of an ordinary file.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) when it cannot be read, [`Kind::Data`](crate::error::Kind::Data) with the line
/// when it is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let bytes = read(path).map_err(|source| Error::io("read", path, source))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let found = format!("{}: line {line}: bytes that are not UTF-8", path.display());
        Error::data(Problem::new(found).help("convert the file to UTF-8"))
    })
}

/// Memory of this machine in bytes, or what the control group of this process allows, if that is known.
#[cfg(feature = "cli")]
pub fn memory() -> Option<u64> {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory).ok()?;
    let allowed = system.cgroup_limits().map(|limits| limits.total_memory).filter(|&bytes| bytes > 0);
    let all = allowed.map_or(system.total_memory(), |allowed| allowed.min(system.total_memory()));
    (all > 0).then_some(all)
}

/// Memory of this machine in bytes, where the system tells in a file (Linux).
#[cfg(not(feature = "cli"))]
pub fn memory() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let all = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    all.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn read_file(file: File, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let most = if size == 0 { most.min(UNSIZED) } else { most };
    let mut bytes = Vec::new();
    if size <= most {
        bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    match size.max(bytes.len() as u64) {
        read if read > most => {
            Err(io::Error::other(format!("it has {size} bytes or more, expected at most {most}")))
        }
        _ => Ok(bytes),
    }
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "a device" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!((read(&path).unwrap(), read_at_most(&path, 3).unwrap()), (b"abc".into(), b"abc".into()));
        assert!(read_at_most(&path, 2).unwrap_err().to_string().contains("expected at most 2"));
        assert_eq!(read(folder.path().join("y")).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, b"a\n\xff").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("line 2: bytes that are not UTF-8"));
        // Sparse, so that it takes no room on the disk.
        File::create(&path).unwrap().set_len(1 << 43).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("expected at most"));
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_ordinary_file_is_refused_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = folder.path().join("socket");
        let _open = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let device = Path::new("/dev/zero").to_path_buf();
        for (path, name) in
            [(fifo, "a pipe"), (socket, "a socket"), (device, "a device"), (folder.path().into(), "a folder")]
        {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(&path, &link).unwrap();
            for path in [path, link] {
                let error = read(&path).unwrap_err().to_string();
                assert_eq!(error, format!("it is {name}, expected an ordinary file"));
                assert_eq!(read_text(&path).unwrap_err().exit_code(), 74);
            }
        }
    }
}
