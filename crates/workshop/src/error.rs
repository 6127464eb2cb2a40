//! The error of this crate.

use std::path::PathBuf;

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Why a design cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The data could not be read, split or normalized.
    #[error(transparent)]
    Data(#[from] tinsmith_data::DataError),
    /// The data have no classes to tell apart.
    #[error("the data set `{data}` has no classes; a design needs labels")]
    NoClasses {
        /// The data set.
        data: String,
    },
    /// No network keeps the budget.
    #[error("no network for samples of shape {shape:?} keeps the budget: {reason}")]
    Budget {
        /// Shape of one sample.
        shape: Vec<usize>,
        /// Which limit binds, and what would do.
        reason: String,
    },
    /// A stage tried candidates, but none came to a result.
    #[error("the stage `{stage}` ended without a usable result: {reason}")]
    NoResult {
        /// The stage.
        stage: &'static str,
        /// Why.
        reason: String,
    },
    /// The folder holds a design already.
    #[error("{path} holds a design already; go on with it by `--resume {path}`, or choose another folder", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds no design to go on with.
    #[error("{path} holds no design: it has no config.yaml", path = path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The data are not those that the design was begun with.
    #[error("the data set `{data}` has checksum {found}, the design in {path} was begun with {wanted}", path = path.display())]
    OtherData {
        /// The data set.
        data: String,
        /// The folder.
        path: PathBuf,
        /// Checksum now.
        found: String,
        /// Checksum then.
        wanted: String,
    },
    /// Somebody asked for a stop; what is done is kept.
    #[error("stopped; go on with `--resume {path}`", path = path.display())]
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
    /// A study could not go on.
    #[error(transparent)]
    Study(#[from] tinsmith_study::StudyError),
    /// The winner could not be written as C sources.
    #[error(transparent)]
    Deploy(#[from] tinsmith_deploy::DeployError),
    /// A page or a chart could not be made.
    #[error(transparent)]
    Report(#[from] tinsmith_report::ReportError),
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
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

/// A result whose error is [`WorkshopError`].
pub type Result<T, E = WorkshopError> = std::result::Result<T, E>;
