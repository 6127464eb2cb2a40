//! Outcome of a run: its result, or the cause of its failure.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Seed;

use crate::error::{FleetError, Result, cut};

/// Result of a run: the file `result.json`. A run is done if and only if this file exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Index of the run.
    pub index: u64,
    /// Number of the attempt whose folder holds the weights and metrics.
    pub attempt: u32,
    /// Seed of the training.
    pub seed: Seed,
    /// Scores by name: `val_loss`, `val_accuracy`, `loss`.
    pub scores: BTreeMap<String, f64>,
    /// Trained epochs.
    pub epochs: u32,
    /// SHA-256 of the weights file.
    pub weights: String,
    /// Duration of the last attempt, in seconds.
    pub seconds: f64,
    /// Completion time, in UTC.
    pub finished: String,
    /// Name of the node.
    pub node: String,
    /// Slurm's name of the job: `17_4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Outcome {
    /// Checks that this is a possible result of run `index`.
    pub(crate) fn check(&self, index: u64) -> Result<(), String> {
        if self.index != index {
            return Err(format!("it is the result of run {}", self.index));
        }
        if self.attempt == 0 {
            return Err("`attempt` is 0, want at least 1".to_owned());
        }
        for (name, &score) in &self.scores {
            let is_fraction = name.ends_with("accuracy");
            if !score.is_finite() || (is_fraction && !(0.0..=1.0).contains(&score)) {
                let wanted = if is_fraction { "0 to 1" } else { "a finite number" };
                return Err(format!("score `{name}` is {score}, want {wanted}"));
            }
        }
        if !self.seconds.is_finite() || self.seconds < 0.0 {
            return Err(format!("`seconds` is {}, want at least 0", self.seconds));
        }
        Ok(())
    }
}

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The program ended with an error.
    Exit,
    /// The job reached its time limit.
    TimeOut,
    /// The job exceeded its memory.
    Memory,
    /// The node was lost or preempted.
    Node,
    /// A user cancelled it.
    Cancelled,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exit => "exit",
            Self::TimeOut => "time-out",
            Self::Memory => "memory",
            Self::Node => "node",
            Self::Cancelled => "cancelled",
        })
    }
}

/// Failure of an attempt: the file `failed.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Cause.
    pub cause: Cause,
    /// Error message.
    pub reason: String,
    /// Time of the failure, in UTC.
    pub failed: String,
}

/// Reads a JSON file. Returns `None` if it does not exist.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    wanted: &'static str,
) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FleetError::read(path)(source)),
    };
    serde_json::from_str(&text).map(Some).map_err(|e| FleetError::Malformed {
        path: path.to_owned(),
        wanted,
        reason: cut(&e.to_string()),
    })
}
