//! Integration tests of the architecture search.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod mutations;
mod searching;

use tinsmith_network::ModelSpec;

/// An image network to which every mutation applies.
pub(crate) fn network() -> ModelSpec {
    ModelSpec::parse(
        "layers:
           - {name: x, input: {shape: [12, 12, 1]}}
           - {name: c1, conv2d: {filters: 4, kernel: 3, padding: same}}
           - {name: b1, batch_norm: {}}
           - {name: a1, activation: relu}
           - {name: c2, conv2d: {filters: 6, kernel: 3, padding: same}}
           - {name: a2, activation: relu}
           - {name: p2, max_pool2d: {}}
           - {name: f, flatten: {}}
           - {name: h, dense: {units: 8, activation: relu}}
           - {name: y, dense: {units: 5}}",
        "network",
    )
    .unwrap()
}
