//! One network trained in a folder, or judged by cross-validation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tinsmith_data::Normalization;
use tinsmith_network::ModelSpec;
use tinsmith_study::Decision;
use tinsmith_trainer::{
    Context, CrossValidation, Epoch, Evaluation, KFold, Observe, Plan, Run, RunResult, TrainConfig,
    TrainError, cross_validate, evaluate,
};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::identity::{listed, refuse_other_files, setting_differences, to_value};
use crate::network::load_network;

/// Seconds between the checkpoints of a run.
const CHECKPOINT_SECONDS: f64 = 30.0;

/// File of a run that identifies it.
pub(crate) const RUN_RECORD: &str = "run.yaml";

/// Trains one network.
#[derive(Debug, Clone)]
pub struct TrainStage<'a> {
    /// The network.
    pub network: ModelSpec,
    /// Training recipe.
    pub training: TrainConfig,
    /// Weights to start from.
    pub start: Option<PathBuf>,
    /// Steps between checkpoints, besides one every 30 seconds; 0 means none.
    pub checkpoint_steps: u64,
    /// Folder of the run.
    pub folder: &'a Path,
}

/// Result of one training.
#[derive(Debug)]
pub struct TrainOutcome {
    /// Course of the training, and the validation figures.
    pub result: RunResult,
    /// Figures of the kept weights on the test rows.
    pub test: Evaluation,
    /// True if the folder held the finished run already.
    pub is_unchanged: bool,
}

impl TrainStage<'_> {
    /// Trains, or reads the finished run; an interrupted run continues from its last checkpoint. Without validation rows all
    /// rows are trained on, and the last weights are kept.
    ///
    /// # Errors
    /// [`WorkshopError::OtherWork`] and [`WorkshopError::Occupied`] if the folder holds something else,
    /// [`WorkshopError::Train`] if the network does not fit the data or diverges, [`WorkshopError::Cancelled`] after a
    /// requested stop.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<TrainOutcome> {
        const STAGE: &str = "train";
        if let Some(start) = &self.start {
            load_network(start)?;
        }
        if !self.folder.join(RUN_RECORD).is_file() {
            refuse_other_files(self.folder, RUN_RECORD)?;
        }
        let run = Run::new(self.folder).with_checkpoints(self.checkpoint_steps, CHECKPOINT_SECONDS);
        let was_finished = run.result()?.is_some();
        let plan = plan(&self.network, &self.training, self.start.as_deref(), bench)?;
        let grant = bench.whole_grant();
        let validation = Some(&bench.data.validation).filter(|data| !data.is_empty());
        if !was_finished {
            bench.progress.begin(STAGE, Some(u64::from(plan.config.epochs)));
        }
        let mut observe = Observe(|epoch: &Epoch| {
            let accuracy = epoch.val_accuracy.map(|a| format!(", validation accuracy {:.2} %", 100.0 * a));
            let note = format!("loss {:.4}{}", epoch.loss, accuracy.unwrap_or_default());
            bench.progress.step(STAGE, u64::from(epoch.epoch), note);
            Decision::Continue
        });
        let context = Context { seed: plan.seed, grant, cancel: &bench.cancel };
        let result = run
            .train(&plan, &bench.data.train, validation, &context, &mut observe)
            .map_err(|error| self.explained(error, bench))?;
        if !was_finished {
            bench.progress.end(STAGE, format!("kept epoch {}", result.history.kept));
        }
        bench.save_data_record(self.folder)?;
        let model = load_network(&run.weights())?;
        let test = evaluate(&model, &bench.data.test, plan.config.loss, grant)?;
        Ok(TrainOutcome { result, test, is_unchanged: was_finished })
    }

    /// Names the settings that differ if the folder holds a run of another configuration.
    fn explained(&self, error: TrainError, bench: &Workbench<'_>) -> WorkshopError {
        if let TrainError::OtherRun { what: "configuration" | "data set", .. } = error
            && let Ok(differences) = self.differences(bench)
            && !differences.is_empty()
        {
            return WorkshopError::OtherWork { path: self.folder.to_owned(), differences };
        }
        Workbench::stopped(error, self.folder)
    }

    fn differences(&self, bench: &Workbench<'_>) -> Result<String> {
        let found = RecordedRun::load(self.folder)?;
        let table = Value::from_iter(bench.table_settings()?.map(|table| (TABLE, table)));
        let mut differences = setting_differences(&to_value("attributes", &found.attributes)?, &table);
        let (then, now) = (to_value("training", &found.config)?, to_value("training", &self.training)?);
        differences.extend(setting_differences(&then, &now));
        Ok(listed(differences))
    }
}

/// Attribute of a run that holds the options of its data.
const TABLE: &str = "table";

/// The part of a run's record that holds its recipe and the options of its data.
#[derive(serde::Deserialize)]
pub(crate) struct RecordedRun {
    pub(crate) config: TrainConfig,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

impl RecordedRun {
    /// Reads the record of the run in `folder`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        Ok(tinsmith_foundation::config::load(&folder.join(RUN_RECORD), |_, _| {})?)
    }
}

/// Judges one network by cross-validation on the training rows; writes nothing.
#[derive(Debug, Clone)]
pub struct FoldStage {
    /// The network.
    pub network: ModelSpec,
    /// Training recipe of a fold.
    pub training: TrainConfig,
    /// Weights to start from.
    pub start: Option<PathBuf>,
    /// Number of folds, at least 2.
    pub folds: usize,
}

impl FoldStage {
    /// Trains every fold.
    ///
    /// # Errors
    /// [`WorkshopError::Train`] if the folds cannot be made or a training fails.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<CrossValidation> {
        const STAGE: &str = "folds";
        if let Some(start) = &self.start {
            load_network(start)?;
        }
        let plan = plan(&self.network, &self.training, self.start.as_deref(), bench)?;
        let context = Context { seed: plan.seed, grant: bench.whole_grant(), cancel: &bench.cancel };
        let folds = KFold { splits: self.folds, normalization: Normalization::Auto, ..KFold::default() };
        bench.progress.begin(STAGE, Some(self.folds as u64));
        let found = cross_validate(&plan, &bench.splits.train, &folds, &context)?;
        bench.progress.end(STAGE, format!("{} folds", self.folds));
        Ok(found)
    }
}

fn plan(
    network: &ModelSpec,
    training: &TrainConfig,
    start: Option<&Path>,
    bench: &Workbench<'_>,
) -> Result<Plan> {
    Ok(Plan {
        spec: network.clone(),
        config: training.clone(),
        seed: bench.seed,
        start: start.map(Path::to_owned),
        attributes: bench.table_settings()?.map(|table| (TABLE.to_owned(), table)).into_iter().collect(),
    })
}
