//! The error of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Why an architecture search cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NasError {
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A network to start from is impossible.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target or the cost of a network was refused.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// There is nothing to start from.
    #[error("none of the {given} networks to start from fits the limits; the nearest misses {nearest}")]
    NothingFits {
        /// How many were given.
        given: usize,
        /// The limits that the nearest one breaks.
        nearest: String,
    },
    /// The study cannot go on.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// A result whose error is [`NasError`].
pub type Result<T, E = NasError> = std::result::Result<T, E>;
