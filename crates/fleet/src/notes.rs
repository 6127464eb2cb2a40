//! Annotations of a project and of its runs.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::clock;

use crate::error::Result;
use crate::layout::Layout;
use crate::lines;

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
    lines::append(&layout.notes(), &note)
}

pub(crate) fn notes(layout: &Layout) -> Result<Vec<Note>> {
    lines::read(&layout.notes(), "a list of notes")
}
