//! What a finished folder holds: `manifest.json`, with the size and blake3 of each file, written last.
//!
//! A folder without a manifest was interrupted; a folder whose files differ from it was damaged. Checkpoints and
//! runs share this, and so does the one way in which files are replaced: [`write_atomically`].

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::input;

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";

/// Version of the manifest's format.
const FORMAT: u32 = 1;

/// The files of a finished folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's format.
    pub format: u32,
    /// In the order of their names.
    pub files: Vec<ManifestEntry>,
}

/// One file of a finished folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// A plain name, without folders.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// blake3 of the content, in hex.
    pub blake3: String,
}

/// Declares a folder finished: every file in it (not in folders below, not hidden) reaches the disk, then the manifest.
///
/// # Errors
/// A file cannot be read or the manifest not written.
pub fn seal(folder: &Path) -> Result<()> {
    let cannot_list = |e| Error::io("list", folder, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot_list)? {
        let entry = entry.map_err(cannot_list)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(cannot_list)?.is_file() && !name.starts_with('.') && name != MANIFEST {
            names.push(name);
        }
    }
    names.sort_unstable();
    seal_files(folder, &names)
}

/// Declares a folder finished that also holds files which still change: only `names` are sealed.
///
/// # Errors
/// A file cannot be read or the manifest not written.
pub fn seal_files<S: AsRef<str>>(folder: &Path, names: &[S]) -> Result<()> {
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let path = folder.join(name.as_ref());
        sync(&path).map_err(|e| Error::io("write", &path, e))?;
        let (bytes, blake3) = digest(&path).map_err(|e| Error::io("read", &path, e))?;
        files.push(ManifestEntry { name: name.as_ref().to_string(), bytes, blake3 });
    }
    write_json(&folder.join(MANIFEST), &Manifest { format: FORMAT, files })
}

/// Whether every file of a finished folder is there and unchanged; reads all of them.
///
/// # Errors
/// Names each file that is missing, of another size, or changed; or says that the folder was never finished.
pub fn verify(folder: &Path) -> Result<()> {
    let manifest = read(folder)?;
    let problems: Vec<_> = manifest.files.iter().filter_map(|entry| entry.differs(folder)).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error { kind: crate::error::Kind::Data, problems }) }
}

/// Whether one file of a finished folder is there and unchanged.
///
/// # Errors
/// It is not in the manifest, missing, of another size, or changed; or the folder was never finished.
pub fn verify_file(folder: &Path, name: &str) -> Result<()> {
    let manifest = read(folder)?;
    let Some(entry) = manifest.files.iter().find(|entry| entry.name == name) else {
        return Err(damaged(&folder.join(MANIFEST), format!("it does not name {name}")));
    };
    entry.differs(folder).map_or(Ok(()), |problem| Err(Error::data(problem)))
}

/// The manifest of a finished folder, without looking at the files.
///
/// # Errors
/// There is none, or it cannot be understood.
pub fn read(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Err(Error::data(Problem::new(format!(
            "{} is not finished: no {MANIFEST}",
            folder.display()
        ))));
    }
    let manifest: Manifest = read_json(&path, FORMAT)?;
    match manifest.files.iter().find(|entry| Path::new(&entry.name).file_name() != Some(entry.name.as_ref()))
    {
        Some(entry) => Err(damaged(&path, format!("names {:?}, which is not a plain file name", entry.name))),
        None => Ok(manifest),
    }
}

/// Replaces a file so that a reader, or a crash, sees all of the old or all of the new content.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(content)?;
        file.commit()
    };
    write().map_err(|e| Error::io("write", path, e))
}

/// Replaces a JSON file, as [`write_atomically`] does.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::io("write", path, e.into()))?;
    text.push(b'\n');
    write_atomically(path, &text)
}

/// Reads a JSON file that says `"format": n` and refuses politely what a newer program wrote.
///
/// # Errors
/// The file cannot be read, is newer than `newest`, or is damaged.
pub fn read_json<T: DeserializeOwned>(path: &Path, newest: u32) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let text = input::read(path).map_err(|e| Error::io("read", path, e))?;
    let versioned: Versioned = serde_json::from_slice(&text).map_err(|e| damaged(path, e.to_string()))?;
    if versioned.format > newest {
        let found = format!("{} has format {}", path.display(), versioned.format);
        let problem = Problem::new(found).expected(format!("at most {newest}"));
        return Err(Error::data(problem.help("a newer version of zoo wrote it; use that one")));
    }
    serde_json::from_slice(&text).map_err(|e| damaged(path, e.to_string()))
}

impl Manifest {
    /// Whether a file of this name was sealed.
    pub fn names(&self, name: &str) -> bool {
        self.files.iter().any(|entry| entry.name == name)
    }
}

impl ManifestEntry {
    fn differs(&self, folder: &Path) -> Option<Problem> {
        let path = folder.join(&self.name);
        let file = path.display();
        match digest(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Some(Problem::new(format!("{file} is missing"))),
            Err(e) => Some(Problem::new(format!("cannot read {file}: {e}"))),
            Ok((bytes, _)) if bytes != self.bytes => {
                let found = Problem::new(format!("{file} has {bytes} bytes"));
                Some(found.expected(format!("{} as in {MANIFEST}", self.bytes)))
            }
            Ok((_, blake3)) if blake3 != self.blake3 => {
                Some(Problem::new(format!("{file} was changed: its blake3 is not the one in {MANIFEST}")))
            }
            Ok(_) => None,
        }
    }
}

fn damaged(path: &Path, how: String) -> Error {
    Error::data(Problem::new(format!("{} is damaged: {how}", path.display())))
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(input::open(path)?)?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}

/// Opened for writing because some systems refuse to flush what was opened for reading.
fn sync(path: &Path) -> io::Result<()> {
    input::refuse_special(path)?;
    OpenOptions::new().write(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.safetensors"), b"weights").unwrap();
        fs::write(folder.path().join("state.json"), b"{}").unwrap();
        seal(folder.path()).unwrap();
        folder
    }

    #[test]
    fn a_folder_is_finished_only_with_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        assert!(verify(folder.path()).unwrap_err().to_string().contains("is not finished"));
        seal(folder.path()).unwrap();
        verify(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap().files, []);
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_named() {
        let folder = sealed();
        let path = folder.path().join("model.safetensors");
        for i in 0..7 {
            let mut bytes = b"weights".to_vec();
            bytes[i] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(verify(folder.path()).unwrap_err().to_string().contains("model.safetensors was changed"));
            fs::write(&path, &b"weights"[..i]).unwrap();
            let message = verify(folder.path()).unwrap_err().to_string();
            assert!(message.contains(&format!("model.safetensors has {i} bytes, expected 7")), "{message}");
        }
        fs::write(&path, b"weights").unwrap();
        verify(folder.path()).unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let folder = sealed();
        fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        fs::write(folder.path().join("state.json"), b"[]").unwrap();
        let error = verify(folder.path()).unwrap_err();
        assert_eq!(error.problems.len(), 2);
        assert!(error.problems[0].found.ends_with("model.safetensors is missing"));
        assert!(error.problems[1].found.contains("state.json was changed"));
        assert_eq!(error.exit_code(), 65);
    }

    #[test]
    fn a_manifest_of_a_newer_version_or_with_a_path_in_it_is_refused() {
        let folder = sealed();
        let path = folder.path().join(MANIFEST);
        fs::write(&path, r#"{"format": 2, "shards": []}"#).unwrap();
        assert!(verify(folder.path()).unwrap_err().to_string().contains("has format 2, expected at most 1"));
        fs::write(&path, r#"{"format": 1, "files": [{"name": "../x", "bytes": 0, "blake3": ""}]}"#).unwrap();
        assert!(verify(folder.path()).unwrap_err().to_string().contains("not a plain file name"));
        fs::write(&path, r#"{"format": 1, "fi"#).unwrap();
        assert!(verify(folder.path()).unwrap_err().to_string().contains("manifest.json is damaged"));
    }

    #[test]
    fn files_that_still_change_can_be_left_out() {
        let folder = sealed();
        fs::write(folder.path().join("log.txt"), b"one").unwrap();
        seal_files(folder.path(), &["state.json"]).unwrap();
        fs::write(folder.path().join("log.txt"), b"one two").unwrap();
        verify(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap().files.len(), 1);
    }
}
