//! The error of this crate.

/// Shapes or geometry that an operation cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Shapes that do not fit each other or the operation.
    #[error("{op}: cannot take shapes {shapes:?}, want {want}")]
    Mismatch {
        /// Name of the operation.
        op: &'static str,
        /// Shapes of its arguments, in their order.
        shapes: Vec<Vec<usize>>,
        /// Description of the shapes that would fit.
        want: String,
    },
    /// A stride, dilation, window, padding or group count out of range for this input.
    #[error("{op}: {what} is {value}, want {want}")]
    OutOfRange {
        /// Name of the operation.
        op: &'static str,
        /// Name of the quantity.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The values that would be accepted.
        want: String,
    },
}

/// A result whose error is [`ShapeError`].
pub type Result<T, E = ShapeError> = std::result::Result<T, E>;
