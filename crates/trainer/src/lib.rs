//! The training loop and runs.
//!
#![doc = include_str!("../README.md")]

mod callback;
mod config;
mod engine;
mod error;
mod evaluate;
mod fit;
mod loss;
pub mod metric;
pub mod optimizer;
pub mod run;
mod schedule;
mod trainer;

pub use callback::{Both, Callback, Observe, Undisturbed};
pub use config::{EarlyStopping, TrainConfig};
pub use error::{Result, TrainError};
pub use evaluate::{Evaluation, evaluate};
pub use fit::{Context, Epoch, History, Stopped, fit};
pub use loss::Loss;
pub use metric::{Confusion, Metric};
pub use optimizer::{OptimizerConfig, Rule};
pub use run::{Plan, Run, RunResult};
pub use schedule::Schedule;
pub use trainer::Trainer;
