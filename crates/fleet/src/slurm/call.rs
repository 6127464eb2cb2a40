//! Calls of Slurm's programs. Only text formats are used: the JSON formats differ between versions.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{FleetError, Result};

/// Output of a program.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Returns standard output, or an error with the program's message.
    pub(crate) fn text(self, command: &'static str) -> Result<String> {
        if self.success {
            return Ok(self.stdout);
        }
        Err(FleetError::Slurm { command, reason: self.reason() })
    }

    pub(crate) fn reason(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        text.trim().lines().collect::<Vec<_>>().join("; ")
    }
}

/// Creates a call of one of Slurm's programs, without the variables that would override its arguments.
///
/// Exported `SBATCH_*` take precedence over the script's `#SBATCH` lines, `SQUEUE_*` and `SACCT_*` filter the answers, and
/// a task's own `SLURM_*` would be inherited by the jobs that it submits. The project's settings alone decide.
fn slurm_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_override) {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns true for variables that change the meaning of a call. Those that locate the cluster and authenticate are kept.
fn is_override(name: &str) -> bool {
    let prefixes = ["SBATCH_", "SLURM_", "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_"];
    let kept = ["SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_CLUSTERS"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) && !kept.contains(&name)
}

pub(crate) fn call(command: &'static str, args: &[String], folder: &Path) -> Result<Answer> {
    let output = slurm_command(command)
        .args(args)
        .current_dir(folder)
        .output()
        .map_err(|e| FleetError::Slurm { command, reason: e.to_string() })?;
    Ok(Answer {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Submits a job. If the controller accepts no more jobs, sbatch retries the same request for two minutes. It
/// is killed at its first pause instead, so that a smaller array can be tried at once.
pub(crate) fn sbatch(args: &[String], folder: &Path) -> Result<Answer> {
    let fault = |e: std::io::Error| FleetError::Slurm { command: "sbatch", reason: e.to_string() };
    let mut child = slurm_command("sbatch")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fault)?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
        let line = line.map_err(fault)?;
        if line.contains("sleeping and retrying") {
            child.kill().map_err(fault)?;
        }
        stderr += &line;
        stderr.push('\n');
    }
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout).map_err(fault)?;
    }
    let status = child.wait().map_err(fault)?;
    Ok(Answer { success: status.success(), stdout, stderr })
}

/// Returns true if Slurm's programs are installed. The exit status is ignored: without a configuration even
/// `--version` fails.
pub(crate) fn is_installed() -> bool {
    slurm_command("sbatch").arg("--version").output().is_ok()
}

/// Cancels jobs, named `17_4`.
pub(crate) fn cancel(jobs: &[String], folder: &Path) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    call("scancel", jobs, folder)?.text("scancel").map(drop)
}

/// Requeues a job, named `17_4`. The array's own number must not be passed: that would requeue all of its
/// tasks. A controller that does not answer is tried again, because the calling task ends soon and has no
/// second chance.
pub(crate) fn requeue(job: &str, folder: &Path) -> Result<()> {
    let args = ["requeue".to_owned(), job.to_owned()];
    let mut answer = call("scontrol", &args, folder)?;
    for pause in [1, 2, 4] {
        if answer.success || !is_silence(&answer.reason()) {
            break;
        }
        std::thread::sleep(Duration::from_secs(pause));
        answer = call("scontrol", &args, folder)?;
    }
    answer.text("scontrol requeue").map(drop)
}

/// Returns true if a message says that the controller did not answer, as opposed to refusing.
fn is_silence(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["unable to contact", "timed out", "connection refused", "communication", "connect failure"]
        .iter()
        .any(|word| reason.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_from_the_environment_are_not_inherited() {
        for name in
            ["SBATCH_TIMELIMIT", "SBATCH_ARRAY_INX", "SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SQUEUE_STATES"]
        {
            assert!(is_override(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_JWT", "PATH", "SLURMD_NODENAME"] {
            assert!(!is_override(name), "{name}");
        }
    }

    #[test]
    fn silence_is_told_from_refusal() {
        for text in [
            "slurm_requeue error: Unable to contact slurm controller (connect failure)",
            "slurm_requeue error: Socket timed out on send/recv operation",
        ] {
            assert!(is_silence(text), "{text}");
        }
        for text in ["Requested operation is presently disabled for job 5", "Invalid job id specified"] {
            assert!(!is_silence(text), "{text}");
        }
    }
}
