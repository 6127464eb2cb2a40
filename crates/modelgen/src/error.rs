//! The error of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_keras::KerasError;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Why networks could not be generated, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelgenError {
    /// The configuration has values that cannot be used, or a callback set such values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A network of no layers was asked for.
    #[error("total_layers is 0, want at least 1")]
    NoLayers,
    /// A layer has no admissible form at its place.
    #[error("weight layer {layer} cannot be drawn: {reason}")]
    NoFit {
        /// Its number among the weight layers, from 1.
        layer: usize,
        /// What stands in the way, and what would help.
        reason: String,
    },
    /// No more networks were found that keep their limits and differ from those before.
    #[error("found {found} of {wanted} networks, then no other: {binding}")]
    Unsatisfiable {
        /// Networks found.
        found: usize,
        /// Networks wanted.
        wanted: usize,
        /// The binding constraint, and what would help.
        binding: String,
    },
    /// The caller asked for a stop.
    #[error("cancelled after {written} of {wanted} networks")]
    Cancelled {
        /// Networks written to files that were not yet whole.
        written: u64,
        /// Networks wanted.
        wanted: u64,
    },
    /// A design of so many points or axes is not to be had.
    #[error(transparent)]
    Design(#[from] StudyError),
    /// A generated specification cannot be costed or read.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target of the costs was refused.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// A network could not be written as a Keras model, or read from one.
    #[error(transparent)]
    Keras(#[from] KerasError),
    /// The caller's writer refused a network.
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

/// A result whose error is [`ModelgenError`].
pub type Result<T, E = ModelgenError> = std::result::Result<T, E>;
