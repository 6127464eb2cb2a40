//! Error type of this crate.

use std::path::PathBuf;

/// Error of writing or reading an event file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// An event file is damaged.
    #[error("{path}: byte {offset}: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Offset of the damaged record, in bytes.
        offset: u64,
        /// Problem.
        reason: String,
    },
    /// An event file could not be opened, read or written.
    #[error("cannot access {path}: {source}", path = path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// A result whose error is [`EventError`].
pub type Result<T, E = EventError> = std::result::Result<T, E>;
