//! The error of this crate.

use std::path::{Path, PathBuf};

use crate::faults::ConfigErrors;

/// Failure to read or write a file or a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoundationError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file could not be written, renamed or synced.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A configuration is malformed or has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A value could not be written as YAML or JSON.
    #[error("cannot serialize {what}: {reason}")]
    Serialize {
        /// Name of the value.
        what: &'static str,
        /// The serializer's error.
        reason: String,
    },
}

/// A result whose error is [`FoundationError`].
pub type Result<T, E = FoundationError> = std::result::Result<T, E>;

impl FoundationError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}
