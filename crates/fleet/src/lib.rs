//! Many trainings: plans, executors, states.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod app;
mod attempt;
mod configurator;
mod data;
mod error;
mod exclusive;
mod execute;
mod index;
mod layout;
mod lines;
mod local;
mod machine;
mod models;
mod notes;
mod outcome;
mod plan;
mod project;
mod pulse;
mod report;
mod signals;
pub mod slurm;
mod state;
mod submission;
mod sweep;
mod task;

pub use app::{Exit, Fleet, FleetCommand, Surroundings, TableArgs, ValueTableArgs};
pub use configurator::{
    EVALUATION_LIMIT, ModelConfigurator, ModelRequest, ModelSetup, Samples, SpecFolder, TRAINING_LIMIT,
};
pub use data::DataSource;
pub use error::{FleetError, Result};
pub use local::{LocalRun, Tally, run as run_here};
pub use models::{ModelCount, ModelList, ModelName};
pub use outcome::{Cause, Failure, Outcome};
pub use plan::{MOST_RUNS, Part, PartHeader, Plan, PlannedModel, PlannedRun};
pub use project::{Manifest, PartOptions, Program, Project, ProjectOptions, new_name, projects};
pub use report::{Format, Group, compare, export, is_less_better};
pub use state::{RunState, State, Status};
pub use sweep::{Design, Sweep, describe, with_model_values, with_values};
