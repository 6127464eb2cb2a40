//! The error of this crate.

use std::path::PathBuf;

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Why a study, its journal or one of its parts cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A configuration (of a study, a space, a proposer) has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FoundationError),
    /// A journal has a line that no reader of the format accepts.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A journal was written by another study than the one that wants to go on from it.
    #[error("{path} belongs to another study: {reason}", path = path.display())]
    Foreign {
        /// The journal.
        path: PathBuf,
        /// Which part differs.
        reason: String,
    },
    /// Another run, of this process or another, writes to the journal.
    #[error("{path} is in use by another run", path = path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// A proposer could not propose.
    #[error("no proposal for trial {trial}: {source}")]
    Propose {
        /// The trial's number.
        trial: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The evaluator is broken; what was finished before is recorded.
    #[error("trial {trial} stopped the study: {source}")]
    Broken {
        /// The trial's number.
        trial: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A candidate cannot be written as JSON and read again.
    #[error("the candidate of trial {trial} does not survive JSON: {reason}")]
    Candidate {
        /// The trial's number.
        trial: u64,
        /// Why.
        reason: String,
    },
    /// A value does not belong to its parameter's domain.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A design was asked for that does not exist.
    #[error("no such design: {0}")]
    Design(String),
    /// A TensorBoard event file is torn or not one.
    #[error("{path}: byte {offset}: {reason}", path = path.display())]
    Events {
        /// The file.
        path: PathBuf,
        /// Where the bad record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An event file or a file beside the journal could not be opened, locked, read or written.
    #[error("cannot access {path}: {source}", path = path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A result whose error is [`StudyError`].
pub type Result<T, E = StudyError> = std::result::Result<T, E>;
