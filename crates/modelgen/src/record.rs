//! One network as a line of a corpus.

use serde::{Deserialize, Serialize};
use tinsmith_cost::Cost;
use tinsmith_network::{ModelSpec, StructuralHash};

/// The totals of a network's cost, as a line holds them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostLine {
    /// Weights.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bits of all weights.
    pub weight_bits: u64,
    /// Bit-operations.
    pub bops: f64,
    /// Bytes in flash.
    pub flash: u64,
    /// Peak bytes in RAM.
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
    /// Its number. In a corpus of [`crate::generate`] the network is drawn from the corpus' seed derived by
    /// `("model", index)`; elsewhere it counts the networks.
    pub index: u64,
    /// What its structure is known by; absent where the corpus does not say.
    #[serde(default)]
    pub hash: Option<StructuralHash>,
    /// What it costs on the corpus' target; absent where none was named.
    #[serde(default)]
    pub cost: Option<CostLine>,
    /// The network.
    pub spec: ModelSpec,
}

/// [`Record`] as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct RecordRef<'a> {
    pub(crate) index: u64,
    pub(crate) hash: StructuralHash,
    pub(crate) cost: CostLine,
    pub(crate) spec: &'a ModelSpec,
}
