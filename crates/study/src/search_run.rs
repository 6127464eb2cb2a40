//! What a search over networks is run with.

use std::path::Path;

use tinsmith_foundation::{CancelToken, Progress, Seed, WorkerScope};

use crate::evaluate::Evaluate;

/// Where and with what a search runs that keeps its journal in a file: the common half of architecture search,
/// quantization search, and searches of a user's own.
pub struct SearchRun<'a, C> {
    /// The journal; what it holds already is taken as it is.
    pub journal: &'a Path,
    /// Seed of everything random.
    pub seed: Seed,
    /// Trains and scores a candidate.
    pub evaluate: &'a dyn Evaluate<C>,
    /// The cores.
    pub scope: WorkerScope,
    /// How many candidates are evaluated side by side.
    pub jobs: usize,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// Asks for a stop.
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
