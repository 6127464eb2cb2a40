//! Errors of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Failure to start or continue a quantization search.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutoqError {
    /// The configuration has invalid values.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The network is invalid.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target or the cost of the network is invalid.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The network has nothing to quantize.
    #[error(
        "network `{network}` has no layer that the limits allow to be quantized; its layers are {layers}"
    )]
    NothingToQuantize {
        /// Name of the network.
        network: String,
        /// Names of the layers.
        layers: String,
    },
    /// A parameter is missing or not a bit width.
    #[error("parameter `{name}` is {found}, want a bit width")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// Value found.
        found: String,
    },
    /// The study cannot continue.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// Result with [`AutoqError`] as its error.
pub type Result<T, E = AutoqError> = std::result::Result<T, E>;
