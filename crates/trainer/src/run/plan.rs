//! The input of a run: network, configuration, seed and initial weights.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_data::Dataset;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::{BuildOptions, Model, load_model};
use tinsmith_network::ModelSpec;

use crate::compatibility::check_compatibility;
use crate::config::TrainConfig;
use crate::error::Result;

/// Network, configuration and seed of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Network to train.
    pub spec: ModelSpec,
    /// Training configuration.
    pub config: TrainConfig,
    /// Seed of initial weights, batches, dropout and augmentation.
    pub seed: Seed,
    /// Weight file to start from. Tensors are matched by name and shape; the rest is drawn from the seed.
    pub start: Option<PathBuf>,
    /// Further properties of the run (a pruning schedule, values of a sweep); stored, and compared on resume.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl Plan {
    /// Checks that the training can start, without writing anything: the configuration is usable, the network builds, and
    /// shapes, head, loss, and metrics fit the data.
    ///
    /// # Errors
    /// As [`build`] and [`check_compatibility`].
    pub fn check(&self, train: &Dataset, validation: Option<&Dataset>) -> Result<()> {
        self.config.validate()?;
        check_compatibility(&build(self, Threads::ONE)?, train, validation, &self.config)
    }
}

/// Builds the network of a plan with its initial weights.
///
/// # Errors
/// [`TrainError::Layers`](crate::TrainError::Layers) if the network does not build or the weights cannot be read.
pub fn build(plan: &Plan, threads: Threads) -> Result<Model> {
    let options = BuildOptions { threads, ..BuildOptions::default() };
    let model = Model::build(&plan.spec, plan.seed.derive("weights", 0), &options)?;
    if let Some(path) = &plan.start {
        model.inherit(&load_model(path)?)?;
    }
    Ok(model)
}
