//! Errors of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Failure to start or continue an architecture search.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NasError {
    /// The configuration has invalid values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A start network is invalid.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target or the cost of a network is invalid.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// No start network fits.
    #[error("none of the {given} start networks fits the limits; the closest exceeds {nearest}")]
    NothingFits {
        /// Number of start networks.
        given: usize,
        /// Limits that the closest one exceeds.
        nearest: String,
    },
    /// The study cannot continue.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// Result with [`NasError`] as its error.
pub type Result<T, E = NasError> = std::result::Result<T, E>;
