//! Attempts at a run. Each attempt has a number and a folder of its own, so a process that was wrongly
//! presumed dead writes to a folder that nobody reads. The first attempt to finish publishes the result,
//! exactly once.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Seed, clock, config, files};

use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::machine::Process;
use crate::outcome::{Cause, Failure, Outcome, read_json};

/// Silence after which an attempt of unknown state is taken over.
pub(crate) const STALE: Duration = Duration::from_secs(120);

/// Owner of an attempt: the file `claim.json`, created exclusively.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    /// The process.
    pub(crate) process: Process,
    /// Seed of the training.
    pub(crate) seed: Seed,
    /// Start time, in UTC.
    pub(crate) started: String,
    /// Submission that the attempt belongs to; `None` for a process started by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) submission: Option<u32>,
    /// Slurm's name of the job: `17_4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// Name of the node.
    #[serde(default)]
    pub(crate) node: String,
    /// Number of times the job had been requeued.
    #[serde(default)]
    pub(crate) restarts: u32,
}

/// Identity under which runs are attempted.
#[derive(Debug, Clone)]
pub(crate) struct Claimant {
    pub(crate) process: Process,
    pub(crate) submission: Option<u32>,
    pub(crate) job: Option<String>,
    pub(crate) node: String,
    pub(crate) restarts: u32,
    /// Retry failed attempts. Those of the same submission are never retried.
    pub(crate) retry: bool,
}

impl Claimant {
    /// Returns true if `claim` belongs to an earlier submission that this one retries. Its jobs have ended,
    /// so its claims do not have to expire first.
    fn replaces(&self, claim: Option<&Claim>) -> bool {
        let earlier = claim.and_then(|c| c.submission);
        self.retry && earlier.is_some() && earlier < self.submission
    }
}

/// Newest attempt found in a run's folder.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
    /// `None` if the claim is torn: its process died while writing it.
    pub(crate) claim: Option<Claim>,
    pub(crate) failure: Option<Failure>,
}

impl Found {
    /// Time since the last heartbeat, or since the claim. Zero if the clock of a node is ahead.
    pub(crate) fn silence(&self) -> Duration {
        let touched = |name: &str| fs::metadata(self.folder.join(name)).and_then(|m| m.modified()).ok();
        let last = touched("heartbeat").max(touched("claim.json"));
        last.and_then(|t| SystemTime::now().duration_since(t).ok()).unwrap_or_default()
    }

    /// Returns true if the attempt's process may still be running.
    pub(crate) fn may_live(&self) -> bool {
        !self.claim.as_ref().is_some_and(|c| c.process.is_gone()) && self.silence() < STALE
    }
}

/// Folder of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(pub(crate) PathBuf);

/// Result of trying to begin an attempt.
#[derive(Debug)]
pub(crate) enum Begin {
    /// The run is done.
    Done,
    /// Another process is training the run.
    Busy,
    /// The run failed, and no retry was requested.
    Failed,
    /// The caller owns this attempt.
    Mine(Attempt),
}

/// An attempt owned by this process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
    run: PathBuf,
}

impl RunFolder {
    /// Reads the result of run `index`, which this folder belongs to.
    ///
    /// # Errors
    /// [`FleetError::Malformed`] if the file is of another run, or a value is out of range.
    pub(crate) fn outcome(&self, index: u64) -> Result<Option<Outcome>> {
        let path = self.0.join("result.json");
        let outcome: Option<Outcome> = read_json(&path, "the result of a run")?;
        match outcome.as_ref().map(|o| o.check(index)) {
            Some(Err(reason)) => {
                let reason = format!("{reason}; delete the file to train run {index} again");
                Err(FleetError::Malformed { path, wanted: "the result of its run", reason })
            }
            Some(Ok(())) | None => Ok(outcome),
        }
    }

    /// Numbers of all attempts, in order.
    fn numbers(&self) -> Result<Vec<u32>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FleetError::read(&self.0)(source)),
        };
        let number = |e: fs::DirEntry| e.file_name().to_str()?.strip_prefix("attempt-")?.parse().ok();
        let mut found: Vec<u32> = entries.flatten().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }

    pub(crate) fn attempt_folder(&self, number: u32) -> PathBuf {
        self.0.join(format!("attempt-{number:04}"))
    }

    /// Returns the newest attempt, if any.
    pub(crate) fn newest(&self) -> Result<Option<Found>> {
        let Some(&number) = self.numbers()?.last() else { return Ok(None) };
        let folder = self.attempt_folder(number);
        // A torn claim belongs to a process that died while writing it, so it counts as no claim.
        let claim = read_json(&folder.join("claim.json"), "a claim").ok().flatten();
        let failure = read_json(&folder.join("failed.json"), "a failure")?;
        Ok(Some(Found { number, folder, claim, failure }))
    }

    /// Tries to begin an attempt. If several processes try at the same time, exactly one succeeds.
    pub(crate) fn begin(&self, who: &Claimant, seed: Seed) -> Result<Begin> {
        if self.0.join("result.json").exists() {
            return Ok(Begin::Done);
        }
        let newest = self.newest()?;
        if let Some(found) = &newest {
            let claim = found.claim.as_ref();
            let same_submission = claim.is_some_and(|c| c.submission == who.submission);
            // A requeued job supersedes its own earlier attempt at once: a leftover process writes to the old
            // folder.
            let same_job = who.job.is_some() && claim.is_some_and(|c| c.job == who.job);
            if found.failure.is_some() {
                if !who.retry || (same_submission && who.submission.is_some()) {
                    return Ok(Begin::Failed);
                }
            } else if !same_job && !who.replaces(claim) && found.may_live() {
                return Ok(Begin::Busy);
            }
        }
        let number = newest.map_or(1, |found| found.number + 1);
        let folder = self.attempt_folder(number);
        let claim = Claim {
            process: who.process.clone(),
            seed,
            started: clock::now(),
            submission: who.submission,
            job: who.job.clone(),
            node: who.node.clone(),
            restarts: who.restarts,
        };
        let text = config::to_json("claim", &claim)?;
        if !files::claim(&folder.join("claim.json"), text.as_bytes())? {
            return Ok(Begin::Busy);
        }
        let attempt = Attempt { number, folder, run: self.0.clone() };
        self.inherit(&attempt, seed)?;
        Ok(Begin::Mine(attempt))
    }

    /// Copies the files of the newest earlier attempt with the same seed, so that this one resumes from its
    /// checkpoint. The file `run.yaml`, without which a run's folder counts as empty, is copied last: an
    /// interrupted copy is never inherited.
    fn inherit(&self, attempt: &Attempt, seed: Seed) -> Result<()> {
        for number in self.numbers()?.into_iter().rev().filter(|&n| n < attempt.number) {
            let from = self.attempt_folder(number);
            let claim: Option<Claim> = read_json(&from.join("claim.json"), "a claim").ok().flatten();
            if claim.is_none_or(|c| c.seed != seed) || !from.join("run.yaml").is_file() {
                continue;
            }
            // Checked before the listing: if the result exists now, all other files are complete.
            let finished = from.join("result.json").is_file();
            let mut names: Vec<String> = fs::read_dir(&from)
                .map_err(FleetError::read(&from))?
                .flatten()
                .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
                .filter_map(|e| e.file_name().into_string().ok())
                .filter(|name| is_passed_on(name, finished))
                .collect();
            // The checkpoint comes first. If the other process still lives and appends to the metrics
            // meanwhile, resuming truncates them to the checkpoint.
            names.sort_by_key(|name| (name == "run.yaml", name != "checkpoint.safetensors"));
            for name in names {
                let path = from.join(&name);
                match fs::read(&path) {
                    Ok(bytes) => files::write_atomic(&attempt.folder.join(&name), &bytes)?,
                    // The other process may be deleting its temporary files.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(source) => return Err(FleetError::read(&path)(source)),
                }
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Returns true if a file of an earlier attempt belongs to the run rather than to the attempt.
fn is_passed_on(name: &str, finished: bool) -> bool {
    match name {
        "claim.json" | "failed.json" | "heartbeat" | "failure.json" | "last-good.safetensors" => false,
        "result.json" | "weights.safetensors" => finished,
        _ => !name.starts_with('.') && !name.contains("tfevents"),
    }
}

impl Attempt {
    /// Writes the heartbeat.
    pub(crate) fn beat(&self) -> Result<()> {
        let path = self.folder.join("heartbeat");
        fs::write(&path, clock::now()).map_err(FleetError::write(&path))
    }

    /// Returns true if this attempt no longer counts: a later one exists, or the run is done.
    pub(crate) fn is_superseded(&self) -> bool {
        let run = RunFolder(self.run.clone());
        run.attempt_folder(self.number + 1).exists() || self.run.join("result.json").exists()
    }

    /// Removes the files inherited from an earlier attempt.
    pub(crate) fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(FleetError::read(&self.folder))?.flatten() {
            let path = entry.path();
            if path.is_file() && !matches!(entry.file_name().to_str(), Some("claim.json" | "heartbeat")) {
                fs::remove_file(&path).map_err(FleetError::write(&path))?;
            }
        }
        Ok(())
    }

    /// Publishes the result. Returns true if this attempt was the first to do so.
    pub(crate) fn publish(&self, outcome: &Outcome) -> Result<bool> {
        let text = config::to_json("result", outcome)?;
        exclusive::publish(&self.run.join("result.json"), text.as_bytes())
    }

    /// Records the reason for which the attempt has no result.
    pub(crate) fn fail(&self, cause: Cause, reason: &str) -> Result<()> {
        let failure = Failure { cause, reason: reason.to_owned(), failed: clock::now() };
        let text = config::to_json("failure", &failure)?;
        Ok(files::write_atomic(&self.folder.join("failed.json"), text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant() -> Claimant {
        let process = Process::current();
        Claimant { process, submission: None, job: None, node: String::new(), restarts: 0, retry: false }
    }

    #[test]
    fn one_of_many_begins_and_the_next_takes_over_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder(dir.path().join("000001"));
        let mine = std::thread::scope(|s| {
            let threads: Vec<_> =
                (0..8).map(|_| s.spawn(|| run.begin(&claimant(), Seed::new(1)).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|b| matches!(b, Begin::Mine(_))).count()
        });
        assert_eq!(mine, 1);
        assert!(matches!(run.begin(&claimant(), Seed::new(1)).unwrap(), Begin::Busy));
        // As if the process had died and its number had been reused.
        let path = run.attempt_folder(1).join("claim.json");
        let mut claim: Claim = read_json(&path, "claim").unwrap().unwrap();
        claim.process.began += 1;
        fs::write(&path, serde_json::to_string(&claim).unwrap()).unwrap();
        fs::write(run.attempt_folder(1).join("run.yaml"), "x").unwrap();
        fs::write(run.attempt_folder(1).join("checkpoint.safetensors"), "y").unwrap();
        fs::write(run.attempt_folder(1).join("weights.safetensors"), "half").unwrap();
        let Begin::Mine(second) = run.begin(&claimant(), Seed::new(1)).unwrap() else { panic!("want it") };
        assert_eq!(second.number, 2);
        assert!(
            second.folder.join("checkpoint.safetensors").is_file()
                && !second.folder.join("weights.safetensors").exists()
        );
    }

    #[test]
    fn a_requeued_job_takes_over_from_itself_and_a_failure_waits_for_a_retry() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder(dir.path().join("000001"));
        let job = Claimant { submission: Some(1), job: Some("7_0".to_owned()), ..claimant() };
        let Begin::Mine(first) = run.begin(&job, Seed::new(1)).unwrap() else { panic!("want it") };
        let later = Claimant { submission: Some(2), job: Some("8_0".to_owned()), ..job.clone() };
        assert!(matches!(run.begin(&later, Seed::new(1)).unwrap(), Begin::Busy));
        let again = Claimant { restarts: 1, ..job };
        let Begin::Mine(second) = run.begin(&again, Seed::new(1)).unwrap() else { panic!("want it") };
        assert!(first.is_superseded() && !second.is_superseded());
        second.fail(Cause::Exit, "the loss became NaN").unwrap();
        assert!(matches!(run.begin(&again, Seed::new(1)).unwrap(), Begin::Failed));
        let same = Claimant { retry: true, ..again };
        assert!(matches!(run.begin(&same, Seed::new(1)).unwrap(), Begin::Failed));
        let next = Claimant { submission: Some(2), ..same };
        assert!(matches!(run.begin(&next, Seed::new(1)).unwrap(), Begin::Mine(_)));
        // A third retry implies that the second one's job has ended, so its claim is taken over at once.
        let third = Claimant { submission: Some(3), job: Some("9_0".to_owned()), ..next };
        assert!(matches!(run.begin(&third, Seed::new(1)).unwrap(), Begin::Mine(_)));
    }
}
