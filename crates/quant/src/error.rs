//! The error of this crate.

/// Why a quantizer could not be built or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// A parameter, or a combination of parameters, has no meaning.
    #[error("{quantizer}: {reason}")]
    Parameter {
        /// The quantizer, as text.
        quantizer: String,
        /// Which parameter is wrong, and what would be right.
        reason: String,
    },
    /// Slices or tensors do not fit together.
    #[error("{op}: want {want} elements for shape {shape:?}, got {got}")]
    Length {
        /// What was asked for.
        op: &'static str,
        /// The shape in question.
        shape: Vec<usize>,
        /// Its number of elements.
        want: usize,
        /// How many there were.
        got: usize,
    },
    /// A scale was asked for along an axis that the tensor does not have.
    #[error("{op}: want an axis below {rank}, the rank of shape {shape:?}, got {axis}")]
    Axis {
        /// What was asked for.
        op: &'static str,
        /// The axis.
        axis: usize,
        /// The tensor's rank.
        rank: usize,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// A quantizer whose values are no discrete levels, or more than 32 bits can number, has no integer codes.
    #[error("{quantizer} has no integer codes: {reason}")]
    NoCodes {
        /// The quantizer, as text.
        quantizer: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value that is not a number has no code.
    #[error("element {index} is {value}, want a number to encode")]
    NotANumber {
        /// Its place in the slice.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A code outside of the format's range.
    #[error("code {code} at {index} is outside of {min}..={max}, the codes of {format}")]
    CodeRange {
        /// Its place.
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
    /// What candle said.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result whose error is [`QuantError`].
pub type Result<T, E = QuantError> = std::result::Result<T, E>;
