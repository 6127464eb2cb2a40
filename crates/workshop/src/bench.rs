//! The context of all stages: data, limits, target, seed, cores, observers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tinsmith_cost::{Limits, Target};
use tinsmith_data::{Parts, Splits, TableOptions};
use tinsmith_foundation::{CancelToken, Faults, Grant, Progress, Seed, WorkerScope, config, files};
use tinsmith_study::Ended;
use tinsmith_trainer::TrainError;

use crate::config::check_validation;
use crate::error::{Result, WorkshopError};
use crate::identity::{WorkRecord, to_value};

/// Observers of a command, and its surroundings.
#[derive(Clone)]
pub struct Session<'a> {
    /// Receives progress.
    pub progress: &'a dyn Progress,
    /// Requests a stop.
    pub cancel: CancelToken,
    /// Folder in which names of data sets are looked up. Libraries do not read the environment; the command passes
    /// `$TINSMITH_DATA`.
    pub data_folder: Option<PathBuf>,
}

impl<'a> Session<'a> {
    /// A session without a folder of data sets.
    pub fn new(progress: &'a dyn Progress, cancel: CancelToken) -> Self {
        Self { progress, cancel, data_folder: None }
    }

    /// Returns the session with a folder in which names of data sets are looked up.
    #[must_use]
    pub fn with_data_folder(mut self, folder: Option<PathBuf>) -> Self {
        self.data_folder = folder;
        self
    }

    /// Loads a data set by name or path; the one way from a name to data in this crate.
    ///
    /// # Errors
    /// [`WorkshopError::Data`] if there is no such data set or it cannot be read.
    pub fn load_data(&self, name: &str) -> Result<Splits> {
        self.load_data_with(name, &TableOptions::default())
    }

    /// Loads a data set with options for its targets and columns.
    ///
    /// # Errors
    /// As [`Self::load_data`]; [`WorkshopError::Data`] also for an option that does not apply to the data.
    pub fn load_data_with(&self, name: &str, options: &TableOptions) -> Result<Splits> {
        Ok(tinsmith_data::load_with(name, self.data_folder.as_deref(), options)?)
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("cancel", &self.cancel)
            .field("data_folder", &self.data_folder)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Workbench`].
#[derive(Debug, Clone, PartialEq)]
pub struct BenchOptions {
    /// Name or path of the data set.
    pub data: String,
    /// Fraction of training rows held out for validation, above 0 and below 1.
    pub validation: f64,
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of cores; 0 means all.
    pub jobs: usize,
    /// Limits of a network.
    pub limits: Limits,
    /// Name of a built-in target, or a path.
    pub target: String,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            data: "digits8x8".to_owned(),
            validation: 0.2,
            seed: 0,
            jobs: 0,
            limits: Limits::default(),
            target: "mcu-packed".to_owned(),
        }
    }
}

/// The context of all stages of a design: data, limits, target, seed, cores, and observers.
pub struct Workbench<'a> {
    /// The data set as it was loaded.
    pub splits: Splits,
    /// Training, validation and test rows, normalized by the training rows.
    pub data: Parts,
    /// Limits of a network.
    pub limits: Limits,
    /// The hardware.
    pub target: Target,
    /// Seed of all random choices.
    pub seed: Seed,
    /// The cores.
    pub scope: WorkerScope,
    /// Receives progress.
    pub progress: &'a dyn Progress,
    /// Requests a stop.
    pub cancel: CancelToken,
    validation: f64,
}

impl std::fmt::Debug for Workbench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workbench")
            .field("data", &self.splits.train.name())
            .field("limits", &self.limits)
            .field("target", &self.target.name)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a> Workbench<'a> {
    /// Loads the data and the target.
    ///
    /// # Errors
    /// [`WorkshopError::Config`] if a setting cannot be used, [`WorkshopError::Data`] and [`WorkshopError::Spec`] if the
    /// data or the target cannot be loaded.
    pub fn open(options: &BenchOptions, session: &Session<'a>) -> Result<Self> {
        let mut faults = Faults::new();
        check_validation(options.validation, &mut faults);
        options.limits.check_config(&mut faults);
        faults.into_result("options")?;
        let target = Target::load(&options.target)?;
        let splits = session.load_data(&options.data)?;
        let seed = Seed::new(options.seed);
        Ok(Self {
            data: splits.parts(options.validation, seed)?,
            splits,
            limits: options.limits,
            target,
            seed,
            scope: scope(options.jobs),
            progress: session.progress,
            cancel: session.cancel.clone(),
            validation: options.validation,
        })
    }

    /// Returns an error unless the data have class labels.
    ///
    /// # Errors
    /// [`WorkshopError::NoClasses`].
    pub fn require_classes(&self) -> Result<()> {
        if self.splits.train.labels().is_none() {
            return Err(WorkshopError::NoClasses { data: self.splits.train.name().to_owned() });
        }
        Ok(())
    }

    /// Returns all cores as one grant, for work that is not divided into jobs.
    ///
    /// # Panics
    /// Never: a scope returns one result for each item.
    #[must_use]
    pub fn whole_grant(&self) -> Grant {
        let grant = self.scope.map(vec![()], |grant, ()| grant).pop();
        grant.expect("invariant: a scope returns one result for each item")
    }

    /// Makes the record of a command's work in a folder.
    pub(crate) fn record(&self, command: &str, settings: &[(&str, Value)]) -> Result<WorkRecord> {
        let mut all = json!({
            "seed": self.seed.value(),
            "validation": self.validation,
            "limits": to_value("limits", &self.limits)?,
            "target": to_value("target", &self.target)?,
        });
        if let Some(fields) = all.as_object_mut() {
            fields.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        }
        Ok(WorkRecord::new(command, &self.splits, all))
    }

    /// Writes the normalization of the data into a folder.
    pub(crate) fn save_normalizer(&self, path: &Path) -> Result<()> {
        let text = config::to_yaml("normalizer", &self.data.normalizer)?;
        Ok(files::write_atomic(path, text.as_bytes())?)
    }

    /// Converts the error of a training, in which a stop is not a failure.
    pub(crate) fn stopped(error: TrainError, folder: &Path) -> WorkshopError {
        match error {
            TrainError::Cancelled { .. } => WorkshopError::Cancelled { path: folder.to_owned() },
            error => error.into(),
        }
    }

    /// Converts the end of a study, in which a stop by the caller ends the stage.
    pub(crate) fn ended(ended: Ended, folder: &Path) -> Result<Ended> {
        match ended {
            Ended::Cancelled => Err(WorkshopError::Cancelled { path: folder.to_owned() }),
            ended => Ok(ended),
        }
    }
}

/// Returns a scope over `jobs` cores; 0 means all.
pub(crate) fn scope(jobs: usize) -> WorkerScope {
    if jobs == 0 { WorkerScope::available() } else { WorkerScope::new(jobs) }
}
