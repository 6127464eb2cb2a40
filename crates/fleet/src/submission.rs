//! Submissions: runs submitted to Slurm together, their arrays, and their job numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, config, files};

use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::layout::Layout;
use crate::lines;
use crate::slurm::SlurmConfig;

/// Content of `submission.yaml`, written before anything is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// Number, from 1.
    pub(crate) number: u32,
    /// Creation time, in UTC.
    pub(crate) created: String,
    /// Name shared by all of its jobs.
    pub(crate) name: String,
    /// Retry failed runs.
    pub(crate) retry: bool,
    /// The runs, as ranges: `0-99,105`.
    pub(crate) runs: Ranges,
    /// Runs per task; the last task may have fewer.
    pub(crate) runs_per_task: u64,
    /// The arrays.
    pub(crate) arrays: Vec<ArrayJob>,
    /// Submission settings in effect.
    pub(crate) slurm: SlurmConfig,
}

/// One array of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrayJob {
    /// First task; element `i` of the array is task `offset + i`.
    pub(crate) offset: u64,
    /// Number of tasks.
    pub(crate) tasks: u64,
}

/// A line of `jobs.jsonl`, written after sbatch accepted an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobLine {
    /// First task.
    pub(crate) offset: u64,
    /// Number of tasks; 0 for the final job.
    pub(crate) tasks: u64,
    /// Slurm's job number.
    pub(crate) job: String,
}

impl Submission {
    /// Reads a submission of a project whose plan has `total` runs.
    ///
    /// # Errors
    /// [`FleetError::Config`] with line and column, also if it names runs that the plan does not have.
    pub(crate) fn load(layout: &Layout, number: u32, total: u64) -> Result<Self> {
        let path = layout.submission(number).join("submission.yaml");
        Ok(config::load(&path, |submission: &Self, faults| submission.check(number, total, faults))?)
    }

    pub(crate) fn load_all(layout: &Layout, total: u64) -> Result<Vec<Self>> {
        exclusive::numbers(&layout.submissions())?.into_iter().map(|n| Self::load(layout, n, total)).collect()
    }

    fn check(&self, number: u32, total: u64, faults: &mut Faults) {
        if self.number != number {
            faults.add("number", format!("is {}, want that of its folder, {number}", self.number));
        }
        if let Err(reason) = self.runs.check(total) {
            faults.add("runs", reason);
        }
        if self.runs_per_task == 0 {
            faults.add("runs_per_task", "is 0, want at least 1");
        }
        for (i, array) in self.arrays.iter().enumerate() {
            if array.tasks == 0 || array.offset.checked_add(array.tasks).is_none_or(|end| end > total) {
                let (offset, tasks) = (array.offset, array.tasks);
                let wanted = format!("want 1 to {total} tasks in all");
                faults.add(&format!("arrays[{i}]"), format!("has {tasks} tasks from {offset} on, {wanted}"));
            }
        }
        self.slurm.check(faults);
    }

    /// Returns the runs of a task, in ascending order.
    pub(crate) fn runs_of(&self, task: u64) -> Vec<u64> {
        let skip = usize::try_from(task.saturating_mul(self.runs_per_task)).unwrap_or(usize::MAX);
        self.runs.iter().skip(skip).take(usize::try_from(self.runs_per_task).unwrap_or(usize::MAX)).collect()
    }

    fn jobs_path(&self, layout: &Layout) -> PathBuf {
        layout.submission(self.number).join("jobs.jsonl")
    }

    /// Returns the accepted arrays.
    pub(crate) fn jobs(&self, layout: &Layout) -> Result<Vec<JobLine>> {
        // A torn last line belongs to a command that was killed; its job is found by name.
        lines::read_with(&self.jobs_path(layout), "a list of jobs", |line| {
            let job: JobLine = serde_json::from_str(line).map_err(|e| e.to_string())?;
            match job.offset.checked_add(job.tasks) {
                Some(_) => Ok(job),
                None => Err(format!("has {} tasks from {} on, more than 2^64", job.tasks, job.offset)),
            }
        })
    }

    pub(crate) fn note_job(&self, layout: &Layout, line: &JobLine) -> Result<()> {
        lines::append(&self.jobs_path(layout), line)
    }

    fn cancelled_path(&self, layout: &Layout) -> PathBuf {
        layout.submission(self.number).join("cancelled.jsonl")
    }

    /// Records that these runs are no longer wanted. Tasks check this before they ask to be requeued.
    pub(crate) fn cancel(&self, layout: &Layout, runs: &[u64]) -> Result<()> {
        let (mut log, _) = files::LineLog::open(&self.cancelled_path(layout))?;
        Ok(log.append(&[Ranges::of(runs.iter().copied()).to_string()])?)
    }

    /// One file per task, so that tasks on different nodes never write to the same file.
    fn returned_path(&self, layout: &Layout, task: u64) -> PathBuf {
        layout.submission(self.number).join("returned").join(task.to_string())
    }

    /// Records that a task ends without these runs, which may then be submitted again.
    pub(crate) fn give_back(&self, layout: &Layout, task: u64, runs: &[u64]) -> Result<()> {
        let text = Ranges::of(runs.iter().copied()).to_string();
        Ok(files::write_atomic(&self.returned_path(layout, task), text.as_bytes())?)
    }

    /// Withdraws the record of [`give_back`](Self::give_back) after the task was started again.
    pub(crate) fn take_back(&self, layout: &Layout, task: u64) -> Result<()> {
        let path = self.returned_path(layout, task);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(FleetError::write(&path)(source))
            }
            _ => Ok(()),
        }
    }

    /// Returns the runs that tasks have given back.
    ///
    /// # Errors
    /// [`FleetError::Malformed`] if a file names a run that the plan, of `total` runs, does not have.
    pub(crate) fn returned(&self, layout: &Layout, total: u64) -> Result<BTreeSet<u64>> {
        let folder = layout.submission(self.number).join("returned");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(source) => return Err(FleetError::read(&folder)(source)),
        };
        let mut runs = BTreeSet::new();
        for entry in entries {
            let path = entry.map_err(FleetError::read(&folder))?.path();
            // Names that are not a task's number are temporary files of a task that is writing.
            if path.file_name().and_then(|n| n.to_str()).is_none_or(|n| n.parse::<u64>().is_err()) {
                continue;
            }
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                // Its task was started again meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(FleetError::read(&path)(source)),
            };
            let ranges = Ranges::parse_within(&text, total)
                .map_err(|reason| FleetError::malformed_line(&path, "a list of returned runs", 1, &reason))?;
            runs.extend(ranges.iter());
        }
        Ok(runs)
    }

    /// Returns the runs that were cancelled.
    ///
    /// # Errors
    /// [`FleetError::Malformed`] if a line names a run that the plan, of `total` runs, does not have.
    pub(crate) fn cancelled(&self, layout: &Layout, total: u64) -> Result<BTreeSet<u64>> {
        let parse = |line: &str| Ranges::parse_within(line, total);
        let lines = lines::read_with(&self.cancelled_path(layout), "a list of cancelled runs", parse)?;
        Ok(lines.iter().flat_map(Ranges::iter).collect())
    }
}

/// Returns, for each run, the newest submission that contains it, as a position in `submissions`, and its
/// task there.
pub(crate) fn newest_task_of(submissions: &[Submission]) -> BTreeMap<u64, (usize, u64)> {
    let mut found = BTreeMap::new();
    for (place, submission) in submissions.iter().enumerate() {
        for (i, run) in submission.runs.iter().enumerate() {
            found.insert(run, (place, i as u64 / submission.runs_per_task.max(1)));
        }
    }
    found
}

/// Increasing numbers in text form: `0-99,105`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Collects increasing numbers into ranges.
    pub(crate) fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for n in numbers {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
                _ => ranges.push((n, n)),
            }
        }
        Self(ranges)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Returns how many numbers there are, at most 2^64 - 1.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// Refuses numbers that are not below `total`, the number of runs in the plan.
    fn check(&self, total: u64) -> Result<(), String> {
        match self.0.last() {
            Some(&(_, last)) if last >= total => Err(format!("has run {last}, the plan has {total} runs")),
            _ => Ok(()),
        }
    }

    fn parse_within(text: &str, total: u64) -> Result<Self, String> {
        let ranges: Self = text.parse()?;
        ranges.check(total)?;
        Ok(ranges)
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

impl From<Ranges> for String {
    fn from(ranges: Ranges) -> Self {
        ranges.to_string()
    }
}

impl TryFrom<String> for Ranges {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| {
            word.trim().parse::<u64>().map_err(|_| format!("has `{word}`, want numbers such as 0-99,105"))
        };
        let mut ranges = Vec::new();
        for part in text.split(',').filter(|p| !p.trim().is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = (number(first)?, number(last)?);
            if range.1 < range.0 || ranges.last().is_some_and(|&(_, before)| before >= range.0) {
                return Err(format!("has `{part}`, want increasing numbers"));
            }
            ranges.push(range);
        }
        Ok(Self(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_text() {
        let ranges = Ranges::of([0, 1, 2, 7, 9, 10]);
        assert_eq!((ranges.to_string().as_str(), ranges.len()), ("0-2,7,9-10", 6));
        assert_eq!(ranges.to_string().parse::<Ranges>().unwrap(), ranges);
        assert_eq!("".parse::<Ranges>().unwrap().iter().count(), 0);
        for text in ["a", "3-1", "5,4", "1-2-3"] {
            assert!(text.parse::<Ranges>().is_err(), "{text}");
        }
        let all: Ranges = "0-18446744073709551615".parse().unwrap();
        assert_eq!(all.len(), u64::MAX);
        assert_eq!(all.check(5).unwrap_err(), "has run 18446744073709551615, the plan has 5 runs");
        assert_eq!(Ranges::of([u64::MAX, 3]).to_string(), "18446744073709551615,3");
        assert!(Ranges::parse_within("0-4", 5).is_ok() && Ranges::parse_within("0-5", 5).is_err());
    }
}
