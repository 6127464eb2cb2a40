//! Training recipes: one for training from scratch, one for fine-tuning, and the options that change them.

use std::path::PathBuf;

use tinsmith_data::{Augment, Dataset};
use tinsmith_foundation::config;
use tinsmith_trainer::{Loss, TrainConfig};

use crate::error::Result;

/// Returns the recipe for a network that is trained already: half the learning rate.
pub(crate) fn fine_tuning(mut recipe: TrainConfig) -> TrainConfig {
    recipe.optimizer.learning_rate *= 0.5;
    recipe
}

/// Returns the default augmentation for samples of this shape: none for rows and small images, a shift for images of 16
/// pixels and more, and shift, gain, offset, stretch and noise for series.
pub(crate) fn augmentation(sample_shape: &[usize]) -> Augment {
    match sample_shape {
        [h, w, _] if *h.min(w) >= 16 => Augment { shift: 1, ..Augment::default() },
        [t, _] => {
            let shift = u32::try_from(t / 16).unwrap_or(u32::MAX);
            Augment { shift, gain: 0.2, offset: 0.2, stretch: 0.15, noise: 0.1, ..Augment::default() }
        }
        _ => Augment::default(),
    }
}

/// A training as a user asks for it: a file of the whole recipe, and single values that override it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainingOptions {
    /// A YAML file of a [`TrainConfig`]; it replaces the default recipe.
    pub file: Option<PathBuf>,
    /// Epochs.
    pub epochs: Option<u32>,
    /// Samples in one batch.
    pub batch_size: Option<usize>,
    /// Learning rate before the schedule.
    pub learning_rate: Option<f64>,
}

impl TrainingOptions {
    /// Epochs of the default recipes.
    pub const EPOCHS: u32 = 20;
    /// Batch size of the default recipes.
    pub const BATCH_SIZE: usize = 32;
    /// Learning rate of the default recipe from scratch.
    pub const LEARNING_RATE: f64 = 0.004;
    /// Learning rate of the default recipe for fine-tuning.
    pub const FINE_TUNING_RATE: f64 = 0.002;

    /// Returns the recipe for a training from scratch: the default, replaced by the file, changed by the single values.
    ///
    /// # Errors
    /// [`crate::WorkshopError::File`] if the file cannot be read, [`crate::WorkshopError::Config`] if a value cannot be
    /// used.
    pub fn from_scratch(&self) -> Result<TrainConfig> {
        self.resolve(TrainConfig::adam_cosine(Self::EPOCHS, Self::BATCH_SIZE, Self::LEARNING_RATE))
    }

    /// Returns the recipe for a training from scratch on `data`: as [`Self::from_scratch`], with the loss that
    /// [`Loss::for_targets`] chooses unless the file names one.
    ///
    /// # Errors
    /// As [`Self::from_scratch`].
    pub fn from_scratch_on(&self, data: &Dataset) -> Result<TrainConfig> {
        let recipe = self.from_scratch()?;
        let names_loss = match &self.file {
            Some(path) => TrainConfig::file_names_loss(path)?,
            None => false,
        };
        Ok(if names_loss { recipe } else { TrainConfig { loss: Loss::for_targets(data), ..recipe } })
    }

    /// Returns the recipe for a network that is trained already, by the same precedence.
    ///
    /// # Errors
    /// As [`Self::from_scratch`].
    pub fn fine_tuning(&self) -> Result<TrainConfig> {
        self.resolve(fine_tuning(TrainConfig::adam_cosine(
            Self::EPOCHS,
            Self::BATCH_SIZE,
            Self::LEARNING_RATE,
        )))
    }

    fn resolve(&self, default: TrainConfig) -> Result<TrainConfig> {
        let mut recipe = match &self.file {
            Some(path) => config::load(path, TrainConfig::check)?,
            None => default,
        };
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        let rate = &mut recipe.optimizer.learning_rate;
        *rate = self.learning_rate.unwrap_or(*rate);
        recipe.validate()?;
        Ok(recipe)
    }
}
