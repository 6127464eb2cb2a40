//! Integration tests of fleets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod pool;
mod project;

use tinsmith_data::{Dataset, Normalization, Normalizer};
use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{OptimizerConfig, TrainConfig};

const MLP: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 24, activation: relu}}
  - {name: y, dense: {units: 10}}
";

fn spec() -> ModelSpec {
    ModelSpec::parse(MLP, "mlp").unwrap()
}

/// A training and a validation part of the digits, small enough for a quick test.
fn digits() -> (Dataset, Dataset) {
    let splits = tinsmith_data::load("digits8x8").unwrap();
    let data = splits.train.share(0.4, Seed::new(1)).unwrap();
    let (train, val) = data.holdout(0.25, Seed::new(2)).unwrap();
    let normalizer = Normalizer::fit(&train, Normalization::Auto).unwrap();
    (normalizer.apply(&train).unwrap(), normalizer.apply(&val).unwrap())
}

fn config(epochs: u32) -> TrainConfig {
    TrainConfig {
        epochs,
        batch_size: 32,
        optimizer: OptimizerConfig { learning_rate: 0.005, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    }
}
