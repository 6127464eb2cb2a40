//! The design pipeline.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bytes;
mod config;
mod error;
mod folder;
mod page;
mod pipeline;
mod result;
mod stage;

pub use bytes::{ByteSize, ParseSizeError};
pub use config::{DesignConfig, GenerateStage, PruneStage, QuantizeStage, SearchStage};
pub use error::{Result, WorkshopError};
pub use folder::Folder;
pub use pipeline::{Session, design, resume};
pub use result::{Counts, DesignResult, Figures, LayerBits, layer_bits};
pub use stage::quantize::activation_ranges;
