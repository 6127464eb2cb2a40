//! Stage 2: the architecture search.

use std::path::Path;

use serde_json::json;
use tinsmith_foundation::FoundationError;
use tinsmith_nas::{ArchitectureSearch, SearchConfig};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Ended, SearchRun, Study, Trial};
use tinsmith_trainer::{TrainConfig, Trainer};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::identity::{WorkRecord, to_value};
use crate::stage::StageJournal;

/// Searches architectures under hard limits, from given networks.
#[derive(Debug, Clone)]
pub struct SearchStage<'a> {
    /// Trials, mutations, selection of parents; the budget's epochs replace those of `training`.
    pub config: SearchConfig,
    /// Networks to start from.
    pub start: Vec<ModelSpec>,
    /// Training recipe of a trial.
    pub training: TrainConfig,
    /// Folder of the journal, and of the front if the stage runs alone.
    pub folder: &'a Path,
}

/// Result of an architecture search.
#[derive(Debug)]
pub struct SearchOutcome {
    /// All trials.
    pub study: Study<ModelSpec>,
    /// Reason for the end.
    pub ended: Ended,
    /// True if all trials were in the journal already.
    pub is_unchanged: bool,
}

impl SearchStage<'_> {
    /// Runs the trials that the journal lacks.
    ///
    /// # Errors
    /// [`WorkshopError::Nas`] if no start network keeps the limits or the journal is of another study,
    /// [`WorkshopError::Cancelled`] after a requested stop.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<SearchOutcome> {
        self.run_with(
            bench,
            &Trainer::new(bench.data.train.clone(), bench.data.validation.clone(), self.training.clone()),
        )
    }

    fn run_with(&self, bench: &Workbench<'_>, trainer: &Trainer) -> Result<SearchOutcome> {
        let search = self.search(bench)?;
        let journal = StageJournal::of(self.folder);
        let (study, ended) = search.run(&SearchRun {
            journal: &journal.path,
            seed: bench.seed.derive("search", 0),
            evaluate: trainer,
            scope: bench.scope,
            jobs: bench.scope.cores(),
            progress: bench.progress,
            cancel: bench.cancel.clone(),
        })?;
        let ended = Workbench::ended(ended, self.folder)?;
        Ok(SearchOutcome { study, ended, is_unchanged: journal.is_unchanged() })
    }

    fn search(&self, bench: &Workbench<'_>) -> Result<ArchitectureSearch> {
        bench.require_classes()?;
        let start = self.start.clone();
        Ok(ArchitectureSearch::new(self.config.clone(), start, bench.limits, bench.target.clone())?)
    }

    /// Runs the stage as a command of its own: claims the folder, keeps the weights of every trial, and writes the
    /// normalization and the specifications on the Pareto front.
    ///
    /// # Errors
    /// [`WorkshopError::OtherWork`] and [`WorkshopError::Occupied`] if the folder holds something else,
    /// [`WorkshopError::NoResult`] if no trial is on the front; as [`Self::run`] otherwise.
    pub fn run_alone(&self, bench: &Workbench<'_>) -> Result<SearchOutcome> {
        self.search(bench)?;
        self.record(bench)?.claim(self.folder)?;
        bench.save_normalizer(&self.folder.join("normalizer.yaml"))?;
        let trainer =
            &Trainer::new(bench.data.train.clone(), bench.data.validation.clone(), self.training.clone())
                .keeping_weights_in(self.folder.join("weights"));
        let outcome = self.run_with(bench, trainer)?;
        let front = outcome.study.pareto_front();
        if front.is_empty() {
            return Err(WorkshopError::NoResult { stage: "search", reason: reasons(&outcome.study) });
        }
        write_front(&front.into_iter().map(AsRef::as_ref).collect::<Vec<_>>(), &self.folder.join("front"))?;
        Ok(outcome)
    }

    fn record(&self, bench: &Workbench<'_>) -> Result<WorkRecord> {
        let hashes = self.start.iter().map(|spec| Ok(spec.structural_hash()?.to_string()));
        let hashes = hashes.collect::<Result<Vec<String>>>()?;
        // More trials or time only continue the same search.
        let config = SearchConfig { trials: 0, time_limit_s: None, ..self.config.clone() };
        bench.record(
            "search",
            &[
                ("search", to_value("search", &config)?),
                ("training", to_value("training", &self.training)?),
                ("start", json!(hashes.join(" "))),
            ],
        )
    }
}

/// Returns the first reasons for which trials of a study have no result.
pub(crate) fn reasons<C>(study: &Study<C>) -> String {
    let reasons: Vec<&str> = study.trials().iter().filter_map(|t| t.reason.as_deref()).take(3).collect();
    if reasons.is_empty() { "no trial keeps the limits".to_owned() } else { reasons.join("; ") }
}

/// Makes `folder` hold the specifications of these trials and of no others.
fn write_front(front: &[&Trial<ModelSpec>], folder: &Path) -> Result<()> {
    let name = |trial: &Trial<ModelSpec>| format!("trial-{:05}.yaml", trial.number);
    for trial in front {
        trial.candidate().save(&folder.join(name(trial)))?;
    }
    let names: Vec<String> = front.iter().map(|trial| name(trial)).collect();
    let read = |source| FoundationError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        // An earlier front; files of other names are the user's.
        if file.starts_with("trial-") && file.ends_with(".yaml") && !names.contains(&file) {
            std::fs::remove_file(&path)
                .map_err(|source| FoundationError::Write { path: path.clone(), source })?;
        }
    }
    Ok(())
}
