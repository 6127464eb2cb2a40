//! Import and export of Keras and QKeras model JSON.
//!
//! [`read_json`] reads the output of `model.to_json()` of Keras 2 (`Sequential` and `Functional`), the attribute
//! `model_config` of a legacy HDF5 file, and the `config.json` of a Keras 3 `.keras` archive. Every setting that affects
//! the function of the network is either read or refused, never skipped: unknown layers, unknown keys that are set,
//! activations without a counterpart, channels first, layers that are called twice.
//!
//! # Conversions
//! - A quantized layer becomes the same layer with quantizers. A kernel's quantizer without a scale gets
//!   `alpha='auto_po2'` (see [`Quantizer::for_kernel`](tinsmith_network::Quantizer::for_kernel)), as QKeras' layers do on
//!   construction; the specification states it.
//! - `QConv2DBatchnorm` and `QDepthwiseConv2DBatchnorm` called `c` become the convolution `c`, the batch normalization
//!   `c_batch_norm` with `fold`, and, if an activation is fused, the layer `c_activation`.
//! - `Rescaling`, and `Normalization` with constant mean and variance, become `rescaling`. An adapted `Normalization` has
//!   weights and is refused.
//! - A model inside a model is inlined; its layers get its name as a prefix (`backbone_dense`).
//! - `hard_tanh` of QKeras is `clip` from -1 to 1. Its `hard_sigmoid` (`clip(x / 2 + 1 / 2, 0, 1)`) and that of Keras 3
//!   (`relu6(x + 3) / 6`) differ from Keras 2's and are refused, as are `smooth_sigmoid` and `binary_tanh`.
//!
//! # Omitted settings
//! Training settings that a specification does not hold are dropped: regularizers (`L1`, `L2`, `L1L2`), QKeras' constraint
//! `Clip`, `trainable`, random seeds, the `folding_mode` and `ema_freeze_delay` of folded layers (equal in
//! inference), `synchronized`. A `QInitializer` is replaced by the initializer inside. Other constraints and
//! regularizers, and initializers of normalizations other than Keras' defaults, are refused.
//!
//! # Writing
//! [`write_json`] writes the format of Keras 2.15 and QKeras 0.9.0. A kind without a class there (`drop_connect`,
//! `depth_to_space`, `hswish`, folding into a dense or 1-D layer) is an error that names it. An input layer
//! called `input` gets another name, because hls4ml reserves that one.

mod activation;
mod error;
mod fields;
mod initializer;
mod kernel_keys;
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
