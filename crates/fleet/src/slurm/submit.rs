//! Submission of runs to Slurm in as few arrays as the cluster allows. Jobs are identified by name before
//! their numbers are known.

use std::path::Path;

use tinsmith_foundation::{clock, config, files};

use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::plan::MOST_RUNS;
use crate::project::Project;
use crate::slurm::SlurmConfig;
use crate::slurm::call::{call, sbatch};
use crate::slurm::script::{quote, render};
use crate::submission::{ArrayJob, JobLine, Ranges, Submission};

/// Limits of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Maximum tasks per array.
    pub(crate) array: u64,
    /// Maximum jobs held by the controller.
    pub(crate) jobs: u64,
}

/// Slurm's own defaults.
const DEFAULT: Limits = Limits { array: 1001, jobs: 10_000 };

/// Reads the limits from `scontrol show config`. `MaxArraySize` is one more than the largest index, so
/// indices from 0 allow exactly that many tasks.
pub(crate) fn limits(folder: &Path) -> Result<Limits> {
    let text =
        call("scontrol", &["show".to_owned(), "config".to_owned()], folder)?.text("scontrol show config")?;
    Ok(parse_limits(&text))
}

fn parse_limits(text: &str) -> Limits {
    let value = |key: &str| {
        let line = text.lines().find(|l| l.trim_start().starts_with(key))?;
        line.split_once('=')?.1.trim().parse::<u64>().ok().filter(|&n| n > 0)
    };
    Limits {
        array: value("MaxArraySize").unwrap_or(DEFAULT.array),
        jobs: value("MaxJobCount").unwrap_or(DEFAULT.jobs),
    }
}

/// Distributes runs over tasks, and tasks over arrays. Returns the runs per task and the arrays.
pub(crate) fn split(runs: u64, config: &SlurmConfig, limits: Limits) -> (u64, Vec<ArrayJob>) {
    let or = |asked: u64, given: u64| if asked == 0 { given } else { asked.min(given) };
    let most_tasks = or(config.max_tasks, limits.jobs).max(1);
    // If there are more runs than the cluster accepts tasks, each task trains several.
    let per_task = config.runs_per_task.max(runs.div_ceil(most_tasks)).max(1);
    let size = or(config.max_array_size, limits.array).max(1);
    let tasks = runs.div_ceil(per_task);
    let arrays =
        (0..tasks.div_ceil(size)).map(|k| ArrayJob { offset: k * size, tasks: size.min(tasks - k * size) });
    (per_task, arrays.collect())
}

/// Result of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Submitted {
    /// Number of the submission; `None` for a dry run.
    pub(crate) number: Option<u32>,
    /// Job numbers with their task counts.
    pub(crate) jobs: Vec<(String, u64)>,
    /// Number of runs that the cluster refused, and its message.
    pub(crate) refused: Option<(u64, String)>,
    /// Script and commands, for a dry run.
    pub(crate) preview: String,
}

/// Submits `runs`. With `dry_run` nothing is written, and Slurm is only queried for its limits.
pub(crate) fn submit(
    project: &Project,
    runs: &[u64],
    config: &SlurmConfig,
    retry: bool,
    dry_run: bool,
) -> Result<Submitted> {
    let layout = project.layout();
    let found = if is_answering(dry_run, layout.root()) { limits(layout.root())? } else { DEFAULT };
    let (runs_per_task, arrays) = split(runs.len() as u64, config, found);
    let template = files::read_text(&layout.template())?;
    if dry_run {
        let next = exclusive::numbers(&layout.submissions())?.last().copied().unwrap_or(0) + 1;
        let (name, command) = (name_of(project, next), command(project, next)?);
        let mut preview = render(&template, config, &name, &command)?;
        for array in &arrays {
            let args = sbatch_args(project, next, array.offset, array.tasks, config);
            preview += &format!("# sbatch {}\n", args.iter().map(|a| quote(a)).collect::<Vec<_>>().join(" "));
        }
        return Ok(Submitted { preview, ..Submitted::default() });
    }
    let (number, folder) = exclusive::numbered_folder(&layout.submissions(), |draft, number| {
        let submission = Submission {
            number,
            created: clock::now(),
            name: name_of(project, number),
            retry,
            runs: Ranges::of(runs.iter().copied()),
            runs_per_task,
            arrays: arrays.clone(),
            slurm: config.clone(),
        };
        let script = render(&template, config, &submission.name, &command(project, number)?)?;
        files::write_atomic(&draft.join("batch.sh"), script.as_bytes())?;
        let text = config::to_yaml("submission", &submission)?;
        Ok(files::write_atomic(&draft.join("submission.yaml"), text.as_bytes())?)
    })?;
    let total = runs.last().map_or(0, |last| last.saturating_add(1)).max(MOST_RUNS);
    let submission = Submission::load(layout, number, total)?;
    let mut submitted = Submitted { number: Some(number), ..Submitted::default() };
    for array in &submission.arrays {
        hand_over(project, &submission, array, &mut submitted)?;
        if submitted.refused.is_some() {
            break;
        }
    }
    if config.collect && !submitted.jobs.is_empty() {
        collect_after(project, &submission, &submitted, &folder)?;
    }
    Ok(submitted)
}

/// Returns false for a dry run without a reachable controller; Slurm's default limits are used then.
fn is_answering(dry_run: bool, folder: &Path) -> bool {
    !dry_run || call("scontrol", &["ping".to_owned()], folder).is_ok_and(|a| a.success)
}

/// Submits one array. If the cluster accepts no more jobs of this user, smaller arrays are tried. Runs that
/// do not fit stay open for a later submission.
fn hand_over(
    project: &Project,
    submission: &Submission,
    array: &ArrayJob,
    submitted: &mut Submitted,
) -> Result<()> {
    let layout = project.layout();
    let end = array.offset + array.tasks;
    let (mut offset, mut tasks) = (array.offset, array.tasks);
    while offset < end {
        let args = sbatch_args(project, submission.number, offset, tasks, &submission.slurm);
        let answer = sbatch(&args, layout.root())?;
        if answer.success {
            let job = job_number(&answer.stdout);
            submission.note_job(layout, &JobLine { offset, tasks, job: job.clone() })?;
            submitted.jobs.push((job, tasks));
            offset += tasks;
            tasks = tasks.min(end - offset);
        } else if !is_limit(&answer.reason()) && submitted.jobs.is_empty() {
            return Err(FleetError::Slurm { command: "sbatch", reason: answer.reason() });
        } else if is_limit(&answer.reason()) && tasks > 1 {
            tasks /= 2;
        } else {
            let left = submission.runs.len().saturating_sub(offset * submission.runs_per_task);
            submitted.refused = Some((left, answer.reason()));
            return Ok(());
        }
    }
    Ok(())
}

/// Returns true if sbatch refused because this user, account or cluster has too many jobs.
fn is_limit(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["submit limit", "job limit", "maxsubmit", "maxjob", "max_submit", "temporarily unable", "queue full"]
        .iter()
        .any(|word| reason.contains(word))
}

/// Parses the job number printed by `sbatch --parsable`: `17` or `17;cluster`.
fn job_number(stdout: &str) -> String {
    stdout.trim().split(';').next().unwrap_or_default().to_owned()
}

/// Returns the job name of a submission. Jobs are found by this name even if their numbers were never
/// recorded.
fn name_of(project: &Project, number: u32) -> String {
    let stem = project.folder().file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let safe: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    // The creation time tells apart projects of the same name in different folders.
    let birth: String = project.manifest().created.chars().filter(char::is_ascii_digit).collect();
    format!("{safe}.{}.{number}", &birth[birth.len().min(8)..birth.len().min(20)])
}

fn command(project: &Project, number: u32) -> Result<String> {
    let (program, prefix) = project.program()?;
    let words = std::iter::once(program.display().to_string())
        .chain(prefix.iter().cloned())
        .chain(["task".to_owned(), project.folder().display().to_string()]);
    let words: Vec<String> = words.map(|w| quote(&w)).collect();
    Ok(format!(
        "{} --submission {number} --task \"$(( ${{1:-0}} + SLURM_ARRAY_TASK_ID ))\" \
         --job \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\" --node \"${{SLURMD_NODENAME:-}}\" \
         --restarts \"${{SLURM_RESTART_COUNT:-0}}\"",
        words.join(" ")
    ))
}

fn sbatch_args(project: &Project, number: u32, offset: u64, tasks: u64, config: &SlurmConfig) -> Vec<String> {
    let throttle = if config.throttle > 0 { format!("%{}", config.throttle) } else { String::new() };
    let script = project.layout().submission(number).join("batch.sh");
    vec![
        "--parsable".to_owned(),
        format!("--chdir={}", project.folder().display()),
        "--output=logs/%A_%a.log".to_owned(),
        format!("--comment={offset}"),
        format!("--array=0-{}{throttle}", tasks - 1),
        script.display().to_string(),
        offset.to_string(),
    ]
}

/// Submits the final job, which runs once all tasks have ended in any way.
fn collect_after(
    project: &Project,
    submission: &Submission,
    submitted: &Submitted,
    folder: &Path,
) -> Result<()> {
    let (program, prefix) = project.program()?;
    let words = std::iter::once(program.display().to_string())
        .chain(prefix.iter().cloned())
        .chain(["collect".to_owned(), project.folder().display().to_string()]);
    let words: Vec<String> = words.map(|w| quote(&w)).collect();
    let config = SlurmConfig {
        time_minutes: 0,
        memory_mib: 0,
        gpus: 0,
        cpus_per_task: 1,
        signal_before_limit_s: 0,
        ..submission.slurm.clone()
    };
    let template = files::read_text(&project.layout().template())?;
    let script = render(&template, &config, &format!("{}.collect", submission.name), &words.join(" "))?;
    let path = folder.join("collect.sh");
    files::write_atomic(&path, script.as_bytes())?;
    let jobs: Vec<&str> = submitted.jobs.iter().map(|(job, _)| job.as_str()).collect();
    let args = [
        "--parsable".to_owned(),
        format!("--chdir={}", project.folder().display()),
        "--output=logs/collect-%j.log".to_owned(),
        format!("--dependency=afterany:{}", jobs.join(":")),
        "--kill-on-invalid-dep=yes".to_owned(),
        path.display().to_string(),
    ];
    let answer = sbatch(&args, project.folder())?;
    if answer.success {
        let job = job_number(&answer.stdout);
        submission.note_job(project.layout(), &JobLine { offset: 0, tasks: 0, job })?;
    }
    // The final job is a convenience. If the cluster refuses it, `collect` and `status` do the same.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_kept() {
        let text = "Configuration data\nMaxArraySize            = 11\nMaxJobCount             = 500\n";
        let limits = parse_limits(text);
        assert_eq!(limits, Limits { array: 11, jobs: 500 });
        let config = SlurmConfig::default();
        let (per_task, arrays) = split(25, &config, limits);
        assert_eq!(
            (per_task, arrays.iter().map(|a| (a.offset, a.tasks)).collect::<Vec<_>>()),
            (1, vec![(0, 11), (11, 11), (22, 3)])
        );
        let (per_task, arrays) = split(1001, &config, limits);
        assert_eq!((per_task, arrays.iter().map(|a| a.tasks).sum::<u64>()), (3, 334));
        let wanted = SlurmConfig { runs_per_task: 10, max_array_size: 4, ..config };
        assert_eq!(split(95, &wanted, limits).1.iter().map(|a| a.tasks).collect::<Vec<_>>(), [4, 4, 2]);
    }

    #[test]
    fn refusals_that_pass_are_told_from_those_that_do_not() {
        assert!(is_limit("sbatch: error: AssocMaxSubmitJobLimit"));
        assert!(is_limit("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"));
        assert!(is_limit(
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        ));
        assert!(!is_limit("sbatch: error: invalid partition specified: nope"));
        assert_eq!(job_number("17;cluster\n"), "17");
    }
}
