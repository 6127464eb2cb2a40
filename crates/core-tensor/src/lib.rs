//! Tensor operations for training small neural networks: candle operations with gradients over the kernels of
//! [`tinsmith_kernels`], named parameters with masks, initializers, and safetensors files. Layers, quantizers and
//! optimizers build on them.
//!
//! Tensors are candle's. Activations are channels-last (batch, height, width, channels), as in Keras. Dense kernels
//! are (inputs, outputs), convolution kernels (height, width, channels / groups, filters).
//!
//! One step of gradient descent for a convolution and a dense layer:
//!
//! ```
//! use tinsmith_core_tensor::{Device, Fans, Initializer, Param, Params, Tensor, ops};
//! use tinsmith_foundation::Seed;
//! use tinsmith_kernels::{Activation, Conv2dGeometry, Threads};
//!
//! let mut rng = Seed::new(1).derive("weights", 0).rng();
//! let mut params = Params::new();
//! for (name, dims) in [("conv.kernel", vec![3, 3, 1, 4]), ("dense.kernel", vec![4, 2])] {
//!     let value = Initializer::GlorotUniform.tensor(&dims, Fans::of_kernel(&dims), &mut rng)?;
//!     params.insert(Param::new(name, &value)?)?;
//! }
//!
//! let images = Initializer::RandomNormal { mean: 0.0, std: 1.0 }.tensor(&[8, 6, 6, 1], Fans::of_kernel(&[]), &mut rng)?;
//! let labels = Tensor::new(&[0_u32, 1, 0, 1, 0, 1, 0, 1], &Device::Cpu)?;
//! let loss = |params: &Params| {
//!     let same = Conv2dGeometry::default().same((6, 6), (3, 3));
//!     let x = ops::conv2d(&images, params.get("conv.kernel")?.tensor(), None, &same, Threads::ONE)?;
//!     let x = ops::activation(&x, Activation::Relu, Threads::ONE)?;
//!     let x = ops::global_average_pool(&x, Threads::ONE)?;
//!     let logits = ops::dense(&x, params.get("dense.kernel")?.tensor(), None, Threads::ONE)?;
//!     ops::softmax_cross_entropy(&logits, &labels, 0.0, Threads::ONE)
//! };
//!
//! let before = loss(&params)?;
//! let gradients = before.backward()?;
//! for param in params.updatable() {
//!     let gradient = param.gate(gradients.get(param.var()).ok_or("every parameter was used")?)?;
//!     param.set(&(param.tensor() - (gradient * 0.1)?)?)?;
//! }
//! let after = loss(&params)?;
//! assert!(after.to_scalar::<f32>()? < before.to_scalar::<f32>()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`ops`] | the kernels of [`tinsmith_kernels`] as candle operations with gradients |
//! | [`init`] | [`Initializer`] and [`Fans`]: the statistics of Keras from a seeded generator |
//! | [`io`] | safetensors files, written atomically |
//! | [`device`] | devices by name |
//!
//! [`Param`] and [`Params`] hold parameters. Results do not depend on the number of threads.
//!
//! The features `cuda` and `metal` are passed to candle. The operations of this crate work on the CPU.

#![forbid(unsafe_code)]

pub mod device;
mod error;
pub mod init;
pub mod io;
pub mod ops;
mod param;

pub use candle_core::{DType, Device, Tensor, Var};
pub use error::{Result, TensorError};
pub use init::{Fans, Initializer};
pub use param::{Param, Params};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
