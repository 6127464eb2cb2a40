//! The error of this crate.

use tinsmith_cost::CostError;
use tinsmith_foundation::ConfigErrors;
use tinsmith_network::NetworkError;
use tinsmith_study::StudyError;

/// Why a quantization search cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutoqError {
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The network to quantize is impossible.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The target or the cost of a network was refused.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The network has nothing to quantize.
    #[error("network `{network}` has no layer that the limits let be quantized; its layers are {layers}")]
    NothingToQuantize {
        /// The network.
        network: String,
        /// Names of its layers.
        layers: String,
    },
    /// A parameter does not say what a slot of the network is to be.
    #[error("parameter `{name}` is {found}, want a quantizer's text or `none`")]
    Parameter {
        /// The parameter.
        name: String,
        /// Its value.
        found: String,
    },
    /// The study cannot go on.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// A result whose error is [`AutoqError`].
pub type Result<T, E = AutoqError> = std::result::Result<T, E>;
