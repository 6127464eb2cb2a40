//! Upper bounds on the cost of a network, and their violations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;

use crate::cost::Cost;

/// Upper bounds on the cost of a network. A missing bound does not limit; a value equal to its bound is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Flash bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash: Option<u64>,
    /// Peak RAM bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram: Option<u64>,
    /// Multiply-accumulates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<u64>,
    /// Floating-point operations ([`crate::Measures::flops`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<u64>,
    /// Bit-operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bops: Option<u64>,
    /// Bits of all weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u64>,
    /// Elements of the largest output of a layer, inputs excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_activation: Option<u64>,
    /// Layers that remain at run time (not folded, not fused, no inputs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// A limit that a network exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Violation {
    /// Name of the limit, a field of [`Limits`].
    pub what: &'static str,
    /// Value of the network.
    pub value: f64,
    /// Upper bound.
    pub limit: u64,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {:.0}, at most {} allowed", self.what, self.value, self.limit)
    }
}

impl Limits {
    /// True if nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a fault for each limit that no network can satisfy.
    pub fn check_config(&self, faults: &mut Faults) {
        for (what, limit, _) in self.pairs(None) {
            if limit == 0 {
                faults.add(what, "is 0, which no network satisfies; want at least 1, or leave it out");
            }
        }
    }

    /// Returns the limits that `cost` exceeds, in the order of the fields.
    #[must_use]
    pub fn check(&self, cost: &Cost) -> Vec<Violation> {
        self.pairs(Some(cost))
            .filter(|(_, limit, value)| *value > *limit as f64)
            .map(|(what, limit, value)| Violation { what, value, limit })
            .collect()
    }

    /// Returns name and `value - limit` for each limit that is set: constraints of a search, satisfied at 0 or below.
    #[must_use]
    pub fn constraints(&self, cost: &Cost) -> Vec<(&'static str, f64)> {
        self.pairs(Some(cost)).map(|(what, limit, value)| (what, value - limit as f64)).collect()
    }

    fn pairs(&self, cost: Option<&Cost>) -> impl Iterator<Item = (&'static str, u64, f64)> {
        let value = |of: fn(&Cost) -> f64| cost.map_or(0.0, of);
        [
            ("flash", self.flash, value(|c| c.total.flash_bytes as f64)),
            ("ram", self.ram, value(|c| c.peak_ram.bytes as f64)),
            ("macs", self.macs, value(|c| c.total.macs as f64)),
            ("params", self.params, value(|c| c.total.params as f64)),
            ("flops", self.flops, value(|c| c.total.flops as f64)),
            ("bops", self.bops, value(|c| c.total.bops)),
            ("weight_bits", self.weight_bits, value(|c| c.total.weight_bits as f64)),
            ("largest_activation", self.largest_activation, value(|c| c.largest_activation.elements as f64)),
            ("steps", self.steps, value(|c| c.peak_ram.order.len() as f64)),
        ]
        .into_iter()
        .filter_map(|(what, limit, value)| limit.map(|limit| (what, limit, value)))
    }
}
