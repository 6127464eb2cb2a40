//! Pruning while training: a callback that takes more weights away before each epoch.

use tinsmith_layers::Model;
use tinsmith_trainer::{Callback, TrainError};

use crate::config::PruneConfig;
use crate::error::{Result, SparseError};
use crate::mask;

/// Prunes a network gradually over a training (Zhu and Gupta, 2017). Of the epochs only those after the last
/// pruning may be kept as best. Sparana's Lobotomizer prunes in one step; `until: 0` does that here.
#[derive(Debug, Clone)]
pub struct GradualPruner {
    config: PruneConfig,
    epochs: u32,
}

impl GradualPruner {
    /// A pruner for a training of `epochs`.
    ///
    /// # Errors
    /// [`SparseError::Config`] where the configuration cannot be used.
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
