//! How a network runs: to be trained or to be used.

use tinsmith_foundation::Seed;

/// Training or inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch normalization takes the batch's moments and moves its statistics, dropout drops, stochastic
    /// quantizers draw; results can be differentiated by the trainable parameters.
    Train {
        /// Where the random draws of this step come from: one seed for each step.
        seed: Seed,
    },
    /// Moving statistics, nothing random, no gradient by the parameters (one by the input is still there).
    Infer,
}

impl Mode {
    /// Whether this is training.
    #[must_use]
    pub const fn is_training(self) -> bool {
        matches!(self, Self::Train { .. })
    }
}
