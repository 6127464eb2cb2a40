//! Quantization search.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod error;
mod goal;
mod search;
mod slots;

pub use config::{AutoqConfig, LayerLimit};
pub use error::{AutoqError, Result};
pub use goal::Goal;
pub use search::{BITS, QuantizationSearch};
pub use slots::{Ranges, Slot, SlotKind, Slots};
