//! The error of this crate.

use tinsmith_core_tensor::TensorError;
use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;
use tinsmith_trainer::TrainError;

/// Reasons that a network cannot be pruned or stored sparsely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SparseError {
    /// The configuration has unusable values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The network has no kernels to prune.
    #[error(
        "network `{network}` has no weights to prune: its kernels are {kernels}, those left out {excluded}"
    )]
    NothingToPrune {
        /// Name of the network.
        network: String,
        /// Names of the kernels.
        kernels: String,
        /// Patterns that exclude kernels.
        excluded: String,
    },
    /// The network could not be built or its weights read.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// The specification is impossible.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target or the cost of a network was refused.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The training failed.
    #[error(transparent)]
    Train(#[from] Box<TrainError>),
    /// A mask or a tensor was refused.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<TrainError> for SparseError {
    fn from(error: TrainError) -> Self {
        Self::Train(Box::new(error))
    }
}

/// A result whose error is [`SparseError`].
pub type Result<T, E = SparseError> = std::result::Result<T, E>;
