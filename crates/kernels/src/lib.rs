//! CPU kernels for training and running small neural networks: loops over plain `f32` slices.
//!
//! Activations are channels-last. Every kernel takes the number of threads that it may use, and gives the same bits
//! for any number. A slice that is shorter than its shape is a bug of the caller and panics, as indexing does.
//!
//! | module | contents |
//! | --- | --- |
//! | [`dense`], [`conv`], [`depthwise`] | products with weights, forward and backward |
//! | [`pool`], [`batch_norm`], [`activation`], [`softmax`] | other layers, and the cross-entropy loss |
//! | [`gate`], [`epilogue`] | functions applied before results are stored, gate bits, accumulation |
//! | [`elementwise`], [`rows`], [`words`], [`math`] | generic loops and functions from which others are built |
//! | [`optimizer`] | updates of weights |
//! | [`arena`] | memory that is lent to several threads in disjoint pieces |
//! | [`dispatch`] | instruction sets and their selection |
//!
//! [`Threads`] is a number of threads and runs closures on them. [`Conv2dGeometry`] and the other geometries resolve
//! and check shapes. The crate's README lists every kernel with its purpose.

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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
