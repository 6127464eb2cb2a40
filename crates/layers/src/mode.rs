//! Training and inference mode.

use tinsmith_foundation::Seed;

/// Training or inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch normalization uses batch moments and updates its moving statistics, dropout is active, stochastic
    /// quantizers draw. Results are differentiable by the trainable parameters.
    Train {
        /// Source of the random draws of this step. Use one seed per step.
        seed: Seed,
    },
    /// Moving statistics, no random draws, no gradient by the parameters. The gradient by the input exists.
    Infer,
}

impl Mode {
    /// True for [`Mode::Train`].
    #[must_use]
    pub const fn is_training(self) -> bool {
        matches!(self, Self::Train { .. })
    }
}
