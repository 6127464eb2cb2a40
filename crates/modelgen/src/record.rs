//! A network as one line of a corpus.

use serde::{Deserialize, Serialize};
use tinsmith_cost::Cost;
use tinsmith_network::{ModelSpec, StructuralHash};

/// Totals of a network's cost in a corpus line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostLine {
    /// Number of weights.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Sum of the bit widths of all weights.
    pub weight_bits: u64,
    /// Bit-operations.
    pub bops: f64,
    /// Flash, in bytes.
    pub flash: u64,
    /// Peak RAM, in bytes.
    pub ram: u64,
}

impl From<&Cost> for CostLine {
    fn from(cost: &Cost) -> Self {
        Self {
            params: cost.total.params,
            macs: cost.total.macs,
            weight_bits: cost.total.weight_bits,
            bops: cost.total.bops,
            flash: cost.total.flash_bytes,
            ram: cost.peak_ram.bytes,
        }
    }
}

/// A line of a corpus.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Index of the draw. In a corpus of [`crate::generate`] the network's seed is the corpus seed derived by
    /// `("model", index)`; in other corpora this counts the networks.
    pub index: u64,
    /// Structural hash; absent in corpora without hashes.
    #[serde(default)]
    pub hash: Option<StructuralHash>,
    /// Cost on the corpus' target; absent in corpora without costs.
    #[serde(default)]
    pub cost: Option<CostLine>,
    /// The network.
    pub spec: ModelSpec,
}

/// A borrowed [`Record`] for writing.
#[derive(Debug, Serialize)]
pub(crate) struct RecordRef<'a> {
    pub(crate) index: u64,
    pub(crate) hash: StructuralHash,
    pub(crate) cost: CostLine,
    pub(crate) spec: &'a ModelSpec,
}
