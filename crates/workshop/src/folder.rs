//! Where everything of a design lies.

use std::path::{Path, PathBuf};

/// The folder of a design.
///
/// | path | what it is |
/// | --- | --- |
/// | `config.yaml` | the configuration with every default written out |
/// | `data.json` | name and checksum of the data |
/// | `normalizer.yaml` | what samples must be brought to before the network sees them |
/// | `generate/candidates.jsonl` | the random networks that the search starts from, one specification a line |
/// | `search/journal.log`, `quantize/journal.log`, `prune/journal.log` | every trial, in Optuna's journal format |
/// | `search/finalists/`, `train/` | runs: networks trained in full |
/// | `spec.yaml`, `weights.safetensors` | the winner |
/// | `c/` | the winner as C sources, where its layers have a C form |
/// | `metrics.jsonl` | every epoch of every run in `train/` |
/// | `report.html` | the page to read |
/// | `result.json` | the figures; written last, so a design without it is not finished |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
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

impl Folder {
    /// The design in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    paths! {
        /// The configuration.
        config = "config.yaml";
        /// Name and checksum of the data.
        data = "data.json";
        /// How samples are normalized.
        normalizer = "normalizer.yaml";
        /// The random networks.
        candidates = "generate/candidates.jsonl";
        /// Trials of the architecture search.
        search_journal = "search/journal.log";
        /// Runs of the best architectures.
        finalists = "search/finalists";
        /// Trials of the quantization search.
        quantize_journal = "quantize/journal.log";
        /// Weights of its trials.
        quantize_weights = "quantize/weights";
        /// Trials of the pruning.
        prune_journal = "prune/journal.log";
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
        /// The page.
        report = "report.html";
        /// The figures.
        result = "result.json";
    }
}
