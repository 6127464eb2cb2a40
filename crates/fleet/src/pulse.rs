//! Signs of life of the attempts that this process makes.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::attempt::Attempt;

/// How often.
const INTERVAL: Duration = Duration::from_secs(15);

/// Beats for the attempts that are under way, from a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pulse {
    attempts: Arc<Mutex<BTreeMap<u64, Attempt>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    pub(crate) fn start() -> Self {
        let attempts: Arc<Mutex<BTreeMap<u64, Attempt>>> = Arc::default();
        let (stop, stopped) = mpsc::channel();
        let seen = Arc::clone(&attempts);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for attempt in seen.lock().unwrap_or_else(PoisonError::into_inner).values() {
                    // A beat that is missed does no harm before many are.
                    let _ = attempt.beat();
                }
            }
        });
        Self { attempts, stop: Some(stop), thread: Some(thread) }
    }

    /// Beats for `attempt` while `work` runs.
    pub(crate) fn during<R>(&self, index: u64, attempt: &Attempt, work: impl FnOnce() -> R) -> R {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(index, attempt.clone());
        let result = work();
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
        result
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends at once, and has nothing to report.
            let _ = thread.join();
        }
    }
}
