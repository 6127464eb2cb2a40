//! Cross-validation, in full or as a cheap proxy: some of the folds, some of the data, few epochs.

use serde::{Deserialize, Serialize};
use tinsmith_data::{Dataset, Normalization, Normalizer};
use tinsmith_foundation::{ConfigErrors, Faults, Seed};
use tinsmith_kernels::Threads;

use crate::callback::Undisturbed;
use crate::context::Context;
use crate::error::Result;
use crate::evaluate::{Evaluation, evaluate};
use crate::fit::fit;
use crate::history::History;
use crate::metric::{Metric, mean_and_deviation};
use crate::run::{Plan, build};

/// Configuration of a cross-validation. The plan sets the number of epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KFold {
    /// Number of folds, at least 2; stratified, or grouped by subject if the data have subjects. Default 5.
    pub splits: usize,
    /// Number of folds to train, chosen by the seed; 0 means all. Default 0.
    pub take: usize,
    /// Fraction of each fold's training rows to train on, above 0 to 1. Default 1.
    pub share: f64,
    /// Trainings per fold, each from its own initial weights, at least 1. Default 1.
    pub restarts: u32,
    /// Normalization, fitted on the training rows of each fold. Default off.
    pub normalization: Normalization,
}

impl Default for KFold {
    fn default() -> Self {
        Self { splits: 5, take: 0, share: 1.0, restarts: 1, normalization: Normalization::Off }
    }
}

impl KFold {
    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        if self.splits < 2 {
            faults.add("splits", format!("is {}, want at least 2", self.splits));
        }
        if self.take > self.splits {
            faults.add("take", format!("is {}, want at most {}, the splits", self.take, self.splits));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            faults.add("share", format!("is {}, want above 0 to 1", self.share));
        }
        if self.restarts == 0 {
            faults.add("restarts", "is 0, want at least 1");
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("cross-validation")
    }
}

/// Result of one training of a fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldResult {
    /// Fold, from 0.
    pub fold: usize,
    /// Restart, from 0.
    pub restart: u32,
    /// Evaluation on the held-out rows.
    pub evaluation: Evaluation,
    /// Course of the training.
    pub history: History,
}

/// Results of a cross-validation, for every fold and restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossValidation {
    /// Results ordered by fold, then by restart.
    pub folds: Vec<FoldResult>,
}

impl CrossValidation {
    /// Returns mean and sample standard deviation of a metric over folds. The value of a fold is the mean over its
    /// restarts. None if the metric is not defined for the data.
    #[must_use]
    pub fn mean_and_deviation(&self, metric: Metric) -> Option<(f64, f64)> {
        let mut means: Vec<f64> = Vec::new();
        for folds in self.folds.chunk_by(|a, b| a.fold == b.fold) {
            let values: Option<Vec<f64>> = folds.iter().map(|f| f.evaluation.metric(metric)).collect();
            means.push(mean_and_deviation(&values?).0);
        }
        (!means.is_empty()).then(|| mean_and_deviation(&means))
    }
}

/// Trains the network of the plan on the training rows of each fold and evaluates on the held-out rows. Restart r of
/// fold k draws from `seed.derive("fold", k).derive("restart", r)`, the folds from `seed.derive("folds", 0)`, with
/// the seed of the plan.
///
/// # Errors
/// [`crate::TrainError::Config`] and [`crate::TrainError::Data`] if the folds cannot be made; otherwise as [`fit`].
pub fn cross_validate(
    plan: &Plan,
    data: &Dataset,
    config: &KFold,
    context: &Context<'_>,
) -> Result<CrossValidation> {
    config.validate()?;
    let folds = data.folds(config.splits, Some(plan.seed.derive("folds", 0)))?;
    let take = if config.take == 0 { config.splits } else { config.take };
    let mut results = Vec::new();
    for fold in choose(config.splits, take, plan.seed) {
        let seed = plan.seed.derive("fold", fold as u64);
        let (train, held) = data.fold(&folds, fold)?;
        let train = train.share(config.share, seed.derive("share", 0))?;
        let normalizer = Normalizer::fit(&train, config.normalization)?;
        let (train, held) = (normalizer.apply(&train)?, normalizer.apply(&held)?);
        for restart in 0..config.restarts {
            let seed = seed.derive("restart", u64::from(restart));
            let plan = Plan { seed, ..plan.clone() };
            let mut model = build(&plan, Threads::new(context.grant.threads()))?;
            let context = Context { seed, ..context.clone() };
            let history = fit(&mut model, &train, Some(&held), &plan.config, &context, &mut Undisturbed)?;
            let evaluation = evaluate(&model, &held, plan.config.loss, context.grant)?;
            results.push(FoldResult { fold, restart, evaluation, history });
        }
    }
    Ok(CrossValidation { folds: results })
}

/// Returns the folds to train: all, or `take` of them at random, ascending.
pub(crate) fn choose(splits: usize, take: usize, seed: Seed) -> Vec<usize> {
    let mut folds: Vec<usize> = (0..splits).collect();
    if take < splits {
        seed.derive("chosen_folds", 0).rng().shuffle(&mut folds);
        folds.truncate(take);
        folds.sort_unstable();
    }
    folds
}
