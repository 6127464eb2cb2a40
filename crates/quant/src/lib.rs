//! Quantizer arithmetic: implements the quantizers described by [`tinsmith_network::Quantizer`], for training networks
//! that will compute with few bits. Values and gradients match QKeras (checked against its output), random draws
//! derive from seeds, and every quantizer has integer codes.
//!
//! ```
//! use tinsmith_quant::{Mode, QuantizerOp};
//! use tinsmith_network::Quantizer;
//!
//! let quantizer: Quantizer = "quantized_bits(4,0,alpha='auto_po2')".parse()?;
//! let op = QuantizerOp::new(&quantizer)?;
//! let (weights, shape) = ([0.11, -2.0, 0.26, 0.9, -0.5, 3.1], [3, 2]); // two output channels
//!
//! // In training: values, and what the straight-through estimator passes back.
//! let (mut values, mut slopes) = ([0.0; 6], [0.0; 6]);
//! op.apply_slice(&weights, &shape, &mut values, Some(&mut slopes), Mode::Inference)?;
//! assert_eq!(values, [0.125, -2.0, 0.25, 1.0, -0.4375, 3.0]);
//! assert_eq!(slopes, [1.0; 6]);
//!
//! // In deployment: integers that decode to exactly these values.
//! let codes = op.encode(&weights, &shape)?;
//! assert_eq!(codes.values(), [2, -4, 4, 2, -7, 6]);
//! assert_eq!(codes.scale().values(), [0.5, 4.0]);
//! assert_eq!(codes.format().to_string(), "fixed<4,0>");
//! assert_eq!(codes.decode(), values);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On candle's graph, [`QuantizerOp::apply`] does the same to tensors.
//!
//! | item | purpose |
//! | --- | --- |
//! | [`QuantizerOp`] | a validated quantizer for slices and tensors |
//! | [`Mode`] | training with a seed, or inference |
//! | [`Scale`] | factors of the levels: one, or one per channel |
//! | [`Codes`], [`Format`] | integer codes and their format: bits, range, zero |
//! | [`LearnedOp`] | a quantizer with learned parameters, any of the next three |
//! | [`LearnedStep`] | LSQ: learned step size |
//! | [`LearnedBits`] | HGQ: learned number of fractional bits |
//! | [`ebops`](fn@ebops), [`Penalty`] | cost of bit widths in an FPGA, and its gradient |
//! | [`Pact`] | PACT: learned upper end of a rectifier |
//! | [`Affine`] | int8 with scale and zero point, as in TensorFlow Lite |
//! | [`tanh_sigmoid`] | piecewise linear functions that QKeras calls hard and smooth |

#![forbid(unsafe_code)]

mod affine;
mod binary;
mod codes;
mod ebops;
mod error;
mod fixed_point;
mod format;
mod learned;
mod learned_bits;
mod learned_step;
mod levels;
mod operator;
mod pact;
mod pointwise;
mod power_of_two;
mod relu;
mod rounding;
mod scale;
mod stochastic;
pub mod tanh_sigmoid;
mod tensor;
mod ternary;
mod ulaw;

pub use affine::Affine;
pub use codes::Codes;
pub use ebops::{Penalty, ebops, effective_bits};
pub use error::{QuantError, Result};
pub use format::Format;
pub use learned::LearnedOp;
pub use learned_bits::LearnedBits;
pub use learned_step::LearnedStep;
pub use operator::{Mode, QuantizerOp};
pub use pact::Pact;
pub use scale::Scale;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
