//! Error type of this crate.

use std::path::PathBuf;

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Error of a study, its journal or its parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A configuration (of a study, a space, a proposer) has invalid values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FoundationError),
    /// A line of a journal is invalid in the format, or contradicts the lines before it.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Problem and remedy.
        reason: String,
    },
    /// A journal belongs to another study than the one that opens it.
    #[error("{path} belongs to another study: {reason}", path = path.display())]
    Foreign {
        /// The journal.
        path: PathBuf,
        /// The difference.
        reason: String,
    },
    /// Another run, in this process or another, is writing to the journal.
    #[error("{path} is in use by another run", path = path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// A proposer failed.
    #[error("no proposal for trial {trial}: {source}")]
    Propose {
        /// The trial's number.
        trial: u64,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The evaluator failed; trials that were finished before are recorded.
    #[error("trial {trial} stopped the study: {source}")]
    Broken {
        /// The trial's number.
        trial: u64,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A candidate does not survive being written as JSON and read back.
    #[error("the candidate of trial {trial} does not survive JSON: {reason}")]
    Candidate {
        /// The trial's number.
        trial: u64,
        /// Difference.
        reason: String,
    },
    /// A value is outside its parameter's domain.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// Problem and remedy.
        reason: String,
    },
    /// The requested design does not exist.
    #[error("no such design: {0}")]
    Design(String),
    /// A journal, or a file beside it, could not be opened, locked, read or written.
    #[error("cannot access {path}: {source}", path = path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// A result whose error is [`StudyError`].
pub type Result<T, E = StudyError> = std::result::Result<T, E>;
