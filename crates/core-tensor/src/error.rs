//! The error of this crate.

use std::path::PathBuf;

use tinsmith_kernels::ShapeError;

/// Error of an operation, a parameter, a weight file or a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Shapes, strides, windows or padding that an operation cannot work with.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A scalar argument outside its range.
    #[error("{op}: {what} is {value}, want {want}")]
    Argument {
        /// Name of the operation.
        op: &'static str,
        /// Name of the argument.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The values that would be accepted.
        want: &'static str,
    },
    /// A tensor of an element type that the operation does not support.
    #[error("{op}: a tensor is {got:?}, want {want}")]
    DType {
        /// Name of the operation.
        op: &'static str,
        /// Type of the tensor.
        got: candle_core::DType,
        /// The supported types.
        want: &'static str,
    },
    /// A class label out of range.
    #[error("{op}: label {label} in row {row} is out of range, want 0 to {last}")]
    Label {
        /// Name of the operation.
        op: &'static str,
        /// Row of the label, from 0.
        row: usize,
        /// The label.
        label: i64,
        /// The last valid class.
        last: usize,
    },
    /// A parameter that does not exist.
    #[error("there is no parameter {name:?}; known parameters: {known}")]
    UnknownParam {
        /// The requested name.
        name: String,
        /// The first few existing names.
        known: String,
    },
    /// Two parameters with the same name.
    #[error("a parameter named {name:?} already exists")]
    DuplicateParam {
        /// The name.
        name: String,
    },
    /// A value or mask with a shape other than its parameter's.
    #[error("{what} of parameter {name:?} has shape {got:?}, want {want:?}")]
    ParamShape {
        /// Name of the parameter.
        name: String,
        /// A value or one of the masks.
        what: &'static str,
        /// Shape of the value or mask.
        got: Vec<usize>,
        /// Shape of the parameter.
        want: Vec<usize>,
    },
    /// A mask with a value other than 0 and 1.
    #[error("{what} of parameter {name:?} holds {value}, want only 0 and 1")]
    MaskValue {
        /// Name of the parameter.
        name: String,
        /// Name of the mask.
        what: &'static str,
        /// The invalid value.
        value: f32,
    },
    /// A file that is not valid safetensors.
    #[error("cannot read {path} as safetensors: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// Tensors that cannot be written as safetensors.
    #[error("cannot write {path} as safetensors: {reason}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// A weight file without a required tensor.
    #[error("{path} has no tensor {name:?}; it has {known}", path = path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The first few names in the file.
        known: String,
    },
    /// A tensor in a weight file with an unexpected shape.
    #[error("{path}: tensor {name:?} has shape {got:?}, want {want:?}", path = path.display())]
    FileShape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its shape in the file.
        got: Vec<usize>,
        /// The expected shape.
        want: Vec<usize>,
    },
    /// A device that this build or machine does not have.
    #[error("device {name:?} cannot be used: {reason}")]
    Device {
        /// The requested name.
        name: String,
        /// Cause of the failure.
        reason: String,
    },
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] tinsmith_foundation::FoundationError),
}

/// A result whose error is [`TensorError`].
pub type Result<T, E = TensorError> = std::result::Result<T, E>;

/// Error for tensors of these shapes, in the order of the operation's arguments.
pub(crate) fn shape_error(op: &'static str, shapes: &[&[usize]], want: impl Into<String>) -> TensorError {
    let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
    ShapeError::Mismatch { op, shapes, want: want.into() }.into()
}

/// Lists the first names, for a message.
pub(crate) fn first_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let count = names.len();
    if count == 0 {
        return "none".to_owned();
    }
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if count > SHOWN {
        text.push_str(&format!(" and {} more", count - SHOWN));
    }
    text
}
