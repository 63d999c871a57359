//! The real `zoo`, run in an empty folder.

use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// What a run of the program left.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// An empty folder to run the program in.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders that it lies in.
    pub fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Runs `zoo` with these arguments.
    pub fn zoo(&self, args: &[&str]) -> Said {
        let output = Command::cargo_bin("zoo").unwrap().current_dir(self.path()).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs `zoo` and expects it to succeed.
    pub fn ask(&self, args: &[&str]) -> String {
        let said = self.zoo(args);
        assert_eq!(said.code, 0, "zoo {args:?}: {}", said.err);
        said.out
    }

    /// Runs `zoo` and expects it to refuse with this exit code; what it says.
    pub fn refuses(&self, args: &[&str], code: i32) -> String {
        let said = self.zoo(args);
        assert_eq!(said.code, code, "zoo {args:?}: {}{}", said.out, said.err);
        said.err
    }

    /// Runs `zoo` and expects JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ask(args)).unwrap()
    }
}
