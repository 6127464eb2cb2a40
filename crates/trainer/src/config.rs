//! How a network is trained, as data.

use serde::{Deserialize, Serialize};
use tinsmith_data::Augment;
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::loss::Loss;
use crate::optimizer::OptimizerConfig;
use crate::schedule::Schedule;

/// When a training that no longer gets better ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// Epochs without a better validation loss after which training ends; 0 means never. Default 0.
    pub patience: u32,
    /// How much lower a loss must be to count as better. Default 0.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 0, min_delta: 0.0 }
    }
}

/// A training's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training part. Default 30.
    pub epochs: u32,
    /// Samples in one step. Default 64.
    pub batch_size: usize,
    /// What is minimized. Default cross-entropy.
    pub loss: Loss,
    /// How weights are changed. Default Adam.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes. Default constant.
    pub schedule: Schedule,
    /// When training ends early. Default never.
    pub early_stopping: EarlyStopping,
    /// Whether the weights of the epoch with the lowest validation loss are kept, not the last. Default true.
    pub restore_best: bool,
    /// How samples are varied. Default not at all.
    pub augment: Augment,
    /// Probability with which each connection (element of a kernel) is left out of a step; the others are scaled up by
    /// `1 / (1 - p)`, and inference uses them all (`DropConnect`, Wan et al., ICML 2013). 0 to below 1. Default 0.
    pub drop_connect: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 64,
            loss: Loss::default(),
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            early_stopping: EarlyStopping::default(),
            restore_best: true,
            augment: Augment::default(),
            drop_connect: 0.0,
        }
    }
}

impl TrainConfig {
    /// Notes values that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        if self.epochs == 0 {
            faults.add("epochs", "is 0, want at least 1");
        }
        if self.batch_size == 0 {
            faults.add("batch_size", "is 0, want at least 1");
        }
        faults.within("loss", |faults| self.loss.check(faults));
        if !(0.0..1.0).contains(&self.drop_connect) {
            faults.add("drop_connect", format!("is {}, want 0 to below 1", self.drop_connect));
        }
        if self.early_stopping.min_delta.is_nan() || self.early_stopping.min_delta < 0.0 {
            faults.add(
                "early_stopping.min_delta",
                format!("is {}, want 0 or more", self.early_stopping.min_delta),
            );
        }
        faults.within("optimizer", |faults| self.optimizer.check(faults));
        faults.within("schedule", |faults| self.schedule.check(faults));
        faults.within("augment", |faults| self.augment.check(faults));
    }

    /// Whether every value can be used.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("training configuration")
    }
}
