//! Error type of this crate.

use std::path::{Path, PathBuf};

use tinsmith_data::DataError;
use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Error of an operation on a fleet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A configuration, or a list of models, has invalid values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The request does not fit this project.
    #[error("{reason}")]
    Usage {
        /// Problem and remedy.
        reason: String,
    },
    /// A folder is not a project.
    #[error("{path} is not a fleet project: it has no project.yaml", path = path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of a new project exists already.
    #[error("{path} exists already; choose another folder, or add to it with `add --to`", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file does not have the expected content.
    #[error("{path} is not {wanted}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Expected content.
        wanted: &'static str,
        /// Reason why it is rejected.
        reason: String,
    },
    /// The data set differs from the one that the project was created for.
    #[error("the data set `{name}` has changed: its checksum is {found}, the project was made for {wanted}")]
    OtherData {
        /// Name or path.
        name: String,
        /// Present checksum.
        found: String,
        /// Checksum when the project was created.
        wanted: String,
    },
    /// A Slurm command failed or did not answer.
    #[error("{command} failed: {reason}")]
    Slurm {
        /// Program that was called.
        command: &'static str,
        /// Its error message.
        reason: String,
    },
    /// The batch script's template cannot be rendered.
    #[error("the template of the batch script does not work: {reason}")]
    Template {
        /// Problem, with its line.
        reason: String,
    },
    /// A configurator did not return what a run needs.
    #[error("model {model}: {reason}")]
    Configurator {
        /// Class and architecture.
        model: String,
        /// Reason.
        reason: String,
    },
    /// A specification is invalid.
    #[error(transparent)]
    Spec(#[from] tinsmith_network::NetworkError),
    /// The data could not be read or split.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The space of a sweep is invalid.
    #[error(transparent)]
    Study(#[from] tinsmith_study::StudyError),
    /// A training could not be set up, or failed.
    #[error(transparent)]
    Train(#[from] tinsmith_trainer::TrainError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for FleetError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Config(errors),
            other => Self::File(other),
        }
    }
}

impl FleetError {
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::Usage { reason: reason.into() }
    }

    /// Reports a line of a file. The reason may quote the line, so it is cut.
    pub(crate) fn malformed_line(path: &Path, wanted: &'static str, line: usize, reason: &str) -> Self {
        Self::Malformed { path: path.to_owned(), wanted, reason: format!("line {line}: {}", cut(reason)) }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File(FoundationError::Read { path: path.to_owned(), source })
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File(FoundationError::Write { path: path.to_owned(), source })
    }

    /// Returns true if the request itself was invalid, as opposed to an operation that failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Usage { .. } | Self::NoProject { .. } | Self::Occupied { .. })
            || matches!(self, Self::Spec(tinsmith_network::NetworkError::Invalid(_)))
            || matches!(
                self,
                Self::Data(
                    DataError::Config(_)
                        | DataError::UnknownName { .. }
                        | DataError::NoClasses { .. }
                        | DataError::Impossible { .. }
                )
            )
    }
}

/// Maximum length of a quoted reason, in characters.
const QUOTE_LIMIT: usize = 400;

/// Cuts a text that may quote arbitrarily long input.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTE_LIMIT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
    }
}

/// A result whose error is [`FleetError`].
pub type Result<T, E = FleetError> = std::result::Result<T, E>;
