//! Calls of Slurm's programs. Text formats only: the shapes of JSON change between its versions.

use std::path::Path;
use std::process::Command;

use crate::error::{FleetError, Result};

/// What a program said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The text, or the reason why there is none.
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

pub(crate) fn call(command: &'static str, args: &[String], folder: &Path) -> Result<Answer> {
    let output = Command::new(command)
        .args(args)
        .current_dir(folder)
        // Settings for sbatch from a task's surroundings must not reach the jobs that it submits.
        .env_remove("SBATCH_ARRAY_INX")
        .output()
        .map_err(|e| FleetError::Slurm { command, reason: e.to_string() })?;
    Ok(Answer {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Whether Slurm's programs are here. Their exit status says nothing: without a configuration even `--version` fails.
pub(crate) fn is_installed() -> bool {
    Command::new("sbatch").arg("--version").output().is_ok()
}

/// Cancels jobs, named `17_4`.
pub(crate) fn cancel(jobs: &[String], folder: &Path) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    call("scancel", jobs, folder)?.text("scancel").map(drop)
}

/// Asks for a job, named `17_4`, to be started again. Never the array's own number: that would be all of its tasks.
pub(crate) fn requeue(job: &str, folder: &Path) -> Result<()> {
    call("scontrol", &["requeue".to_owned(), job.to_owned()], folder)?.text("scontrol requeue").map(drop)
}
