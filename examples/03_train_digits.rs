//! Training of a small network on the built-in digits, evaluated class by class.
//!
//! Run with `cargo run --example 03_train_digits`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use tinsmith_data::{Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_study::Decision;
use tinsmith_trainer::{Context, Epoch, Observe, OptimizerConfig, TrainConfig, evaluate, fit};

fn main() -> anyhow::Result<()> {
    // Held-out rows select the epoch to keep. Normalization is fitted to the training rows only, so that nothing leaks.
    let splits = tinsmith_data::load("digits8x8")?;
    let (train, validation) = splits.train.validation_split(0.2, Seed::new(1))?;
    let normalizer = Normalizer::fit(&train, Normalization::Auto)?;
    let (train, validation, test) =
        (normalizer.apply(&train)?, normalizer.apply(&validation)?, normalizer.apply(&splits.test)?);

    let spec = ModelSpec::parse(
        "layers:
           - {name: x, input: {shape: [8, 8, 1]}}
           - {name: c, conv2d: {filters: 12, kernel: 3, activation: relu}}
           - {name: p, max_pool2d: {}}
           - {name: f, flatten: {}}
           - {name: y, dense: {units: 10}}",
        "digits",
    )?;
    let mut model = Model::build(&spec, Seed::new(2), &BuildOptions::default())?;
    let config = TrainConfig {
        epochs: 12,
        batch_size: 32,
        optimizer: OptimizerConfig { learning_rate: 0.005, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    };
    let mut watch = Observe(|epoch: &Epoch| {
        println!(
            "epoch {:>2}: loss {:.3}, validation {:.3}",
            epoch.epoch,
            epoch.loss,
            epoch.val_loss.unwrap_or(0.0)
        );
        Decision::Continue
    });
    let context = Context { seed: Seed::new(3), grant: Grant::ONE, cancel: &CancelToken::new() };
    fit(&mut model, &train, Some(&validation), &config, &context, &mut watch)?;

    let result = evaluate(&model, &test, config.loss, Grant::ONE)?;
    let Some(confusion) = result.confusion else { anyhow::bail!("digits have classes") };
    for (digit, quality) in confusion.per_class().iter().enumerate() {
        println!("{digit}: precision {:.2}, recall {:.2}", quality.precision, quality.recall);
    }
    println!("test accuracy {:.1} %", 100.0 * confusion.accuracy());
    assert!(confusion.accuracy() > 0.85);
    Ok(())
}
