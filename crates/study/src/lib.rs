//! Hyper-parameter search: spaces, proposers, pruners, space-filling designs, Pareto fronts, and a journal that Optuna
//! reads. Suits any search with expensive evaluations; the crate knows nothing of networks.
//!
//! A study is a configuration and a list of finished trials. A [`Proposer`] chooses the next candidate, an [`Evaluate`]
//! evaluates it, workers run side by side, and each finished trial is one synced line of a journal. Trial k is proposed
//! from trials 0 to k - window alone. A study therefore has the same trials for any number of workers, and after a kill at
//! any instant it resumes to the same trials.
//!
//! ```
//! use tinsmith_study::{
//!     Decision, Domain, Ended, Evaluate, EvaluateError, Outcome, Params, Report, Request, Runner, Space, Study,
//!     StudyConfig, Tpe, TpeConfig,
//! };
//!
//! /// (x - 1)^2 + (2 if y is not "b").
//! struct Bowl;
//!
//! impl Evaluate<Params> for Bowl {
//!     fn evaluate(
//!         &self,
//!         request: Request<'_, Params>,
//!         _report: &mut dyn FnMut(Report) -> Decision,
//!     ) -> Result<Outcome, EvaluateError> {
//!         let x = request.candidate.f64("x").unwrap_or_default();
//!         let y = if request.candidate.str("y") == Some("b") { 0.0 } else { 2.0 };
//!         let loss = (x - 1.0).powi(2) + y;
//!         Ok(Outcome { scores: [("loss".to_owned(), loss)].into(), artifact: None })
//!     }
//! }
//!
//! let space = Space::new([("x", Domain::float(-5.0, 5.0)), ("y", Domain::categorical(["a", "b", "c"]))])?;
//! let proposer = Tpe::new(space.clone(), TpeConfig::default())?;
//!
//! let folder = tempfile::tempdir().expect("a folder for the example");
//! let journal = folder.path().join("journal.log"); // `optuna-dashboard journal.log` shows it
//! let mut study = Study::open(StudyConfig { trials: 60, ..StudyConfig::default() }, &journal)?;
//! let runner =
//!     Runner { describe: Some(&|params| space.describe(params)), ..Runner::new(&proposer, &Bowl) };
//! assert_eq!(study.run(&runner)?, Ended::Complete);
//!
//! let best = study.best().expect("at least one trial has a value");
//! assert_eq!(best.candidate().str("y"), Some("b"));
//! assert!((best.candidate().f64("x").unwrap_or_default() - 1.0).abs() < 0.5);
//! # Ok::<(), tinsmith_study::StudyError>(())
//! ```
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Study`], [`StudyConfig`], [`Runner`], [`Check`] | the search, its configuration, strategy and resources |
//! | [`Evaluate`], [`Request`], [`Outcome`] | the evaluation of candidates |
//! | [`Space`], [`Domain`], [`Params`], [`ParamValue`] | candidates that are parameter vectors |
//! | [`Proposer`], [`Proposal`], [`Step`], [`History`], [`Trial`] | the choice of the next candidate, and the history visible to it |
//! | [`RandomSearch`], [`GridSearch`], [`Tpe`], [`Sequence`], [`StartWith`] | proposers over spaces and lists |
//! | [`Evolution`], [`Breed`] | a proposer over candidates that can be created at random and mutated |
//! | [`Hyperband`], [`hyperband_brackets`] | small budgets for many candidates, large ones for few |
//! | [`Pruner`], [`MedianPruner`], [`HalvingPruner`] | early end of trials |
//! | [`design`] | Latin hypercubes, Sobol's sequence, Cartesian grids, discrepancy |
//! | [`pareto`] | dominance, fronts, crowding, hypervolume |
//! | [`journal`] | reader of Optuna's journal |

#![forbid(unsafe_code)]

mod config;
pub mod design;
mod error;
mod evaluate;
mod hyperband;
pub mod journal;
mod parameter;
pub mod pareto;
mod proposer;
mod pruner;
mod search_run;
mod space;
mod study;
mod trial;

pub use config::{Direction, Objective, StudyConfig};
pub use error::{Result, StudyError};
pub use evaluate::{Artifact, Budget, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores};
pub use hyperband::{Bracket, Hyperband, HyperbandConfig, Round, hyperband_brackets};
pub use parameter::{CategoricalDomain, Domain, FloatDomain, IntDomain, ParamValue, Parameter, Params};
pub use proposer::{
    Breed, Evolution, EvolutionConfig, GridSearch, Proposer, RandomSearch, Sequence, StartWith, Step,
    Survival, Tpe, TpeConfig, propose_error,
};
pub use pruner::{HalvingPruner, MedianPruner, Pruner};
pub use search_run::SearchRun;
pub use space::Space;
pub use study::{Check, CheckFn, DescribeFn, Ended, Runner, Study};
pub use trial::{History, Proposal, Trial, TrialState, TrialTimes};
