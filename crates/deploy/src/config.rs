//! How a network is shipped.

use serde::{Deserialize, Serialize};
use tinsmith_cost::Packing;

/// What a network computes with once it is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// `float` throughout; quantizers round as they do in training. The reference, and right for machines with a
    /// floating-point unit.
    #[default]
    Float,
    /// Activations are held as codes, and sums of products are integers wherever input, kernel and bias have
    /// fixed-point formats; `float` elsewhere. Kernels whose learned levels have no integers are refused.
    Integer,
}

/// How C is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportOptions {
    /// Prefix of every file and of every name with external linkage. Default `network`.
    pub name: String,
    /// What it computes with. Default float.
    pub arithmetic: Arithmetic,
    /// How quantized weights lie in flash: `bits` side by side, unpacked as they are used, or whole `bytes`, which
    /// take more room and less time. Default bits.
    pub packing: Packing,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { name: "network".to_owned(), arithmetic: Arithmetic::Float, packing: Packing::Bits }
    }
}
