//! Where everything lies in a project's folder.
//!
//! | path | what it is |
//! | --- | --- |
//! | `project.yaml` | description, data and their checksum, seed, the program and its checksum |
//! | `plan/0001/` | what one `generate` or `add` planned: `part.yaml`, `runs.jsonl`, `specs/` |
//! | `bin/` | the program as it was when the project was made |
//! | `slurm.yaml`, `batch.sh.j2` | how to submit; to be edited |
//! | `submissions/0001/` | one submission: what was asked for, the script, the jobs |
//! | `logs/` | what the jobs printed |
//! | `runs/000/000123/` | one run: `attempt-0001/`, …, and `result.json` once it is done |
//! | `index/000.jsonl` | results of a thousand runs in one file; can be deleted at any time |
//! | `notes.jsonl`, `seeds.jsonl` | annotations; seeds that `retry --new-seed` gave |

use std::path::{Path, PathBuf};

/// How many runs share a folder.
pub(crate) const SHARD: u64 = 1000;

/// The paths of a project.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("project.yaml")
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.root.join("plan")
    }

    pub(crate) fn slurm(&self) -> PathBuf {
        self.root.join("slurm.yaml")
    }

    pub(crate) fn template(&self) -> PathBuf {
        self.root.join("batch.sh.j2")
    }

    pub(crate) fn submissions(&self) -> PathBuf {
        self.root.join("submissions")
    }

    pub(crate) fn submission(&self, number: u32) -> PathBuf {
        self.submissions().join(format!("{number:04}"))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn run(&self, index: u64) -> PathBuf {
        self.root.join(format!("runs/{:03}/{index:06}", index / SHARD))
    }

    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn index(&self, shard: u64) -> PathBuf {
        self.indexes().join(format!("{shard:03}.jsonl"))
    }

    pub(crate) fn notes(&self) -> PathBuf {
        self.root.join("notes.jsonl")
    }

    pub(crate) fn seeds(&self) -> PathBuf {
        self.root.join("seeds.jsonl")
    }
}
