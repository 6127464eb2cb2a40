//! What a run left: its result, or why there is none.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Seed;

use crate::error::{FleetError, Result};

/// The file `result.json` of a run: the truth about whether it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The run's number.
    pub index: u64,
    /// The attempt whose folder holds weights and metrics.
    pub attempt: u32,
    /// The seed that it was trained from.
    pub seed: Seed,
    /// What it reached, by name: `val_loss`, `val_accuracy`, `loss`.
    pub scores: BTreeMap<String, f64>,
    /// Epochs that were trained.
    pub epochs: u32,
    /// SHA-256 of the file of weights.
    pub weights: String,
    /// Seconds of the last attempt.
    pub seconds: f64,
    /// When it was done, in UTC.
    pub finished: String,
    /// Where.
    pub node: String,
    /// The job, as Slurm names it: `17_4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Why a run has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The program ended with an error.
    Exit,
    /// The time limit of its job.
    TimeOut,
    /// More memory than its job may use.
    Memory,
    /// Its node was lost, or taken for another job.
    Node,
    /// Somebody cancelled it.
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

/// The file `failed.json` of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which kind of end it was.
    pub cause: Cause,
    /// What went wrong.
    pub reason: String,
    /// When, in UTC.
    pub failed: String,
}

/// Reads a JSON file, or none where it is not there.
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
        reason: e.to_string(),
    })
}
