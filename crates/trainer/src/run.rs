//! A training as a folder: input, progress and result.
//!
//! | file | content |
//! | --- | --- |
//! | `spec.yaml` | the network |
//! | `run.yaml` | configuration, seed, structural hash, checksum of the data |
//! | `metrics.jsonl` | one line for each epoch, without times |
//! | `events.out.tfevents.*` | the same for TensorBoard, with histograms of the weights and the hyper-parameters |
//! | `checkpoint.safetensors` | state to resume from; removed when the run is finished |
//! | `weights.safetensors` | the kept weights |
//! | `SHA256SUMS` | digests of `result.json` and `weights.safetensors` |
//! | `failure.json`, `last-good.safetensors` | reason that a run ended without a result, and the last finite weights |
//! | `result.json` | the result; written last, so a run without it is not finished |

mod checksums;
mod log;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinsmith_data::Dataset;
use tinsmith_foundation::{FoundationError, Seed, config, files};
use tinsmith_kernels::Threads;
use tinsmith_layers::Model;
use tinsmith_tensorboard::SessionStatus;

use self::log::EpochLog;
pub use self::plan::{Plan, build};
use crate::callback::{Both, Callback};
use crate::checkpoint::Checkpoints;
use crate::config::TrainConfig;
use crate::context::Context;
use crate::digest::{sha256, sha256_of_file};
use crate::error::{Result, TrainError};
use crate::evaluate::{Evaluation, evaluate};
use crate::fit::fit_resumable;
use crate::history::{Epoch, History, check_epochs};
use crate::removal::remove_if_present;

/// Identity of a run. A folder with another identity is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    seed: Seed,
    spec_hash: String,
    data: String,
    data_checksum: String,
    config: TrainConfig,
    /// SHA-256 of the weights it starts from.
    #[serde(default)]
    start: Option<String>,
    /// SHA-256 of the teacher.
    #[serde(default)]
    teacher: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
}

/// Result of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Course of the training.
    pub history: History,
    /// Evaluation of the kept weights on the validation split, if there is one.
    pub validation: Option<Evaluation>,
}

/// Reason that a run ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Message for people.
    pub reason: String,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step: u64,
    /// First layer whose output was not finite, if known.
    pub layer: Option<String>,
}

/// Folder of a run.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
    every_steps: u64,
    every_seconds: f64,
}

impl RunResult {
    /// Returns true if this result is better than `other`: by validation accuracy, then by validation loss. Without a
    /// validation split, by the training loss of the last epoch.
    #[must_use]
    pub fn is_better_than(&self, other: &Self) -> bool {
        let key = |r: &Self| match &r.validation {
            Some(found) => (found.accuracy().unwrap_or(0.0), -found.loss),
            None => (0.0, -r.history.epochs.last().map_or(f64::INFINITY, |e| e.loss)),
        };
        let (a, b) = (key(self), key(other));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt()
    }
}

impl Run {
    /// Returns the run in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), every_steps: 0, every_seconds: 30.0 }
    }

    /// Sets the interval of checkpoints in steps and seconds; 0 disables either. The default is every 30 seconds. A
    /// cancelled run always writes one. The result does not depend on it.
    #[must_use]
    pub const fn with_checkpoints(mut self, every_steps: u64, every_seconds: f64) -> Self {
        self.every_steps = every_steps;
        self.every_seconds = every_seconds;
        self
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the weights.
    #[must_use]
    pub fn weights(&self) -> PathBuf {
        self.folder.join("weights.safetensors")
    }

    /// Returns the result of a finished run; None if it is not finished. Result and weights are compared with
    /// `SHA256SUMS`.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] if `result.json` is damaged or impossible, or if a file differs from its checksum.
    pub fn result(&self) -> Result<Option<RunResult>> {
        let path = self.folder.join("result.json");
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        let malformed =
            |reason| TrainError::Malformed { path: path.clone(), wanted: "the result of a run", reason };
        let result: RunResult = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        let History { epochs, kept, .. } = &result.history;
        check_epochs(epochs, *kept)
            .map_err(|(field, fault)| malformed(format!("history.{field} {fault}")))?;
        checksums::verify(&self.folder)?;
        Ok(Some(result))
    }

    /// Returns the epochs so far, from `metrics.jsonl`; an incomplete last line is skipped.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] if a complete line is not an epoch.
    pub fn epochs(&self) -> Result<Vec<Epoch>> {
        let path = self.folder.join("metrics.jsonl");
        let (_, lines) = files::LineLog::open(&path)?;
        let parse = |line: &String| {
            serde_json::from_str(line).map_err(|e| TrainError::Malformed {
                path: path.clone(),
                wanted: "lines of epochs",
                reason: e.to_string(),
            })
        };
        lines.iter().map(parse).collect()
    }

    /// Returns the path of the checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// Returns the reason that the last attempt failed, if it did.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] if `failure.json` cannot be read.
    pub fn failure(&self) -> Result<Option<Failure>> {
        let path = self.folder.join("failure.json");
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        serde_json::from_str(&text).map(Some).map_err(|e| TrainError::Malformed {
            path,
            wanted: "the failure of a run",
            reason: e.to_string(),
        })
    }

    /// Trains, or returns the result if the run is finished. An interrupted run resumes from its last checkpoint, or
    /// starts again without one, and ends the same, byte for byte, except for the event files.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if the folder holds another run; otherwise as [`fit_resumable`]. A training that cannot start
    /// leaves no folder. If the loss becomes
    /// non-finite, the folder gets the reason and the last finite weights.
    pub fn train(
        &self,
        plan: &Plan,
        train: &Dataset,
        validation: Option<&Dataset>,
        context: &Context<'_>,
        callback: &mut dyn Callback,
    ) -> Result<RunResult> {
        let identity = Self::identity(plan, train)?;
        if !self.folder.join("run.yaml").is_file() {
            // A training that cannot start must not leave a claimed folder behind.
            plan.check(train, validation)?;
        }
        self.claim(plan, &identity)?;
        if let Some(result) = self.result()? {
            return Ok(result);
        }
        let mut model = build(plan, Threads::new(context.grant.threads()))?;
        let checkpoints = Checkpoints {
            path: self.checkpoint(),
            identity: sha256(config::to_yaml("run", &identity)?.as_bytes()),
            every_steps: self.every_steps,
            every_seconds: self.every_seconds,
        };
        // Traces of an earlier attempt would contradict this one.
        for name in ["failure.json", "last-good.safetensors"] {
            remove_if_present(&self.folder.join(name))?;
        }
        let mut log = EpochLog::open(&self.folder, plan, checkpoints.path.is_file())?;
        let within = Context { seed: plan.seed, ..context.clone() };
        let ended = fit_resumable(
            &mut model,
            train,
            validation,
            &plan.config,
            &within,
            &mut Both(callback, &mut log),
            Some(&checkpoints),
        );
        let history = match ended {
            Ok(history) => history,
            Err(error) => {
                if let TrainError::NonFinite { epoch, step, layer, .. } = &error {
                    let (reason, layer) = (error.to_string(), layer.clone());
                    self.note_failure(&Failure { reason, epoch: *epoch, step: *step, layer }, &model)?;
                    log.end(SessionStatus::Failure)?;
                }
                return Err(error);
            }
        };
        let validation =
            validation.map(|data| evaluate(&model, data, plan.config.loss, context.grant)).transpose()?;
        log.end(SessionStatus::Success)?;
        model.save_weights(&self.weights(), &BTreeMap::new())?;
        let result = RunResult { history, validation };
        // The order is the protocol: weights, digests, result, then the checkpoint goes. A run that is killed in between
        // has no result yet and still has its checkpoint.
        let text = config::to_json("run", &result)?;
        let weights = std::fs::read(self.weights())
            .map_err(|source| FoundationError::Read { path: self.weights(), source })?;
        let contents = [("result.json", text.as_bytes()), ("weights.safetensors", weights.as_slice())];
        checksums::write(&self.folder, &contents)?;
        files::write_atomic(&self.folder.join("result.json"), text.as_bytes())?;
        checkpoints.clear()?;
        Ok(result)
    }

    fn note_failure(&self, failure: &Failure, model: &Model) -> Result<()> {
        model.save_weights(&self.folder.join("last-good.safetensors"), &BTreeMap::new())?;
        let text = config::to_json("failure", failure)?;
        Ok(files::write_atomic(&self.folder.join("failure.json"), text.as_bytes())?)
    }

    fn identity(plan: &Plan, train: &Dataset) -> Result<Identity> {
        let start = plan.start.as_ref().map(|path| sha256_of_file(path)).transpose()?;
        let teacher = &plan.config.distillation.teacher;
        let teacher = (!teacher.is_empty()).then(|| sha256_of_file(Path::new(teacher))).transpose()?;
        Ok(Identity {
            seed: plan.seed,
            spec_hash: plan.spec.structural_hash()?.to_string(),
            data: train.name().to_owned(),
            data_checksum: train.checksum(),
            config: plan.config.clone(),
            start,
            teacher,
            attributes: plan.attributes.clone(),
        })
    }

    fn claim(&self, plan: &Plan, identity: &Identity) -> Result<()> {
        let path = self.folder.join("run.yaml");
        if path.is_file() {
            let found: Identity = config::load(&path, |_, _| {})?;
            let differs = |what| TrainError::OtherRun { path: self.folder.clone(), what };
            return match () {
                () if found.spec_hash != identity.spec_hash => Err(differs("network")),
                () if found.data_checksum != identity.data_checksum => Err(differs("data set")),
                () if found.seed != identity.seed => Err(differs("seed")),
                () if found.start != identity.start => Err(differs("starting point")),
                () if found.teacher != identity.teacher => Err(differs("teacher")),
                () if found != *identity => Err(differs("configuration")),
                () => Ok(()),
            };
        }
        plan.spec.save(&self.folder.join("spec.yaml"))?;
        Ok(files::write_atomic(&path, config::to_yaml("run", identity)?.as_bytes())?)
    }
}
