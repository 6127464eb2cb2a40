//! Stage 4: sparsity of a trained network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use tinsmith_autoq::Goal;
use tinsmith_cost::Cost;
use tinsmith_network::ModelSpec;
use tinsmith_sparse::{PruneConfig, PruneTrainer, mask, with_smallest_storage};
use tinsmith_study::{Budget, Ended, Objective, Runner, Sequence, Study, StudyConfig, Trial};
use tinsmith_trainer::{Evaluation, TrainConfig, evaluate};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::identity::{WorkRecord, checksum, to_value};
use crate::network::{load_network, require_fit};
use crate::stage::StageJournal;

/// Prunes and fine-tunes a trained network, and chooses among sparsities.
#[derive(Debug, Clone)]
pub struct PruneStage<'a> {
    /// Prunings that are tried, one trial each.
    pub candidates: Vec<PruneConfig>,
    /// Training budget of one trial; its epochs replace those of `training`.
    pub budget: Budget,
    /// Exchange rate between flash and accuracy.
    pub goal: Goal,
    /// Seconds after which no trial starts.
    pub time_limit_s: Option<f64>,
    /// The network.
    pub network: ModelSpec,
    /// Its trained weights.
    pub weights: PathBuf,
    /// Training recipe of a trial.
    pub training: TrainConfig,
    /// Folder of the journal, and of the pruned network if the stage runs alone.
    pub folder: &'a Path,
}

/// Result of trying several sparsities.
#[derive(Debug)]
pub struct PruneOutcome {
    /// All trials.
    pub study: Study<PruneConfig>,
    /// Reason for the end.
    pub ended: Ended,
    /// The best pruning by the goal.
    pub config: PruneConfig,
    /// Weights of the best trial, if they were kept.
    pub weights: Option<PathBuf>,
    /// True if all trials were in the journal already.
    pub is_unchanged: bool,
}

/// A pruned network beside the network it was made from.
#[derive(Debug)]
pub struct PrunedNetwork {
    /// The trials.
    pub outcome: PruneOutcome,
    /// The pruned network with the smallest storage of each kernel.
    pub spec: ModelSpec,
    /// Number of kernels that were pruned.
    pub kernels: usize,
    /// Fraction of their weights that are zero.
    pub sparsity: f64,
    /// Flash bytes before and after.
    pub flash: [u64; 2],
    /// Validation figures before and after.
    pub validation: [Evaluation; 2],
    /// Test figures before and after.
    pub test: [Evaluation; 2],
}

impl PruneStage<'_> {
    /// Runs the trials that the journal lacks, without keeping their weights.
    ///
    /// # Errors
    /// [`WorkshopError::Sparse`] if a pruning cannot be used, [`WorkshopError::Study`] if the journal is of another study,
    /// [`WorkshopError::NoResult`] if no trial keeps the limits, [`WorkshopError::Cancelled`] after a requested stop.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<PruneOutcome> {
        self.run_with(bench, None)
    }

    fn run_with(&self, bench: &Workbench<'_>, artifacts: Option<PathBuf>) -> Result<PruneOutcome> {
        const STAGE: &str = "prune";
        bench.require_classes()?;
        let config = StudyConfig {
            name: STAGE.to_owned(),
            seed: bench.seed.derive(STAGE, 0).value(),
            trials: self.candidates.len() as u64,
            time_limit_s: self.time_limit_s,
            objectives: vec![Objective::maximize("val_accuracy"), Objective::minimize("flash_bytes")],
            report: Some("val_accuracy".to_owned()),
            budget: self.budget,
            ..StudyConfig::default()
        };
        let trainer = PruneTrainer {
            spec: self.network.clone(),
            weights: self.weights.clone(),
            train: bench.data.train.clone(),
            validation: bench.data.validation.clone(),
            config: self.training.clone(),
            target: bench.target.clone(),
            artifacts,
        };
        let proposer = Sequence::new(self.candidates.clone());
        let runner = Runner {
            scope: bench.scope,
            jobs: bench.scope.cores(),
            progress: bench.progress,
            cancel: bench.cancel.clone(),
            ..Runner::new(&proposer, &trainer)
        };
        let journal = StageJournal::of(self.folder);
        let mut study = Study::open(config, &journal.path)?;
        let ended = Workbench::ended(study.run(&runner)?, self.folder)?;
        let reference = Cost::of(&self.network, &bench.target)?.total.flash_bytes as f64;
        let found = |t: &Trial<PruneConfig>, name: &str| t.scores.get(name).copied().unwrap_or(f64::NAN);
        let score = |t: &Trial<PruneConfig>| {
            self.goal.score(found(t, "val_accuracy"), true, reference, found(t, "flash_bytes"))
        };
        let fits = |t: &Trial<PruneConfig>| {
            bench.limits.flash.is_none_or(|limit| found(t, "flash_bytes") <= limit as f64)
        };
        let best = study
            .trials()
            .iter()
            .filter(|t| t.values.is_some() && score(t).is_finite() && fits(t))
            .max_by(|a, b| score(a).total_cmp(&score(b)).then(b.number.cmp(&a.number)));
        let Some(best) = best else {
            let smallest = study.trials().iter().map(|t| found(t, "flash_bytes")).fold(f64::NAN, f64::min);
            let reason = study.trials().iter().find_map(|t| t.reason.clone()).unwrap_or_else(|| {
                format!("the smallest network takes {smallest} bytes of flash, more than the limit")
            });
            return Err(WorkshopError::NoResult { stage: STAGE, reason });
        };
        let (config, weights) = (best.candidate().clone(), best.artifact.as_ref().map(|a| a.path.clone()));
        Ok(PruneOutcome { study, ended, config, weights, is_unchanged: journal.is_unchanged() })
    }

    /// Runs the stage as a command of its own: claims the folder, keeps the weights of every trial, writes the
    /// normalization, and specification and weights of the best trial, and evaluates it beside the original.
    ///
    /// # Errors
    /// [`WorkshopError::OtherWork`] and [`WorkshopError::Occupied`] if the folder holds something else,
    /// [`WorkshopError::NoResult`] if the pruned network breaks a limit; as [`Self::run`] otherwise.
    ///
    /// # Panics
    /// Never: this run keeps the weights of every trial.
    pub fn run_alone(&self, bench: &Workbench<'_>) -> Result<PrunedNetwork> {
        for candidate in &self.candidates {
            candidate.validate()?;
        }
        bench.require_classes()?;
        let before = load_network(&self.weights)?;
        require_fit(&before, &bench.data.train)?;
        for candidate in &self.candidates {
            mask::prunable(&before, candidate)?;
        }
        self.record(bench)?.claim(self.folder)?;
        bench.save_normalizer(&self.folder.join("normalizer.yaml"))?;
        let outcome = self.run_with(bench, Some(self.folder.join("weights")))?;
        let kept = outcome.weights.as_ref().expect("invariant: this run keeps the weights of every trial");
        let after = load_network(kept)?;
        let spec = with_smallest_storage(&after, &bench.target)?;
        let cost = Cost::of(&spec, &bench.target)?;
        let violations: Vec<String> = bench.limits.check(&cost).iter().map(ToString::to_string).collect();
        if !violations.is_empty() {
            return Err(WorkshopError::NoResult { stage: "prune", reason: violations.join(", ") });
        }
        spec.save(&self.folder.join("spec.yaml"))?;
        after.save_weights(&self.folder.join("weights.safetensors"), &BTreeMap::new())?;
        let names = mask::prunable(&after, &outcome.config)?;
        let grant = bench.whole_grant();
        let figures = |data| -> Result<[Evaluation; 2]> {
            let loss = self.training.loss;
            Ok([evaluate(&before, data, loss, grant)?, evaluate(&after, data, loss, grant)?])
        };
        Ok(PrunedNetwork {
            validation: figures(&bench.data.validation)?,
            test: figures(&bench.data.test)?,
            kernels: names.len(),
            sparsity: mask::sparsity(&after, &names)?,
            flash: [Cost::of(before.spec(), &bench.target)?.total.flash_bytes, cost.total.flash_bytes],
            outcome,
            spec,
        })
    }

    fn record(&self, bench: &Workbench<'_>) -> Result<WorkRecord> {
        bench.record(
            "prune",
            &[
                (
                    "prune",
                    json!({
                        "candidates": to_value("prune", &self.candidates)?,
                        "goal": to_value("prune", &self.goal)?,
                    }),
                ),
                ("training", to_value("training", &self.training)?),
                ("weights", json!(checksum(&self.weights)?)),
            ],
        )
    }
}
