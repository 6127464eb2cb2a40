//! What training a small network is made of: CPU kernels, candle operations over them with right gradients, named
//! parameters with masks, initializers, safetensors. For whoever builds layers, quantizers or optimizers.
//!
//! Tensors are candle's. Activations are channels-last (batch, height, width, channels), as in Keras; dense kernels
//! are (inputs, outputs), convolution kernels (height, width, channels / groups, filters).
//!
//! A convolution and a dense layer, one step of gradient descent:
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
//! | module | what it holds |
//! | --- | --- |
//! | [`ops`] | the kernels of [`tinsmith_kernels`] as candle operations with gradients |
//! | [`init`] | [`Initializer`], [`Fans`]: Keras' statistics, our generator |
//! | [`io`] | safetensors, written whole or not at all |
//! | [`device`] | devices by name |
//!
//! [`Param`] and [`Params`] hold the parameters. Results do not depend on the number of threads.
//!
//! Features `cuda` and `metal` pass through to candle. The operations here work on the CPU.

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
