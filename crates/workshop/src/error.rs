//! The error of this crate.

use std::path::PathBuf;

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Reasons for which a design or a stage cannot start or finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The data could not be read, split or normalized.
    #[error(transparent)]
    Data(#[from] tinsmith_data::DataError),
    /// The data set has no class labels.
    #[error("the data set `{data}` has no class labels; this command needs classes")]
    NoClasses {
        /// The data set.
        data: String,
    },
    /// No network keeps the limits.
    #[error("no network for samples of shape {shape:?} keeps the limits: {reason}")]
    Budget {
        /// Shape of one sample.
        shape: Vec<usize>,
        /// The binding limit, and a value that would do.
        reason: String,
    },
    /// A stage tried candidates, but none is usable.
    #[error("the stage `{stage}` ended without a usable network: {reason}")]
    NoResult {
        /// The stage.
        stage: &'static str,
        /// The reason.
        reason: String,
    },
    /// A file of another kind was given.
    #[error("{path} is {found}, want {wanted}", path = path.display())]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// Kind of the file.
        found: &'static str,
        /// Kind that is needed.
        wanted: &'static str,
    },
    /// The folder holds files that no run of this command can be recognized by.
    #[error("{path} holds {files}, but no {record} that identifies the work; choose another folder", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// Some of its entries.
        files: String,
        /// The file that would identify the work.
        record: &'static str,
    },
    /// The folder holds other work.
    #[error("{path} holds other work: {differences}; choose another folder", path = path.display())]
    OtherWork {
        /// The folder.
        path: PathBuf,
        /// Every setting that differs, with both values.
        differences: String,
    },
    /// An output file exists and holds something else.
    #[error("{path} exists already and {reason}; choose another file or delete it", path = path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
        /// The difference.
        reason: String,
    },
    /// The folder holds no design to resume.
    #[error("{path} holds no design: it has no config.yaml", path = path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The caller requested a stop; finished work is kept.
    #[error("interrupted; finished work is kept in {path}, and the same command continues it", path = path.display())]
    Cancelled {
        /// The folder.
        path: PathBuf,
    },
    /// A specification is impossible.
    #[error(transparent)]
    Spec(#[from] tinsmith_network::NetworkError),
    /// The target or the cost of a network was refused.
    #[error(transparent)]
    Cost(#[from] tinsmith_cost::CostError),
    /// A model of Keras could not be read.
    #[error(transparent)]
    Keras(#[from] tinsmith_keras::KerasError),
    /// Random networks could not be drawn.
    #[error(transparent)]
    Modelgen(#[from] tinsmith_modelgen::ModelgenError),
    /// The search failed.
    #[error(transparent)]
    Nas(#[from] tinsmith_nas::NasError),
    /// The quantization search failed.
    #[error(transparent)]
    Autoq(#[from] tinsmith_autoq::AutoqError),
    /// The pruning failed.
    #[error(transparent)]
    Sparse(#[from] tinsmith_sparse::SparseError),
    /// A training failed.
    #[error(transparent)]
    Train(#[from] tinsmith_trainer::TrainError),
    /// A network could not be built.
    #[error(transparent)]
    Layers(#[from] tinsmith_layers::LayersError),
    /// A study could not continue.
    #[error(transparent)]
    Study(#[from] tinsmith_study::StudyError),
    /// The winner could not be written as C sources.
    #[error(transparent)]
    Deploy(#[from] tinsmith_deploy::DeployError),
    /// A page or a chart could not be made.
    #[error(transparent)]
    Report(#[from] tinsmith_report::ReportError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(FoundationError),
}

impl From<FoundationError> for WorkshopError {
    fn from(error: FoundationError) -> Self {
        match error {
            FoundationError::Config(errors) => Self::Config(errors),
            other => Self::File(other),
        }
    }
}

/// Kinds of errors that a caller treats differently: the `tinsmith` command has an exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wrong arguments, a wrong configuration, or a folder of other work. Nothing was run.
    Usage,
    /// No network keeps the limits, or no trial gave a usable network.
    NothingFound,
    /// The caller requested a stop.
    Interrupted,
    /// Anything else: damaged files, a full disk, a training that diverged.
    Failed,
}

impl WorkshopError {
    /// Returns the kind of this error, looking through the errors of the crates below.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_)
            | Self::NoClasses { .. }
            | Self::WrongFile { .. }
            | Self::Occupied { .. }
            | Self::OtherWork { .. }
            | Self::FileExists { .. }
            | Self::Nothing { .. }
            | Self::Keras(tinsmith_keras::KerasError::Invalid(_)) => ErrorKind::Usage,
            Self::Budget { .. } | Self::NoResult { .. } => ErrorKind::NothingFound,
            Self::Cancelled { .. } => ErrorKind::Interrupted,
            Self::Data(error) => data(error),
            Self::Spec(error) | Self::Layers(tinsmith_layers::LayersError::Spec(error)) => spec(error),
            Self::Cost(error) => cost(error),
            Self::Modelgen(error) => modelgen(error),
            Self::Nas(error) => nas(error),
            Self::Autoq(error) => autoq(error),
            Self::Sparse(error) => sparse(error),
            Self::Train(error) => train(error),
            Self::Study(error) => study(error),
            Self::Layers(_) | Self::Keras(_) | Self::Deploy(_) | Self::Report(_) | Self::File(_) => {
                ErrorKind::Failed
            }
        }
    }
}

fn data(error: &tinsmith_data::DataError) -> ErrorKind {
    use tinsmith_data::DataError as E;
    match error {
        E::Config(_) | E::UnknownName { .. } | E::NoClasses { .. } | E::Impossible { .. } => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    }
}

fn spec(error: &tinsmith_network::NetworkError) -> ErrorKind {
    match error {
        tinsmith_network::NetworkError::Invalid(_) => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    }
}

fn cost(error: &tinsmith_cost::CostError) -> ErrorKind {
    match error {
        tinsmith_cost::CostError::Invalid(_) => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    }
}

fn modelgen(error: &tinsmith_modelgen::ModelgenError) -> ErrorKind {
    use tinsmith_modelgen::ModelgenError as E;
    match error {
        E::Config(_) | E::NoLayers => ErrorKind::Usage,
        E::NoFit { .. } | E::Unsatisfiable { .. } => ErrorKind::NothingFound,
        E::Cancelled { .. } => ErrorKind::Interrupted,
        E::Sampling(error) => study(error),
        E::Spec(error) => spec(error),
        E::Cost(error) => cost(error),
        _ => ErrorKind::Failed,
    }
}

fn nas(error: &tinsmith_nas::NasError) -> ErrorKind {
    use tinsmith_nas::NasError as E;
    match error {
        E::Config(_) => ErrorKind::Usage,
        E::NothingFits { .. } => ErrorKind::NothingFound,
        E::Spec(error) => spec(error),
        E::Cost(error) => cost(error),
        E::Study(error) => study(error),
        _ => ErrorKind::Failed,
    }
}

fn autoq(error: &tinsmith_autoq::AutoqError) -> ErrorKind {
    use tinsmith_autoq::AutoqError as E;
    match error {
        E::Config(_) | E::NothingToQuantize { .. } => ErrorKind::Usage,
        E::Spec(error) => spec(error),
        E::Cost(error) => cost(error),
        E::Study(error) => study(error),
        _ => ErrorKind::Failed,
    }
}

fn sparse(error: &tinsmith_sparse::SparseError) -> ErrorKind {
    use tinsmith_sparse::SparseError as E;
    match error {
        E::Config(_) | E::NothingToPrune { .. } => ErrorKind::Usage,
        E::Spec(error) => spec(error),
        E::Cost(error) => cost(error),
        E::Train(error) => train(error),
        _ => ErrorKind::Failed,
    }
}

fn train(error: &tinsmith_trainer::TrainError) -> ErrorKind {
    use tinsmith_trainer::TrainError as E;
    match error {
        E::Config(_)
        | E::OtherRun { .. }
        | E::Mismatch { .. }
        | E::NoMetric { .. }
        | E::LossMismatch { .. }
        | E::Teacher { .. } => ErrorKind::Usage,
        E::Cancelled { .. } => ErrorKind::Interrupted,
        E::Data(error) => data(error),
        E::Spec(error) | E::Layers(tinsmith_layers::LayersError::Spec(error)) => spec(error),
        _ => ErrorKind::Failed,
    }
}

fn study(error: &tinsmith_study::StudyError) -> ErrorKind {
    use tinsmith_study::StudyError as E;
    match error {
        E::Config(_) | E::Foreign { .. } | E::Parameter { .. } | E::Design(_) | E::Busy { .. } => {
            ErrorKind::Usage
        }
        _ => ErrorKind::Failed,
    }
}

/// A result whose error is [`WorkshopError`].
pub type Result<T, E = WorkshopError> = std::result::Result<T, E>;
