//! This program as a child process that answers in JSON, for what wants a process of its own.

use std::process::{Child, Command, ExitStatus, Stdio};

use ablation_zoo::Result;
use ablation_zoo::error::{Error, Kind, Problem};
use serde::de::DeserializeOwned;

/// This program, without arguments yet.
pub fn zoo() -> Result<Command> {
    std::env::current_exe().map(Command::new).map_err(|e| Error::io("find", "this program", e))
}

/// Starts it; what it says on standard error goes where ours goes.
pub fn start(command: &mut Command) -> Result<Child> {
    let child = command.stdout(Stdio::piped()).spawn();
    child.map_err(|e| Error::io("run", command.get_program(), e))
}

/// What it printed, once it has ended well.
pub fn answer<T: DeserializeOwned>(child: Child) -> Result<T> {
    let failed = |e: std::io::Error| Error::io("run", "a child of this process", e);
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let found = format!("a child of this process ended with {}", output.status);
        let problem = match output.status.code() {
            Some(_) => Problem::new(found).help("it says why above"),
            None => Problem::new(found),
        };
        return Err(Error::new(kind(&output.status), problem));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| failed(e.into()))
}

/// What sort of error ends with such a code.
fn kind(status: &ExitStatus) -> Kind {
    match status.code() {
        Some(2) => Kind::Config,
        Some(65) => Kind::Data,
        Some(69) => Kind::Device,
        Some(74) => Kind::Io,
        Some(75) => Kind::Stopped,
        Some(_) | None => Kind::RunsFailed,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn said(script: &str) -> Result<Vec<f32>> {
        answer(start(Command::new("sh").args(["-c", script]))?)
    }

    #[test]
    fn a_child_that_fails_is_no_wrong_json() {
        assert_eq!(said("echo '[1.5]'").unwrap(), [1.5]);
        assert_eq!(said("exit 69").unwrap_err().exit_code(), 69);
        assert_eq!(said("kill -KILL $$").unwrap_err().exit_code(), 1);
        assert_eq!(said("echo nonsense").unwrap_err().exit_code(), 74);
    }
}
