//! How a network is trained, as data.

use serde::{Deserialize, Serialize};
use tinsmith_data::Augment;
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::loss::Loss;
use crate::metric::Metric;
use crate::optimizer::OptimizerConfig;
use crate::schedule::Schedule;

/// When a training that no longer gets better ends (Netrain's `intelligent`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// Epochs without a better value after which training ends; 0 means never. Default 0.
    pub patience: u32,
    /// By how much a value must be better to count. Default 0.
    pub min_delta: f64,
    /// What is watched, in the metric's own direction, on the validation part; without one the training loss is, for
    /// ending alone. Also decides which epoch is the best. Default the loss.
    pub monitor: Metric,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 0, min_delta: 0.0, monitor: Metric::Loss }
    }
}

/// Which weights come out of a training: the last, or a mean over its course. With a mean, validation and the best
/// epoch are the mean's. Of a normalization's moving statistics the mean is taken too.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Averaging {
    /// The weights as they are.
    #[default]
    Off,
    /// After each update `mean = decay mean + (1 - decay) w`, from the first weights on (Polyak and Juditsky, 1992; as
    /// Keras' `use_ema`).
    Exponential {
        /// What stays of the mean, 0 to below 1. Default 0.99.
        #[serde(default = "decay")]
        decay: f64,
    },
    /// The mean of the weights at the ends of the epochs after a share of all (stochastic weight averaging, Izmailov et
    /// al., arXiv 1803.05407).
    Epochs {
        /// Share of the epochs that do not count, 0 to below 1. Default 0.75.
        #[serde(default = "from")]
        from: f64,
    },
}

fn decay() -> f64 {
    0.99
}

fn from() -> f64 {
    0.75
}

/// Learning from a trained network besides the targets: `temperature^2` times the divergence of the softened outputs
/// (Hinton et al., arXiv 1503.02531).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// The teacher: a weight file that Tinsmith wrote, of a network with the same inputs and outputs. Default empty: no
    /// teacher.
    pub teacher: String,
    /// What the logits of both are divided by, above 0. Default 3.
    pub temperature: f64,
    /// How much of the loss is the teacher's, 0 to 1. Default 0.5.
    pub share: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self { teacher: String::new(), temperature: 3.0, share: 0.5 }
    }
}

/// A training's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training part. Default 30.
    pub epochs: u32,
    /// Rows of one pass, another random part in each (Netrain's `epoch_samples`); 0 means all. Default 0.
    pub epoch_samples: usize,
    /// Samples in one batch. Default 64.
    pub batch_size: usize,
    /// Batches whose gradients make up one update; the last update of an epoch may have fewer. Default 1.
    pub accumulate: usize,
    /// What is minimized. Default cross-entropy.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub loss: Loss,
    /// A factor for the loss of each class's samples; empty means 1 for all. Default empty.
    pub class_weights: Vec<f64>,
    /// A teacher. Default none.
    pub distillation: Distillation,
    /// How weights are changed. Default Adam.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes. Default constant.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub schedule: Schedule,
    /// Share of all steps, before the schedule begins, in which the learning rate rises from 0; 0 to below 1. Default 0.
    pub warm_up: f64,
    /// When training ends early. Default never.
    pub early_stopping: EarlyStopping,
    /// Whether the weights of the epoch that was best on the validation part are kept, not the last. Default true.
    pub restore_best: bool,
    /// Which weights come out. Default the last.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub averaging: Averaging,
    /// What is measured on the validation part after each epoch besides loss and accuracy. Default nothing.
    pub metrics: Vec<Metric>,
    /// How samples are varied. Default not at all.
    pub augment: Augment,
    /// Probability with which each connection (element of a kernel) is left out of a step; the others are scaled up by
    /// `1 / (1 - p)`, and inference uses them all (`DropConnect`, Wan et al., ICML 2013). 0 to below 1. Default 0.
    pub drop_connect: f64,
    /// What an effective bit operation of kernels with learned widths (`learned_bits`) costs, in units of the loss: its
    /// gradient by their numbers of bits is added to the loss's (HGQ, arXiv 2405.00645). 1e-8 to 1e-4 are usual; 0 or more.
    /// Default 0.
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
    /// Notes values that cannot be used.
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

    /// What the learning rate is multiplied by in step `step` (from 0) of `total`: the warm-up, then the schedule over
    /// the steps that are left. What a plateau took off comes on top.
    #[must_use]
    pub fn learning_rate_factor(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        let rising = self.warm_up * total as f64;
        let done = step as f64;
        if done < rising {
            return done / rising;
        }
        self.schedule.factor(done - rising, total as f64 - rising, steps_per_epoch)
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
