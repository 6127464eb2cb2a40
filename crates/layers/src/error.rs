//! The error of this crate.

use std::path::PathBuf;

use tinsmith_core_tensor::TensorError;
use tinsmith_foundation::FoundationError;
use tinsmith_keras::KerasError;
use tinsmith_kernels::ShapeError;
use tinsmith_network::NetworkError;
use tinsmith_quant::QuantError;

/// Why a network cannot be built, run, filled with weights or folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayersError {
    /// The specification is malformed or impossible.
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
    /// A layer could not run.
    #[error("layer `{layer}`: {reason}")]
    Layer {
        /// Its name.
        layer: String,
        /// Why not.
        reason: Box<Self>,
    },
    /// A layer with a setting that no computation of this crate has.
    #[error("layer `{layer}`: {what}")]
    Unsupported {
        /// Its name.
        layer: String,
        /// What it asks for, and what there is.
        what: String,
    },
    /// Another number of inputs than the network has.
    #[error("the network takes {want} inputs ({names}), found {got}")]
    InputCount {
        /// Inputs of the network.
        want: usize,
        /// Their names.
        names: String,
        /// Tensors given.
        got: usize,
    },
    /// An input whose shape is not the network's.
    #[error("input `{name}` has shape {got:?}, want (batch, then {want:?})")]
    InputShape {
        /// The input layer.
        name: String,
        /// Shape of one sample.
        want: Vec<usize>,
        /// What was given.
        got: Vec<usize>,
    },
    /// One output was asked for, of a network that has several.
    #[error("the network has {count} outputs ({names}), want all of them asked for")]
    OutputCount {
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// A batch that a plan is not laid out for.
    #[error("a batch of {rows} samples, want 1 to {most}, which the plan was laid out for")]
    Rows {
        /// Samples of the batch.
        rows: usize,
        /// Samples of the largest batch.
        most: usize,
    },
    /// A plan that would take more memory than allowed.
    #[error(
        "a plan for batches of {rows} samples takes {bytes} bytes, {limit} are allowed; want smaller batches"
    )]
    Memory {
        /// What it would take.
        bytes: usize,
        /// What is allowed.
        limit: usize,
        /// Samples of the largest batch.
        rows: usize,
    },
    /// Gradients without a forward pass that they belong to.
    #[error(
        "gradients were asked for without a forward pass in training before, want one for each backward pass"
    )]
    NoForward,
    /// A forward pass in training by a plan that was compiled for inference.
    #[error(
        "a forward pass in training by a plan for inference, want one that is compiled with `training: true`"
    )]
    NoTraining,
    /// Weights that are not those of the network.
    #[error("{origin} does not fit the network: {faults}")]
    Mismatch {
        /// Where the weights came from.
        origin: String,
        /// Every missing and unknown tensor and every wrong shape.
        faults: String,
    },
    /// A weight file of a kind that this crate does not know.
    #[error("{path} is no weight file by its name: want .safetensors, .npz, .h5 or .keras", path = path.display())]
    FileKind {
        /// The file.
        path: PathBuf,
    },
    /// A weight file without the specification of its network.
    #[error("{path} is not a weight file that Tinsmith wrote: its metadata have no `spec`", path = path.display())]
    NoSpec {
        /// The file.
        path: PathBuf,
    },
    /// An archive of arrays that is not what it claims to be.
    #[error("cannot read {path} as npz: {reason}", path = path.display())]
    Npz {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of Keras' that is damaged, or that holds something else.
    #[error("cannot use {path} as a file of Keras: {reason}", path = path.display())]
    Keras {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl LayersError {
    /// This error with the layer's name before it, if it has none yet.
    pub(crate) fn of_layer(self, layer: &str) -> Self {
        match self {
            Self::Layer { .. } | Self::Unsupported { .. } => self,
            other => Self::Layer { layer: layer.to_owned(), reason: Box::new(other) },
        }
    }
}

/// A result whose error is [`LayersError`].
pub type Result<T, E = LayersError> = std::result::Result<T, E>;
