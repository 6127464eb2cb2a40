//! Errors of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_keras::KerasError;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Failure to generate, write or read networks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelgenError {
    /// The configuration, or a callback's change to it, has invalid values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A network without layers was requested.
    #[error("total_layers is 0, want at least 1")]
    NoLayers,
    /// No admissible layer fits at this position.
    #[error("weight layer {layer} cannot be drawn: {reason}")]
    NoFit {
        /// Number of the weight layer, from 1.
        layer: usize,
        /// Cause and remedy.
        reason: String,
    },
    /// No further network within the limits and different from the earlier ones was found.
    #[error("found {found} of {wanted} networks, then none: {binding}")]
    Unsatisfiable {
        /// Networks found.
        found: usize,
        /// Networks wanted.
        wanted: usize,
        /// Every reason for rejection with its count, most frequent first, and the remedy.
        binding: String,
    },
    /// The caller cancelled.
    #[error("cancelled after {written} of {wanted} networks")]
    Cancelled {
        /// Networks written to the discarded, incomplete files.
        written: u64,
        /// Networks wanted.
        wanted: u64,
    },
    /// The sampling plan exceeds its maximum of points or axes.
    #[error(transparent)]
    Sampling(#[from] StudyError),
    /// A specification cannot be costed or read.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target of the costs is invalid.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// A network cannot be written as a Keras model, or read from one.
    #[error(transparent)]
    Keras(#[from] KerasError),
    /// Writing a network to the caller's writer failed.
    #[error("cannot write a network to the sink")]
    Sink(#[source] std::io::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for ModelgenError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Config(errors),
            other => Self::File(other),
        }
    }
}

/// Result with [`ModelgenError`] as its error.
pub type Result<T, E = ModelgenError> = std::result::Result<T, E>;
