//! Heartbeats of the attempts in progress in this process.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::attempt::Attempt;

/// Interval between heartbeats.
const INTERVAL: Duration = Duration::from_secs(15);

/// A thread that writes heartbeats for the registered attempts until it is dropped.
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
                    // One missed heartbeat does no harm: takeover waits for eight of them.
                    let _ = attempt.beat();
                }
            }
        });
        Self { attempts, stop: Some(stop), thread: Some(thread) }
    }

    /// Writes heartbeats for `attempt` while `work` runs.
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
            // The thread ends at once and returns nothing.
            let _ = thread.join();
        }
    }
}
