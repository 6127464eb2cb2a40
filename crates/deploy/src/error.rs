//! The error of this crate.

use tinsmith_core_tensor::TensorError;
use tinsmith_layers::LayersError;
use tinsmith_network::NetworkError;
use tinsmith_quant::QuantError;

/// Reasons that a network cannot be shipped.
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
    /// A layer or a setting that is not supported.
    #[error("layer `{layer}` ({kind}) cannot be shipped: {reason}")]
    Unsupported {
        /// Name of the layer.
        layer: String,
        /// Kind of the layer.
        kind: &'static str,
        /// Setting that is not supported, and the supported ones.
        reason: String,
    },
    /// A layer that cannot be computed with integers.
    #[error("layer `{layer}` ({kind}) cannot run on integers: {reason}")]
    NotInteger {
        /// Name of the layer.
        layer: String,
        /// Kind of the layer.
        kind: &'static str,
        /// Missing quantizer or property.
        reason: String,
    },
    /// A weight is NaN or infinite.
    #[error("layer `{layer}`: `{weight}` holds {value} at index {index}, want finite numbers")]
    NotFinite {
        /// The layer.
        layer: String,
        /// The weight.
        weight: String,
        /// Index of the element.
        index: usize,
        /// Value of the element.
        value: f32,
    },
    /// The name is no C identifier, hides a standard header, or is reserved.
    #[error(
        "name is {name:?}, want a C identifier: a letter, then letters, digits or _, at most 40 characters, and neither \
         a header of the standard library (math, stddef, stdint) nor a name that a system reserves (con, nul)"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// The input has the wrong length.
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
