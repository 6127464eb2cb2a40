//! Checkpoints: one file with everything a training needs to resume from a step, byte for byte.
//!
//! The file is safetensors, replaced atomically. Tensors are named by kind: `weights/…`, `prune/…` and `update/…`
//! (masks), `moments/…` (optimizer state), `before/…` (weights at the start of the epoch), `best/…`, `average/…`. The
//! metadata hold the progress as JSON and a SHA-256 over progress and tensors. Random generators have no state to store:
//! every draw comes from a seed that is derived from epoch, step and row.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinsmith_core_tensor::io::safetensors;

use crate::digest::hex;
use crate::error::{Result, TrainError};
use crate::progress::Progress;
use crate::removal::remove_if_present;
use crate::snapshot::{Snapshot, Tensors};

/// File and interval of a training's checkpoints. A cancelled training writes one more.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoints {
    /// Path of the file.
    pub path: PathBuf,
    /// Identity of the training; a checkpoint with another identity is refused.
    pub identity: String,
    /// Steps between checkpoints; 0 disables counting steps.
    pub every_steps: u64,
    /// Seconds between checkpoints; 0 disables the clock.
    pub every_seconds: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    identity: String,
    progress: Progress,
}

const KEY: &str = "checkpoint";
const DIGEST: &str = "sha256";

impl Checkpoints {
    /// Writes checkpoints to `path` every 30 seconds.
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
        let digest = digest(&text, &tensors)?;
        let metadata = BTreeMap::from([(KEY.to_owned(), text), (DIGEST.to_owned(), digest)]);
        Ok(safetensors::save(&self.path, &tensors, &metadata)?)
    }

    /// Reads the checkpoint, if the file exists.
    pub(crate) fn load(&self) -> Result<Option<Snapshot>> {
        if !self.path.is_file() {
            return Ok(None);
        }
        let contents = safetensors::load(&self.path)?;
        let text =
            contents.metadata.get(KEY).ok_or_else(|| self.malformed("its metadata have no progress"))?;
        let stored = contents.metadata.get(DIGEST).ok_or_else(|| {
            self.malformed(
                "its metadata have no `sha256`: an older version wrote it; delete it to train from the first epoch",
            )
        })?;
        if digest(text, &contents.tensors)? != *stored {
            return Err(self.malformed(
                "its content differs from its `sha256`: the file is damaged; delete it to train from the first epoch",
            ));
        }
        let header: Header = serde_json::from_str(text).map_err(|e| self.malformed(&e.to_string()))?;
        if header.identity != self.identity {
            let reason = format!("{} is of another network, configuration or data set", self.path.display());
            return Err(TrainError::Checkpoint { reason });
        }
        let mut kinds: BTreeMap<String, Tensors> = BTreeMap::new();
        for (name, value) in contents.tensors {
            let Some((kind, param)) = name.split_once('/') else {
                return Err(self.malformed(&format!("it has an unknown tensor `{name}`")));
            };
            kinds.entry(kind.to_owned()).or_default().insert(param.to_owned(), value);
        }
        let mut take = |kind: &str| kinds.remove(kind).unwrap_or_default();
        let moments = take("moments").into_iter().map(|(name, state)| Ok((name, state.to_vec1()?)));
        let snapshot = Snapshot {
            progress: header.progress,
            moments: moments.collect::<Result<_>>()?,
            weights: take("weights"),
            prune: take("prune"),
            update: take("update"),
            before: take("before"),
            best: take("best"),
            average: take("average"),
        };
        match kinds.first_key_value() {
            Some((kind, _)) => Err(self.malformed(&format!("it has tensors of an unknown kind `{kind}`"))),
            None => Ok(Some(snapshot)),
        }
    }

    /// Removes the file once the training is over.
    ///
    /// # Errors
    /// [`TrainError::File`] if the file exists but cannot be removed.
    pub fn clear(&self) -> Result<()> {
        remove_if_present(&self.path)
    }

    /// Error for a file that does not hold a usable checkpoint.
    pub(crate) fn malformed(&self, reason: &str) -> TrainError {
        TrainError::Malformed { path: self.path.clone(), wanted: "a checkpoint", reason: reason.to_owned() }
    }
}

/// SHA-256 over the progress and all tensors in name order; lengths are hashed too, so that no two contents share one
/// byte sequence.
fn digest(text: &str, tensors: &Tensors) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    for (name, value) in tensors {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(format!("{:?}", value.dims()));
        for element in value.flatten_all()?.to_vec1::<f32>()? {
            hash.update(element.to_le_bytes());
        }
    }
    Ok(hex(&hash.finalize()))
}
