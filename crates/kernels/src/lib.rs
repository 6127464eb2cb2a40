//! CPU kernels for training and running small neural networks: loops over plain slices, without tensors.
//!
//! Activations are channels-last. Every kernel takes the number of threads it may use and gives the same bits
//! for any number. A slice shorter than its shape says is a mistake of the calling code and panics, as indexing does.

pub mod activation;
pub mod arena;
pub mod batch_norm;
pub mod conv;
pub mod dense;
pub mod depthwise;
pub mod dispatch;
pub mod elementwise;
pub mod epilogue;
mod error;
pub mod gate;
mod geometry;
mod lanes;
pub mod math;
pub mod optimizer;
mod parts;
pub mod pool;
pub mod rows;
mod scratch;
pub mod softmax;
pub(crate) mod split;
mod threads;
mod tile;
pub mod words;

pub use activation::Activation;
pub use error::{Result, ShapeError};
pub use geometry::{
    Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry, Padding, Pool1dGeometry, Pool2dGeometry,
};
pub use threads::Threads;
