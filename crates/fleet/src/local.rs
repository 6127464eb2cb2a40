//! Local executor: trains runs side by side in this process, one core each.

use std::sync::{Mutex, PoisonError};

use tinsmith_foundation::{CancelToken, Progress, WorkerScope};

use crate::attempt::Claimant;
use crate::configurator::ModelConfigurator;
use crate::error::Result;
use crate::execute::{Ended, Executor};
use crate::machine::Process;
use crate::plan::Plan;
use crate::project::Project;

/// Counts of runs by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that have a result, new or old.
    pub done: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs in progress in other processes.
    pub busy: u64,
    /// Runs interrupted or not begun.
    pub open: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, ended: &Ended) {
        match ended {
            Ended::Done(_) | Ended::Elsewhere => self.done += 1,
            Ended::Failed(_) => self.failed += 1,
            Ended::Busy => self.busy += 1,
            Ended::Interrupted(_) => self.open += 1,
        }
    }
}

/// Settings of a local execution.
pub struct LocalRun<'a> {
    /// Sets up each run.
    pub configurator: &'a dyn ModelConfigurator,
    /// Cores to use.
    pub scope: WorkerScope,
    /// Retry failed runs.
    pub retry: bool,
    /// Receives progress events.
    pub progress: &'a dyn Progress,
    /// Requests a stop.
    pub cancel: &'a CancelToken,
}

impl std::fmt::Debug for LocalRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalRun")
            .field("scope", &self.scope)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Trains those of `runs` that have no result and are not in progress elsewhere. Any number of processes may
/// call this at the same time, on any machines that share the project's folder.
///
/// # Errors
/// [`FleetError::OtherData`](crate::FleetError::OtherData) if the data have changed,
/// [`FleetError::File`](crate::FleetError::File) if a file cannot be written. A failed run is not an error:
/// it is counted.
pub fn run(project: &Project, plan: &Plan, runs: &[u64], local: &LocalRun<'_>) -> Result<Tally> {
    const STAGE: &str = "fleet";
    let process = Process::current();
    let node = process.host.clone();
    let who = Claimant { process, submission: None, job: None, node, restarts: 0, retry: local.retry };
    let executor = Executor::new(project, plan, local.configurator, local.cancel, who)?;
    let tally = Mutex::new(Tally::default());
    local.progress.begin(STAGE, Some(runs.len() as u64));
    let ended = local.scope.map(runs.to_vec(), |grant, index| {
        let run = plan.run(index)?;
        let ended = executor.run(run, grant)?;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count(&ended);
        let note = match &ended {
            Ended::Done(outcome) => {
                let scores: Vec<String> = outcome.scores.iter().map(|(n, v)| format!("{n} {v:.4}")).collect();
                scores.join(", ")
            }
            Ended::Failed(reason) => {
                format!("failed: {}", reason.as_deref().unwrap_or("earlier; use `retry`"))
            }
            Ended::Elsewhere => "done elsewhere".to_owned(),
            Ended::Busy => "in progress in another process".to_owned(),
            Ended::Interrupted(_) => return Ok(()),
        };
        local.progress.step(STAGE, tally.done + tally.failed + tally.busy, format!("run {index}: {note}"));
        Ok(())
    });
    ended.into_iter().collect::<Result<()>>()?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    local.progress.end(STAGE, format!("{} done, {} failed", tally.done, tally.failed));
    Ok(tally)
}
