//! Evaluation of pruning configurations in a study.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_cost::{Cost, Target};
use tinsmith_data::Dataset;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_network::ModelSpec;
use tinsmith_study::{Artifact, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores};
use tinsmith_trainer::run::{Plan, build};
use tinsmith_trainer::{Both, Context, Epoch, Observe, TrainConfig, TrainError, evaluate, fit};

use crate::config::PruneConfig;
use crate::error::{Result, SparseError};
use crate::mask;
use crate::pruner::GradualPruner;
use crate::storage::with_smallest_storage;

/// Prunes and fine-tunes one trained network with configurations that a study proposes. Scores are `val_loss`, for
/// classes `val_accuracy`, and `sparsity` and `flash_bytes` of the pruned network.
#[derive(Debug, Clone)]
pub struct PruneTrainer {
    /// Network to prune.
    pub spec: ModelSpec,
    /// Trained weights of the network.
    pub weights: PathBuf,
    /// Training split.
    pub train: Dataset,
    /// Validation split.
    pub validation: Dataset,
    /// Training configuration; the budget of a trial replaces its epochs.
    pub config: TrainConfig,
    /// Target hardware.
    pub target: Target,
    /// Folder for the weights of each trial, as `trial-00042.safetensors`; None keeps none.
    pub artifacts: Option<PathBuf>,
}

impl PruneTrainer {
    fn try_out(
        &self,
        request: &Request<'_, PruneConfig>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome> {
        let config = TrainConfig { epochs: request.budget.epochs, ..self.config.clone() };
        let plan = Plan {
            spec: self.spec.clone(),
            config,
            seed: request.seed,
            start: Some(self.weights.clone()),
            attributes: BTreeMap::new(),
        };
        let mut model = build(&plan, Threads::new(request.grant.threads()))?;
        let mut pruner = GradualPruner::new(request.candidate.clone(), plan.config.epochs)?;
        let mut observer = Observe(|epoch: &Epoch| {
            let found = [("val_loss", epoch.val_loss), ("val_accuracy", epoch.val_accuracy)];
            let scores =
                found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            report(Report { step: u64::from(epoch.epoch), scores })
        });
        let seed: Seed = request.seed;
        let context = Context { seed, grant: request.grant, cancel: request.cancel };
        let train =
            self.train.share(request.budget.share, seed.derive("share", 0)).map_err(TrainError::from)?;
        // The pruner first, so that the observer reports the pruned network.
        let both = &mut Both(&mut pruner, &mut observer);
        fit(&mut model, &train, Some(&self.validation), &plan.config, &context, both)?;
        let found = evaluate(&model, &self.validation, plan.config.loss, request.grant)?;
        let cost = Cost::of(&with_smallest_storage(&model, &self.target)?, &self.target)?;
        let names = mask::prunable(&model, request.candidate)?;
        let mut scores = Scores::from([
            ("val_loss".to_owned(), found.loss),
            ("flash_bytes".to_owned(), cost.total.flash_bytes as f64),
            ("sparsity".to_owned(), mask::sparsity(&model, &names)?),
        ]);
        if let Some(accuracy) = found.accuracy() {
            scores.insert("val_accuracy".to_owned(), accuracy);
        }
        let path = self.artifacts.as_ref().map(|f| f.join(format!("trial-{:05}.safetensors", request.trial)));
        if let Some(path) = &path {
            model.save_weights(path, &BTreeMap::new())?;
        }
        Ok(Outcome { scores, artifact: path.map(|path| Artifact { path }) })
    }
}

impl Evaluate<PruneConfig> for PruneTrainer {
    fn evaluate(
        &self,
        request: Request<'_, PruneConfig>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        self.try_out(&request, report).map_err(|error| match error {
            SparseError::Train(error) if matches!(*error, TrainError::Cancelled { .. }) => {
                EvaluateError::Cancelled
            }
            SparseError::Train(error) if matches!(*error, TrainError::NonFinite { .. }) => {
                EvaluateError::Failed { reason: error.to_string() }
            }
            SparseError::NothingToPrune { .. } | SparseError::Config(_) => {
                EvaluateError::Failed { reason: error.to_string() }
            }
            other => EvaluateError::Broken { source: Box::new(other) },
        })
    }
}
