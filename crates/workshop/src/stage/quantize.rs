//! Stage 3: bit widths for a trained network, starting from its weights.

use std::path::{Path, PathBuf};

use serde_json::json;
use tinsmith_autoq::{AutoqConfig, QuantizationSearch};
use tinsmith_foundation::{FoundationError, files};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Ended, Params, SearchRun, Study};
use tinsmith_trainer::{TrainConfig, Trainer, activation_ranges};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::identity::{WorkRecord, checksum, to_value};
use crate::network::{load_network, require_fit};
use crate::stage::StageJournal;

/// Searches quantizers for a trained network.
#[derive(Debug, Clone)]
pub struct QuantizeStage<'a> {
    /// Trials, bit widths, goal; the budget's epochs replace those of `training`.
    pub config: AutoqConfig,
    /// Weights of the network, with its specification.
    pub weights: &'a Path,
    /// Training recipe of a trial.
    pub training: TrainConfig,
    /// Folder of the journal and of the weights of every trial.
    pub folder: &'a Path,
}

/// Result of a quantization search.
#[derive(Debug)]
pub struct QuantizeOutcome {
    /// All trials.
    pub study: Study<Params>,
    /// Reason for the end.
    pub ended: Ended,
    /// Number of the best trial by the goal.
    pub best: u64,
    /// Specification of the best trial, with its quantizers.
    pub spec: ModelSpec,
    /// Weights of the best trial.
    pub weights: PathBuf,
    /// True if all trials were in the journal already.
    pub is_unchanged: bool,
}

impl QuantizeStage<'_> {
    /// Runs the trials that the journal lacks.
    ///
    /// # Errors
    /// [`WorkshopError::WrongFile`] if the weights are none, [`WorkshopError::Autoq`] if the network has nothing to
    /// quantize or the journal is of another study, [`WorkshopError::NoResult`] if no trial keeps the limits,
    /// [`WorkshopError::Cancelled`] after a requested stop.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<QuantizeOutcome> {
        const STAGE: &str = "quantize";
        let search = self.search(bench)?;
        let (train, validation) = (bench.data.train.clone(), bench.data.validation.clone());
        let trainer = Trainer::new(train, validation, self.training.clone())
            .starting_from(self.weights)
            .keeping_weights_in(self.folder.join("weights"));
        let journal = StageJournal::of(self.folder);
        let (study, ended) = search.run(&SearchRun {
            journal: &journal.path,
            seed: bench.seed.derive(STAGE, 0),
            evaluate: &trainer,
            scope: bench.scope,
            jobs: bench.scope.cores(),
            progress: bench.progress,
            cancel: bench.cancel.clone(),
        })?;
        let ended = Workbench::ended(ended, self.folder)?;
        let none = |reason: &str| WorkshopError::NoResult { stage: STAGE, reason: reason.to_owned() };
        let best = search.best(&study).ok_or_else(|| none("no trial keeps the limits and has a score"))?;
        let (number, spec) = (best.number, search.apply(best.candidate())?);
        let weights = best.artifact.as_ref().map(|a| a.path.clone());
        let weights = weights.ok_or_else(|| none("the weights of the best trial were not kept"))?;
        Ok(QuantizeOutcome {
            best: number,
            spec,
            weights,
            study,
            ended,
            is_unchanged: journal.is_unchanged(),
        })
    }

    fn search(&self, bench: &Workbench<'_>) -> Result<QuantizationSearch> {
        bench.require_classes()?;
        self.config.validate()?;
        let model = load_network(self.weights)?;
        require_fit(&model, &bench.data.train)?;
        let ranges = activation_ranges(&model, &bench.data.train)?;
        let (config, spec) = (self.config.clone(), model.spec().clone());
        Ok(QuantizationSearch::new(config, spec, ranges, bench.limits, bench.target.clone())?)
    }

    /// Runs the stage as a command of its own: claims the folder, and writes the normalization, and specification and
    /// weights of the best trial.
    ///
    /// # Errors
    /// [`WorkshopError::OtherWork`] and [`WorkshopError::Occupied`] if the folder holds something else; as [`Self::run`]
    /// otherwise.
    pub fn run_alone(&self, bench: &Workbench<'_>) -> Result<QuantizeOutcome> {
        self.search(bench)?;
        self.record(bench)?.claim(self.folder)?;
        bench.save_data_record(self.folder)?;
        let outcome = self.run(bench)?;
        outcome.spec.save(&self.folder.join("spec.yaml"))?;
        let path = &outcome.weights;
        let bytes =
            std::fs::read(path).map_err(|source| FoundationError::Read { path: path.clone(), source })?;
        files::write_atomic(&self.folder.join("weights.safetensors"), &bytes)?;
        Ok(outcome)
    }

    fn record(&self, bench: &Workbench<'_>) -> Result<WorkRecord> {
        // More trials or time only continue the same search.
        let config = AutoqConfig { trials: 0, time_limit_s: None, ..self.config.clone() };
        bench.record(
            "quantize",
            &[
                ("quantize", to_value("quantize", &config)?),
                ("training", to_value("training", &self.training)?),
                ("weights", json!(checksum(self.weights)?)),
            ],
        )
    }
}
