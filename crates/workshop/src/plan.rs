//! A design with every value decided.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tinsmith_autoq::{AutoqConfig, Goal};
use tinsmith_cost::{Limits, Target};
use tinsmith_data::{Augment, Dataset, TableOptions};
use tinsmith_foundation::{ByteSize, config};
use tinsmith_nas::SearchConfig;
use tinsmith_sparse::{PruneConfig, Scope};
use tinsmith_study::{Budget, EvolutionConfig};
use tinsmith_trainer::TrainConfig;

use crate::config::{
    DesignConfig, GenerateOptions, PruneOptions, QuantizeOptions, SearchOptions, is_default,
};
use crate::error::Result;
use crate::identity::{table_settings, to_value};
use crate::recipe;

/// The architecture search of a plan. Fields as in [`crate::SearchOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPlan {
    /// Training budget of one trial.
    pub budget: Budget,
    /// Number of successive mutations that make a child.
    pub mutations: u32,
    /// Selection of parents.
    pub evolution: EvolutionConfig,
    /// Number of best trials that are trained in full.
    pub finalists: usize,
}

/// The quantization search of a plan. Fields as in [`crate::QuantizeOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizePlan {
    /// Number of bit-width assignments that are tried.
    pub trials: u64,
    /// Training budget of one trial.
    pub budget: Budget,
    /// Bit widths that are tried.
    pub bits: Vec<u32>,
    /// Exchange rate between bits and accuracy.
    pub goal: Goal,
}

/// The pruning of a plan. Fields as in [`crate::PruneOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunePlan {
    /// Sparsities that are tried.
    pub sparsities: Vec<f64>,
    /// Training budget of one trial.
    pub budget: Budget,
    /// Exchange rate between flash and accuracy.
    pub goal: Goal,
}

/// A design with every value decided, made by [`DesignConfig::resolve`] and stored as the `config.yaml` of a design.
///
/// The fields are those of [`DesignConfig`]. Reading one back requires every field: a file that lost lines is refused rather
/// than completed with defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignPlan {
    /// Version of this format: 1.
    pub schema: u32,
    /// A built-in data set's name, or an absolute path.
    pub data: String,
    /// Options for the targets and columns of the data; absent if none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub table: TableOptions,
    /// Name of a built-in target, or a path.
    pub target: String,
    /// Limit of flash.
    pub flash: ByteSize,
    /// Limit of RAM.
    pub ram: ByteSize,
    /// Limit of multiply-accumulates.
    #[serde(deserialize_with = "Option::deserialize")]
    pub macs: Option<u64>,
    /// Number of architectures that are tried.
    pub trials: u64,
    /// Time limit of the searches in minutes.
    #[serde(deserialize_with = "Option::deserialize")]
    pub time: Option<f64>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of networks trained side by side; 0 means one per core.
    pub jobs: usize,
    /// Folder of the result.
    pub out: PathBuf,
    /// Hides progress.
    pub quiet: bool,
    /// Number of trainings of the winner.
    pub seeds: u64,
    /// Epochs of a full training.
    pub epochs: u32,
    /// Samples in one batch.
    pub batch_size: usize,
    /// Learning rate at the start of the cosine schedule.
    pub learning_rate: f64,
    /// Fraction of training rows held out for validation.
    pub validation: f64,
    /// Includes the validation rows in the final trainings.
    pub refit: bool,
    /// Augmentation of training samples.
    pub augment: Augment,
    /// Random candidates.
    pub generate: GenerateOptions,
    /// Architectures.
    pub search: SearchPlan,
    /// Quantizers.
    pub quantize: QuantizePlan,
    /// Sparsity.
    pub prune: PrunePlan,
}

impl DesignConfig {
    /// Decides every value that depends on the training rows.
    ///
    /// Budgets count passes of a row through the network, so small data sets are seen often and large ones in part.
    #[must_use]
    pub fn resolve(self, train: &Dataset) -> DesignPlan {
        let rows = train.len().max(1) as f64;
        let epochs = |passes: f64, least: f64, most: f64| (passes / rows).clamp(least, most).round() as u32;
        let budget = |passes: f64, least: f64, most: f64| {
            let epochs = epochs(passes, least, most);
            let share = passes / (rows * f64::from(epochs));
            Budget { epochs, folds: 1, share: if share < 1.0 { (share * 100.0).ceil() / 100.0 } else { 1.0 } }
        };
        let out = self.folder();
        DesignPlan {
            schema: self.schema,
            data: self.data,
            table: self.table,
            target: self.target,
            flash: self.flash,
            ram: self.ram,
            macs: self.macs,
            trials: self.trials,
            time: self.time,
            seed: self.seed,
            jobs: self.jobs,
            out,
            quiet: self.quiet,
            seeds: self.seeds,
            epochs: self.epochs.unwrap_or_else(|| epochs(480_000.0, 8.0, 60.0)),
            batch_size: self.batch_size.unwrap_or(if rows < 8000.0 { 32 } else { 64 }),
            learning_rate: self.learning_rate,
            validation: self.validation,
            refit: self.refit.unwrap_or(rows < 10_000.0),
            augment: self.augment.unwrap_or_else(|| recipe::augmentation(train.sample_shape())),
            generate: self.generate,
            search: SearchPlan {
                budget: self.search.budget.unwrap_or_else(|| budget(36_000.0, 3.0, 16.0)),
                mutations: self.search.mutations,
                evolution: self.search.evolution,
                finalists: self.search.finalists,
            },
            quantize: QuantizePlan {
                trials: self.quantize.trials.unwrap_or((self.trials / 2).max(1)),
                budget: self.quantize.budget.unwrap_or_else(|| budget(36_000.0, 3.0, 10.0)),
                bits: self.quantize.bits,
                goal: self.quantize.goal,
            },
            prune: PrunePlan {
                sparsities: self.prune.sparsities,
                budget: self.prune.budget.unwrap_or_else(|| budget(60_000.0, 4.0, 16.0)),
                goal: self.prune.goal,
            },
        }
    }
}

impl DesignPlan {
    /// Reads a plan from the `config.yaml` of a design.
    ///
    /// # Errors
    /// [`crate::WorkshopError::File`] if it cannot be read, [`crate::WorkshopError::Config`] if a key is missing or
    /// unknown, or a value cannot be used.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(config::load(path, |plan: &Self, faults| plan.as_config().check(faults))?)
    }

    /// Returns the plan as a configuration in which every value is given.
    #[must_use]
    pub fn as_config(&self) -> DesignConfig {
        let plan = self.clone();
        DesignConfig {
            schema: plan.schema,
            data: plan.data,
            table: plan.table,
            target: plan.target,
            flash: plan.flash,
            ram: plan.ram,
            macs: plan.macs,
            trials: plan.trials,
            time: plan.time,
            seed: plan.seed,
            jobs: plan.jobs,
            out: Some(plan.out),
            quiet: plan.quiet,
            seeds: plan.seeds,
            epochs: Some(plan.epochs),
            batch_size: Some(plan.batch_size),
            learning_rate: plan.learning_rate,
            validation: plan.validation,
            refit: Some(plan.refit),
            augment: Some(plan.augment),
            generate: plan.generate,
            search: SearchOptions {
                budget: Some(plan.search.budget),
                mutations: plan.search.mutations,
                evolution: plan.search.evolution,
                finalists: plan.search.finalists,
            },
            quantize: QuantizeOptions {
                trials: Some(plan.quantize.trials),
                budget: Some(plan.quantize.budget),
                bits: plan.quantize.bits,
                goal: plan.quantize.goal,
            },
            prune: PruneOptions {
                sparsities: plan.prune.sparsities,
                budget: Some(plan.prune.budget),
                goal: plan.prune.goal,
            },
        }
    }

    /// Returns the limits of a network.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { flash: Some(self.flash.0), ram: Some(self.ram.0), macs: self.macs, ..Limits::default() }
    }

    /// Returns the recipe of a training from scratch: `epochs` of Adam along a cosine schedule.
    #[must_use]
    pub fn training(&self, epochs: u32) -> TrainConfig {
        let recipe = TrainConfig::adam_cosine(epochs, self.batch_size, self.learning_rate);
        TrainConfig { augment: self.augment, ..recipe }
    }

    /// Returns the configuration of the architecture search.
    pub(crate) fn search_config(&self) -> SearchConfig {
        SearchConfig {
            trials: self.trials,
            budget: self.search.budget,
            time_limit_s: self.time_limit_s(0.5),
            mutations: self.search.mutations,
            evolution: self.search.evolution.clone(),
            ..SearchConfig::default()
        }
    }

    /// Returns the configuration of the quantization search.
    pub(crate) fn quantize_config(&self) -> AutoqConfig {
        AutoqConfig {
            trials: self.quantize.trials,
            budget: self.quantize.budget,
            time_limit_s: self.time_limit_s(0.3),
            bits: self.quantize.bits.clone(),
            goal: self.quantize.goal,
            ..AutoqConfig::default()
        }
    }

    /// Returns the prunings that are tried: one per sparsity, by magnitude among all kernels at once.
    pub(crate) fn prunings(&self) -> Vec<PruneConfig> {
        let pruning = |&sparsity| PruneConfig { sparsity, scope: Scope::Global, ..PruneConfig::default() };
        self.prune.sparsities.iter().map(pruning).collect()
    }

    /// Returns the seconds of a stage that gets this fraction of the time limit.
    pub(crate) fn time_limit_s(&self, fraction: f64) -> Option<f64> {
        self.time.map(|minutes| 60.0 * minutes * fraction)
    }

    /// Returns every setting that the results depend on, for the record of the work. The folder, the number of jobs and the
    /// path of the data are left out: results do not depend on them, and the data are recognized by their checksum.
    pub(crate) fn settings(&self, target: &Target) -> Result<Value> {
        let mut settings = to_value("configuration", self)?;
        if let Some(fields) = settings.as_object_mut() {
            for key in ["schema", "data", "out", "jobs", "quiet"] {
                fields.remove(key);
            }
            fields.insert("target".to_owned(), to_value("target", target)?);
            fields.remove("table");
            fields.extend(table_settings(&self.table)?.map(|table| ("table".to_owned(), table)));
        }
        Ok(settings)
    }
}
