//! Trainable networks built from a [`ModelSpec`](tinsmith_network::ModelSpec): outputs, gradients and weights.
//!
//! A [`Model`] holds named parameters and runs on candle's graph with the project's kernels: forward in training or
//! inference, backward by [`Tensor::backward`](candle_core::Tensor::backward). A quantized layer is the same layer
//! with quantizers. Values and gradients match Keras 2.15 and `QKeras` 0.9.0. A [`plan::Plan`] computes the same
//! without a tape, in memory laid out in advance.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use tinsmith_core_tensor::ops::softmax_cross_entropy;
//! use tinsmith_kernels::Threads;
//! use tinsmith_foundation::Seed;
//! use tinsmith_layers::{BuildOptions, Mode, Model};
//! use tinsmith_network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "
//! layers:
//! - {name: image, input: {shape: [8, 8, 1]}}
//! - {name: c1, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)'}}
//! - {name: a1, activation: 'quantized_relu(4,2)'}
//! - {name: f, flatten: {}}
//! - {name: out, dense: {units: 3, activation: softmax}}
//! ",
//!     "example",
//! )?;
//! let model = Model::build(&spec, Seed::new(1), &BuildOptions::default())?;
//! let images = Tensor::ones((2, 8, 8, 1), candle_core::DType::F32, &Device::Cpu)?;
//! let labels = Tensor::new(&[0_u32, 2], &Device::Cpu)?;
//!
//! // One step of gradient descent, and the loss after it.
//! let loss = |step| -> tinsmith_layers::Result<Tensor> {
//!     let logits = model.forward_logits(&images, Mode::Train { seed: Seed::new(2).derive("step", step) })?;
//!     Ok(softmax_cross_entropy(&logits, &labels, 0.0, Threads::ONE)?)
//! };
//! let before = loss(0)?;
//! let gradients = before.backward()?;
//! for param in model.params().updatable() {
//!     if let Some(gradient) = gradients.get(param.tensor()) {
//!         param.set(&(param.tensor().detach() - (param.gate(gradient)? * 0.05)?)?)?;
//!     }
//! }
//! assert!(loss(1)?.to_scalar::<f32>()? < before.to_scalar::<f32>()?);
//!
//! let probabilities = model.forward(&images, Mode::Infer)?;
//! assert_eq!(probabilities.dims(), [2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | task | items |
//! | --- | --- |
//! | build, run, inspect | [`Model`], [`BuildOptions`], [`Mode`], [`Activations`] |
//! | train fast on the CPU | [`plan::Plan`], [`plan::PlanOptions`] |
//! | parameters with masks and flags | [`Model::params`], [`tinsmith_core_tensor::Params`] |
//! | save and load weights | [`Model::save_weights`], [`Model::load_weights`], [`npz`], [`ModelState`] |
//! | read and write models of Keras and `QKeras`, `.keras` and `.h5` | [`keras`] |
//! | exchange weights with candle-nn | [`Model::to_var_map`], [`Model::load_var_map`], [`Model::load_var_builder`] |
//! | locate the first NaN or infinity | [`Model::first_non_finite`], [`NonFinite`], [`Place`] |
//! | initialize activation step sizes from a batch | [`Model::calibrate`] |
//! | inherit weights from another network | [`Model::inherit`], [`Inheritance`], [`Inherited`] |
//! | fold batch normalizations for deployment | [`fold_batch_norms`], [`FoldedNetwork`] |
//! | find the quantizer in effect | [`effective_quantizer`] |

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod candle_nn;
mod ebops;
mod error;
mod fold;
pub mod keras;
mod layer;
mod mode;
mod model;
pub mod npz;
pub mod plan;

pub use candle_nn::TrainingModule;
pub use ebops::{Ebops, EbopsGradients};
pub use error::{LayersError, Result};
pub use fold::{FoldedNetwork, fold_batch_norms};
pub use layer::effective_quantizer;
pub use mode::Mode;
pub use model::{Activations, BuildOptions, Inheritance, Inherited, Model, ModelState, NonFinite, Place};
