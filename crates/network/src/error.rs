//! The error of this crate.

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Error of reading, resolving and writing a network specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The specification is malformed or impossible; each fault has its path and reason.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// A file could not be read or written.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for NetworkError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Invalid(errors),
            other => Self::File(other),
        }
    }
}

impl From<NetworkError> for FoundationError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Invalid(errors) => Self::Config(errors),
            NetworkError::File(error) => error,
        }
    }
}

/// A result whose error is [`NetworkError`].
pub type Result<T, E = NetworkError> = std::result::Result<T, E>;
