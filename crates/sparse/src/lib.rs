//! Pruning of networks and sparse storage of the result.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod error;
mod evaluate;
pub mod mask;
mod pruner;
mod storage;

pub use config::{PruneConfig, Scope};
pub use error::{Result, SparseError};
pub use evaluate::PruneTrainer;
pub use pruner::GradualPruner;
pub use storage::with_smallest_storage;
