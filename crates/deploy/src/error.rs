//! The error of this crate.

use tinsmith_core_tensor::TensorError;
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;
use tinsmith_quant::QuantError;

/// Why a network cannot be shipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The network could not be folded or rebuilt.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// The specification is impossible.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// A quantizer was refused.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// A parameter could not be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A layer of a kind, or with a setting, that is not shipped.
    #[error("layer `{layer}` ({kind}) cannot be shipped: {reason}")]
    Unsupported {
        /// Its name.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// What it asks for, and what there is.
        reason: String,
    },
    /// A layer that integers alone cannot compute.
    #[error("layer `{layer}` ({kind}) cannot run on integers: {reason}")]
    NotInteger {
        /// Its name.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// What it lacks.
        reason: String,
    },
    /// A weight that is NaN or infinite.
    #[error("layer `{layer}`: `{weight}` holds {value} at index {index}, want finite numbers")]
    NotFinite {
        /// The layer.
        layer: String,
        /// The weight.
        weight: String,
        /// Where.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// A name that C does not take.
    #[error(
        "name is {name:?}, want a C identifier: a letter, then letters, digits or _, at most 40 characters"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// An input of another length.
    #[error("the input has {got} values, want {want} (or a whole number of samples of as many)")]
    InputLength {
        /// Values of one sample.
        want: usize,
        /// Values given.
        got: usize,
    },
}

/// A result whose error is [`DeployError`].
pub type Result<T, E = DeployError> = std::result::Result<T, E>;
