//! The error of this crate.

use std::path::PathBuf;

use tinsmith_core_tensor::TensorError;
use tinsmith_foundation::FoundationError;
use tinsmith_keras::KerasError;
use tinsmith_kernels::ShapeError;
use tinsmith_network::NetworkError;
use tinsmith_quant::QuantError;

/// Error raised while building, running, loading or folding a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayersError {
    /// The specification is malformed or has no valid shapes.
    #[error(transparent)]
    Spec(#[from] NetworkError),
    /// The architecture of a Keras model could not be read or written.
    #[error(transparent)]
    Architecture(#[from] KerasError),
    /// An operation, a parameter or a weight file was refused.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Shapes or geometry of a layer that its kernel refused.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A quantizer was refused.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FoundationError),
    /// A layer failed to run.
    #[error("layer `{layer}`: {reason}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// Cause.
        reason: Box<Self>,
    },
    /// A layer has a setting that this crate cannot compute.
    #[error("layer `{layer}`: {what}")]
    Unsupported {
        /// Name of the layer.
        layer: String,
        /// The setting, and the supported alternatives.
        what: String,
    },
    /// The specification claims more weights than a network may have.
    #[error(
        "the network has {count} weights, more than the limit of {limit} (1 GiB); use fewer units or filters"
    )]
    TooManyWeights {
        /// Number of weights.
        count: u128,
        /// Maximum number of weights.
        limit: u128,
    },
    /// The number of inputs differs from the network's.
    #[error("the network takes {want} inputs ({names}), found {got}")]
    InputCount {
        /// Number of inputs of the network.
        want: usize,
        /// Names of the network's inputs.
        names: String,
        /// Number of tensors passed.
        got: usize,
    },
    /// The shape of an input differs from the network's.
    #[error("input `{name}` has shape {got:?}, want (batch, then {want:?})")]
    InputShape {
        /// Name of the input layer.
        name: String,
        /// Shape of one sample.
        want: Vec<usize>,
        /// Shape of the tensor passed.
        got: Vec<usize>,
    },
    /// A single output was requested from a network with several.
    #[error("the network has {count} outputs ({names}), request all of them with `forward_many`")]
    OutputCount {
        /// Number of outputs.
        count: usize,
        /// Names of the outputs.
        names: String,
    },
    /// The batch is empty or larger than the plan's largest batch.
    #[error("a batch of {rows} rows, want 1 to {most}, the size that the plan was compiled for")]
    Rows {
        /// Rows of the batch.
        rows: usize,
        /// Rows of the largest batch.
        most: usize,
    },
    /// The plan needs more memory than allowed.
    #[error(
        "a plan for batches of {rows} rows needs {bytes} bytes, more than the limit of {limit}; use smaller batches"
    )]
    Memory {
        /// Bytes needed.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
        /// Rows of the largest batch.
        rows: usize,
    },
    /// A backward pass was requested without a preceding forward pass in training mode.
    #[error(
        "a backward pass without a forward pass in training mode; run one forward pass before each backward pass"
    )]
    NoForward,
    /// A training pass was requested from a plan compiled for inference.
    #[error("a training pass of a plan compiled for inference; compile it with `training: true`")]
    NoTraining,
    /// Weights do not match the network.
    #[error("{origin} does not fit the network: {faults}")]
    Mismatch {
        /// Source of the weights.
        origin: String,
        /// Every missing tensor, unknown tensor and wrong shape.
        faults: String,
    },
    /// The extension of a weight file is unknown.
    #[error("{path} has no known extension of a weight file: want .safetensors, .npz, .h5 or .keras", path = path.display())]
    FileKind {
        /// Path of the file.
        path: PathBuf,
    },
    /// A weight file lacks the specification of its network.
    #[error("{path} is not a weight file that Tinsmith wrote: its metadata have no `spec`", path = path.display())]
    NoSpec {
        /// Path of the file.
        path: PathBuf,
    },
    /// An `.npz` archive is damaged.
    #[error("cannot read {path} as npz: {reason}", path = path.display())]
    Npz {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// A Keras file is damaged or holds something else.
    #[error("cannot use {path} as a Keras file: {reason}", path = path.display())]
    Keras {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
}

impl LayersError {
    /// Adds the layer's name, unless the error already has one.
    pub(crate) fn of_layer(self, layer: &str) -> Self {
        match self {
            Self::Layer { .. } | Self::Unsupported { .. } => self,
            other => Self::Layer { layer: layer.to_owned(), reason: Box::new(other) },
        }
    }
}

/// Result with [`LayersError`] as its error.
pub type Result<T, E = LayersError> = std::result::Result<T, E>;
