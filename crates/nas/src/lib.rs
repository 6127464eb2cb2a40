//! Architecture search under hard limits.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod breed;
mod config;
mod editor;
mod error;
pub mod mutation;
pub mod search;

pub use breed::Architectures;
pub use config::SearchConfig;
pub use error::{NasError, Result};
pub use mutation::Mutation;
pub use search::ArchitectureSearch;
