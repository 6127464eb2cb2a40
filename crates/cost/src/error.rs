//! The error of this crate.

use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_network::NetworkError;

/// Error of reading a target and of costing a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// The target or the network is malformed or impossible; each fault has its path and reason.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// A file could not be read.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for CostError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Invalid(errors),
            other => Self::File(other),
        }
    }
}

impl From<NetworkError> for CostError {
    fn from(error: NetworkError) -> Self {
        FoundationError::from(error).into()
    }
}

/// A result whose error is [`CostError`].
pub type Result<T, E = CostError> = std::result::Result<T, E>;
