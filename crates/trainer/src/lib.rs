//! The training loop and runs.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod average;
mod calibrate;
mod callback;
mod checkpoint;
mod config;
mod engine;
mod error;
mod evaluate;
mod fit;
mod kfold;
mod loss;
pub mod metric;
pub mod optimizer;
mod pool;
pub mod run;
mod schedule;
mod teacher;
mod trainer;
mod word_schema;

pub use calibrate::activation_ranges;
pub use callback::{Both, Callback, Observe, StepReport, Undisturbed};
pub use checkpoint::Checkpoints;
pub use config::{Averaging, Distillation, EarlyStopping, TrainConfig};
pub use error::{Result, TrainError};
pub use evaluate::{Evaluation, evaluate};
pub use fit::{Context, Epoch, History, Stopped, fit, fit_resumable};
pub use kfold::{CrossValidation, FoldResult, KFold, cross_validate};
pub use loss::Loss;
pub use metric::{Confusion, Metric};
pub use optimizer::{OptimizerConfig, Rule};
pub use pool::{Member, Pool, PoolContext};
pub use run::{Failure, Plan, Run, RunResult};
pub use schedule::Schedule;
pub use trainer::Trainer;
