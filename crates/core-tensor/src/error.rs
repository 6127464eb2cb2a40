//! The error of this crate.

use std::path::PathBuf;

use tinsmith_kernels::ShapeError;

/// Why an operation, a parameter or a weight file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Shapes, strides, windows or padding that an operation cannot work with.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A scalar argument outside its range.
    #[error("{op}: {what} is {value}, want {want}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// Which argument.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        want: &'static str,
    },
    /// A tensor of a type that an operation does not work on.
    #[error("{op}: a tensor is {got:?}, want {want}")]
    DType {
        /// The operation.
        op: &'static str,
        /// The type it was given.
        got: candle_core::DType,
        /// The types it takes.
        want: &'static str,
    },
    /// A class label that is no class.
    #[error("{op}: label {label} in row {row} is no class, want 0 to {last}")]
    Label {
        /// The operation.
        op: &'static str,
        /// The row, from 0.
        row: usize,
        /// What stands there.
        label: i64,
        /// The last class.
        last: usize,
    },
    /// A parameter that is not there.
    #[error("no parameter is named {name:?}; there are {known}")]
    UnknownParam {
        /// The name asked for.
        name: String,
        /// The names there are, the first few.
        known: String,
    },
    /// Two parameters of one name.
    #[error("a parameter named {name:?} is already there")]
    DuplicateParam {
        /// The name.
        name: String,
    },
    /// A value or mask whose shape is not its parameter's.
    #[error("{what} of parameter {name:?} has shape {got:?}, want {want:?}")]
    ParamShape {
        /// The parameter.
        name: String,
        /// What was given: a value or a mask.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The parameter's shape.
        want: Vec<usize>,
    },
    /// A mask with a value other than 0 and 1.
    #[error("{what} of parameter {name:?} holds {value}, want only 0 and 1")]
    MaskValue {
        /// The parameter.
        name: String,
        /// Which mask.
        what: &'static str,
        /// The offending value.
        value: f32,
    },
    /// A weight file that is not what it claims to be.
    #[error("cannot read {path} as safetensors: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Tensors that cannot be written as safetensors.
    #[error("cannot write {path} as safetensors: {reason}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A weight file without a wanted tensor.
    #[error("{path} has no tensor {name:?}; it has {known}", path = path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The names there are, the first few.
        known: String,
    },
    /// A weight file whose tensor has another shape than wanted.
    #[error("{path}: tensor {name:?} has shape {got:?}, want {want:?}", path = path.display())]
    FileShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        got: Vec<usize>,
        /// The wanted shape.
        want: Vec<usize>,
    },
    /// A device that this build or machine does not have.
    #[error("device {name:?} cannot be used: {reason}")]
    Device {
        /// As it was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] tinsmith_foundation::FoundationError),
}

/// A result whose error is [`TensorError`].
pub type Result<T, E = TensorError> = std::result::Result<T, E>;

/// The error for tensors of these shapes, in the order of the operation's arguments.
pub(crate) fn shape_error(op: &'static str, shapes: &[&[usize]], want: impl Into<String>) -> TensorError {
    let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
    ShapeError::Mismatch { op, shapes, want: want.into() }.into()
}

/// The first names of a list, for a message.
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
