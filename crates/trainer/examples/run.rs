//! Trains a run: one folder that TensorBoard opens. A finished run is only read again; a killed run resumes.
//!
//! Run with `cargo run -p tinsmith-trainer --example run -- FOLDER`, then `tensorboard --logdir FOLDER`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use tinsmith_data::{Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{Context, Metric, Plan, Run, Schedule, TrainConfig, Undisturbed};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "run".to_owned());
    let (train, validation) = tinsmith_data::load("digits8x8")?.train.validation_split(0.2, Seed::new(1))?;
    let normalizer = Normalizer::fit(&train, Normalization::Auto)?;
    let (train, validation) = (normalizer.apply(&train)?, normalizer.apply(&validation)?);
    let network = "layers:
- {name: x, input: {shape: [8, 8, 1]}}
- {name: c, conv2d: {filters: 12, kernel: 3, activation: relu}}
- {name: p, max_pool2d: {}}
- {name: f, flatten: {}}
- {name: d, dropout: {rate: 0.2}}
- {name: y, dense: {units: 10}}";
    let plan = Plan {
        spec: ModelSpec::parse(network, "digits")?,
        config: TrainConfig {
            epochs: 15,
            batch_size: 32,
            schedule: Schedule::Cosine { floor: 0.01 },
            warm_up: 0.05,
            metrics: vec![Metric::F1Macro, Metric::TopK { k: 2 }],
            ..TrainConfig::default()
        },
        seed: Seed::new(7),
        start: None,
        attributes: BTreeMap::new(),
    };
    let run = Run::new(&folder).with_checkpoints(50, 0.0);
    let context = Context { seed: plan.seed, grant: Grant::ONE, cancel: &CancelToken::new() };
    let result = run.train(&plan, &train, Some(&validation), &context, &mut Undisturbed)?;
    for epoch in run.epochs()? {
        println!("epoch {:>2}: loss {:.3}, {:.3?}", epoch.epoch, epoch.loss, epoch.metrics);
    }
    println!("kept epoch {} in {folder}", result.history.kept);
    Ok(())
}
