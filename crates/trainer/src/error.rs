//! The error of this crate.

use std::path::PathBuf;

use tinsmith_core_tensor::TensorError;
use tinsmith_data::DataError;
use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;

/// Reasons that a training cannot start, or ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration has unusable values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The shapes of network and data differ.
    #[error("the network {what} {network:?}, the data set `{data}` has {found:?}")]
    Mismatch {
        /// Compared shape: "takes samples of shape" or "puts out".
        what: &'static str,
        /// Shape in the network.
        network: Vec<usize>,
        /// The data set's name.
        data: String,
        /// Shape in the data set.
        found: Vec<usize>,
    },
    /// The data set has no rows to train or evaluate on.
    #[error("the data set `{data}` has no rows for {purpose}")]
    Empty {
        /// The data set's name.
        data: String,
        /// Intended use of the rows.
        purpose: &'static str,
    },
    /// The loss became infinite or NaN.
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
        /// First layer whose output is not finite, if known.
        layer: Option<String>,
    },
    /// The caller cancelled the training.
    #[error("the training was cancelled in epoch {epoch}")]
    Cancelled {
        /// Epoch, from 1.
        epoch: u32,
    },
    /// A callback (a pruning, an observer) ended the training.
    #[error("{reason}")]
    Callback {
        /// Reason given by the callback.
        reason: String,
    },
    /// The folder holds another run.
    #[error("{path} holds a run of another {what}; choose another folder or delete it", path = path.display())]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// Property that differs.
        what: &'static str,
    },
    /// The checkpoint belongs to another training.
    #[error("the checkpoint belongs to another training: {reason}")]
    Checkpoint {
        /// Property that does not fit.
        reason: String,
    },
    /// The loss does not fit the targets or the output of the network.
    #[error(
        "the loss `{loss}` does not fit: the targets of `{data}` are {targets}, the network puts out {output}; \
         want {wanted}"
    )]
    LossMismatch {
        /// Name of the loss.
        loss: &'static str,
        /// Name of the data set.
        data: String,
        /// Description of the targets.
        targets: String,
        /// Shape and activation of the output.
        output: String,
        /// Choice that fits.
        wanted: &'static str,
    },
    /// The metric is not defined for the targets of the data set.
    #[error("the metric `{metric}` does not apply to the data set `{data}`: {reason}")]
    NoMetric {
        /// Name of the metric.
        metric: String,
        /// Name of the data set.
        data: String,
        /// Kind of the targets and the metrics that apply.
        reason: &'static str,
    },
    /// The teacher has other inputs or outputs than the network that learns from it.
    #[error("the teacher {path} maps {teacher}, the network {student}", path = path.display())]
    Teacher {
        /// Weight file of the teacher.
        path: PathBuf,
        /// Shapes of the teacher.
        teacher: String,
        /// Shapes of the network.
        student: String,
    },
    /// A file has unexpected content.
    #[error("{path} is not {wanted}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Expected content.
        wanted: &'static str,
        /// Difference found.
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
    /// candle failed.
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
