//! Slurm: submission, and the state of jobs.

mod call;
mod config;
pub(crate) mod query;
pub mod script;
pub(crate) mod submit;

pub use config::SlurmConfig;

pub(crate) use call::{cancel, is_installed, requeue};
pub(crate) use query::time_left;
