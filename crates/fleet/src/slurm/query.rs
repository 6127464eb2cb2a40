//! State of jobs according to Slurm: one `squeue` for all of them, then `sacct`, if available, for those that
//! Slurm has forgotten, then the messages of Slurm in their logs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::outcome::Cause;
use crate::slurm::call::call;

/// State of a task according to Slurm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskState {
    /// Slurm's state: `PENDING`, `RUNNING`, `TIMEOUT`.
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) node: String,
    /// Slurm's name of the job: `17_4`.
    pub(crate) job: String,
}

/// Tasks by the job name of their submission and their number in it.
pub(crate) type Tasks = BTreeMap<(String, u64), TaskState>;

/// Queries `squeue` for all jobs with these names, including ended ones that it still knows. Prints one line
/// per task, because the condensed form truncates long task lists without a mark. Queries by name, because an
/// unknown job number is an error. Retries once if the controller fails to answer; returns the message if it
/// fails again.
pub(crate) fn squeue(names: &[String], folder: &Path) -> Result<Tasks, String> {
    if names.is_empty() {
        return Ok(Tasks::new());
    }
    let args: Vec<String> =
        ["-h", "-r", "-t", "all", "-o", "%F|%K|%T|%r|%N|%k|%j"].iter().map(|a| (*a).to_owned()).collect();
    let args = [args, vec![format!("--name={}", names.join(","))]].concat();
    let mut reason = String::new();
    for pause in [0, 2] {
        std::thread::sleep(Duration::from_secs(pause));
        match call("squeue", &args, folder) {
            Ok(answer) if answer.success => return Ok(parse_squeue(&answer.stdout)),
            Ok(answer) => reason = answer.reason(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(reason)
}

fn parse_squeue(text: &str) -> Tasks {
    let mut tasks = Tasks::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [array, index, state, reason, node, offset, name] = fields[..] else { continue };
        let (Ok(index), Ok(offset)) = (index.parse::<u64>(), offset.parse::<u64>()) else { continue };
        let found = TaskState {
            state: state.to_owned(),
            reason: reason.to_owned(),
            node: node.to_owned(),
            job: format!("{array}_{index}"),
        };
        tasks.insert((name.to_owned(), offset + index), found);
    }
    tasks
}

/// Queries `sacct` for these jobs. Returns their states by job name (`17_4`); empty without accounting.
pub(crate) fn sacct(jobs: &[String], folder: &Path) -> BTreeMap<String, TaskState> {
    if jobs.is_empty() {
        return BTreeMap::new();
    }
    let args = ["-X", "-n", "-P", "-o", "JobID,State,ExitCode,NodeList", "-j"].map(str::to_owned);
    match call("sacct", &[&args[..], &[jobs.join(",")]].concat(), folder) {
        Ok(answer) if answer.success => parse_sacct(&answer.stdout),
        _ => BTreeMap::new(),
    }
}

fn parse_sacct(text: &str) -> BTreeMap<String, TaskState> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [job, state, exit, node] = fields[..] else { return None };
        // "CANCELLED by 1000"
        let word = state.split_whitespace().next().unwrap_or_default().to_owned();
        let reason = if state.contains(' ') { state.to_lowercase() } else { format!("exit code {exit}") };
        Some((job.to_owned(), TaskState { state: word, reason, node: node.to_owned(), job: job.to_owned() }))
    };
    text.lines().filter_map(line).collect()
}

/// Returns the remaining time of a job; `None` if unknown or unlimited.
pub(crate) fn time_left(job: &str, folder: &Path) -> Option<Duration> {
    let args = ["-h", "-j", job, "-o", "%L"].map(str::to_owned);
    call("squeue", &args, folder).ok().filter(|a| a.success).and_then(|a| parse_left(a.stdout.trim()))
}

/// Parses `4:59`, `1:04:59`, `2-01:04:59`. Returns `None` for `UNLIMITED`, `NOT_SET`, `INVALID`.
fn parse_left(text: &str) -> Option<Duration> {
    let (days, rest) = text.split_once('-').unwrap_or(("0", text));
    let fields = rest.split(':').map(|n| n.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let seconds = match fields[..] {
        [m, s] => m * 60 + s,
        [h, m, s] => (h * 60 + m) * 60 + s,
        _ => return None,
    };
    Some(Duration::from_secs(days.parse::<u64>().ok()? * 86_400 + seconds))
}

/// Finds the cause of a forgotten job's end in the last lines of its log.
pub(crate) fn from_log(path: &Path) -> Option<(Cause, String)> {
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text
        .lines()
        .rev()
        .find(|l| l.contains("slurmstepd") || l.contains("oom") || l.contains("Out Of Memory"))?;
    let upper = line.to_uppercase();
    let cause = match () {
        () if upper.contains("TIME LIMIT") => Cause::TimeOut,
        () if upper.contains("OOM") || upper.contains("OUT OF MEMORY") => Cause::Memory,
        () if upper.contains("PREEMPTION") || upper.contains("NODE FAILURE") => Cause::Node,
        () if upper.contains("CANCELLED") => Cause::Cancelled,
        () => return None,
    };
    Some((cause, line.trim().to_owned()))
}

/// Meaning of a Slurm state for a task whose runs have no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Waits,
    Runs,
    Ended(Cause),
}

pub(crate) fn phase(state: &str) -> Phase {
    match state {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "RESV_DEL_HOLD"
        | "SPECIAL_EXIT" | "SUSPENDED" | "STOPPED" => Phase::Waits,
        "RUNNING" | "COMPLETING" | "SIGNALING" | "STAGE_OUT" | "RESIZING" => Phase::Runs,
        "TIMEOUT" | "DEADLINE" => Phase::Ended(Cause::TimeOut),
        "OUT_OF_MEMORY" => Phase::Ended(Cause::Memory),
        "NODE_FAIL" | "PREEMPTED" | "BOOT_FAIL" => Phase::Ended(Cause::Node),
        "CANCELLED" | "REVOKED" => Phase::Ended(Cause::Cancelled),
        // This includes COMPLETED: the job ended, but the run has no result.
        _ => Phase::Ended(Cause::Exit),
    }
}

/// Returns true if a job that waits for this reason will never start.
pub(crate) fn is_hopeless(reason: &str) -> bool {
    matches!(
        reason,
        "DependencyNeverSatisfied"
            | "PartitionTimeLimit"
            | "PartitionNodeLimit"
            | "BadConstraints"
            | "JobHeldAdmin"
    ) || reason.contains("requeued held")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_and_sacct() {
        let text = "17|0|RUNNING|None|n1|0|f.1\n17|1|PENDING|JobArrayTaskLimit||0|f.1\n18|1|TIMEOUT|TimeLimit|n2|11|f.1\n19|N/A|PENDING|Dependency|||f.1.collect\n";
        let tasks = parse_squeue(text);
        assert_eq!(tasks.len(), 3);
        assert_eq!(tasks[&("f.1".to_owned(), 12)].job, "18_1");
        assert_eq!(phase(&tasks[&("f.1".to_owned(), 12)].state), Phase::Ended(Cause::TimeOut));
        let found = parse_sacct("17_0|CANCELLED by 0|0:15|n1\n17_[1-3]|PENDING|0:0|None assigned\n");
        assert_eq!(found["17_0"].state, "CANCELLED");
        assert_eq!(found["17_0"].reason, "cancelled by 0");
    }

    /// Output of Slurm 22.05.8 for a job that exceeded its memory, with cgroups enabled.
    #[test]
    fn a_job_that_ran_out_of_memory() {
        let tasks = parse_squeue("1|0|OUT_OF_MEMORY|OutOfMemory|n1|0|f.1\n");
        assert_eq!(phase(&tasks[&("f.1".to_owned(), 0)].state), Phase::Ended(Cause::Memory));
        let found = parse_sacct("1_0|OUT_OF_MEMORY|0:125|n1\n");
        assert_eq!(phase(&found["1_0"].state), Phase::Ended(Cause::Memory));
    }

    #[test]
    fn jobs_that_wait_for_ever() {
        // Slurm holds a job that a node failed to start until a user releases it.
        for reason in ["launch failed requeued held", "JobHeldAdmin", "PartitionTimeLimit"] {
            assert!(is_hopeless(reason), "{reason}");
        }
        assert!(!is_hopeless("Resources") && !is_hopeless("BeginTime"));
    }

    #[test]
    fn time_that_is_left() {
        let seconds = |text| parse_left(text).map(|t| t.as_secs());
        assert_eq!(seconds("9:58"), Some(598));
        assert_eq!(seconds("1:04:59"), Some(3899));
        assert_eq!(seconds("2-01:00:00"), Some(176_400));
        for text in ["UNLIMITED", "NOT_SET", "INVALID", "", "1"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn last_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (text, wanted) in [
            (
                "slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T00:00:00 DUE TO TIME LIMIT ***\n",
                Some(Cause::TimeOut),
            ),
            (
                "x\nslurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T00:00:00 DUE TO PREEMPTION ***\n",
                Some(Cause::Node),
            ),
            (
                "slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-22T00:00:00 ***\n",
                Some(Cause::Cancelled),
            ),
            ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.batch.\n", Some(Cause::Memory)),
            ("error: the loss became NaN\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(from_log(&path).map(|(cause, _)| cause), wanted, "{text}");
        }
    }
}
