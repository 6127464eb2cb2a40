//! The result of a finished design.

use serde::{Deserialize, Serialize};
use tinsmith_cost::Limits;
use tinsmith_foundation::{config, files};
use tinsmith_trainer::Confusion;

use crate::error::Result;
use crate::figures::{Figures, LayerBits};
use crate::folder::DesignFolder;

/// Number of candidates of each stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Random networks that the search started from.
    pub candidates: u64,
    /// Trials of the architecture search.
    pub search: u64,
    /// Trials of the architecture search refused before training.
    pub refused: u64,
    /// Trials of the quantization search.
    pub quantize: u64,
    /// Trials of the pruning.
    pub prune: u64,
    /// Searches that the time limit ended.
    pub ended_by_time: Vec<String>,
}

/// The figures of a finished design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignResult {
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of the data set.
    pub data_checksum: String,
    /// The seed.
    pub seed: u64,
    /// The limits.
    pub limits: Limits,
    /// The chosen network before quantization and pruning, as float32.
    pub baseline: Figures,
    /// The chosen network after quantization and pruning, on the target.
    pub winner: Figures,
    /// Name of the run in `train/` whose weights are shipped: the best by validation.
    pub run: String,
    /// Bit widths and sparsity of the winner, layer by layer.
    pub layers: Vec<LayerBits>,
    /// Confusion matrix of the winner on the test rows.
    pub confusion: Confusion,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Number of candidates of each stage.
    pub counts: Counts,
}

impl DesignResult {
    /// Reads the result in `folder`; `None` if the design is not finished.
    ///
    /// # Errors
    /// [`crate::WorkshopError::Config`] if `result.json` exists but is not a result.
    pub fn load(folder: &DesignFolder) -> Result<Option<Self>> {
        let path = folder.result();
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        Ok(Some(config::from_str(&text, &path.display().to_string(), |_, _| {})?))
    }
}
