//! The design from the data to the result. Every stage continues from what its folder holds and depends on nothing but
//! the configuration, the data and the stages before it; so going on after an interruption is doing all of it again,
//! what is finished taking no time.

use serde::{Deserialize, Serialize};
use tinsmith_cost::{Limits, Target};
use tinsmith_data::{Dataset, Parts};
use tinsmith_foundation::{CancelToken, Progress, Seed, WorkerScope, config, files};
use tinsmith_study::Ended;
use tinsmith_trainer::TrainError;

use crate::config::DesignConfig;
use crate::error::{Result, WorkshopError};
use crate::folder::Folder;
use crate::page;
use crate::result::{Counts, DesignResult};
use crate::stage;

/// Who watches a design, who may stop it.
#[derive(Clone)]
pub struct Session<'a> {
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// Asks for a stop.
    pub cancel: CancelToken,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// What every stage needs.
pub(crate) struct Bench<'a> {
    pub(crate) config: DesignConfig,
    pub(crate) folder: Folder,
    pub(crate) train: Dataset,
    pub(crate) validation: Dataset,
    pub(crate) test: Dataset,
    /// Training and validation rows together, where the final trainings are to use both.
    pub(crate) refit: Option<Dataset>,
    pub(crate) target: Target,
    pub(crate) limits: Limits,
    pub(crate) seed: Seed,
    pub(crate) scope: WorkerScope,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: CancelToken,
}

/// Which data a design was begun with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataIdentity {
    name: String,
    checksum: String,
}

/// Begins a design in a new folder and brings it to its end.
///
/// ```no_run
/// use tinsmith_foundation::{CancelToken, Silent};
/// use tinsmith_workshop::{DesignConfig, Session, design};
///
/// let config = DesignConfig { flash: "4KiB".parse()?, ..DesignConfig::default() };
/// let result = design(config, &Session { progress: &Silent, cancel: CancelToken::new() })?;
/// println!("{:.1} % in {} bytes", 100.0 * result.winner.mean, result.winner.flash_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`WorkshopError::Occupied`] where the folder holds a design; [`WorkshopError::Config`], [`WorkshopError::Data`] and
/// [`WorkshopError::Budget`] where it cannot begin; [`WorkshopError::Cancelled`] where it was stopped.
pub fn design(config: DesignConfig, session: &Session<'_>) -> Result<DesignResult> {
    config.validate()?;
    let folder = Folder::new(config.folder());
    if folder.config().exists() {
        return Err(WorkshopError::Occupied { path: folder.root().to_owned() });
    }
    let mut config = config;
    let path = std::path::Path::new(&config.data);
    if path.exists() {
        // The design may be continued from another folder.
        config.data = path.canonicalize().map_or(config.data.clone(), |p| p.display().to_string());
    }
    Bench::new(config, folder, session)?.run()
}

/// Goes on with the design in a folder; with `jobs` networks side by side where that is given. A finished design is
/// only read.
///
/// # Errors
/// [`WorkshopError::Nothing`] where there is none, [`WorkshopError::OtherData`] where the data have changed; as
/// [`design`] otherwise.
pub fn resume(folder: &std::path::Path, jobs: Option<usize>, session: &Session<'_>) -> Result<DesignResult> {
    let folder = Folder::new(folder);
    if !folder.config().is_file() {
        return Err(WorkshopError::Nothing { path: folder.root().to_owned() });
    }
    if let Some(result) = DesignResult::load(&folder)? {
        return Ok(result);
    }
    let mut config = DesignConfig::load(&folder.config())?;
    config.jobs = jobs.unwrap_or(config.jobs);
    // Wherever the folder is now.
    config.out = Some(folder.root().to_owned());
    Bench::new(config, folder, session)?.run()
}

impl<'a> Bench<'a> {
    fn new(config: DesignConfig, folder: Folder, session: &Session<'a>) -> Result<Self> {
        let target = config.target()?;
        let splits = tinsmith_data::load(&config.data)?;
        if splits.train.labels().is_none() {
            return Err(WorkshopError::NoClasses { data: splits.train.name().to_owned() });
        }
        let seed = Seed::new(config.seed);
        let Parts { train, validation, test, normalizer } = splits.parts(config.validation, seed)?;
        let config = config.resolved(&train);
        let limits = config.limits();
        let scope = if config.jobs == 0 { WorkerScope::available() } else { WorkerScope::new(config.jobs) };
        let bench = Self {
            train,
            validation,
            test,
            refit: if config.refit == Some(true) { Some(normalizer.apply(&splits.train)?) } else { None },
            config,
            folder,
            target,
            limits,
            seed,
            scope,
            progress: session.progress,
            cancel: session.cancel.clone(),
        };
        let normalizer = config::to_yaml("normalizer", &normalizer)?;
        bench.identify(&splits.checksum())?;
        files::write_atomic(&bench.folder.normalizer(), normalizer.as_bytes())?;
        Ok(bench)
    }

    /// Notes the data, or compares them with those noted.
    fn identify(&self, checksum: &str) -> Result<()> {
        let path = self.folder.data();
        if path.is_file() {
            let wanted: DataIdentity = config::load(&path, |_, _| {})?;
            if wanted.checksum != checksum {
                return Err(WorkshopError::OtherData {
                    data: self.config.data.clone(),
                    path: self.folder.root().to_owned(),
                    found: checksum.to_owned(),
                    wanted: wanted.checksum,
                });
            }
            return Ok(());
        }
        let found = DataIdentity { name: self.train.name().to_owned(), checksum: checksum.to_owned() };
        Ok(files::write_atomic(&path, config::to_json("data", &found)?.as_bytes())?)
    }

    fn run(&self) -> Result<DesignResult> {
        let candidates = stage::generate::run(self)?;
        // Only now, so that a budget that no network keeps leaves no design behind to stumble over.
        if !self.folder.config().is_file() {
            let text = config::to_yaml("configuration", &self.config)?;
            files::write_atomic(&self.folder.config(), text.as_bytes())?;
        }
        let found = stage::search::run(self, candidates.clone())?;
        let quantized = stage::quantize::run(self, &found)?;
        let pruned = stage::prune::run(self, &quantized)?;
        let trained = stage::train::run(self, &found, &quantized, &pruned)?;
        let ended_by_time = [("search", found.ended), ("quantize", quantized.ended), ("prune", pruned.ended)]
            .into_iter()
            .filter(|(_, ended)| *ended == Ended::TimeLimit)
            .map(|(name, _)| name.to_owned())
            .collect();
        let counts = Counts {
            candidates: candidates.len() as u64,
            search: found.study.trials().len() as u64,
            refused: found
                .study
                .trials()
                .iter()
                .filter(|t| t.state == tinsmith_study::TrialState::Refused)
                .count() as u64,
            quantize: quantized.study.trials().len() as u64,
            prune: pruned.study.trials().len() as u64,
            ended_by_time,
        };
        let data: DataIdentity = config::load(&self.folder.data(), |_, _| {})?;
        let result = DesignResult {
            data: data.name,
            data_checksum: data.checksum,
            seed: self.config.seed,
            limits: self.limits,
            baseline: trained.baseline,
            winner: trained.winner,
            run: trained.run,
            layers: trained.layers,
            confusion: trained.confusion,
            classes: self.test.class_names().to_vec(),
            counts,
        };
        trained.spec.save(&self.folder.spec())?;
        files::write_atomic(&self.folder.weights(), &trained.weights)?;
        stage::ship::run(self)?;
        files::write_atomic(&self.folder.metrics(), trained.metrics.as_bytes())?;
        page::write(self, &result, &trained.spec, &found, &quantized, &pruned)?;
        files::write_atomic(&self.folder.result(), config::to_json("result", &result)?.as_bytes())?;
        Ok(result)
    }

    /// How a training's error ends a design.
    pub(crate) fn stopped(&self, error: TrainError) -> WorkshopError {
        if matches!(error, TrainError::Cancelled { .. }) { self.cancelled() } else { error.into() }
    }

    pub(crate) fn cancelled(&self) -> WorkshopError {
        WorkshopError::Cancelled { path: self.folder.root().to_owned() }
    }

    /// Whether a study came to its end; a stop by the caller ends the design.
    pub(crate) fn ended(&self, ended: Ended) -> Result<Ended> {
        if ended == Ended::Cancelled { Err(self.cancelled()) } else { Ok(ended) }
    }

    /// A stage's share of the time limit, in seconds.
    pub(crate) fn time_limit_s(&self, share: f64) -> Option<f64> {
        self.config.time.map(|minutes| 60.0 * minutes * share)
    }
}
