//! The error of this crate.

use std::path::{Path, PathBuf};

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Why something about a fleet could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A configuration, or a list of models, has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// What was asked for makes no sense for this project.
    #[error("{reason}")]
    Usage {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A folder is not a project.
    #[error("{path} is no project of a fleet: it has no project.yaml", path = path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// A project is to be made where something is already.
    #[error("{path} is there already; choose another folder or `add --to` it", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file is there but is not what it should be.
    #[error("{path} is not {wanted}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// The data set is not the one that the project was made for.
    #[error("the data set `{name}` has changed: its checksum is {found}, the project was made for {wanted}")]
    OtherData {
        /// Name or path.
        name: String,
        /// Checksum now.
        found: String,
        /// Checksum when the project was made.
        wanted: String,
    },
    /// Slurm refused, or did not answer.
    #[error("{command} failed: {reason}")]
    Slurm {
        /// The program that was called.
        command: &'static str,
        /// What it said.
        reason: String,
    },
    /// The batch script's template cannot be rendered.
    #[error("the template of the batch script does not work: {reason}")]
    Template {
        /// What is wrong, with its line.
        reason: String,
    },
    /// A configurator did not give what a run needs.
    #[error("model {model}: {reason}")]
    Configurator {
        /// Class and architecture.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// A specification is impossible.
    #[error(transparent)]
    Spec(#[from] tinsmith_network::NetworkError),
    /// The data could not be read or split.
    #[error(transparent)]
    Data(#[from] tinsmith_data::DataError),
    /// A sweep's space is impossible.
    #[error(transparent)]
    Study(#[from] tinsmith_study::StudyError),
    /// A training could not be set up or failed.
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

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File(FoundationError::Read { path: path.to_owned(), source })
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File(FoundationError::Write { path: path.to_owned(), source })
    }

    /// Whether the caller asked for something impossible, as opposed to something that failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Usage { .. } | Self::NoProject { .. } | Self::Occupied { .. })
            || matches!(self, Self::Spec(tinsmith_network::NetworkError::Invalid(_)))
    }
}

/// A result whose error is [`FleetError`].
pub type Result<T, E = FleetError> = std::result::Result<T, E>;
