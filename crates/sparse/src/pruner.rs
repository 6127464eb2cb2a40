//! Gradual pruning: a callback that prunes before each epoch.

use tinsmith_layers::Model;
use tinsmith_trainer::{Callback, TrainError};

use crate::config::PruneConfig;
use crate::error::{Result, SparseError};
use crate::mask;

/// Prunes a network gradually over a training (Zhu and Gupta, 2017). Only epochs after the last pruning may be kept
/// as best. With `until: 0` all pruning happens in one step, as in Sparana's Lobotomizer.
#[derive(Debug, Clone)]
pub struct GradualPruner {
    config: PruneConfig,
    epochs: u32,
}

impl GradualPruner {
    /// Creates a pruner for a training of `epochs`.
    ///
    /// # Errors
    /// [`SparseError::Config`] if the configuration is unusable.
    pub fn new(config: PruneConfig, epochs: u32) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, epochs })
    }
}

impl Callback for GradualPruner {
    fn before_epoch(&mut self, model: &mut Model, epoch: u32) -> Result<(), TrainError> {
        let prune = |model: &mut Model| -> Result<()> {
            let names = mask::prunable(model, &self.config)?;
            let sparsity = self.config.sparsity_at(epoch, self.epochs);
            mask::prune_smallest(model, &names, sparsity, self.config.scope)
        };
        prune(model).map_err(|error| match error {
            SparseError::Config(errors) => errors.into(),
            SparseError::Layers(error) => error.into(),
            SparseError::Tensor(error) => error.into(),
            SparseError::Candle(error) => error.into(),
            SparseError::Spec(error) => error.into(),
            SparseError::Train(error) => *error,
            other @ (SparseError::Cost(_) | SparseError::NothingToPrune { .. }) => {
                TrainError::Callback { reason: other.to_string() }
            }
        })
    }

    fn may_keep(&self, epoch: u32) -> bool {
        self.config.is_over(epoch, self.epochs)
    }
}
