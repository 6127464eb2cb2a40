//! The error of this crate.

/// Error raised while building or applying a quantizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// A parameter or a combination of parameters is invalid.
    #[error("{quantizer}: {reason}")]
    Parameter {
        /// Textual form of the quantizer.
        quantizer: String,
        /// The invalid parameter and its valid range.
        reason: String,
    },
    /// Slices or tensors differ in length from their shape.
    #[error("{op}: want {want} elements for shape {shape:?}, got {got}")]
    Length {
        /// Name of the operation.
        op: &'static str,
        /// The shape in question.
        shape: Vec<usize>,
        /// Number of elements of the shape.
        want: usize,
        /// Number of elements passed.
        got: usize,
    },
    /// The scale axis is outside of the tensor's rank.
    #[error("{op}: want an axis below {rank}, the rank of shape {shape:?}, got {axis}")]
    Axis {
        /// Name of the operation.
        op: &'static str,
        /// The axis.
        axis: usize,
        /// Rank of the tensor.
        rank: usize,
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
    /// The quantizer has no integer codes: its values are not discrete, or have more levels than 32 bits can number.
    #[error("{quantizer} has no integer codes: {reason}")]
    NoCodes {
        /// Textual form of the quantizer.
        quantizer: String,
        /// Cause.
        reason: &'static str,
    },
    /// A NaN cannot be encoded.
    #[error("element {index} is {value}, want a number to encode")]
    NotANumber {
        /// Index in the slice.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A code is outside of the format's range.
    #[error("code {code} at {index} is outside of {min}..={max}, the codes of {format}")]
    CodeRange {
        /// Index in the slice.
        index: usize,
        /// The code.
        code: i32,
        /// Smallest code of the format.
        min: i32,
        /// Largest code of the format.
        max: i32,
        /// The format.
        format: String,
    },
    /// Error of candle.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Result with [`QuantError`] as its error.
pub type Result<T, E = QuantError> = std::result::Result<T, E>;
