//! Keras' and QKeras' model JSON, in and out.
//!
//! [`read_json`] takes what `model.to_json()` of Keras 2 writes (`Sequential` and `Functional`), what a legacy HDF5
//! file holds in its attribute `model_config`, and the `config.json` of a Keras 3 `.keras` archive. Whatever would
//! change what the network computes is read or refused, never skipped: an unknown layer, an unknown key that is set,
//! an activation without a counterpart, channels first, a layer that is called twice.
//!
//! # What becomes what
//! - A quantized layer becomes the same layer with quantizers. A kernel's quantizer without a scale gets
//!   `alpha='auto_po2'` (see [`Quantizer::for_kernel`](tinsmith_network::Quantizer::for_kernel)), which is what QKeras' layers do
//!   to it when they are made; the specification says so openly.
//! - `QConv2DBatchnorm` and `QDepthwiseConv2DBatchnorm` called `c` become the convolution `c`, the batch normalization
//!   `c_batch_norm` with `fold`, and, where an activation is fused, the layer `c_activation`.
//! - `hard_tanh` of QKeras is `clip` from -1 to 1. Its `hard_sigmoid` (`clip(x / 2 + 1 / 2, 0, 1)`) and that of Keras 3
//!   (`relu6(x + 3) / 6`) are not the one of Keras 2 and are refused, as are `smooth_sigmoid` and `binary_tanh`.
//!
//! # What is left out knowingly
//! Settings of training that a specification does not hold: regularizers (`L1`, `L2`, `L1L2`), QKeras' constraint
//! `Clip`, `trainable`, random seeds, the `folding_mode` and `ema_freeze_delay` of folded layers (in inference all are
//! the same), `synchronized`. Of a `QInitializer` the initializer inside is taken. Other constraints and regularizers,
//! and initializers of biases and of normalizations other than Keras' defaults, are refused.
//!
//! # Writing
//! [`write_json`] writes the form of Keras 2.15 and QKeras 0.9.0; a kind that has no class there (`drop_connect`,
//! `depth_to_space`, `hswish`, folding into a dense or 1-D layer) is an error that names it.

mod activation;
mod error;
mod fields;
mod initializer;
mod layers;
mod read;
mod write;
mod write_layer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use error::{KerasError, Result};
pub use read::read_json;
pub use write::{to_value, write_json};
