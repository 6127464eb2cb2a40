//! The training loop and runs.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod average;
mod calibrate;
mod callback;
mod checkpoint;
mod compatibility;
mod config;
mod context;
mod digest;
mod engine;
mod error;
mod evaluate;
mod fit;
mod history;
mod kfold;
mod loss;
pub mod metric;
pub mod optimizer;
mod pool;
mod predict;
mod progress;
mod removal;
pub mod run;
mod schedule;
mod snapshot;
mod targets;
mod teacher;
mod trainer;
mod word_schema;

pub use calibrate::activation_ranges;
pub use callback::{Both, Callback, Observe, StepReport, Undisturbed};
pub use checkpoint::Checkpoints;
pub use compatibility::check_compatibility;
pub use config::{Averaging, Distillation, EarlyStopping, TrainConfig};
pub use context::Context;
pub use error::{Result, TrainError};
pub use evaluate::{Evaluation, evaluate};
pub use fit::{fit, fit_resumable};
pub use history::{Epoch, History, Stopped};
pub use kfold::{CrossValidation, FoldResult, KFold, cross_validate};
pub use loss::Loss;
pub use metric::{Confusion, Metric};
pub use optimizer::{OptimizerConfig, Rule};
pub use pool::{Member, Pool, PoolContext};
pub use predict::{ClassPrediction, predict_classes, predict_values};
pub use run::{Failure, Plan, Run, RunResult};
pub use schedule::Schedule;
pub use trainer::Trainer;
