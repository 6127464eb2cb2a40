//! The error of this crate.

use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_network::NetworkError;

/// Error of reading and of writing a Keras model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KerasError {
    /// The document or the network is malformed, or holds something that the other side has no counterpart for; each
    /// fault has its path and reason.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// The model could not be serialized.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for KerasError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Invalid(errors),
            other => Self::File(other),
        }
    }
}

impl From<NetworkError> for KerasError {
    fn from(error: NetworkError) -> Self {
        FoundationError::from(error).into()
    }
}

/// A result whose error is [`KerasError`].
pub type Result<T, E = KerasError> = std::result::Result<T, E>;
