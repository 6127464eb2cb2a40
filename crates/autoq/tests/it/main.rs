//! Integration tests of the quantization search.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod rewriting;
mod searching;

use tinsmith_network::ModelSpec;

pub(crate) fn network() -> ModelSpec {
    ModelSpec::parse(
        "name: small
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: c1, conv2d: {filters: 4, kernel: 3}}
  - {name: b1, batch_norm: {}}
  - {name: a1, activation: relu}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 8, activation: relu}}
  - {name: y, dense: {units: 5}}",
        "network",
    )
    .unwrap()
}
