//! Facts about weight tensors beyond their shapes: written by pruning and by learned widths, read by the cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Storage format of a deployed weight tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// All elements.
    #[default]
    Dense,
    /// Compressed sparse rows: values, column indices, row starts.
    Csr,
    /// One bit for each element, then the non-zero values.
    Bitmap,
    /// At most `n` of every `m` elements, each with its index in the group.
    #[serde(rename = "n_of_m")]
    NOfM {
        /// Elements kept per group.
        n: usize,
        /// Group size.
        m: usize,
    },
}

/// Facts about one weight tensor of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightFacts {
    /// Name of the tensor in its layer, for example `kernel`.
    pub weight: String,
    /// Number of non-zero elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_zeros: Option<u64>,
    /// Storage format. Default dense.
    #[serde(default)]
    pub storage: Storage,
    /// Total bits of all elements, if widths vary from element to element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bits: Option<u64>,
}
