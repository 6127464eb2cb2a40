//! What a task of an array does: its runs, one after the other or side by side, until they are done or its time is
//! nearly over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tinsmith_foundation::WorkerScope;

use crate::attempt::{Attempt, Claimant};
use crate::configurator::ModelConfigurator;
use crate::error::Result;
use crate::execute::{Ended, Executor};
use crate::local::Tally;
use crate::machine::Process;
use crate::outcome::Cause;
use crate::project::Project;
use crate::signals::Told;
use crate::slurm;
use crate::submission::Submission;

/// The exit status of a task that was stopped before its runs were done.
pub(crate) const STOPPED: u8 = 75;

/// Which task this is, as the batch script says.
#[derive(Debug, Clone)]
pub(crate) struct TaskId {
    pub(crate) submission: u32,
    pub(crate) task: u64,
    pub(crate) job: String,
    pub(crate) node: String,
    pub(crate) restarts: u32,
}

/// When a task begins no new run.
struct Clock {
    start: Instant,
    limit: Option<Duration>,
    margin: Duration,
    longest: Mutex<Duration>,
}

impl Clock {
    fn is_late(&self) -> bool {
        let Some(limit) = self.limit else { return false };
        let longest = *self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        let margin = if self.margin.is_zero() { longest.mul_f64(1.2) } else { self.margin };
        self.start.elapsed() + margin > limit
    }

    fn note(&self, took: Duration) {
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = took.max(*longest);
    }
}

/// Works through the task. Returns what became of its runs, and whether something of it is left for another start.
pub(crate) fn work(
    project: &Project,
    configurator: &dyn ModelConfigurator,
    id: &TaskId,
    told: &Told,
) -> Result<(Tally, bool)> {
    let layout = project.layout();
    let submission = Submission::load(layout, id.submission)?;
    let config = &submission.slurm;
    let cancelled = submission.cancelled(layout);
    let runs: Vec<u64> = submission.runs_of(id.task).into_iter().filter(|r| !cancelled.contains(r)).collect();
    let who = Claimant {
        process: Process::current(),
        submission: Some(id.submission),
        job: Some(id.job.clone()),
        node: id.node.clone(),
        restarts: id.restarts,
        retry: submission.retry,
    };
    let plan = project.plan()?;
    let executor = Executor::new(project, &plan, configurator, &told.cancel, who)?;
    let clock = Clock {
        start: Instant::now(),
        limit: (config.time_minutes > 0).then(|| Duration::from_secs(60 * u64::from(config.time_minutes))),
        margin: Duration::from_secs(config.stop_before_limit_s),
        longest: Mutex::default(),
    };
    let scope = WorkerScope::new(usize::try_from(config.cpus_per_task).unwrap_or(1));
    let ended = scope.map(runs, |grant, index| {
        if clock.is_late() {
            return Ok(Ended::Interrupted(None));
        }
        let start = Instant::now();
        let ended = executor.run(plan.run(index)?, grant);
        clock.note(start.elapsed());
        ended
    });
    let ended = ended.into_iter().collect::<Result<Vec<Ended>>>()?;
    let mut tally = Tally::default();
    ended.iter().for_each(|e| tally.count(e));
    if tally.open == 0 {
        return Ok((tally, false));
    }
    let attempts: Vec<&Attempt> =
        ended.iter().filter_map(|e| if let Ended::Interrupted(a) = e { a.as_ref() } else { None }).collect();
    ask_for_more(project, &submission, id, told, &attempts)?;
    Ok((tally, true))
}

/// Asks to be started again, where that is in order: not after a TERM alone, which is what a cancelled job gets, and at
/// preemption Slurm requeues by itself.
fn ask_for_more(
    project: &Project,
    submission: &Submission,
    id: &TaskId,
    told: &Told,
    attempts: &[&Attempt],
) -> Result<()> {
    let layout = project.layout();
    if told.cancel.is_cancelled() && !told.is_warning() {
        return Ok(());
    }
    let cancelled = submission.cancelled(layout);
    if submission.runs_of(id.task).iter().all(|run| cancelled.contains(run)) {
        return Ok(());
    }
    let config = &submission.slurm;
    let refusal = match () {
        () if !config.requeue => "its settings forbid to requeue it".to_owned(),
        () if id.restarts >= config.max_requeues => format!("it was requeued {} times", id.restarts),
        () => {
            // At preemption Slurm has requeued the job already, and refuses to do so again.
            let _ = slurm::requeue(&id.job, layout.root());
            return Ok(());
        }
    };
    for attempt in attempts {
        attempt.fail(
            Cause::TimeOut,
            &format!("stopped before the limit of its job with a checkpoint; {refusal}"),
        )?;
    }
    Ok(())
}
