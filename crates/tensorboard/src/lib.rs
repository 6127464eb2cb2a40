//! TensorBoard event files.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod event;
pub mod message;
mod record;

pub use error::{EventError, Result};
pub use event::{EventWriter, SessionStatus, read_events};
pub use message::{Experiment, Metric};
