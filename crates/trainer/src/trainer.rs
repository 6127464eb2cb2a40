//! Implementation of [`Evaluate`] for networks: builds a candidate, trains it within the budget and scores it on the
//! validation split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_data::{Dataset, Folds};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::Model;
use tinsmith_network::ModelSpec;
use tinsmith_study::{Artifact, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores};

use crate::callback::Observe;
use crate::config::TrainConfig;
use crate::context::Context;
use crate::error::TrainError;
use crate::evaluate::evaluate;
use crate::fit::fit;
use crate::history::Epoch;
use crate::kfold::choose;
use crate::run::{Plan, build};

/// Trains candidates on one data set. Scores are `val_loss`, for classes `val_accuracy`, and the configured `metrics`
/// with the prefix `val_`, such as `val_f1_macro`. With several folds each score is the mean.
#[derive(Debug, Clone)]
pub struct Trainer {
    train: Dataset,
    validation: Dataset,
    config: TrainConfig,
    start: Option<PathBuf>,
    artifacts: Option<PathBuf>,
    folds: Option<Folds>,
}

impl Trainer {
    /// Creates a trainer for these splits. The budget of a trial replaces the epochs of `config`.
    #[must_use]
    pub fn new(train: Dataset, validation: Dataset, config: TrainConfig) -> Self {
        Self { train, validation, config, start: None, artifacts: None, folds: None }
    }

    /// Starts every candidate from these weights, matched by name and shape.
    #[must_use]
    pub fn starting_from(mut self, weights: impl Into<PathBuf>) -> Self {
        self.start = Some(weights.into());
        self
    }

    /// Saves the weights of each trial in this folder, as `trial-00042.safetensors`.
    #[must_use]
    pub fn keeping_weights_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.artifacts = Some(folder.into());
        self
    }

    /// Scores candidates by cross-validation on the training split; all candidates share the folds. A budget of fewer
    /// folds trains some of them, chosen by the seed of the trial.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the data cannot be split into that many folds.
    pub fn with_folds(mut self, splits: usize, seed: Seed) -> Result<Self, TrainError> {
        self.folds = Some(self.train.folds(splits, Some(seed))?);
        Ok(self)
    }

    /// Trains a candidate on one pair of splits.
    fn train_one(
        &self,
        request: &Request<'_, ModelSpec>,
        fold: u64,
        train: &Dataset,
        validation: &Dataset,
        report: &mut dyn FnMut(&Epoch) -> Decision,
    ) -> Result<(Scores, Model), TrainError> {
        let seed = request.seed.derive("fold", fold);
        let start = request.resume.or(request.inherit).map(|a| a.path.clone()).or_else(|| self.start.clone());
        let config = TrainConfig { epochs: request.budget.epochs, ..self.config.clone() };
        let plan = Plan { spec: request.candidate.clone(), config, seed, start, attributes: BTreeMap::new() };
        let mut model = build(&plan, Threads::new(request.grant.threads()))?;
        let context = Context { seed, grant: request.grant, cancel: request.cancel };
        fit(&mut model, train, Some(validation), &plan.config, &context, &mut Observe(report))?;
        let found = evaluate(&model, validation, plan.config.loss, request.grant)?;
        let mut scores = Scores::from([("val_loss".to_owned(), found.loss)]);
        if let Some(accuracy) = found.accuracy() {
            scores.insert("val_accuracy".to_owned(), accuracy);
        }
        for metric in &plan.config.metrics {
            scores.extend(found.metric(*metric).map(|value| (format!("val_{}", metric.name()), value)));
        }
        Ok((scores, model))
    }

    fn try_out(
        &self,
        request: &Request<'_, ModelSpec>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, TrainError> {
        let seed = request.seed;
        let mut observe = |epoch: &Epoch| {
            let found = [
                ("loss", Some(epoch.loss)),
                ("val_loss", epoch.val_loss),
                ("val_accuracy", epoch.val_accuracy),
            ];
            let scores =
                found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            report(Report { step: u64::from(epoch.epoch), scores })
        };
        if request.budget.folds <= 1 && self.folds.is_none() {
            let train = self.train.share(request.budget.share, seed.derive("share", 0))?;
            let (scores, model) = self.train_one(request, 0, &train, &self.validation, &mut observe)?;
            return Ok(Outcome { scores, artifact: self.keep(request.trial, &model)? });
        }
        // Folds are cut from the training split; the validation split stays unseen.
        let own;
        let folds = match &self.folds {
            Some(folds) => folds,
            None => {
                own = self.train.folds(request.budget.folds as usize, Some(seed.derive("folds", 0)))?;
                &own
            }
        };
        let chosen = choose(folds.test.len(), request.budget.folds.max(1) as usize, seed);
        let mut sums = Scores::new();
        for (i, &fold) in chosen.iter().enumerate() {
            let (train, validation) = self.train.fold(folds, fold)?;
            let train = train.share(request.budget.share, seed.derive("share", fold as u64))?;
            let quiet: &mut dyn FnMut(&Epoch) -> Decision = &mut |_| Decision::Continue;
            let report = if i == 0 { &mut observe } else { quiet };
            let (scores, _) = self.train_one(request, fold as u64, &train, &validation, report)?;
            for (name, value) in scores {
                *sums.entry(name).or_insert(0.0) += value / chosen.len() as f64;
            }
        }
        Ok(Outcome { scores: sums, artifact: None })
    }

    fn keep(&self, trial: u64, model: &Model) -> Result<Option<Artifact>, TrainError> {
        let Some(folder) = &self.artifacts else { return Ok(None) };
        let path = folder.join(format!("trial-{trial:05}.safetensors"));
        model.save_weights(&path, &BTreeMap::new())?;
        Ok(Some(Artifact { path }))
    }
}

impl Evaluate<ModelSpec> for Trainer {
    fn evaluate(
        &self,
        request: Request<'_, ModelSpec>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        self.try_out(&request, report).map_err(|error| match error {
            TrainError::Cancelled { .. } => EvaluateError::Cancelled,
            TrainError::NonFinite { .. }
            | TrainError::Layers(_)
            | TrainError::Spec(_)
            | TrainError::Mismatch { .. } => EvaluateError::Failed { reason: error.to_string() },
            other => EvaluateError::Broken { source: Box::new(other) },
        })
    }
}
