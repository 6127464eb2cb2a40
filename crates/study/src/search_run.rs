//! Resources of a search over networks.

use std::path::Path;

use tinsmith_foundation::{CancelToken, Progress, Seed, WorkerScope};

use crate::evaluate::Evaluate;

/// Resources of a search with a journal, shared by architecture search, quantization search, and searches of
/// a user's own.
pub struct SearchRun<'a, C> {
    /// Path of the journal; trials that it already holds are kept.
    pub journal: &'a Path,
    /// Seed of everything random.
    pub seed: Seed,
    /// Trains and scores a candidate.
    pub evaluate: &'a dyn Evaluate<C>,
    /// Cores to use.
    pub scope: WorkerScope,
    /// Number of candidates evaluated side by side.
    pub jobs: usize,
    /// Receives progress events.
    pub progress: &'a dyn Progress,
    /// Requests a stop.
    pub cancel: CancelToken,
}

impl<C> std::fmt::Debug for SearchRun<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchRun")
            .field("journal", &self.journal)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
