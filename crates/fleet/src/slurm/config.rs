//! Submission settings: the file `slurm.yaml` of a project.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;

/// Submission settings and resources of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmConfig {
    /// Partition, or several separated by commas. Default: the cluster's.
    pub partition: String,
    /// Account to charge. Default: the user's.
    pub account: String,
    /// Quality of service. Default: the user's.
    pub qos: String,
    /// Features that a node must have. Default: any.
    pub constraint: String,
    /// Time limit of a task in minutes; 0 means the partition's default. Default 0.
    pub time_minutes: u32,
    /// Memory of a task in MiB; 0 means the partition's default. Default 0.
    pub memory_mib: u64,
    /// Cores of a task; it trains as many runs side by side. Default 1.
    pub cpus_per_task: u32,
    /// GPUs requested for a task. Training runs on the CPU, so this only serves programs of a user that use
    /// one. Default 0.
    pub gpus: u32,
    /// Maximum number of array tasks that run at the same time; 0 means no limit. Default 0.
    pub throttle: u32,
    /// Runs per task. Default 1.
    pub runs_per_task: u64,
    /// Seconds before its time limit at which a task stops starting runs. It then asks to be requeued or, if
    /// it may not be, returns the runs that it has not begun. 0 means 1.2 times the duration of its longest
    /// run. A task always starts at least one run. Default 0.
    pub stop_before_limit_s: u64,
    /// Seconds before its time limit at which a task is signalled to store a checkpoint and ask to be
    /// requeued; at most half of its time limit. 0 disables the signal. Default 90.
    pub signal_before_limit_s: u32,
    /// Requeue tasks at their time limit, at preemption and after the loss of their node. Default true.
    pub requeue: bool,
    /// Maximum number of times that a task asks to be requeued. Default 100.
    pub max_requeues: u32,
    /// Maximum array size; 0 means the cluster's limit. Default 0.
    pub max_array_size: u64,
    /// Maximum number of tasks of one submission. If there are more runs, each task gets several; 0 means the
    /// cluster's limit. Default 0.
    pub max_tasks: u64,
    /// Submit a final job that folds the results into the index and a table. Default true.
    pub collect: bool,
    /// Factor by which `retry` multiplies the time limit of runs that exceeded it. Default 2.
    pub time_factor: u32,
    /// Factor by which `retry` multiplies the memory of runs that exceeded it. Default 2.
    pub memory_factor: u32,
    /// Shell lines that prepare the environment, such as `module load`.
    pub setup: Vec<String>,
    /// Additional options for sbatch, such as `--exclude=n7`.
    pub extra: Vec<String>,
}

impl Default for SlurmConfig {
    fn default() -> Self {
        Self {
            partition: String::new(),
            account: String::new(),
            qos: String::new(),
            constraint: String::new(),
            time_minutes: 0,
            memory_mib: 0,
            cpus_per_task: 1,
            gpus: 0,
            throttle: 0,
            runs_per_task: 1,
            stop_before_limit_s: 0,
            signal_before_limit_s: 90,
            requeue: true,
            max_requeues: 100,
            max_array_size: 0,
            max_tasks: 0,
            collect: true,
            time_factor: 2,
            memory_factor: 2,
            setup: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl SlurmConfig {
    /// Reports invalid values.
    pub fn check(&self, faults: &mut Faults) {
        for (name, is_zero) in [
            ("cpus_per_task", self.cpus_per_task == 0),
            ("runs_per_task", self.runs_per_task == 0),
            ("time_factor", self.time_factor == 0),
            ("memory_factor", self.memory_factor == 0),
        ] {
            if is_zero {
                faults.add(name, "is 0, want at least 1");
            }
        }
        let limit = 60 * u64::from(self.time_minutes);
        if limit > 0 && self.stop_before_limit_s >= limit {
            let wanted = format!("want less than the {limit} s that time_minutes makes, or 0");
            faults.add("stop_before_limit_s", format!("is {}, {wanted}", self.stop_before_limit_s));
        }
        for (name, word) in [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("constraint", &self.constraint),
        ] {
            if word.chars().any(|c| c.is_whitespace() || c.is_control()) {
                faults.add(name, format!("is `{word}`, want no blanks"));
            }
        }
        for (i, line) in self.extra.iter().enumerate() {
            if !line.starts_with('-') || line.contains('\n') {
                faults.add(
                    &format!("extra[{i}]"),
                    format!("is `{line}`, want one option such as --exclude=n7"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tinsmith_foundation::config;

    use super::*;

    #[test]
    fn a_margin_must_lie_within_the_limit() {
        let read = |text: &str| config::from_str::<SlurmConfig>(text, "slurm.yaml", SlurmConfig::check);
        let error = read("{time_minutes: 1, stop_before_limit_s: 60}").unwrap_err().to_string();
        assert!(error.contains("stop_before_limit_s") && error.contains("less than the 60 s"), "{error}");
        assert!(read("{time_minutes: 1, stop_before_limit_s: 59}").is_ok());
        assert!(read("{stop_before_limit_s: 600}").is_ok(), "the partition's limit is Slurm's to know");
    }
}
