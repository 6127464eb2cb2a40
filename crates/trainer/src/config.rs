//! Configuration of a training.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tinsmith_data::{Augment, Dataset};
use tinsmith_foundation::{ConfigErrors, Faults, FoundationError, config};

use crate::loss::Loss;
use crate::metric::Metric;
use crate::optimizer::OptimizerConfig;
use crate::schedule::Schedule;

/// Condition for ending a training early (`intelligent` in Netrain).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// Epochs without improvement before training ends; 0 disables early stopping. Default 0.
    pub patience: u32,
    /// Smallest change that counts as an improvement. Default 0.
    pub min_delta: f64,
    /// Metric to monitor on the validation split, in its own direction. It also decides the best epoch. Without a
    /// validation split the training loss is monitored, for early stopping only. Default the loss.
    pub monitor: Metric,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 0, min_delta: 0.0, monitor: Metric::Loss }
    }
}

/// Weights that a training returns: the last, or an average over its course. With an average, validation and the best
/// epoch use the averaged weights. Moving statistics of normalizations are averaged too.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Averaging {
    /// The last weights.
    #[default]
    Off,
    /// After each update `mean = decay mean + (1 - decay) w`, from the first update on (Polyak and Juditsky, 1992;
    /// `use_ema` in Keras).
    Exponential {
        /// Fraction of the mean kept at each update, 0 to below 1. Default 0.99.
        #[serde(default = "decay")]
        decay: f64,
    },
    /// Mean of the weights at the ends of the last epochs (stochastic weight averaging, Izmailov et al., arXiv
    /// 1803.05407).
    Epochs {
        /// Fraction of the epochs to skip, 0 to below 1. Default 0.75.
        #[serde(default = "from")]
        from: f64,
    },
}

/// Most rows of an epoch, a batch or an update.
const MOST_ROWS: u64 = 1 << 31;

fn decay() -> f64 {
    0.99
}

fn from() -> f64 {
    0.75
}

/// Distillation: a trained teacher network adds `temperature^2` times the divergence of the softened outputs to the
/// loss (Hinton et al., arXiv 1503.02531).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// Weight file of the teacher, written by Tinsmith, for a network with the same inputs and outputs. Default
    /// empty: no teacher.
    pub teacher: String,
    /// Temperature that divides the logits of both networks, above 0. Default 3.
    pub temperature: f64,
    /// Fraction of the loss that comes from the teacher, 0 to 1. Default 0.5.
    pub share: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self { teacher: String::new(), temperature: 3.0, share: 0.5 }
    }
}

/// Configuration of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training split. Default 30.
    pub epochs: u32,
    /// Rows per epoch (`epoch_samples` in Netrain), another random subset each time. More rows than the data set has
    /// are drawn in several passes over it. 0 means all rows once. Default 0.
    pub epoch_samples: usize,
    /// Samples per batch. Default 64.
    pub batch_size: usize,
    /// Batches whose gradients are accumulated for one update; the last update of an epoch may have fewer. Default 1.
    pub accumulate: usize,
    /// Loss to minimize; it must fit the targets, see [`Loss::for_targets`]. Default cross-entropy.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub loss: Loss,
    /// Loss weight of each class; empty means 1 for all. Default empty.
    pub class_weights: Vec<f64>,
    /// Teacher to learn from. Default none.
    pub distillation: Distillation,
    /// Optimizer. Default Adam.
    pub optimizer: OptimizerConfig,
    /// Learning-rate schedule. Default constant.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub schedule: Schedule,
    /// Fraction of all steps in which the learning rate rises from 0 before the schedule starts; 0 to below 1.
    /// Default 0.
    pub warm_up: f64,
    /// Early stopping. Default never.
    pub early_stopping: EarlyStopping,
    /// Restores the weights of the best epoch on the validation split at the end, instead of the last. Default
    /// true.
    pub restore_best: bool,
    /// Weight averaging. Default off.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub averaging: Averaging,
    /// Metrics on the validation split after each epoch, besides loss and accuracy. Default none.
    pub metrics: Vec<Metric>,
    /// Augmentation of the samples. Default none.
    pub augment: Augment,
    /// Probability of dropping each connection (element of a kernel) in a step. The others are scaled by `1 / (1 -
    /// p)`; inference uses all (`DropConnect`, Wan et al., ICML 2013). 0 to below 1. Default 0.
    pub drop_connect: f64,
    /// Weight of the effective bit operations of kernels with learned bit widths (`learned_bits`) in the loss: its
    /// gradient by the bit widths is added (HGQ, arXiv 2405.00645). 0 or more, usually 1e-8 to 1e-4. Default 0.
    pub ebops: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            epoch_samples: 0,
            batch_size: 64,
            accumulate: 1,
            loss: Loss::default(),
            class_weights: Vec::new(),
            distillation: Distillation::default(),
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            warm_up: 0.0,
            early_stopping: EarlyStopping::default(),
            restore_best: true,
            averaging: Averaging::default(),
            metrics: Vec::new(),
            augment: Augment::default(),
            drop_connect: 0.0,
            ebops: 0.0,
        }
    }
}

impl TrainConfig {
    /// Returns the standard recipe: Adam with the learning rate rising over the first 5 % of the steps, then falling along
    /// half a cosine to 1 % of `learning_rate`. Everything else is the default.
    #[must_use]
    pub fn adam_cosine(epochs: u32, batch_size: usize, learning_rate: f64) -> Self {
        Self {
            epochs,
            batch_size,
            optimizer: OptimizerConfig { learning_rate, ..OptimizerConfig::default() },
            schedule: Schedule::Cosine { floor: 0.01 },
            warm_up: 0.05,
            ..Self::default()
        }
    }

    /// Returns the default configuration with the loss that [`Loss::for_targets`] chooses for `data`.
    #[must_use]
    pub fn for_data(data: &Dataset) -> Self {
        Self { loss: Loss::for_targets(data), ..Self::default() }
    }

    /// Returns true if a configuration file names a loss. Without one, the loss may follow the targets of the data
    /// ([`Loss::for_targets`]).
    ///
    /// # Errors
    /// [`FoundationError`] if the file cannot be read or is no mapping.
    pub fn file_names_loss(path: &Path) -> Result<bool, FoundationError> {
        #[derive(Deserialize)]
        struct Key {
            loss: Option<serde_json::Value>,
        }
        Ok(config::load::<Key>(path, |_, _| {})?.loss.is_some())
    }

    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        if self.epochs == 0 {
            faults.add("epochs", "is 0, want at least 1");
        }
        if self.batch_size == 0 {
            faults.add("batch_size", "is 0, want at least 1");
        }
        if self.accumulate == 0 {
            faults.add("accumulate", "is 0, want at least 1");
        }
        // Keeps products of steps, batches and epochs within 64 bits.
        for (name, value) in [
            ("epoch_samples", self.epoch_samples),
            ("batch_size", self.batch_size),
            ("accumulate", self.accumulate.saturating_mul(self.batch_size)),
        ] {
            if value as u64 > MOST_ROWS {
                faults.add(name, format!("asks for {value} rows, want at most {MOST_ROWS}"));
                break;
            }
        }
        for (i, weight) in self.class_weights.iter().enumerate() {
            if !(*weight >= 0.0 && weight.is_finite()) {
                faults.add(&format!("class_weights[{i}]"), format!("is {weight}, want 0 or more"));
            }
        }
        let Distillation { temperature, share, .. } = self.distillation;
        if !(temperature > 0.0 && temperature.is_finite()) {
            faults.add("distillation.temperature", format!("is {temperature}, want a number above 0"));
        }
        if !(0.0..=1.0).contains(&share) {
            faults.add("distillation.share", format!("is {share}, want 0 to 1"));
        }
        if !self.distillation.teacher.is_empty() && !matches!(self.loss, Loss::CrossEntropy { .. }) {
            faults.add("distillation.teacher", "is set, which wants the loss `cross_entropy`");
        }
        for (name, value) in [("warm_up", self.warm_up), ("drop_connect", self.drop_connect)] {
            if !(0.0..1.0).contains(&value) {
                faults.add(name, format!("is {value}, want 0 to below 1"));
            }
        }
        if !(self.ebops >= 0.0 && self.ebops.is_finite()) {
            faults.add("ebops", format!("is {}, want 0 or more", self.ebops));
        }
        match self.averaging {
            Averaging::Exponential { decay: value } | Averaging::Epochs { from: value }
                if !(0.0..1.0).contains(&value) =>
            {
                faults.add("averaging", format!("has {value}, want 0 to below 1"));
            }
            _ => {}
        }
        faults.within("loss", |faults| self.loss.check(faults));
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

    /// Returns the factor of the learning rate in step `step` (from 0) of `total`: warm-up, then the schedule over
    /// the remaining steps. A plateau multiplies its own factor on top.
    #[must_use]
    pub fn learning_rate_factor(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        let rising = self.warm_up * total as f64;
        let done = step as f64;
        if done < rising {
            return done / rising;
        }
        self.schedule.factor(done - rising, total as f64 - rising, steps_per_epoch)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("training configuration")
    }
}
