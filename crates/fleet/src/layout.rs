//! File layout of a project folder.
//!
//! | path | content |
//! | --- | --- |
//! | `project.yaml` | description, data and their checksum, seed, the program and its checksum |
//! | `plan/0001/` | one part of the plan, by `generate` or `add`: `part.yaml`, `runs.jsonl`, `specs/` |
//! | `bin/` | copy of the program, made when the project was created |
//! | `slurm.yaml`, `batch.sh.j2` | submission settings and script template, for the user to edit |
//! | `submissions/0001/` | one submission: its runs, the script, the jobs |
//! | `logs/` | output of the jobs |
//! | `runs/000/000123/` | one run: `attempt-0001/`, …, and `result.json` once it is done |
//! | `index/000.jsonl` | results of a thousand runs in one file; can be deleted at any time |
//! | `notes.jsonl`, `seeds.jsonl` | annotations; seeds drawn by `retry --new-seed` |

use std::path::{Path, PathBuf};

/// Number of runs per folder, and per file of the index.
pub(crate) const SHARD: u64 = 1000;

/// Paths of a project.
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
