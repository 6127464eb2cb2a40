//! The error of this crate.

use std::path::PathBuf;

use tinsmith_core_tensor::TensorError;
use tinsmith_data::DataError;
use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;

/// Why a training could not be set up, or ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The network and the data do not fit.
    #[error("the network {what} {network:?}, the data set `{data}` has {found:?}")]
    Mismatch {
        /// Which shape: "takes samples of shape", "puts out".
        what: &'static str,
        /// The network's shape.
        network: Vec<usize>,
        /// The data set's name.
        data: String,
        /// The data's shape.
        found: Vec<usize>,
    },
    /// A data set has no rows to train or evaluate on.
    #[error("the data set `{data}` has no rows for {purpose}")]
    Empty {
        /// The data set's name.
        data: String,
        /// What they were wanted for.
        purpose: &'static str,
    },
    /// The loss became infinite or not a number.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}{place}; a lower learning rate or clipping may help",
        place = layer.as_ref().map(|l| format!(", first in layer `{l}`")).unwrap_or_default()
    )]
    NonFinite {
        /// Epoch, from 1.
        epoch: u32,
        /// Step in the epoch, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The first layer whose output is not finite, where one can be told.
        layer: Option<String>,
    },
    /// The caller asked for a stop.
    #[error("the training was cancelled in epoch {epoch}")]
    Cancelled {
        /// Epoch, from 1.
        epoch: u32,
    },
    /// What accompanies the training (a pruning, a watcher) ended it.
    #[error("{reason}")]
    Callback {
        /// Why.
        reason: String,
    },
    /// A run's folder holds another run.
    #[error("{path} holds a run of another {what}; choose another folder or delete it", path = path.display())]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A checkpoint is not one of this training.
    #[error("the checkpoint is another training's: {reason}")]
    Checkpoint {
        /// What does not fit.
        reason: String,
    },
    /// A metric was asked for that the data do not have.
    #[error(
        "the metric `{metric}` cannot be had of the data set `{data}`, whose targets are of another kind"
    )]
    NoMetric {
        /// The metric.
        metric: String,
        /// The data set's name.
        data: String,
    },
    /// A teacher's inputs or outputs are not those of the network that is to learn from it.
    #[error("the teacher {path} maps {teacher}, the network {student}", path = path.display())]
    Teacher {
        /// The teacher's weights.
        path: PathBuf,
        /// Its shapes.
        teacher: String,
        /// The network's shapes.
        student: String,
    },
    /// A file is there but is not what it should be.
    #[error("{path} is not {wanted}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// The data could not be read or split.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network could not be built or run.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// The specification is impossible.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FoundationError),
    /// The event file could not be written.
    #[error(transparent)]
    Events(#[from] tinsmith_tensorboard::EventError),
}

/// A result whose error is [`TrainError`].
pub type Result<T, E = TrainError> = std::result::Result<T, E>;
