//! Shipping a trained network.

mod arena;
mod config;
mod emit;
mod error;
mod kernel;
mod network;
mod pointwise;
mod sum;

pub use config::{Arithmetic, ExportOptions};
pub use emit::{CSources, export_c};
pub use error::{DeployError, Result};
