//! The subcommands, one file each.

pub(crate) mod data;
pub(crate) mod design;
pub(crate) mod fleet;
pub(crate) mod generate;
pub(crate) mod prune;
pub(crate) mod quantize;
pub(crate) mod schema;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod train;

use std::path::PathBuf;

use clap::Args;
use tinsmith_cost::CostError;
use tinsmith_cost::{Limits, Target};
use tinsmith_data::Parts;
use tinsmith_foundation::{ConfigErrors, Seed, WorkerScope};
use tinsmith_keras::KerasError;
use tinsmith_modelgen::ModelgenError;
use tinsmith_network::NetworkError;
use tinsmith_trainer::{OptimizerConfig, Schedule, TrainConfig, TrainError};
use tinsmith_workshop::{ByteSize, WorkshopError};

/// Limits and target of a network.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// Flash for weights, for example 64KiB
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Peak RAM for activations, for example 16KiB
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// Multiply-accumulates of one inference
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// mcu-int8, mcu-packed, fpga, float32, or a YAML file
    #[arg(long, default_value = "mcu-packed")]
    target: String,
}

impl BudgetArgs {
    fn limits(&self) -> Limits {
        Limits {
            flash: self.flash.map(|b| b.0),
            ram: self.ram.map(|b| b.0),
            macs: self.macs,
            ..Limits::default()
        }
    }

    fn target(&self) -> anyhow::Result<Target> {
        Ok(Target::load(&self.target)?)
    }
}

/// Data, and how long to train on them.
#[derive(Debug, Args)]
pub(crate) struct TrainingArgs {
    /// A built-in data set, or a folder of IDX files
    #[arg(long, default_value = "digits8x8")]
    data: String,
    /// Passes over the training rows
    #[arg(long, default_value_t = 20)]
    epochs: u32,
    /// Samples in one step
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Learning rate of Adam at the start of its cosine
    #[arg(long, default_value_t = 0.004)]
    learning_rate: f64,
    /// A YAML file of the whole training (losses, optimizers, schedules, augmentation), instead of the three above
    #[arg(long, value_name = "FILE")]
    training: Option<PathBuf>,
    /// Share of the training rows that are held out to decide by
    #[arg(long, default_value_t = 0.2)]
    validation: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Networks trained side by side; 0 means one for each core
    #[arg(long, default_value_t = 0)]
    jobs: usize,
}

impl TrainingArgs {
    fn parts(&self) -> anyhow::Result<Parts> {
        Ok(data::load(&self.data)?.parts(self.validation, self.seed())?)
    }

    fn config(&self) -> anyhow::Result<TrainConfig> {
        if let Some(path) = &self.training {
            return Ok(tinsmith_foundation::config::load(path, TrainConfig::check)?);
        }
        Ok(TrainConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            optimizer: OptimizerConfig { learning_rate: self.learning_rate, ..OptimizerConfig::default() },
            schedule: Schedule::Cosine { floor: 0.01 },
            warm_up: 0.05,
            ..TrainConfig::default()
        })
    }

    fn seed(&self) -> Seed {
        Seed::new(self.seed)
    }

    fn scope(&self) -> WorkerScope {
        if self.jobs == 0 { WorkerScope::available() } else { WorkerScope::new(self.jobs) }
    }
}

/// Whether an error is one of usage: wrong arguments or configuration, nothing was run.
pub(crate) fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ConfigErrors>()
            || cause.downcast_ref().is_some_and(tinsmith_fleet::FleetError::is_usage)
            || matches!(
                cause.downcast_ref(),
                Some(
                    WorkshopError::Config(_)
                        | WorkshopError::Occupied { .. }
                        | WorkshopError::Nothing { .. }
                        | WorkshopError::Spec(NetworkError::Invalid(_))
                        | WorkshopError::Cost(CostError::Invalid(_))
                )
            )
            || matches!(
                cause.downcast_ref(),
                Some(
                    TrainError::Config(_)
                        | TrainError::OtherRun { .. }
                        | TrainError::Spec(NetworkError::Invalid(_))
                )
            )
            || matches!(cause.downcast_ref(), Some(NetworkError::Invalid(_)))
            || matches!(cause.downcast_ref(), Some(CostError::Invalid(_)))
            || matches!(cause.downcast_ref(), Some(KerasError::Invalid(_)))
            || matches!(cause.downcast_ref(), Some(ModelgenError::Config(_)))
    })
}

/// A folder that must not hold anything yet, or be of the same work.
pub(crate) fn folder(out: Option<&PathBuf>, default: &str) -> PathBuf {
    out.cloned().unwrap_or_else(|| PathBuf::from(default))
}
