//! A training as data: one folder that holds what was trained, how, from which seed, and what came out.
//!
//! | file | what it is |
//! | --- | --- |
//! | `spec.yaml` | the network |
//! | `run.yaml` | configuration, seed, structural hash, checksum of the data |
//! | `metrics.jsonl` | one line for each epoch, without times |
//! | `events.out.tfevents.*` | the same for TensorBoard, with histograms of the weights and the hyper-parameters |
//! | `checkpoint.safetensors` | where an interrupted run goes on from; gone when the run is finished |
//! | `weights.safetensors` | the weights that were kept |
//! | `failure.json`, `last-good.safetensors` | why a run ended without a result, and the last weights that were good |
//! | `result.json` | what came out; written last, so a run without it is not finished |

mod log;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinsmith_data::Dataset;
use tinsmith_foundation::{FoundationError, Seed, config, files};
use tinsmith_kernels::Threads;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_tensorboard::SessionStatus;

use self::log::EpochLog;
use crate::callback::{Both, Callback};
use crate::checkpoint::Checkpoints;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::{Evaluation, evaluate};
use crate::fit::{Context, Epoch, History, fit_resumable};

/// What is to be trained, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The network.
    pub spec: ModelSpec,
    /// The configuration.
    pub config: TrainConfig,
    /// Seed of initial weights, batches, dropout and augmentation.
    pub seed: Seed,
    /// Weights to start from, by name, where their shapes fit; the others start from the seed.
    pub start: Option<PathBuf>,
    /// What else makes this run what it is (a pruning schedule, a sweep's values); stored, and compared on resume.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// What identifies a run: a folder that holds another must not be taken for this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    seed: Seed,
    spec_hash: String,
    data: String,
    data_checksum: String,
    config: TrainConfig,
    /// The bytes' checksum of the weights it starts from.
    #[serde(default)]
    start: Option<String>,
    /// That of its teacher's.
    #[serde(default)]
    teacher: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// The course of the training.
    pub history: History,
    /// The kept weights on the validation part, where there is one.
    pub validation: Option<Evaluation>,
}

/// Why a run ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The reason, for people.
    pub reason: String,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step: u64,
    /// The first layer whose output was not finite, where it can be told.
    pub layer: Option<String>,
}

/// A run's folder.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
    every_steps: u64,
    every_seconds: f64,
}

impl RunResult {
    /// Whether this result is better than `other`: by accuracy on the validation part, then by its loss; without a
    /// validation part by the training loss of the last epoch.
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
    /// The run in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), every_steps: 0, every_seconds: 30.0 }
    }

    /// The same with checkpoints every so many steps and seconds, where 0 means never; by default every 30 seconds. A
    /// run that is cancelled writes one in any case. The result does not depend on it.
    #[must_use]
    pub const fn with_checkpoints(mut self, every_steps: u64, every_seconds: f64) -> Self {
        self.every_steps = every_steps;
        self.every_seconds = every_seconds;
        self
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the weights are.
    #[must_use]
    pub fn weights(&self) -> PathBuf {
        self.folder.join("weights.safetensors")
    }

    /// The result, where the run is finished.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] where `result.json` is there but cannot be read.
    pub fn result(&self) -> Result<Option<RunResult>> {
        let path = self.folder.join("result.json");
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        let result = serde_json::from_str(&text).map_err(|e| TrainError::Malformed {
            path,
            wanted: "the result of a run",
            reason: e.to_string(),
        })?;
        Ok(Some(result))
    }

    /// The epochs so far, from `metrics.jsonl`; a torn last line is left out.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] where a whole line is not an epoch.
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

    /// Where an interrupted run goes on from.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// Why the last attempt ended without a result, where it did so by itself.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] where `failure.json` is there but cannot be read.
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

    /// Trains, or returns the result of the training that is finished already. A run that was interrupted, at whatever
    /// instant, goes on from its last checkpoint (without one from the start) and ends the same, byte for byte; of the
    /// event files alone that is not promised.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] where the folder holds a run of something else; as [`fit_resumable`] otherwise. Where the
    /// loss is not finite the folder has the reason and the last good weights.
    pub fn train(
        &self,
        plan: &Plan,
        train: &Dataset,
        validation: Option<&Dataset>,
        context: &Context<'_>,
        callback: &mut dyn Callback,
    ) -> Result<RunResult> {
        let identity = Self::identity(plan, train)?;
        self.claim(plan, &identity)?;
        if let Some(result) = self.result()? {
            return Ok(result);
        }
        let mut model = build(plan, Threads::new(context.grant.threads()))?;
        let checkpoints = Checkpoints {
            path: self.checkpoint(),
            identity: hex(&Sha256::digest(config::to_yaml("run", &identity)?)),
            every_steps: self.every_steps,
            every_seconds: self.every_seconds,
        };
        for name in ["failure.json", "last-good.safetensors"] {
            remove(&self.folder.join(name))?;
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
        files::write_atomic(&self.folder.join("result.json"), config::to_json("run", &result)?.as_bytes())?;
        checkpoints.clear()?;
        Ok(result)
    }

    fn note_failure(&self, failure: &Failure, model: &Model) -> Result<()> {
        model.save_weights(&self.folder.join("last-good.safetensors"), &BTreeMap::new())?;
        let text = config::to_json("failure", failure)?;
        Ok(files::write_atomic(&self.folder.join("failure.json"), text.as_bytes())?)
    }

    fn identity(plan: &Plan, train: &Dataset) -> Result<Identity> {
        let start = plan.start.as_ref().map(|path| checksum(path)).transpose()?;
        let teacher = &plan.config.distillation.teacher;
        let teacher = (!teacher.is_empty()).then(|| checksum(Path::new(teacher))).transpose()?;
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

/// The network of a plan with its first weights.
///
/// # Errors
/// [`TrainError::Layers`] where it does not build or the weights cannot be read.
pub fn build(plan: &Plan, threads: Threads) -> Result<Model> {
    let options = BuildOptions { threads, ..BuildOptions::default() };
    let model = Model::build(&plan.spec, plan.seed.derive("weights", 0), &options)?;
    if let Some(path) = &plan.start {
        model.inherit(&load_model(path)?)?;
    }
    Ok(model)
}

/// The specification in a file: YAML, JSON, or a model that Keras saved (`.keras`, `.h5`).
///
/// # Errors
/// [`TrainError::Spec`] and [`TrainError::Layers`] where it cannot be read.
pub fn load_spec(path: &Path) -> Result<ModelSpec> {
    if tinsmith_layers::keras::has_keras_extension(path) {
        return Ok(tinsmith_layers::keras::load_spec(path)?);
    }
    Ok(ModelSpec::load(path)?)
}

/// The network that a weight file holds: its specification is in the file's metadata, or it is a model that Keras
/// saved (`.keras`, `.h5`).
///
/// # Errors
/// [`TrainError::Malformed`] where the file has no specification; [`TrainError::Layers`] where it cannot be read.
pub fn load_model(path: &Path) -> Result<Model> {
    if tinsmith_layers::keras::has_keras_extension(path) {
        return Ok(tinsmith_layers::keras::load(path, &BuildOptions::default())?);
    }
    let contents = tinsmith_core_tensor::io::safetensors::load(path)?;
    let text = contents.metadata.get("spec").ok_or_else(|| TrainError::Malformed {
        path: path.to_owned(),
        wanted: "weights that Tinsmith wrote",
        reason: "its metadata have no `spec`".to_owned(),
    })?;
    let spec = ModelSpec::parse(text, &path.display().to_string())?;
    let model = Model::build(&spec, Seed::new(0), &BuildOptions::default())?;
    model.set_weights(&contents.tensors, &path.display().to_string())?;
    Ok(model)
}

fn checksum(path: &Path) -> Result<String> {
    let bytes =
        std::fs::read(path).map_err(|source| FoundationError::Read { path: path.to_owned(), source })?;
    Ok(hex(&Sha256::digest(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Removes a file that need not be there.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FoundationError::Write { path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}
