//! Checkpoints: everything that a training needs to go on from a step as if it had never stopped, in one file.
//!
//! The file is safetensors, replaced as a whole. Tensors are named by what they are: `weights/…`, `prune/…` and
//! `update/…` (masks), `moments/…` (the optimizer's state), `before/…` (the weights at the epoch's start), `best/…`,
//! `average/…`; the rest is JSON in the metadata. Generators have no state to be kept: every draw of a training comes
//! from a seed that is derived by epoch, step and row.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tinsmith_core_tensor::io::safetensors;
use tinsmith_layers::Model;

use crate::engine::Moments;
use crate::error::{Result, TrainError};
use crate::fit::Progress;

/// Where and how often a training writes checkpoints. It also writes one when it is cancelled.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoints {
    /// The file.
    pub path: PathBuf,
    /// What the training is: a checkpoint of another is refused.
    pub identity: String,
    /// Steps from one to the next; 0 means that steps are not counted.
    pub every_steps: u64,
    /// Seconds from one to the next; 0 means that time is not counted.
    pub every_seconds: f64,
}

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// A training at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) progress: Progress,
    pub(crate) weights: Tensors,
    pub(crate) prune: Tensors,
    pub(crate) update: Tensors,
    pub(crate) moments: Moments,
    pub(crate) before: Tensors,
    pub(crate) best: Tensors,
    pub(crate) average: Tensors,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    identity: String,
    progress: Progress,
}

const KEY: &str = "checkpoint";

impl Checkpoints {
    /// Checkpoints in `path` every 30 seconds.
    pub fn new(path: impl Into<PathBuf>, identity: impl Into<String>) -> Self {
        Self { path: path.into(), identity: identity.into(), every_steps: 0, every_seconds: 30.0 }
    }

    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<()> {
        let header = Header { identity: self.identity.clone(), progress: snapshot.progress.clone() };
        let text = serde_json::to_string(&header).map_err(|e| self.malformed(&e.to_string()))?;
        let mut tensors = Tensors::new();
        for (kind, values) in [
            ("weights", &snapshot.weights),
            ("prune", &snapshot.prune),
            ("update", &snapshot.update),
            ("before", &snapshot.before),
            ("best", &snapshot.best),
            ("average", &snapshot.average),
        ] {
            tensors.extend(values.iter().map(|(name, value)| (format!("{kind}/{name}"), value.clone())));
        }
        for (name, state) in &snapshot.moments {
            let state = Tensor::from_slice(state, state.len(), &Device::Cpu)?;
            tensors.insert(format!("moments/{name}"), state);
        }
        Ok(safetensors::save(&self.path, &tensors, &BTreeMap::from([(KEY.to_owned(), text)]))?)
    }

    /// The checkpoint, where there is one.
    pub(crate) fn load(&self) -> Result<Option<Snapshot>> {
        if !self.path.is_file() {
            return Ok(None);
        }
        let contents = safetensors::load(&self.path)?;
        let text =
            contents.metadata.get(KEY).ok_or_else(|| self.malformed("its metadata have no progress"))?;
        let header: Header = serde_json::from_str(text).map_err(|e| self.malformed(&e.to_string()))?;
        if header.identity != self.identity {
            let reason = format!("{} is of another network, configuration or data set", self.path.display());
            return Err(TrainError::Checkpoint { reason });
        }
        let mut kinds: BTreeMap<String, Tensors> = BTreeMap::new();
        for (name, value) in contents.tensors {
            if let Some((kind, name)) = name.split_once('/') {
                kinds.entry(kind.to_owned()).or_default().insert(name.to_owned(), value);
            }
        }
        let mut take = |kind: &str| kinds.remove(kind).unwrap_or_default();
        let moments = take("moments").into_iter().map(|(name, state)| Ok((name, state.to_vec1()?)));
        Ok(Some(Snapshot {
            progress: header.progress,
            moments: moments.collect::<Result<_>>()?,
            weights: take("weights"),
            prune: take("prune"),
            update: take("update"),
            before: take("before"),
            best: take("best"),
            average: take("average"),
        }))
    }

    /// Removes the file: the training is over.
    ///
    /// # Errors
    /// [`TrainError::File`] where it is there but cannot be removed.
    pub fn clear(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let path = self.path.clone();
                Err(tinsmith_foundation::FoundationError::Write { path, source }.into())
            }
            _ => Ok(()),
        }
    }

    fn malformed(&self, reason: &str) -> TrainError {
        TrainError::Malformed { path: self.path.clone(), wanted: "a checkpoint", reason: reason.to_owned() }
    }
}

/// The masks of a model: those that prune, those that hold.
pub(crate) fn masks(model: &Model) -> (Tensors, Tensors) {
    let named = |name: &str, mask: Option<&Tensor>| Some((name.to_owned(), mask?.clone()));
    let params = model.params();
    (
        params.iter().filter_map(|p| named(p.name(), p.prune_mask())).collect(),
        params.iter().filter_map(|p| named(p.name(), p.update_mask())).collect(),
    )
}

/// Gives a model the masks that [`masks`] took, and freezes the parameters of these names.
pub(crate) fn set_masks(
    model: &mut Model,
    prune: &Tensors,
    update: &Tensors,
    frozen: &[String],
) -> Result<()> {
    for param in model.params_mut().iter_mut() {
        param.set_frozen(frozen.iter().any(|name| name == param.name()));
        let (prune, update) = (prune.get(param.name()).cloned(), update.get(param.name()).cloned());
        param.set_prune_mask(prune)?;
        param.set_update_mask(update)?;
    }
    Ok(())
}
