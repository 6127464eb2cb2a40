//! Cost of a neural network on a target, computed from its specification alone: parameters, MACs, FLOPs,
//! bit-operations, flash and peak RAM, per layer and in total.
//!
//! ```
//! use tinsmith_cost::{Cost, Limits, Target};
//! use tinsmith_network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "layers:
//!        - {name: x, input: {shape: [8, 8, 1]}}
//!        - {name: c1, conv2d: {filters: 4, kernel: 3, use_bias: false}}
//!        - {name: n1, batch_norm: {}}
//!        - {name: a1, activation: relu}
//!        - {name: f, flatten: {}}
//!        - {name: d, dense: {units: 10, activation: softmax}}",
//!     "small",
//! )?;
//! let target = Target::builtin("mcu-int8").expect("it is built in");
//! let cost = Cost::of(&spec, &target)?;
//! // The batch normalization is folded into the convolution, which thereby gets a bias.
//! assert_eq!(cost.total.params, 4 * 9 + 4 + 144 * 10 + 10);
//! assert_eq!(cost.total.macs, 36 * 4 * 9 + 144 * 10);
//! // The input (64 bytes) is live beside the convolution's output (144 bytes).
//! assert_eq!(cost.peak_ram.bytes, 64 + 144);
//! let limits = Limits { ram: Some(200), ..Limits::default() };
//! assert_eq!(limits.check(&cost)[0].to_string(), "ram is 208, at most 200 allowed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Program code, stack, lookup tables of activation functions and the constants of rescaling layers are not counted.
//!
//! | item | contents |
//! | --- | --- |
//! | [`Cost`], [`LayerCost`], [`Measures`] | the result, in total and per layer |
//! | [`Target`] | word widths, packing and overheads of a device, as data |
//! | [`Limits`], [`Violation`] | upper bounds and the ones that a network exceeds |
//! | [`PeakRam`] | the execution order with the smallest sum of live tensors |
//! | [`ForgivingFactor`] | the trade of a metric against size in quantization searches |
//! | [`autoqkeras`] | the bit and energy measures of AutoQKeras and QTools, figure for figure |

pub mod autoqkeras;
mod cost;
mod error;
mod flops;
mod forgiving;
mod limits;
mod peak_ram;
mod steps;
mod storage;
mod target;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use cost::{Cost, CostBasis, LargestActivation, LayerCost, Measures};
pub use error::{CostError, Result};
pub use forgiving::ForgivingFactor;
pub use limits::{Limits, Violation};
pub use peak_ram::{LiveTensor, PeakRam};
pub use target::{Packing, Scratch, Target};
