//! Quantizers with QKeras semantics, fixed-point formats and integer codes.

mod binary;
mod codes;
mod error;
mod fixed_point;
mod format;
mod operator;
mod pointwise;
mod power_of_two;
mod relu;
mod rounding;
mod scale;
mod stochastic;
pub mod tanh_sigmoid;
mod tensor;
mod ternary;
mod ulaw;

pub use codes::Codes;
pub use error::{QuantError, Result};
pub use format::Format;
pub use operator::{Mode, QuantizerOp};
pub use scale::Scale;
