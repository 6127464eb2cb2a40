//! Options of an export.

use serde::{Deserialize, Serialize};
use tinsmith_cost::Packing;

/// Arithmetic of the exported network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// `float` throughout; quantizers round as in training. The reference, and the right choice for machines with a
    /// floating-point unit.
    #[default]
    Float,
    /// Activations are codes, and sums of products are integers if input, kernel and bias have fixed-point formats;
    /// `float` elsewhere. Kernels whose learned levels are no integers are refused.
    Integer,
}

/// Options of the C export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportOptions {
    /// Prefix of every file and every external name. Default `network`.
    pub name: String,
    /// Arithmetic. Default float.
    pub arithmetic: Arithmetic,
    /// Storage of quantized weights in flash: packed to their `bits` and unpacked on use, or as whole `bytes`, which
    /// are larger and faster. Default bits.
    pub packing: Packing,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { name: "network".to_owned(), arithmetic: Arithmetic::Float, packing: Packing::Bits }
    }
}
