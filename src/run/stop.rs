//! The wish to stop, from a signal or from whoever started this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag;

use crate::error::{Error, Result};

/// Exit code of a process that is asked twice.
pub const INTERRUPTED: u8 = 130;

/// A flag that everybody who can stop at a good place looks at; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Raised by the first INT, TERM, HUP or USR1; the second ends the process at once with exit code 130.
    ///
    /// # Errors
    /// If the system refuses to have its signals handled.
    pub fn on_signals() -> Result<Self> {
        let stop = Stop::default();
        for &signal in SIGNALS {
            let refused = |e| Error::io("handle signals in", "this process", e);
            // First the question whether it was raised before, then the raising: the order decides.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), stop.0.clone())
                .map_err(refused)?;
            flag::register(signal, stop.0.clone()).map_err(refused)?;
        }
        Ok(stop)
    }

    /// Requests a stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(unix)]
const SIGNALS: &[i32] = {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    &[SIGINT, SIGTERM, SIGHUP, SIGUSR1]
};
#[cfg(not(unix))]
const SIGNALS: &[i32] = &[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
