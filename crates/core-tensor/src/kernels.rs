//! Kernels over plain slices: no tensors, no allocation that outlives a call, one body for every instruction set.
//!
//! Activations are channels-last. Every kernel takes the number of threads it may use and gives the same bits
//! for any number. A slice shorter than its shape says is a mistake of the calling code and panics, as indexing does;
//! [`ops`](crate::ops) check what callers pass.

pub mod activation;
pub mod batch_norm;
pub mod conv;
pub mod dense;
pub mod depthwise;
pub mod dispatch;
pub mod elementwise;
pub mod epilogue;
mod lanes;
pub mod math;
pub mod optimizer;
mod parts;
pub mod pool;
pub mod rows;
mod scratch;
pub mod softmax;
pub(crate) mod split;
mod tile;
