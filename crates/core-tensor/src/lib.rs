//! Tensors, CPU kernels for small networks, parameters, initializers and safetensors.

pub mod device;
mod error;
mod geometry;
pub mod init;
pub mod io;
pub mod kernels;
pub mod ops;
mod param;
mod threads;

pub use candle_core::{DType, Device, Tensor, Var};
pub use error::{Result, TensorError};
pub use geometry::{
    Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry, Padding, Pool1dGeometry, Pool2dGeometry,
};
pub use init::{Fans, Initializer};
pub use kernels::activation::Activation;
pub use param::{Param, Params};
pub use threads::Threads;
