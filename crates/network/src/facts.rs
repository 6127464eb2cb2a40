//! What is known of a weight tensor beyond its shape: written by pruning and by learned widths, read by the cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a weight tensor is stored when it is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Every element.
    #[default]
    Dense,
    /// Compressed sparse rows: values, column indices, row starts.
    Csr,
    /// One bit for each element, then the non-zero values.
    Bitmap,
    /// Of every `m` elements at most `n` are kept, each with its index in the group.
    #[serde(rename = "n_of_m")]
    NOfM {
        /// Kept.
        n: usize,
        /// Group size.
        m: usize,
    },
}

/// Facts on one weight tensor of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightFacts {
    /// The tensor's name in its layer, for example `kernel`.
    pub weight: String,
    /// Elements that are not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_zeros: Option<u64>,
    /// How it is stored. Default dense.
    #[serde(default)]
    pub storage: Storage,
    /// Bits of all elements together, where widths vary from element to element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bits: Option<u64>,
}
