//! Distribution of cores. A scope owns a number of cores and grants some to each worker; a worker passes its grant on to
//! its kernels. No other crate starts threads of its own for computing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The cores that a piece of work may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    worker: usize,
    threads: usize,
}

impl Grant {
    /// One core, for work outside any scope.
    pub const ONE: Self = Self { worker: 0, threads: 1 };

    /// Number of threads that the work may keep busy, at least 1.
    #[must_use]
    pub const fn threads(self) -> usize {
        self.threads
    }

    /// Number of the worker within its scope, from 0. For logs only: results must not depend on it.
    #[must_use]
    pub const fn worker(self) -> usize {
        self.worker
    }
}

/// Owns a number of cores and divides them among concurrent workers.
#[derive(Debug, Clone, Copy)]
pub struct WorkerScope {
    cores: usize,
}

impl WorkerScope {
    /// A scope over `cores` cores, at least one.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self { cores: cores.max(1) }
    }

    /// A scope over all cores that the system allows this process to use.
    #[must_use]
    pub fn available() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get))
    }

    /// Number of cores that the scope owns.
    #[must_use]
    pub const fn cores(self) -> usize {
        self.cores
    }

    /// Runs `work` once on each of `workers` threads, at most one per core, and returns when all have ended. Each worker is
    /// granted the same number of cores.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn run(self, workers: usize, work: impl Fn(Grant) + Sync) {
        let workers = workers.clamp(1, self.cores);
        let grant = |worker| Grant { worker, threads: self.cores / workers };
        if workers == 1 {
            return work(grant(0));
        }
        std::thread::scope(|threads| {
            for worker in 0..workers {
                let work = &work;
                threads.spawn(move || work(grant(worker)));
            }
        });
    }

    /// Applies `work` to every item, one item per core at a time; returns the results in the order of the items.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn map<T: Send, R: Send>(self, items: Vec<T>, work: impl Fn(Grant, T) -> R + Sync) -> Vec<R> {
        let count = items.len();
        let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        self.run(count, |grant| {
            // The counter gives each index to one worker, so each slot is locked without contention: the mutexes only
            // make the transfer between threads safe. A panic in `work` ends the scope before the results are read.
            while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < count) {
                let item = items[i].lock().unwrap_or_else(PoisonError::into_inner).take();
                let result = work(grant, item.expect("invariant: the counter gives out each item once"));
                *results[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        });
        let result = |slot: Mutex<Option<R>>| {
            slot.into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .expect("invariant: every item has a result once all workers have ended")
        };
        results.into_iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_for_any_number_of_cores() {
        let items: Vec<u64> = (0..100).collect();
        let expected: Vec<u64> = items.iter().map(|x| x * 3).collect();
        for cores in [1, 2, 7] {
            assert_eq!(WorkerScope::new(cores).map(items.clone(), |_, x| x * 3), expected);
        }
    }

    #[test]
    fn grants_never_exceed_the_cores() {
        for (cores, workers) in [(1, 4), (4, 2), (4, 3), (8, 8), (2, 0)] {
            let used = AtomicUsize::new(0);
            WorkerScope::new(cores).run(workers, |grant| {
                used.fetch_add(grant.threads(), Ordering::Relaxed);
            });
            assert!((1..=cores).contains(&used.into_inner()));
        }
    }
}
