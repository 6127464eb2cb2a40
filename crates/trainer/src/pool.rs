//! Pool: trainings defined in memory, run side by side in one process. Each has a folder of its own, is
//! either complete or visibly incomplete, and is never trained twice.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use tinsmith_data::Dataset;
use tinsmith_foundation::{CancelToken, Progress, QUOTE_LIMIT, WorkerScope, is_safe_file_name, quote};

use crate::callback::Callback;
use crate::context::Context;
use crate::error::{Result, TrainError};
use crate::evaluate::Evaluation;
use crate::run::{Plan, Run, RunResult};

/// One network of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Name, also of its folder: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The training.
    pub plan: Plan,
}

/// A folder of runs.
#[derive(Debug, Clone)]
pub struct Pool {
    folder: PathBuf,
    members: Vec<Member>,
}

/// Resources and callbacks of a pool's training.
#[derive(Clone)]
pub struct PoolContext<'a> {
    /// Cores to use; with enough runs, each run gets one core.
    pub scope: WorkerScope,
    /// Name of the progress stage; it receives one step per finished run.
    pub stage: &'a str,
    /// Receives progress events.
    pub progress: &'a dyn Progress,
    /// Requests a stop; finished runs are kept.
    pub cancel: &'a CancelToken,
    /// Creates the callback of each run, for example a pruning schedule.
    pub callback: &'a (dyn Fn(&Member) -> Result<Box<dyn Callback>> + Sync),
}

impl std::fmt::Debug for PoolContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolContext")
            .field("scope", &self.scope)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Creates a pool in `folder`.
    ///
    /// # Errors
    /// [`TrainError::Config`] if a name is not a safe folder name or is used twice.
    pub fn new(folder: impl Into<PathBuf>, members: Vec<Member>) -> Result<Self> {
        let mut faults = tinsmith_foundation::Faults::new();
        for (i, member) in members.iter().enumerate() {
            if !is_safe_file_name(&member.name) {
                let name = quote(&member.name, QUOTE_LIMIT);
                let text = format!(
                    "is `{name}`, want letters, digits, `-`, `_` and `.`, and no reserved name such as `con`"
                );
                faults.add(&format!("members[{i}].name"), text);
            }
            if members[..i].iter().any(|other| other.name == member.name) {
                faults.add(&format!("members[{i}].name"), format!("`{}` is used twice", member.name));
            }
        }
        faults.into_result("pool")?;
        Ok(Self { folder: folder.into(), members })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the networks.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the run of a member.
    #[must_use]
    pub fn run_of(&self, member: &Member) -> Run {
        Run::new(self.folder.join(&member.name))
    }

    /// Trains every unfinished member. Returns results in the order of the members.
    ///
    /// # Errors
    /// [`TrainError::Cancelled`] if a stop was requested; otherwise the first failure, after the other runs
    /// have ended. Finished runs are kept either way.
    pub fn train(
        &self,
        train: &Dataset,
        validation: Option<&Dataset>,
        context: &PoolContext<'_>,
    ) -> Result<Vec<RunResult>> {
        let done = Mutex::new(0);
        context.progress.begin(context.stage, Some(self.members.len() as u64));
        let results = context.scope.map(self.members.iter().collect(), |grant, member| {
            if context.cancel.is_cancelled() {
                return Err(TrainError::Cancelled { epoch: 0 });
            }
            let mut callback = (context.callback)(member)?;
            let within = Context { seed: member.plan.seed, grant, cancel: context.cancel };
            let result =
                self.run_of(member).train(&member.plan, train, validation, &within, callback.as_mut())?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += 1;
            context.progress.step(context.stage, *done, format!("{}: {}", member.name, score(&result)));
            Ok(result)
        });
        let results: Result<Vec<RunResult>> = results.into_iter().collect();
        context.progress.end(context.stage, format!("{} runs", self.members.len()));
        results
    }
}

/// Summarizes a result in a few words.
fn score(result: &RunResult) -> String {
    let found = result.validation.as_ref();
    match (found.and_then(Evaluation::accuracy), found) {
        (Some(accuracy), _) => format!("validation {:.2} %", 100.0 * accuracy),
        (None, Some(found)) => format!("validation loss {:.4}", found.loss),
        (None, None) => format!("loss {:.4}", result.history.epochs.last().map_or(f64::NAN, |e| e.loss)),
    }
}
