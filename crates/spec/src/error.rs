//! The error of this crate.

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Why a specification cannot be read, resolved or costed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The specification is malformed or impossible; every fault names its place and reason.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// A file could not be read or written.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for SpecError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Invalid(errors),
            other => Self::File(other),
        }
    }
}

/// A result whose error is [`SpecError`].
pub type Result<T, E = SpecError> = std::result::Result<T, E>;
