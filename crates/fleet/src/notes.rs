//! Annotations of a project and of its runs.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::files::LineLog;
use tinsmith_study::clock;

use crate::error::{FleetError, Result};
use crate::layout::Layout;

/// An annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// Time, in UTC.
    pub(crate) written: String,
    /// The run; `None` for the whole project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u64>,
    pub(crate) text: String,
}

pub(crate) fn annotate(layout: &Layout, run: Option<u64>, text: &str) -> Result<()> {
    let note = Note { written: clock::now(), run, text: text.to_owned() };
    append(&layout.notes(), &note)
}

/// Appends a value to a file of JSON lines.
pub(crate) fn append<T: Serialize>(path: &std::path::Path, value: &T) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|e| FleetError::usage(e.to_string()))?;
    let (mut log, _) = LineLog::open(path)?;
    Ok(log.append(&[line])?)
}

pub(crate) fn notes(layout: &Layout) -> Vec<Note> {
    let text = std::fs::read_to_string(layout.notes()).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
