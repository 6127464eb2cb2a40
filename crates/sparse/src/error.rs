//! The error of this crate.

use tinsmith_core_tensor::TensorError;
use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;
use tinsmith_trainer::TrainError;

/// Why a network cannot be pruned or stored sparsely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SparseError {
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Nothing in the network can be pruned.
    #[error(
        "network `{network}` has no weights to prune: its kernels are {kernels}, those left out {excluded}"
    )]
    NothingToPrune {
        /// The network.
        network: String,
        /// Names of its kernels.
        kernels: String,
        /// The patterns that leave kernels out.
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
    /// The tensor library failed.
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
