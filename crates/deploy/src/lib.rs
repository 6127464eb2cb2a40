//! Export of a trained [`Model`](tinsmith_layers::Model), quantized or not, for machines without an operating system.
//!
//! ```
//! use tinsmith_deploy::{Arithmetic, ExportOptions, IntegerModel, export_c};
//! use tinsmith_foundation::Seed;
//! use tinsmith_layers::{BuildOptions, Model};
//! use tinsmith_network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "
//! name: gestures
//! layers:
//! - {name: x, input: {shape: [32, 3], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
//! - {name: c1, conv1d: {filters: 8, kernel: 5, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)',
//!                       use_bias: false, activation: 'quantized_relu(6,2)'}}
//! - {name: p1, max_pool1d: {size: 4}}
//! - {name: f, flatten: {}}
//! - {name: out, dense: {units: 5, kernel_quantizer: 'ternary(alpha=1.0)'}}
//! ",
//!     "example",
//! )?;
//! let model = Model::build(&spec, Seed::new(1), &BuildOptions::default())?; // and train it
//!
//! // C99 without a heap: `gestures_run(input, output)`, weights as codes of 4 and 2 bits.
//! let options = ExportOptions {
//!     name: "gestures".to_owned(),
//!     arithmetic: Arithmetic::Integer,
//!     ..ExportOptions::default()
//! };
//! let sources = export_c(&model, &options)?;
//! assert_eq!(sources.files[0].0, "gestures.h");
//! assert!(sources.files[0].1.contains("void gestures_run(const float *input, float *output);"));
//! // 8 kernels of 5x3 at 4 bits, 280 ternary weights and the biases; the input's codes beside those of c1.
//! assert_eq!(sources.flash_bytes, 60 + 70);
//! assert_eq!(sources.ram_bytes, 28 * 8 + 32 * 3);
//!
//! // The same integers, in Rust.
//! let integer = IntegerModel::new(&model)?;
//! assert!(integer.is_exact());
//! assert_eq!(integer.run(&[0.25; 96])?.len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | task | items |
//! | --- | --- |
//! | export a network as C | [`export_c`], [`ExportOptions`], [`Arithmetic`], [`CSources`] |
//! | run a quantized network on integers | [`IntegerModel`] |
//! | errors | [`DeployError`] |

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod arena;
mod config;
mod emit;
mod error;
mod integer;
mod kernel;
mod network;
mod pointwise;
mod sum;

pub use config::{Arithmetic, ExportOptions};
pub use emit::{CSources, export_c};
pub use error::{DeployError, Result};
pub use integer::IntegerModel;
