//! Signals that request a stop at the next safe point.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tinsmith_foundation::CancelToken;

use crate::error::{FleetError, Result};

/// The first signal received, and the token that it cancels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) cancel: CancelToken,
    first: Arc<AtomicI32>,
}

impl Told {
    /// Starts listening. The handler only sets flags; training checks them between steps.
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
        let told = Self::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2])
            .map_err(|e| FleetError::usage(format!("cannot listen to signals: {e}")))?;
        let seen = told.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let _ = seen.first.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
                seen.cancel.cancel();
            }
        });
        Ok(told)
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self::default())
    }

    /// Returns true if the first signal was USR2, which precedes a time limit or a preemption and after which
    /// a task may ask to be requeued. TERM alone may mean that a user cancelled the job.
    #[cfg(unix)]
    pub(crate) fn is_warning(&self) -> bool {
        self.first.load(Ordering::Acquire) == signal_hook::consts::SIGUSR2
    }

    #[cfg(not(unix))]
    pub(crate) fn is_warning(&self) -> bool {
        self.first.load(Ordering::Acquire) != 0
    }
}
