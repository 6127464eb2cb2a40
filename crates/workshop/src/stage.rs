//! The stages of a design, one file each. The public ones are also commands of their own.

pub(crate) mod candidates;
pub(crate) mod evaluate;
pub(crate) mod finalists;
pub(crate) mod inference;
pub(crate) mod predict;
pub(crate) mod prune;
pub(crate) mod quantize;
pub(crate) mod search;
pub(crate) mod ship;
pub(crate) mod train;
pub(crate) mod winner;

use std::path::{Path, PathBuf};

/// Name of a stage's journal in its folder.
const JOURNAL: &str = "journal.log";

/// The journal of a stage, and its size before the stage ran.
pub(crate) struct StageJournal {
    pub(crate) path: PathBuf,
    size_before: u64,
}

impl StageJournal {
    pub(crate) fn of(folder: &Path) -> Self {
        let path = folder.join(JOURNAL);
        Self { size_before: size(&path), path }
    }

    /// Returns true if the stage added no trial: all of them were there before.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.size_before > 0 && size(&self.path) == self.size_before
    }
}

fn size(path: &Path) -> u64 {
    // A journal that does not exist yet is an empty one; other faults show when it is opened.
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
