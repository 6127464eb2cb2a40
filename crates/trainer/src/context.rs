//! Seed, cores and cancellation of a training.

use tinsmith_foundation::{CancelToken, Grant, Seed};

/// Resources and signals that the caller passes to a training.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Seed of the batch order, dropout and augmentation.
    pub seed: Seed,
    /// Cores that may be used.
    pub grant: Grant,
    /// Cancels the training; polled between steps.
    pub cancel: &'a CancelToken,
}
