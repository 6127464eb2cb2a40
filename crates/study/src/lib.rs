//! A search as data: spaces, samplers, schedulers, Pareto fronts and a journal that Optuna reads.

mod clock;
mod config;
mod error;
mod evaluate;
pub mod journal;
mod parameter;
pub mod pareto;
mod proposer;
mod pruner;
mod space;
mod study;
mod trial;

pub use config::{Direction, Objective, StudyConfig};
pub use error::{Result, StudyError};
pub use evaluate::{Artifact, Budget, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores};
pub use parameter::{CategoricalDomain, Domain, FloatDomain, IntDomain, ParamValue, Parameter, Params};
pub use proposer::{
    Breed, Evolution, EvolutionConfig, GridSearch, Proposer, RandomSearch, Sequence, Step, Survival, Tpe,
    TpeConfig, propose_error,
};
pub use pruner::{HalvingPruner, MedianPruner, Pruner};
pub use space::Space;
pub use study::{Check, CheckFn, DescribeFn, Ended, Runner, Study};
pub use trial::{History, Proposal, Trial, TrialState, TrialTimes};
