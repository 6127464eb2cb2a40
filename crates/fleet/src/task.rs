//! Array task: trains its runs until they are done or its time is nearly over.

use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::slurm::{self, SlurmConfig};
use crate::submission::Submission;

/// Exit status of a task that stopped before its runs were done.
pub(crate) const STOPPED: u8 = 75;

/// Identity of a task, passed by the batch script.
#[derive(Debug, Clone)]
pub(crate) struct TaskId {
    pub(crate) submission: u32,
    pub(crate) task: u64,
    pub(crate) job: String,
    pub(crate) node: String,
    pub(crate) restarts: u32,
}

/// Decides when a task stops starting new runs.
struct Clock {
    start: Instant,
    limit: Option<Duration>,
    margin: Duration,
    longest: Mutex<Duration>,
    has_begun: AtomicBool,
}

impl Clock {
    /// Returns true if no other run should start. The first run always starts; otherwise a task with too wide
    /// a margin would be requeued forever without training anything.
    fn is_late(&self) -> bool {
        let is_first = !self.has_begun.swap(true, Ordering::Relaxed);
        let Some(limit) = self.limit.filter(|_| !is_first) else { return false };
        let longest = *self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        let margin = if self.margin.is_zero() { longest.mul_f64(1.2) } else { self.margin };
        self.start.elapsed() + margin > limit
    }

    fn note(&self, took: Duration) {
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = took.max(*longest);
    }
}

/// Trains the runs of the task. Returns their counts, and true if some of them are left for another start.
pub(crate) fn work(
    project: &Project,
    configurator: &dyn ModelConfigurator,
    id: &TaskId,
    told: &Told,
) -> Result<(Tally, bool)> {
    let layout = project.layout();
    let plan = project.plan()?;
    let total = plan.runs.len() as u64;
    let submission = Submission::load(layout, id.submission, total)?;
    let config = &submission.slurm;
    let cancelled = submission.cancelled(layout, total)?;
    let runs: Vec<u64> = submission.runs_of(id.task).into_iter().filter(|r| !cancelled.contains(r)).collect();
    submission.take_back(layout, id.task)?;
    let start = Instant::now();
    let limit = match runs.len() {
        0 | 1 => None,
        _ => time_limit(project, config, id),
    };
    let who = Claimant {
        process: Process::current(),
        submission: Some(id.submission),
        job: Some(id.job.clone()),
        node: id.node.clone(),
        restarts: id.restarts,
        retry: submission.retry,
    };
    let executor = Executor::new(project, &plan, configurator, &told.cancel, who)?;
    let clock = Clock {
        start,
        limit,
        margin: Duration::from_secs(config.stop_before_limit_s),
        longest: Mutex::default(),
        has_begun: AtomicBool::new(false),
    };
    let scope = WorkerScope::new(usize::try_from(config.cpus_per_task).unwrap_or(1));
    let ended = scope.map(runs.clone(), |grant, index| {
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
    let mut left = Left::default();
    for (run, end) in runs.into_iter().zip(&ended) {
        if let Ended::Interrupted(attempt) = end {
            left.runs.push(run);
            left.attempts.extend(attempt.as_ref().map(|a| (run, a)));
        }
    }
    ask_for_more(project, &submission, id, told, &left, total)?;
    Ok((tally, true))
}

/// Returns the remaining time of this task: Slurm's own figure, because a job's time starts before its
/// program does; otherwise the requested limit.
fn time_limit(project: &Project, config: &SlurmConfig, id: &TaskId) -> Option<Duration> {
    let asked =
        || (config.time_minutes > 0).then(|| Duration::from_secs(60 * u64::from(config.time_minutes)));
    slurm::time_left(&id.job, project.layout().root()).or_else(asked)
}

/// Unfinished runs of a stopped task.
#[derive(Default)]
struct Left<'a> {
    /// Runs without a result, in order.
    runs: Vec<u64>,
    /// Unfinished attempts, with their runs.
    attempts: Vec<(u64, &'a Attempt)>,
}

/// Asks Slurm to requeue this task if appropriate. It does not after TERM alone, which a cancelled job
/// receives; at preemption Slurm requeues by itself.
fn ask_for_more(
    project: &Project,
    submission: &Submission,
    id: &TaskId,
    told: &Told,
    left: &Left<'_>,
    total: u64,
) -> Result<()> {
    let layout = project.layout();
    if told.cancel.is_cancelled() && !told.is_warning() {
        return Ok(());
    }
    let cancelled = submission.cancelled(layout, total)?;
    if submission.runs_of(id.task).iter().all(|run| cancelled.contains(run)) {
        return Ok(());
    }
    let config = &submission.slurm;
    let refusal = match () {
        () if !config.requeue => "its settings forbid to requeue it".to_owned(),
        () if id.restarts >= config.max_requeues => format!("it was requeued {} times", id.restarts),
        () => {
            // At preemption Slurm has already requeued the job and refuses to do so again. If it refused for
            // another reason, the job ends now and the returned runs are open. If it did requeue, the
            // restarted task withdraws the return.
            if slurm::requeue(&id.job, layout.root()).is_err() {
                submission.give_back(layout, id.task, &left.runs)?;
            }
            return Ok(());
        }
    };
    let began = |run: &u64| left.attempts.iter().any(|(other, _)| other == run);
    let fresh: Vec<u64> = left.runs.iter().copied().filter(|run| !began(run)).collect();
    if !fresh.is_empty() {
        submission.give_back(layout, id.task, &fresh)?;
    }
    for (_, attempt) in &left.attempts {
        attempt.fail(
            Cause::TimeOut,
            &format!("stopped before the limit of its job with a checkpoint; {refusal}"),
        )?;
    }
    Ok(())
}
