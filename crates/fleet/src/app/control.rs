//! `submit`, `retry`, `cancel` and `task`.

use std::collections::{BTreeMap, BTreeSet};

use tinsmith_foundation::{Progress, Silent, WorkerScope};

use super::args::{
    CancelArgs, ExecutorArgs, ExecutorKind, OverrideArgs, RetryArgs, SelectArgs, SubmitArgs, TaskArgs,
};
use super::{Exit, Fleet, Surroundings};
use crate::configurator::ModelConfigurator;
use crate::error::{FleetError, Result};
use crate::lines;
use crate::local::{self, LocalRun, Tally};
use crate::outcome::Cause;
use crate::plan::{NewSeed, Plan, PlannedRun};
use crate::project::Project;
use crate::signals::Told;
use crate::slurm::submit::{Submitted, submit};
use crate::slurm::{self, SlurmConfig};
use crate::state::{RunState, State, Status};
use crate::submission::{Submission, newest_task_of};
use crate::task::{self, TaskId};

/// Returns the selected runs.
pub(super) fn selected<'a>(plan: &'a Plan, select: &SelectArgs) -> Result<Vec<&'a PlannedRun>> {
    let runs: Vec<&PlannedRun> = match &select.runs {
        Some(numbers) => numbers.iter().map(|n| plan.run(n)).collect::<Result<_>>()?,
        None => plan.runs.iter().collect(),
    };
    if let Some(model) = &select.only {
        if !plan.models().contains_key(model) {
            let known: Vec<String> = plan.models().keys().map(ToString::to_string).collect();
            return Err(FleetError::usage(format!(
                "the project has no model {model}, only {}",
                known.join(", ")
            )));
        }
        return Ok(runs.into_iter().filter(|run| run.is_of(model)).collect());
    }
    Ok(runs)
}

pub(super) const fn no_overrides() -> OverrideArgs {
    OverrideArgs {
        partition: None,
        time: None,
        mem: None,
        cpus: None,
        throttle: None,
        runs_per_task: None,
        stop_before_limit: None,
        no_requeue: false,
    }
}

fn with_overrides(mut config: SlurmConfig, args: &OverrideArgs) -> Result<SlurmConfig> {
    if let Some(partition) = &args.partition {
        config.partition.clone_from(partition);
    }
    config.time_minutes = args.time.unwrap_or(config.time_minutes);
    config.memory_mib = args.mem.unwrap_or(config.memory_mib);
    config.cpus_per_task = args.cpus.unwrap_or(config.cpus_per_task);
    config.throttle = args.throttle.unwrap_or(config.throttle);
    config.runs_per_task = args.runs_per_task.unwrap_or(config.runs_per_task);
    config.stop_before_limit_s = args.stop_before_limit.unwrap_or(config.stop_before_limit_s);
    config.requeue &= !args.no_requeue;
    let mut faults = tinsmith_foundation::Faults::new();
    config.check(&mut faults);
    faults.into_result("slurm settings")?;
    Ok(config)
}

/// Returns true for a run that is not in progress, not done, not failed and not submitted.
fn is_open(state: &RunState) -> bool {
    match state.state {
        State::Pending | State::Stalled => !state.submitted,
        State::Running | State::Done | State::Failed(_) => false,
    }
}

fn is_slurm(kind: ExecutorKind) -> bool {
    match kind {
        ExecutorKind::Auto => slurm::is_installed(),
        ExecutorKind::Local => false,
        ExecutorKind::Slurm => true,
    }
}

impl<C: ModelConfigurator> Fleet<C> {
    pub(super) fn submit(&self, args: &SubmitArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        let project = Project::open(&args.project.project)?;
        self.hand_out(&project, &args.select, &args.executor, &args.slurm, args.dry_run, surroundings)
    }

    /// Passes open runs to the chosen executor.
    pub(super) fn hand_out(
        &self,
        project: &Project,
        select: &SelectArgs,
        executor: &ExecutorArgs,
        overrides: &OverrideArgs,
        dry_run: bool,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit> {
        if !is_slurm(executor.executor) && !dry_run {
            return self.train_open(project, select, executor.jobs, executor.quiet, surroundings);
        }
        let plan = project.plan()?;
        let status = Status::of(project, &plan)?;
        let runs: Vec<u64> = selected(&plan, select)?
            .into_iter()
            .map(|run| run.index)
            .filter(|&i| usize::try_from(i).is_ok_and(|i| status.runs.get(i).is_some_and(is_open)))
            .collect();
        if runs.is_empty() {
            surroundings.line("no run is open; see `status`")?;
            return Ok(Exit::SUCCESS);
        }
        let config = with_overrides(project.slurm()?, overrides)?;
        let submitted = submit(project, &runs, &config, false, dry_run)?;
        tell(&submitted, runs.len(), surroundings)
    }

    pub(super) fn train_open(
        &self,
        project: &Project,
        select: &SelectArgs,
        jobs: usize,
        quiet: bool,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit> {
        let plan = project.plan()?;
        let outcomes = crate::index::outcomes(project.layout(), plan.runs.len() as u64)?;
        let is_done = |i: u64| usize::try_from(i).is_ok_and(|i| outcomes.get(i).is_some_and(Option::is_some));
        let runs: Vec<u64> =
            selected(&plan, select)?.into_iter().map(|r| r.index).filter(|&i| !is_done(i)).collect();
        self.train_runs(project, &plan, &runs, jobs, quiet, false, surroundings)
    }

    #[expect(clippy::too_many_arguments, reason = "each is one fact about one call")]
    fn train_runs(
        &self,
        project: &Project,
        plan: &Plan,
        runs: &[u64],
        jobs: usize,
        quiet: bool,
        retry: bool,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit> {
        let told = Told::listen()?;
        let scope = if jobs == 0 { WorkerScope::available() } else { WorkerScope::new(jobs) };
        let progress: &dyn Progress = if quiet { &Silent } else { surroundings.progress };
        let local =
            LocalRun { configurator: &self.configurator, scope, retry, progress, cancel: &told.cancel };
        let tally = local::run(project, plan, runs, &local)?;
        surroundings.line(words(&tally))?;
        Ok(if tally.failed > 0 || tally.open > 0 { Exit::FAILURE } else { Exit::SUCCESS })
    }

    pub(super) fn retry(&self, args: &RetryArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        let project = Project::open(&args.submit.project.project)?;
        let plan = project.plan()?;
        let status = Status::of(&project, &plan)?;
        let mut by_cause: BTreeMap<Cause, Vec<u64>> = BTreeMap::new();
        for run in selected(&plan, &args.submit.select)? {
            let state = usize::try_from(run.index).ok().and_then(|i| status.runs.get(i));
            if let Some(State::Failed(cause)) = state.map(|s| s.state)
                && args.cause.is_none_or(|wanted| wanted == cause)
            {
                by_cause.entry(cause).or_default().push(run.index);
            }
        }
        if by_cause.is_empty() {
            surroundings.line("no failed run matches")?;
            return Ok(Exit::SUCCESS);
        }
        let is_local = !is_slurm(args.submit.executor.executor) && !args.submit.dry_run;
        let mut handed = Vec::new();
        for (&cause, runs) in by_cause.iter().filter(|_| !is_local) {
            handed.push((cause, runs.clone(), with_more(&project, cause, runs, &args.submit.slurm)?));
        }
        if args.new_seed && !args.submit.dry_run {
            for &index in by_cause.values().flatten() {
                let seed = plan.run(index)?.seed.derive("retry", 0);
                lines::append(&project.layout().seeds(), &NewSeed { index, seed })?;
            }
        }
        if is_local {
            let runs: Vec<u64> = by_cause.into_values().flatten().collect();
            let executor = &args.submit.executor;
            let plan = project.plan()?;
            return self.train_runs(
                &project,
                &plan,
                &runs,
                executor.jobs,
                executor.quiet,
                true,
                surroundings,
            );
        }
        let mut exit = Exit::SUCCESS;
        for (cause, runs, config) in handed {
            let submitted = submit(&project, &runs, &config, true, args.submit.dry_run)?;
            if cause == Cause::TimeOut || cause == Cause::Memory {
                let (minutes, memory) = (config.time_minutes, config.memory_mib);
                surroundings.line(format!(
                    "after {cause}: {minutes} minutes, {memory} MiB (0: the partition's default)"
                ))?;
            }
            let told = tell(&submitted, runs.len(), surroundings)?;
            exit = if told == Exit::SUCCESS { exit } else { told };
        }
        Ok(exit)
    }

    pub(super) fn task(&self, args: &TaskArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        let told = Told::listen()?;
        let project = Project::open(&args.project.project)?;
        let id = TaskId {
            submission: args.submission,
            task: args.task,
            job: args.job.clone(),
            node: args.node.clone(),
            restarts: args.restarts,
        };
        let (tally, is_stopped) = task::work(&project, &self.configurator, &id, &told)?;
        surroundings.line(words(&tally))?;
        Ok(match () {
            () if is_stopped => Exit(task::STOPPED),
            () if tally.failed > 0 => Exit::FAILURE,
            () => Exit::SUCCESS,
        })
    }
}

/// Returns the settings of the runs' last submission with more of the exhausted resource, then applies
/// `overrides`.
fn with_more(project: &Project, cause: Cause, runs: &[u64], overrides: &OverrideArgs) -> Result<SlurmConfig> {
    let submissions = Submission::load_all(project.layout(), project.plan()?.runs.len() as u64)?;
    let last = runs.first().and_then(|run| newest_task_of(&submissions).get(run).copied());
    let mut config = match last {
        Some((place, _)) => submissions[place].slurm.clone(),
        None => project.slurm()?,
    };
    let more = match cause {
        Cause::TimeOut if config.time_minutes == 0 && overrides.time.is_none() => Some(("time", "--time 60")),
        Cause::Memory if config.memory_mib == 0 && overrides.mem.is_none() => Some(("memory", "--mem 4G")),
        _ => None,
    };
    if let Some((what, option)) = more {
        return Err(FleetError::usage(format!(
            "{} runs exceeded the partition's default {what} and would again; set it, for example by {option}",
            runs.len()
        )));
    }
    match cause {
        Cause::TimeOut => config.time_minutes = config.time_minutes.saturating_mul(config.time_factor),
        Cause::Memory => {
            config.memory_mib = config.memory_mib.saturating_mul(u64::from(config.memory_factor));
        }
        Cause::Exit | Cause::Node | Cause::Cancelled => {}
    }
    with_overrides(config, overrides)
}

fn tell(submitted: &Submitted, runs: usize, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let Some(number) = submitted.number else {
        surroundings.line(submitted.preview.trim_end())?;
        return Ok(Exit::SUCCESS);
    };
    let jobs: Vec<String> =
        submitted.jobs.iter().map(|(job, tasks)| format!("{job} ({tasks} tasks)")).collect();
    let left = submitted.refused.as_ref().map_or(0, |(left, _)| *left);
    if !jobs.is_empty() {
        let taken = (runs as u64).saturating_sub(left);
        surroundings.line(format!("submission {number}: {taken} runs in jobs {}", jobs.join(", ")))?;
    }
    if let Some((left, reason)) = &submitted.refused {
        surroundings.line(format!("the cluster refused {left} runs: {reason}; submit again later"))?;
        return Ok(Exit::FAILURE);
    }
    Ok(Exit::SUCCESS)
}

fn words(tally: &Tally) -> String {
    let mut parts = vec![format!("{} done", tally.done)];
    for (count, word) in
        [(tally.failed, "failed"), (tally.busy, "in progress elsewhere"), (tally.open, "interrupted")]
    {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(", ")
}

/// Cancels submitted runs. Tasks that contain other runs as well continue with those.
pub(super) fn cancel(args: &CancelArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project.project)?;
    let layout = project.layout();
    let plan = project.plan()?;
    let status = Status::of(&project, &plan)?;
    let wanted: BTreeSet<u64> = selected(&plan, &args.select)?
        .into_iter()
        .map(|run| run.index)
        .filter(|&i| usize::try_from(i).is_ok_and(|i| status.runs.get(i).is_some_and(|s| s.submitted)))
        .collect();
    let submissions = Submission::load_all(layout, plan.runs.len() as u64)?;
    let task_of = newest_task_of(&submissions);
    let mut jobs = BTreeSet::new();
    for (place, submission) in submissions.iter().enumerate() {
        let own: Vec<u64> =
            wanted.iter().copied().filter(|run| task_of.get(run).is_some_and(|(p, _)| *p == place)).collect();
        if own.is_empty() {
            continue;
        }
        // The cancellation is recorded before the job is signalled: a task that receives the signal first
        // would otherwise ask to be requeued.
        submission.cancel(layout, &own)?;
        for run in &own {
            let Some((_, task)) = task_of.get(run) else { continue };
            let others = submission.runs_of(*task);
            let is_whole = others.iter().all(|other| {
                let state = usize::try_from(*other).ok().and_then(|i| status.runs.get(i));
                wanted.contains(other) || state.is_some_and(|s| !s.submitted)
            });
            let state = usize::try_from(*run).ok().and_then(|i| status.runs.get(i));
            if let Some(job) = state.and_then(|s| s.job.clone()).filter(|_| is_whole) {
                jobs.insert(job);
            }
        }
    }
    let jobs: Vec<String> = jobs.into_iter().collect();
    // The length of a command line is limited.
    for some in jobs.chunks(500) {
        slurm::cancel(some, layout.root())?;
    }
    surroundings.line(format!("cancelled {} runs in {} jobs", wanted.len(), jobs.len()))?;
    Ok(Exit::SUCCESS)
}
