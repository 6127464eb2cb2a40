//! Integration tests of pruning.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod masks;
mod training;

use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;

pub(crate) fn spec() -> ModelSpec {
    ModelSpec::parse(
        "layers:
           - {name: x, input: {shape: [8, 8, 1]}}
           - {name: c, conv2d: {filters: 6, kernel: 3, activation: relu}}
           - {name: f, flatten: {}}
           - {name: h, dense: {units: 12, activation: relu, kernel_quantizer: 'quantized_bits(4,0,alpha=\"auto\")'}}
           - {name: y, dense: {units: 10}}",
        "network",
    )
    .unwrap()
}

pub(crate) fn model() -> Model {
    Model::build(&spec(), Seed::new(1), &BuildOptions::default()).unwrap()
}
