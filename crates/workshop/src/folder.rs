//! Paths in the folder of a design.

use std::path::{Path, PathBuf};

/// The folder of a design.
///
/// | path | content |
/// | --- | --- |
/// | `config.yaml` | the [`crate::DesignPlan`]: the configuration with every default written out |
/// | `work.json` | settings and data checksum that the results depend on; a resume with others is refused |
/// | `normalizer.yaml` | normalization to apply to samples before inference |
/// | `classes.txt` | names of the classes, one a line, in the order of the network's outputs |
/// | `generate/candidates.jsonl` | the random networks that the search starts from, one specification a line |
/// | `search/journal.log`, `quantize/journal.log`, `prune/journal.log` | every trial, in Optuna's journal format |
/// | `search/finalists/`, `train/` | runs: networks trained in full |
/// | `spec.yaml`, `weights.safetensors` | the winner |
/// | `c/` | the winner as C sources, if its layers have a C form |
/// | `metrics.jsonl` | every epoch of every run in `train/` |
/// | `report.html` | the report to read |
/// | `result.json` | the figures; written last, so a design without it is not finished |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesignFolder {
    root: PathBuf,
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> PathBuf {
            self.root.join($path)
        }
    )* };
}

impl DesignFolder {
    /// The folder `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    paths! {
        /// The configuration.
        config = "config.yaml";
        /// The normalization of samples.
        normalizer = "normalizer.yaml";
        /// The random candidates.
        candidates = "generate/candidates.jsonl";
        /// The architecture search.
        search = "search";
        /// Runs of the best architectures.
        finalists = "search/finalists";
        /// The quantization search.
        quantize = "quantize";
        /// The pruning.
        prune = "prune";
        /// Runs of the baseline and the winner.
        train = "train";
        /// The winner's specification.
        spec = "spec.yaml";
        /// The winner's weights.
        weights = "weights.safetensors";
        /// The winner as C sources.
        c_sources = "c";
        /// Every epoch of the final runs.
        metrics = "metrics.jsonl";
        /// The report.
        report = "report.html";
        /// The figures.
        result = "result.json";
    }
}
